"""`course …`: what the chapters do, from a shell. Commands import what they need when they run."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.callback()
def course() -> None:
    """Unit 5.4, Cost Optimization & Scaling: build, run and check the course."""


@app.command()
def notebooks(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one differs from its master.")
    ] = False,
) -> None:
    """Build the notebooks from their masters in notebooks/src/, and read the masters over.

    The student's go to notebooks/, the instructor's to build/instructor/.
    """
    from course_utils.authoring.build import stale_notebooks, write_notebooks
    from course_utils.authoring.house import find_house
    from course_utils.authoring.lint import lint
    from course_utils.authoring.masters import read_masters

    house = find_house()
    stale = stale_notebooks(house) if check else []
    for path in stale:
        message = "differs from its master: run `course notebooks`"
        print(f"{path.relative_to(house.root)} {message}", file=sys.stderr)
    for path in [] if check else write_notebooks(house):
        print(path.relative_to(house.root))
    problems = [problem for master in read_masters(house.masters) for problem in lint(master)]
    for problem in problems:
        print(problem, file=sys.stderr)
    raise typer.Exit(1 if stale or any(problem.error for problem in problems) else 0)


@app.command()
def run(
    chapters: Annotated[
        list[str] | None, typer.Argument(help="Numbers (`0 1`) or names; all if none is given.")
    ] = None,
    student: Annotated[
        bool, typer.Option("--student", help="Run the blank notebooks, as students get them.")
    ] = False,
    frontend: Annotated[
        str | None, typer.Option(help="COURSE_FRONTEND for the kernel: lab, colab or static.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Execute chapters and print seconds and peak memory beside their budgets.

    Memory over budget fails, and so do seconds over three times the budget; between one and three times it
    warns. The executed notebooks stay in build/executed/.
    """
    from course_utils.authoring.house import find_house
    from course_utils.authoring.run import run_chapters
    from course_utils.authoring.tables import chapter_progress, run_table

    with chapter_progress() as progress:
        runs = list(
            run_chapters(find_house(), chapters or (), student=student, frontend=frontend, progress=progress)
        )
    if as_json:
        print(json.dumps([one.as_dict() for one in runs], indent=1))
    else:
        run_table(runs)
    for one in runs:
        if one.error:
            print(one.error, file=sys.stderr)
    raise typer.Exit(1 if any(one.failed for one in runs) else 0)


@app.command()
def predict(
    rows: Annotated[
        str, typer.Argument(help="CSV: model, gpu, gpus, tp, precision, isl, osl, engine, load.")
    ],
    out: Annotated[
        str | None, typer.Option("-o", "--out", help="CSV to write, with the predictions.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict throughput, TTFT, TPOT and price of deployments, each with its 80 % interval.

    `load` is max, batch=N, concurrency=N or rate=R. A row that can't be served says why in `error`.
    """
    from course_utils.estimate.predict_file import predict_file

    raise typer.Exit(predict_file(rows, out, as_json))


@app.command()
def simulate(
    trace: Annotated[
        str, typer.Option(help="File of requests, or azure-conversation, azure-code, mooncake.")
    ],
    model: Annotated[str, typer.Option(help="Name in the catalog, or a config.json.")],
    gpu: Annotated[str, typer.Option(help="Name in the catalog.")],
    replicas: Annotated[int | None, typer.Option(help="1, or the autoscaler's minimum, if left out.")] = None,
    tp: Annotated[int, typer.Option(help="Chips that share each layer.")] = 1,
    pp: Annotated[int, typer.Option(help="Stages of layers.")] = 1,
    precision: Annotated[str, typer.Option(help="bf16, fp8, int4, …")] = "bf16",
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, …")] = "vllm",
    routing: Annotated[
        str, typer.Option(help="round-robin, power-of-two, prefix-affinity, …")
    ] = "round-robin",
    prefix_cache: Annotated[
        bool, typer.Option("--prefix-cache", help="Keep prompts that begin alike.")
    ] = False,
    autoscale: Annotated[str, typer.Option(metavar="MIN:MAX", help="Replicas at least and at most.")] = "",
    autoscale_rule: Annotated[
        str, typer.Option(help="concurrency, queue, ttft or predictive.")
    ] = "concurrency",
    autoscale_target: Annotated[float, typer.Option(help="In the rule's unit, per replica.")] = 16.0,
    cold_start_s: Annotated[float, typer.Option(help="From launch until a replica serves.")] = 60.0,
    ttft_slo_ms: Annotated[float, typer.Option(help="Later first tokens are no goodput.")] = 1000.0,
    tpot_slo_ms: Annotated[float, typer.Option(help="Slower answers are no goodput.")] = 50.0,
    usd_per_gpu_hour: Annotated[
        float | None, typer.Option(help="The catalog's cheapest on-demand price if left out.")
    ] = None,
    rate_factor: Annotated[float, typer.Option(help="2 makes requests come twice as fast.")] = 1.0,
    requests: Annotated[int | None, typer.Option(help="Only the first so many.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    as_json: Json = False,
) -> None:
    """Send a trace through a fleet of replicas: latencies, goodput, replica-hours and money.

    Nothing is served: each engine's steps are simulated, from the same formulas as `course predict`.
    """
    options = {name: value for name, value in locals().items() if name != "as_json"}
    from course_utils.scale.simulate_command import simulate_command
    from course_utils.scale.simulation_plan import Plan

    raise typer.Exit(simulate_command(Plan(**options), as_json))


@app.command()
def plan(
    trace: Annotated[
        str, typer.Option(help="File of requests, or azure-conversation, azure-code, mooncake.")
    ],
    model: Annotated[
        list[str], typer.Option(help="Name in the catalog, or a config.json; several compare models.")
    ],
    ttft_p95_ms: Annotated[
        float | None, typer.Option(help="Time to first token that 95 % must keep.")
    ] = None,
    tpot_p95_ms: Annotated[
        float | None, typer.Option(help="Time per further token that 95 % must keep.")
    ] = None,
    budget_usd_per_month: Annotated[float | None, typer.Option(help="No limit if left out.")] = None,
    max_quality_loss: Annotated[
        float, typer.Option(help="Share lost against 16 bits; 1 allows any, and what nobody measured.")
    ] = 0.03,
    min_quality: Annotated[float | None, typer.Option(help="Least of the scores given by --score.")] = None,
    score: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Your own score of a model or variant.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only prices stated for it: us-east-1, …")] = None,
    gpus: Annotated[
        list[str] | None, typer.Option(help="Chips, parted by commas; all that have a price if none.")
    ] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Sellers of chips; all if none.")] = None,
    api: Annotated[
        list[str] | None, typer.Option(help="APIs to price: PROVIDER/MODEL; hosts of the model if none.")
    ] = None,
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, …")] = "vllm",
    top: Annotated[int, typer.Option(help="Ways to make sure of, and to show.")] = 10,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    report: Annotated[str | None, typer.Option(metavar="OUT.html", help="A page for a meeting.")] = None,
    as_json: Json = False,
) -> None:
    """Rank the ways to serve a trace within limits: chips, precisions, prices, APIs; and why each loser lost.

    Thousands of candidates are screened in closed form, those that could win are simulated on the trace. Exit code 1:
    nothing meets everything, and the output says which limit binds.
    """
    from course_utils.authoring.plan_command import plan_command, scores_given
    from course_utils.decide.plan import Requirements, Space

    allowed = None if max_quality_loss == 1 else max_quality_loss
    asked = Requirements(ttft_p95_ms, tpot_p95_ms, budget_usd_per_month, allowed, min_quality, region)
    space = Space(
        models=tuple(model),
        chips=tuple(name for text in gpus for name in text.split(",")) if gpus else None,
        providers=tuple(provider) if provider else None,
        apis=tuple(api) if api else None,
        scores=scores_given(score or ()),
        engine=engine,
    )
    raise typer.Exit(plan_command(trace, asked, space, top=top, seed=seed, as_json=as_json, report=report))


@app.command()
def record(
    name: Annotated[str | None, typer.Argument(help="Which; all are listed if none is given.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an interrupted run.")] = False,
) -> None:
    """Measure a recording again on this machine and write data/recorded/NAME.json.

    Chapters replay recordings where a machine can't, or a reader won't, measure that long. Interrupted, the
    same command goes on where it stopped.
    """
    from course_utils.authoring.house import find_house
    from course_utils.authoring.recordings import run_recording
    from course_utils.authoring.tables import recordings_table

    folder = find_house().root / "data" / "recorded"
    if name is None:
        recordings_table({path.stem for path in folder.glob("*.json")})
        return
    made = run_recording(name, folder, seed, fresh)
    print(f"{len(made.rows)} rows in {(folder / name).relative_to(folder.parents[1])}.json, {made.label}")


@app.command()
def repo(
    slug: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on GitHub.")],
    branch: Annotated[
        str | None, typer.Option(help="The branch that people open; as it is if left out.")
    ] = None,
) -> None:
    """Move the course to another repository: the setting, every badge, every link."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.repository import move_to

    house = find_house()
    for path in move_to(house, slug, branch):
        print(path.relative_to(house.root))


@app.command()
def audit(as_json: Json = False) -> None:
    """Look over the data: what is stale, repeated, out of range, without a source. Stale rows don't fail."""
    from dataclasses import asdict

    from course_utils.catalog.provenance import audit as findings_of

    findings = findings_of()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1, default=str))
    else:
        from course_utils.authoring.tables import audit_table

        audit_table(findings)
    raise typer.Exit(1 if any(finding.is_error for finding in findings) else 0)


@app.command()
def site() -> None:
    """Build the web site in build/site. Chapters without fresh outputs are executed first."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.site import build_site
    from course_utils.authoring.tables import chapter_progress

    try:
        with chapter_progress() as progress:
            first = build_site(find_house(), progress)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{first}: open it in a browser, or put the folder on any web host")


@app.command()
def scoreboard(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if one is out of date.")
    ] = False,
) -> None:
    """Predicted beside measured beside published: write docs/scoreboard.md and the README's table."""
    from course_utils.authoring.house import find_house
    from course_utils.authoring.scoreboard import stale, write

    house = find_house()
    old = list(stale(house)) if check else []
    for path in old:
        print(f"{path.relative_to(house.root)} is out of date: run `course scoreboard`", file=sys.stderr)
    for path in [] if check else write(house):
        print(path.relative_to(house.root))
    raise typer.Exit(1 if old else 0)


@app.command()
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
    """Grade a class: students' cells run in a sandbox, their values are compared outside, on inputs from COURSE_SEED.

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


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook, as you would hand it in.")],
    as_json: Json = False,
) -> None:
    """Say what of a notebook can be graded, before it is handed in. It gives no marks."""
    from dataclasses import asdict

    from course_utils.authoring.grading_tables import check_table
    from course_utils.grading.precheck import precheck

    findings = precheck(notebook)
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        check_table(findings)
    raise typer.Exit(0 if all(one.gradable for one in findings) else 1)


@app.command()
def instructor(
    folder: Annotated[Path, typer.Argument(help="nbgrader's course folder to make, or to renew.")] = Path(
        "class"
    ),
    pack: Annotated[
        Path | None, typer.Option(help="Instructors' pack; chapters without one hand out practice questions.")
    ] = None,
) -> None:
    """Make nbgrader's course folder: an assignment per chapter, with solutions, points and due dates."""
    from course_utils.authoring.assignments import make_course
    from course_utils.authoring.house import find_house

    for path in make_course(find_house(), folder, pack.absolute() if pack else None):
        print(path)


@app.command()
def lms(
    roster: Annotated[
        Path, typer.Argument(help="The gradebook as Canvas exports it, or Moodle's grading worksheet.")
    ],
    marks: Annotated[Path, typer.Argument(help="grades.csv of `course grade` or of `nbgrader export`.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to upload.")],
    lab: Annotated[str, typer.Option(help="The assignment whose marks are wanted.")],
    column: Annotated[str, typer.Option(help="Canvas: the assignment's column, `Lab 1 (1234)`.")] = "",
) -> None:
    """Fill a lab's marks into the table that Canvas or Moodle takes."""
    from course_utils.grading.lms import fill_roster

    for line in fill_roster(roster, marks, out, lab, column):
        print(line, file=sys.stderr)
    print(out)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is wrong with this installation, and what to do. Exit code 1: a problem stops the course."""
    from dataclasses import asdict

    from course_utils.authoring.doctor import PROBLEM, examine, print_findings

    findings = examine()
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        print_findings(findings)
    raise typer.Exit(1 if any(one.state == PROBLEM for one in findings) else 0)


@app.command()
def machine(as_json: Json = False) -> None:
    """What this machine is: tier, processor, memory, GPU."""
    from dataclasses import asdict

    from course_utils.measure.machine import describe

    found = describe()
    print(json.dumps(asdict(found), indent=1, default=str) if as_json else found)


def main() -> None:
    """The entry point of `course`: a mistake of the caller's is one sentence, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
        print(f"course: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        print(f"course: {error}; `make lab` installs what authors need", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
