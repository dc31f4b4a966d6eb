"""Commands for who teaches it: hand out, look over, grade, pass marks on."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from course_utils.cli.options import Json


def instructor(
    folder: Annotated[Path, typer.Argument(help="nbgrader's course folder to make, or to renew.")] = Path(
        "class"
    ),
    pack: Annotated[
        Path | None, typer.Option(help="Instructors' pack; chapters without one hand out practice questions.")
    ] = None,
) -> None:
    """Make nbgrader's course folder, an assignment per chapter.

    With solutions, points and due dates. Run again, it keeps the marks.
    """
    from course_utils.authoring.assignments import make_course
    from course_utils.authoring.house import find_house

    for path in make_course(find_house(), folder, pack.absolute() if pack else None):
        print(path)


def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook, as you would hand it in.")],
    as_json: Json = False,
) -> None:
    """Say what of a notebook can be graded, before handing in.

    It gives no marks.
    """
    from dataclasses import asdict

    from course_utils.authoring.grading_tables import check_table
    from course_utils.grading.precheck import precheck

    findings = precheck(notebook)
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        check_table(findings)
    raise typer.Exit(0 if all(one.gradable for one in findings) else 1)


def grade(
    submissions: Annotated[
        Path,
        typer.Argument(help="Folder or zip of what was handed in: by nbgrader, Canvas, Moodle, or by name."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="CSV of marks; grades.sqlite beside it keeps everything.")
    ] = Path("grades.csv"),
    lab: Annotated[str, typer.Option(help="ch01, …; read from the notebooks if left out.")] = "",
    pack: Annotated[
        Path | None, typer.Option(help="Instructors' pack; without one the practice questions count.")
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(help="Folder for the students' pages; feedback/ beside the CSV if left out."),
    ] = None,
    gradebook: Annotated[
        Path | None, typer.Option(help="Course folder of `make instructor`: marks go into its gradebook.")
    ] = None,
    times: Annotated[
        Path | None, typer.Option(help="CSV student_id,submitted_at, where no timestamp.txt says it.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one per core.")] = -1,
    memory_mb: Annotated[
        int, typer.Option(help="Address space of a kernel; raise it where torch brings CUDA.")
    ] = 2048,
    ray: Annotated[bool, typer.Option("--ray", help="On the cluster that Ray is connected to.")] = False,
    trust_submissions: Annotated[
        bool, typer.Option("--trust-submissions", help="Run them without a sandbox: they can do all you can.")
    ] = False,
) -> None:
    """Grade a class in a sandbox, on inputs that nobody has seen.

    Students' cells run behind walls, their values are compared outside, on inputs drawn from COURSE_SEED.
    Interrupted, the same command goes on where it stopped. What is unchanged is not graded again.
    """
    from course_utils.authoring.grading_tables import class_progress, grades_summary
    from course_utils.grading import whole_class
    from course_utils.grading.grader import Grader
    from course_utils.grading.labs import secret_seed
    from course_utils.grading.results import Results
    from course_utils.grading.sandbox import Limits, problem_of_sandbox

    problem = "" if trust_submissions else problem_of_sandbox()
    if problem:
        raise ValueError(f"{problem} --trust-submissions runs them as you, without any walls.")
    places, lab_id = whole_class.handed_in(submissions, lab, times)
    hidden = tuple(path.absolute() for path in (submissions, out.parent, gradebook) if path)
    pack = pack.absolute() if pack else None
    limits = Limits(memory_mb=memory_mb)
    grader = Grader(lab_id, pack, secret_seed(), limits, walls=not trust_submissions, hidden=hidden)
    with Results(out, grader) as results, class_progress(len(places)) as progress:
        folder = feedback or out.parent / "feedback"
        marked = whole_class.grade_class(
            grader, places, results, feedback=folder, jobs=jobs, on_ray=ray, done=progress
        )
        if gradebook:
            from course_utils.grading.gradebook import write_gradebook

            write_gradebook(gradebook, results, lab_id)
        grades_summary(lab_id, tuple(results), marked)
    print(f"{out}, {out.with_suffix('.sqlite')}, {folder}/")


def lms(
    roster: Annotated[
        Path, typer.Argument(help="The gradebook as Canvas exports it, or Moodle's grading worksheet.")
    ],
    marks: Annotated[Path, typer.Argument(help="grades.csv of `course grade` or of `nbgrader export`.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to upload.")],
    lab: Annotated[str, typer.Option(help="The assignment whose marks are wanted.")],
    column: Annotated[str, typer.Option(help="Canvas: the assignment's column, `Lab 1 (1234)`.")] = "",
) -> None:
    """Fill marks into the table that Canvas or Moodle takes."""
    from course_utils.grading.lms import fill_roster

    for line in fill_roster(roster, marks, out, lab, column):
        print(line, file=sys.stderr)
    print(out)


COMMANDS = (instructor, check, grade, lms)
