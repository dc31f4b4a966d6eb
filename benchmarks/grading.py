"""How long a class takes to grade, and in how much memory.

    python benchmarks/grading.py [STUDENTS]

STUDENTS (500) hand in chapter 01, graded by the example pack: most solved, some with a mistake, an endless loop or an
answer that ends the kernel. Printed are the seconds for all, the median of a submission, and the peak memory of the
grader, its workers and all their kernels together, for the first fifth of the class and for the whole: it stays flat.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from course_utils.authoring.assignments import assignment
from course_utils.authoring.build import instructor_notebook
from course_utils.authoring.house import find_house
from course_utils.authoring.masters import read_masters
from course_utils.authoring.memory import PeakMemory
from course_utils.grading.grader import Grader
from course_utils.grading.labs import lab
from course_utils.grading.results import Results
from course_utils.grading.submissions import find_submissions
from course_utils.grading.whole_class import grade_class
from course_utils.measure.machine import usable_cores

STUDENTS, BOUND_S, BOUND_MEDIAN_S = 500, 240, 1.0
PACK = Path(__file__).parents[1] / "instructor"
EVERY = {  # of this many students, one hands in this for the first question
    20: "def batch_request_usd(i, o, pi, po, d):\n    return (i * pi + o * po) / 1_000_000",
    50: "def batch_request_usd(*_):\n    raise NotImplementedError()",
    125: "import os\nos._exit(1)",
    250: "def batch_request_usd(*_):\n    while True:\n        pass",
}


def hand_in(folder: Path, students: int) -> None:
    house = find_house()
    masters = read_masters(house.masters)
    master = next(one for one in masters if one.number == 1)
    solved = assignment(master, instructor_notebook(master, masters, house.repository()), lab("ch01", PACK))
    first = next(cell for cell in solved.cells if cell.id == "ch01-g1")
    right = first.source
    for number in range(students):
        first.source = right
        for every, source in EVERY.items():
            if number % every == every - 1:
                first.source = source
        path = folder / f"student{number:04}" / "ch01" / f"{master.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(solved), encoding="utf-8")


def main() -> None:
    students = int(sys.argv[1]) if len(sys.argv) > 1 else STUDENTS
    with tempfile.TemporaryDirectory(prefix="course-") as name:
        folder = Path(name)
        hand_in(folder / "submitted", students)
        places = find_submissions(folder / "submitted", "ch01")
        grader = Grader("ch01", PACK, "the seed of this benchmark")
        peaks_mb, begin = [], time.perf_counter()
        with Results(folder / "grades.csv", grader) as results:
            for some in (places[: students // 5], places):
                with PeakMemory(os.getpid()) as memory:
                    grade_class(grader, some, results, feedback=folder / "feedback")
                peaks_mb.append(memory.peak_mb)
            seconds = time.perf_counter() - begin
            each_s = [graded.seconds for graded in results]
    median_s = statistics.median(each_s)
    print(
        f"{students} submissions in {seconds:.0f} s on {usable_cores():g} cores (bound for 500: {BOUND_S} s)"
    )
    print(f"one: {median_s:.2f} s median (bound {BOUND_MEDIAN_S:g} s), {max(each_s):.2f} s longest")
    print(f"peak memory, all processes: {peaks_mb[0]:.0f} MB in the first fifth, {peaks_mb[1]:.0f} MB in all")


if __name__ == "__main__":
    main()
