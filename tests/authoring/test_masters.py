"""A master says what is wrong with it, by file and line."""

import pytest

from course_utils.authoring.masters import Course, read_master, read_masters


def test_header_carries_title_minutes_tier_and_budget(master):
    read = read_master(master)
    assert read.course == Course(title="A tiny chapter", minutes=5, tier="cpu", memory_mb=300, seconds=20)
    assert (read.name, read.number) == ("98_tiny", 98)


def test_cells_know_their_line_id_tags_and_exercise(master):
    lines = master.read_text("utf-8").splitlines()
    for cell in read_master(master).cells:
        assert f'id="{cell.id}"' in lines[cell.line - 1]
    stub = next(cell for cell in read_master(master).cells if cell.id == "q1")
    assert (stub.kind, stub.tags, stub.exercise, stub.metadata) == ("code", ("exercise",), "ch98.q1", {})


def test_header_under_the_jupyter_key_is_read_too(master):
    head, _, rest = master.read_text("utf-8").partition("# course:\n")
    course, fence, cells = rest.partition("# ---\n")
    nested = "# jupyter:\n#   course:\n" + "".join(f"#   {line[1:]}\n" for line in course.splitlines())
    before = read_master(master).course
    master.write_text(head + nested + fence + cells, "utf-8")
    assert read_master(master).course == before


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (' id="imports"', "", 15, "no id"),
        ('id="imports"', 'id="map"', 20, "taken by the cell on line 15"),
        ('id="imports"', 'id="im ports"', 15, "1 to 64 of"),
        ('id="imports"', f'id="{"x" * 65}"', 15, "1 to 64 of"),
        ('id="imports"', 'id="course-x"', 15, "the builder's"),
        ("tier: cpu", "tier: tpu", 1, "one of cpu, gpu, replay"),
        ("minutes: 5", "minutes: soon", 1, "whole number above 0"),
        (
            "minutes: 5",
            "minutes: 5\n#   colab: bitsandbytes",
            1,
            "course.colab='bitsandbytes' must be a list",
        ),
        ("minutes: 5", "minuts: 5", 1, "missing: minutes, unknown: minuts"),
        ("tier: cpu", "tier: [cpu", 6, "not YAML"),
        (
            '# ---\n\n# %% [markdown] id="objectives"',
            '# ---\nx = 1\n# %% [markdown] id="objectives"',
            9,
            "text before",
        ),
    ],
)
def test_mistakes_are_named_with_file_and_line(master, change, old, new, line, says):
    change(old, new)
    with pytest.raises(ValueError, match=says) as error:
        read_master(master)
    assert str(error.value).startswith(f"{master}:{line}:")


def test_a_master_without_a_header_or_with_a_bad_name_is_refused(master):
    master.with_name("98_empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"98_empty\.py:1: no header"):
        read_masters(master.parent)
    master.with_name("98_empty.py").rename(master.with_name("99_Big.py"))
    with pytest.raises(ValueError, match=r"NN_name\.py"):
        read_masters(master.parent)


def test_two_masters_of_one_number_are_refused(master):
    master.with_name("98_twin.py").write_text(master.read_text("utf-8"), "utf-8")
    with pytest.raises(ValueError, match=r"98_twin\.py has the number of 98_tiny\.py"):
        read_masters(master.parent)
