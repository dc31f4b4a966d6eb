"""Honest work gets full marks however it is written, and whatever happened to the notebook on its way."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import numpy as np
import pytest

from course_utils.authoring.build import instructor_notebook
from course_utils.authoring.house import find_house
from course_utils.authoring.masters import read_masters
from course_utils.grading import cases, question, questions_of
from course_utils.grading.answers import find_answers, lab_of, read_notebook
from course_utils.grading.grader import Grader
from course_utils.grading.kernel_inside import paired, read
from course_utils.grading.labs import LatePolicy, lab
from course_utils.grading.literals import literal
from course_utils.grading.remote import unpaired
from course_utils.grading.submissions import Place, find_submissions, read_submission, with_times
from tests.grading.room import BLANK, HONEST, code, notebook, points, text

pytestmark = pytest.mark.notebooks  # kernels are started: not among an author's quick tests

WAYS = {
    "numpy scalar": "def share(a, b): return np.float64(a) / b",
    "half precision": "def share(a, b): return np.longdouble(a) / b",
    "array of one": "def share(a, b): return np.asarray(a / b)",
    "fraction": "from fractions import Fraction\ndef share(a, b): return Fraction(a) / Fraction(b)",
    "decimal": "from decimal import Decimal\ndef share(a, b): return Decimal(a) / Decimal(b)",
    "vectorised": "def share(a, b): return np.divide([a], [b])[0]",
    "lambda": "share = lambda a, b: a / b",
    "other names of arguments": "def share(whole, parts): return whole / parts",
    "any arguments": "def share(*args): return args[0] / args[1]",
    "with a default": "def share(a, b, digits=None): return a / b",
    "partial": "import functools, operator\nshare = functools.partial(operator.truediv)",
    "an object that can be called": "class Share:\n    def __call__(self, a, b): return a / b\nshare = Share()",
    "a helper in the same cell": "def _halves(a, b): return a / b\ndef share(a, b): return _halves(a, b)",
    "typed and documented": 'def share(a: float, b: float) -> float:\n    """a over b."""\n    return a / b',
    "decorated": "import functools\n@functools.cache\ndef share(a, b): return a / b",
    "one of pandas": "import pandas as pd\ndef share(a, b): return (pd.Series([a]) / b).iloc[0]",
    "prints": "def share(a, b):\n    print('dividing', a, b)\n    return a / b",
    "plots on the way": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\ndef share(a, b): return a / b",
    "a percent sign and a question mark": "%matplotlib inline\ndef share(a, b): return a / b\nshare?",
    "cached by hand": "seen = {}\ndef share(a, b):\n    seen[a, b] = a / b\n    return seen[a, b]",
    "renamed": "def my_share(a, b): return a / b",
}


@pytest.fixture(scope="module")
def by_way(tmp_path_factory):
    """Every way in one notebook, as one question each: they are graded in one kernel."""
    from tests.grading.room import PACK, make_room

    room = make_room(tmp_path_factory.mktemp("honest"))
    ids = [f"way{number}" for number in range(len(WAYS))]
    asks = ", ".join(f'ask("{one}", share)' for one in ids)
    (room.pack / "ch01.py").write_text(f"{PACK}\nQUESTIONS = ({asks},)\nWRITTEN = ()\n")
    # Each cell forgets the name first, as if it were the only one.
    cells = [
        code(f"globals().pop('share', None)\n{way}", one) for one, way in zip(ids, WAYS.values(), strict=True)
    ]
    graded = room.grade("ada", *cells)
    return dict(zip(WAYS, graded.marks, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_any_right_way_to_write_it_gets_full_marks(by_way, way):
    assert by_way[way].points == 2, by_way[way]


@pytest.mark.parametrize(
    "question_id", [one for chapter in cases.chapters() for one in questions_of(chapter)]
)
def test_inputs_and_answers_of_every_question_travel_unchanged(question_id):
    """Arguments go as text and values come back as JSON: nothing of a question may be lost on the way."""
    from course_utils.grading.agreement import plain
    from course_utils.grading.checks import seeded_inputs

    asked = question(question_id)
    for args in seeded_inputs(asked, 7):
        arrived = read(literal(args))
        assert [type(one) for one in plain(arrived)] == [type(one) for one in plain(args)]
        assert plain(arrived) == plain(args)
        right = plain(asked.reference(*args))
        back = unpaired(json.loads(json.dumps(paired(plain(asked.reference(*arrived)))), parse_int=float))
        assert back == right


@pytest.mark.parametrize(
    "value",
    [
        (1, 2.5),
        [1, [2.0]],
        {"a": 1, 2: None},
        {1, 2},
        "it's",
        True,
        float("inf"),
        np.float64(2.5),
        np.arange(3),
    ],
    ids=str,
)
def test_literals_come_back_as_they_were(value):
    again = read(literal(value))
    assert np.array_equal(again, value) if isinstance(value, np.ndarray) else again == value


# --- what happens to notebooks ------------------------------------------------------------------------------


def colab(cells):
    """As Colab saves: format 4.0, ids in the metadata, its own keys beside them."""
    changed = []
    for cell in cells:
        metadata = {**cell["metadata"], "id": cell["id"], "colab": {"base_uri": "https://localhost:8080/"}}
        changed.append({**{k: v for k, v in cell.items() if k != "id"}, "metadata": metadata})
    return changed


def honest_cells():
    return [code(source, name) for name, source in HONEST.items()]


FULL = {"g1": 2.0, "g2": 2.0, "g3": 2.0, "w1": 0.0}


def test_honest_notebook_gets_all_points_and_its_text_waits_for_a_person(room):
    graded = room.grade("ada", *honest_cells(), text("Because it costs most.", "w1"))
    assert points(graded) == FULL
    assert graded.marks[-1].state == "to be marked"
    assert graded.notes == ()


def test_trip_through_colab_changes_nothing(room):
    graded = room.grade("ada", *colab(honest_cells()), text("Mine.", "w1"))
    assert points(graded) == FULL


def test_colab_without_nbgraders_metadata_is_found_by_cell_id(room):
    cells = [{**cell, "metadata": {"id": cell["metadata"]["id"]}} for cell in colab(honest_cells())]
    assert points(room.grade("ada", *cells)) == FULL


def test_cells_without_any_id_are_found_by_their_function(room):
    cells = [{**cell, "metadata": {}, "id": ""} for cell in honest_cells()]
    graded = room.grade("ada", *cells)
    assert points(graded) == FULL
    assert "ch01.g1: no cell has its id; a cell that defines share counts" in graded.notes


def test_of_duplicated_cells_the_last_that_is_not_blank_counts(room):
    first, *others = honest_cells()
    wrong, blank = code("def share(a, b): return 0", "g1"), code(BLANK.replace("f(", "share("), "g1")
    graded = room.grade("ada", wrong, first, blank, *others)
    assert points(graded) == FULL
    assert "ch01.g1: 3 cells have its id; the last that isn't blank counts" in graded.notes


def test_deleted_cell_costs_its_own_question_only(room):
    graded = room.grade("ada", *honest_cells()[1:])
    assert points(graded) == {**FULL, "g1": 0.0}
    assert graded.marks[0].state == "missing"
    assert "ch01.g1: its cell is missing" in graded.notes


def test_answer_written_into_another_cell_is_found(room):
    cells = [code(BLANK.replace("f(", "share("), "g1"), *honest_cells()[1:], code(HONEST["g1"])]
    graded = room.grade("ada", *cells)
    assert points(graded) == FULL
    assert "ch01.g1: its own is blank; a cell that defines share counts" in graded.notes


def test_reordered_cells_are_graded_and_said(room):
    graded = room.grade("ada", *reversed(honest_cells()))
    assert points(graded) == FULL
    assert "the exercises stand in another order" in graded.notes


def test_renamed_function_is_found_and_said(room):
    graded = room.grade("ada", g1="def my_own(a, b): return a / b")
    assert points(graded) == FULL
    assert "ch01.g1: the answer is called my_own, not share" in graded.notes


def test_function_that_the_check_names_counts(room):
    extra = "def one(a, b): return 0\ndef mine(a, b): return a / b"
    cells = [code(extra, "g1"), code('check("ch01.g1", mine)'), *honest_cells()[1:]]
    assert points(room.grade("ada", *cells)) == FULL


def test_missing_import_cell_is_made_up_for(room):
    place = room.hand_in_bytes(
        "ada",
        json.dumps(notebook(code("def share(a, b): return np.divide(a, b)", "g1"), imports=None)).encode(),
    )
    graded = room.grader().grade(place)
    assert points(graded)["g1"] == 2
    assert graded.notes[0].startswith("the import cell is missing")


def test_import_that_fails_takes_no_other_with_it(room):
    imports = "import no_such_package\nimport numpy as np\nfrom course_utils.explore import show"
    data = notebook(code("def share(a, b): return np.divide(a, b)", "g1"), imports=imports)
    graded = room.grader().grade(room.hand_in_bytes("ada", json.dumps(data).encode()))
    assert points(graded)["g1"] == 2
    assert any("no_such_package" in note for note in graded.notes)


def test_import_cell_that_is_no_python_or_never_ends_costs_no_answer(room):
    for imports in ("import numpy as", "while True: pass", "import os; os._exit(1)"):
        data = notebook(*honest_cells(), imports=imports)
        graded = room.grader().grade(room.hand_in_bytes("ada", json.dumps(data).encode()))
        assert points(graded) == FULL
        assert any("set-up" in note for note in graded.notes)


def test_answers_may_use_earlier_answers_also_behind_one_that_kills_the_kernel(room):
    graded = room.grade(
        "ada",
        code(HONEST["g1"], "g1"),
        code("import os\ndef product(a, b): os._exit(1)", "g2"),
        code("def squares(a, b): return share(a**3, a) + share(b**3, b)", "g3"),
    )
    assert points(graded) == {**FULL, "g2": 0.0}


def test_helper_of_a_cell_that_is_not_graded_is_named(room):
    graded = room.grade(
        "ada",
        code("def helper(a, b): return a / b"),
        code("def share(a, b): return helper(a, b)", "g1"),
        *honest_cells()[1:],
    )
    assert points(graded) == {**FULL, "g1": 0.0}
    assert graded.marks[0].said.startswith("helper is defined in a cell that is not graded")


def test_partly_right_is_worth_its_share_and_a_misconception_its_hint(room):
    graded = room.grade(
        g1="def share(a, b): return a / b if a > 99 else 0", g2="def product(a, b): return a + b"
    )
    partly, wrong = graded.marks[:2]
    assert (partly.points, partly.right_inputs, partly.inputs) == (1.66, 5, 6)
    assert (wrong.points, wrong.hint) == (0.0, "You add. What a share is, division says.")


def test_blank_is_not_attempted(room):
    blanks = {
        name: source.split(":")[0] + ":\n    raise NotImplementedError()" for name, source in HONEST.items()
    }
    assert {mark.state for mark in room.grade("ada", **blanks).marks} == {"not attempted"}


def test_other_cells_are_not_run(room):
    graded = room.grade("ada", *honest_cells(), code("share = product = squares = None"), code("1 / 0"))
    assert points(graded) == FULL


# --- late ---------------------------------------------------------------------------------------------------

DUE = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("late", "lost"),
    [
        (timedelta(hours=-1), 0.0),
        (timedelta(minutes=15), 0.0),
        (timedelta(minutes=16), 0.1),
        (timedelta(days=1), 0.1),
        (timedelta(days=1, seconds=1), 0.2),
        (timedelta(days=300), 0.5),
    ],
)
def test_every_day_begun_costs_its_share_up_to_the_most(late, lost):
    assert LatePolicy(15, 10, 50).lost_share(DUE, DUE + late) == lost


def test_nothing_is_lost_where_a_time_is_not_known():
    assert LatePolicy().lost_share(None, DUE) == LatePolicy().lost_share(DUE, None) == 0


def test_late_submission_loses_points_by_nbgraders_timestamp(room):
    (room.pack / "pack.toml").write_text(
        "[late]\npercent_per_day = 25\n[labs.ch01]\ndue = 2026-12-01T12:00:00Z\n"
    )
    place = room.hand_in("ada")
    (room.submitted / "ada" / "timestamp.txt").write_text("2026-12-02 14:00:00.123 Europe/Berlin")
    graded = room.grader().grade(find_submissions(room.submitted)[0])
    assert (graded.raw, graded.late_penalty, graded.score) == (6, 3, 3)
    times = room.folder / "times.csv"
    times.write_text("student_id,submitted_at\nada,2026-12-01T11:00:00Z\n")
    graded = room.grader().grade(with_times([place], times)[0])
    assert graded.late_penalty == 0


# --- where submissions lie ----------------------------------------------------------------------------------


def test_students_are_told_from_folders_files_and_the_names_of_canvas_and_moodle(tmp_path):
    for name in (
        "ada/lab.ipynb",
        "bob.ipynb",
        "cyd/ch01/lab.ipynb",
        "cyd/ch02/lab.ipynb",
        "lovelaceada_LATE_4711_9_lab.ipynb",
        "Grace Hopper_815_assignsubmission_file_/lab.ipynb",
        ".hidden/lab.ipynb",
        "dan/.ipynb_checkpoints/lab-checkpoint.ipynb",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = {place.student: read_submission(place) for place in find_submissions(tmp_path, "ch01")}
    assert set(found) == {"ada", "bob", "cyd", "4711", "815"}
    assert set(found["cyd"].files) == {"ch01/lab.ipynb"}


def test_lab_is_read_from_the_notebooks(room):
    data = json.dumps(notebook(*honest_cells())).encode()
    assert lab_of([b"broken", data]) == "ch01"
    with pytest.raises(ValueError, match="--lab ch01"):
        lab_of([b"{}"])


def test_every_chapter_makes_a_lab_without_a_pack():
    for chapter in cases.chapters():
        assert lab(chapter).points > 0
        assert Grader(chapter, None, "seed").lab.questions


def test_pack_that_makes_no_sense_is_refused(room):
    (room.pack / "pack.toml").write_text("[labs.ch01]\ndue = 2026-12-01T12:00:00\n")
    with pytest.raises(ValueError, match="needs a time with its zone"):
        lab("ch01", room.pack)
    with pytest.raises(FileNotFoundError, match="no instructors' pack"):
        lab("ch01", room.folder / "nowhere")


def test_reading_a_notebook_finds_every_answer_once(room):
    cells = read_notebook(json.dumps(notebook(*honest_cells())).encode())
    handed = find_answers(cells, lab("ch01", room.pack))
    assert [answer.question_id for answer in handed.answers] == ["ch01.g1", "ch01.g2", "ch01.g3"]
    assert Place("ada", room.folder, ()).submitted_at is None


@pytest.fixture(scope="module")
def chapters(tmp_path_factory):
    """Every chapter's solved notebook, handed in and graded by its practice questions."""
    house, folder = find_house(Path(__file__)), tmp_path_factory.mktemp("solved")
    masters = read_masters(house.masters)
    for master in masters:
        solved = instructor_notebook(master, masters, house.repository())
        (folder / f"ch{master.number:02}.ipynb").write_text(json.dumps(solved))
    run = joblib.Parallel(n_jobs=-1, batch_size=1)
    graded = run(
        joblib.delayed(Grader(place.student, None, "the seed of this room").grade)(place)
        for place in find_submissions(folder)
    )
    return {one.student: one for one in graded}


WRITTEN = [f"ch{path.name[:2]}" for path in find_house(Path(__file__)).masters.glob("[0-9][0-9]_*.py")]


@pytest.mark.parametrize("chapter", sorted({*WRITTEN} & {*cases.chapters()}))
def test_every_chapters_own_solutions_get_all_points(chapters, chapter):
    graded = chapters[chapter]
    assert graded.notes == ()
    assert [mark for mark in graded.marks if mark.state not in ("right", "missing")] == []
    assert sum(mark.of for mark in graded.marks if mark.state == "right") == sum(
        asked.points for asked in questions_of(chapter).values()
    )
