"""Chapter 12's files: marks for a benchmark and a recommendation, from the samples in them, computed anew.

Nothing of the student's is run for this; `decide.benchmark.capstone` has the arithmetic and the points.
"""

import tempfile
from pathlib import Path, PurePosixPath

from course_utils.grading.labs import CAPSTONE_FILES, CAPSTONE_POINTS, Lab
from course_utils.grading.marks import MISSING, NOT_YET, RIGHT, QuestionMark
from course_utils.grading.submissions import Submission


def capstone_mark(submission: Submission, lab: Lab) -> QuestionMark:
    """Points for benchmark.csv and capstone.csv, under the task of the student's own seed."""
    from course_utils.decide.benchmark import capstone

    files = {PurePosixPath(name).name: data for name, data in submission.files.items()}
    lacking = [name for name in CAPSTONE_FILES if name not in files]
    if lacking:
        said = f"Not handed in: {' and '.join(lacking)}."
        return QuestionMark(lab.capstone_id, 0.0, CAPSTONE_POINTS, MISSING, said=said)
    seed = lab.capstone_seeds.get(submission.student, lab.capstone_seed)
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        paths = [Path(folder) / name for name in CAPSTONE_FILES]
        for path in paths:
            path.write_bytes(files[path.name])
        try:
            found = capstone.assess(*paths, seed)
        except (
            Exception
        ) as error:  # a table that nobody thought of earns nothing, and stops nobody else's grading
            said = f"The files can't be read ({type(error).__name__})."
            return QuestionMark(lab.capstone_id, 0.0, CAPSTONE_POINTS, NOT_YET, said=said)
    state = RIGHT if found.points == found.of else NOT_YET
    said = " ".join((f"Graded as task {seed}.", *(one[:300] for one in found.findings)))
    return QuestionMark(lab.capstone_id, found.points, found.of, state, said=said)
