"""A file is the old one or the new one, never half of it, and nothing is left beside it."""

import os

import pytest

from course_utils.whole_files import whole, write_whole


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_text("old")
    return path


def test_readers_find_the_old_file_until_the_new_one_is_whole(path):
    with whole(path) as part:
        assert part.parent == path.parent
        assert part.name.endswith(path.name)
        part.write_text("new, and not yet")
        assert path.read_text() == "old"
    assert path.read_text() == "new, and not yet"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_what_fails_leaves_the_old_file_and_nothing_else(path, error):
    def fail():
        with whole(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole_too(tmp_path):
    folder = tmp_path / "model"
    for names in (("a", "b"), ("c",)):
        with whole(folder) as part:
            part.mkdir()
            for name in names:
                (part / name).touch()
    assert [one.name for one in folder.iterdir()] == ["c"]
    assert list(tmp_path.iterdir()) == [folder]


def test_line_ends_and_rights_stay_as_they_are(path):
    os.chmod(path, 0o640)
    write_whole(path, "a\r\nb\nµ")
    assert path.read_bytes() == "a\r\nb\nµ".encode()
    assert path.stat().st_mode & 0o777 == 0o640
