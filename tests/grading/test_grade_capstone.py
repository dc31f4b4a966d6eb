"""Chapter 12's two files: marks from the samples in them, under each student's own task."""

import dataclasses

import pytest

from course_utils.decide import benchmark
from course_utils.decide.benchmark import capstone
from course_utils.grading.capstone_files import capstone_mark
from course_utils.grading.labs import lab
from course_utils.grading.submissions import Submission


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A replayed benchmark and the table that its samples and its seed's task give."""
    folder = tmp_path_factory.mktemp("handed in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_TIER", "replay")
        run = benchmark.run(out=folder / "benchmark.csv", progress=False)
    capstone.right_table(run, capstone.task(run.seed)).to_csv(folder / "capstone.csv", index=False)
    return run.seed, {name: (folder / name).read_bytes() for name in ("benchmark.csv", "capstone.csv")}


def lab_of_seed(seed, **seeds):
    return dataclasses.replace(lab("ch12"), capstone_seed=seed, capstone_seeds=seeds)


def marked(files, one, student="ada"):
    return capstone_mark(Submission(student, {f"ch12/{name}": data for name, data in files.items()}), one)


def test_right_files_get_all_points_wherever_they_lie(files):
    seed, data = files
    mark = marked(data, lab_of_seed(seed))
    assert (mark.points, mark.of, mark.state) == (10, 10, "right")


def test_everybody_is_graded_by_their_own_seed(files):
    seed, data = files
    one = lab_of_seed(seed + 1, ada=seed)
    assert marked(data, one).points == 10
    assert marked(data, one, "bob").points == 0  # measured with another seed than the one that bob was given


def test_a_wrong_table_keeps_the_points_of_the_benchmark(files):
    seed, data = files
    table = data["capstone.csv"].replace(b"chosen", b"dearer").replace(b"nearest", b"dearer")
    mark = marked({**data, "capstone.csv": table}, lab_of_seed(seed))
    assert 2 <= mark.points < 10
    assert mark.state == "not yet"
    assert "verdict" in mark.said


@pytest.mark.parametrize(
    "junk", [b"", b"\x00\xff", b"a,b\n1", b"variant\n" * 10_000, b'"', b"=cmd()|x", b"[" * 50_000]
)
@pytest.mark.parametrize("name", ["benchmark.csv", "capstone.csv"])
def test_junk_earns_nothing_of_its_own_and_raises_nothing(files, name, junk):
    seed, data = files
    mark = marked({**data, name: junk}, lab_of_seed(seed))
    assert mark.points <= 2
    assert mark.state == "not yet"


def test_missing_files_are_said(files):
    seed, data = files
    mark = marked({"benchmark.csv": data["benchmark.csv"]}, lab_of_seed(seed))
    assert (mark.points, mark.state, mark.said) == (0, "missing", "Not handed in: capstone.csv.")


def test_a_seed_of_ones_own_comes_from_the_pack(tmp_path):
    (tmp_path / "pack.toml").write_text('[labs.ch12]\nseed = 7\nseeds = "seeds.csv"\n')
    (tmp_path / "seeds.csv").write_text("student_id,seed\nada,11\n")
    one = lab("ch12", tmp_path)
    assert (one.capstone_seed, one.capstone_seeds) == (7, {"ada": 11})
    assert one.points == lab("ch12").points == 10 + sum(asked.points for asked in one.questions)
