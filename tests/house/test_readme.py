"""The README is true: every command that it names runs here, its map is the masters', its links lead somewhere.

A command runs on what its row in HOW says:

- `make lab` and `make test`: a clone that is lent this checkout's environment. The lab is asked for its page and ended,
  and the tests are one test.
- `course record` and `course repo`: the same clone, which is put back after it has moved.
- `course predict`, `simulate`, `plan`, `audit`, `machine` and `doctor`: an empty folder, as practitioners have.
  `rows.csv` is the README's own.
- `course run 00 01`: two chapters of one cell, with those numbers. The real ones are executed by tests/notebooks.
- `make dashboard`, `make site` and `make scoreboard`: the tests that ELSEWHERE names do what they do, and look at it.
- `conda env create`: the file is held against the pins by tests/house/test_pins.py; here it is read.
- `python scripts/dev.py …` is what make calls: the two are compared.
"""

import re
import socket
import struct
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from course_utils.authoring.course_map import FIRST_DAY, MARK, SECOND_DAY
from course_utils.authoring.frame import badges
from course_utils.authoring.house import House
from course_utils.authoring.masters import read_masters

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TEXT = re.sub(r"<!--.*?-->", "", README.read_text("utf-8"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = ("make", "course", "python", "pip", "conda", "git", "source", "sudo", "jupyter")


def commands():
    """Each command once: the lines of blocks without a language, and what stands in single ticks in the text."""
    lines = [line for language, block in BLOCK.findall(TEXT) if not language for line in block.splitlines()]
    lines += re.findall(rf"`((?:{'|'.join(PROGRAMS)}) [^`]+)`", BLOCK.sub("", TEXT))
    return sorted({line.partition("  #")[0].strip() for line in lines})


# --- how each is run -------------------------------------------------------------------------------------


def lab(run, clone, empty):
    """Its first page comes, on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = f"LAB_ARGS=--no-browser --port={port} --ServerApp.port_retries=0 --IdentityProvider.token="
    mine = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")
    log = empty / "lab.log"
    server = run.start(["make", "lab", arguments], clone, log, **dict.fromkeys(mine, str(empty)))
    page = _page(server, f"http://127.0.0.1:{port}/lab/tree/notebooks/00_start_here.ipynb", log)
    assert "jupyter-config-data" in page
    assert "/lab/tree/notebooks/00_start_here.ipynb" in log.read_text("utf-8")  # where a browser would open


def _page(server, address, log):
    ends = time.monotonic() + 60
    while time.monotonic() < ends and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read().decode("utf-8")
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text("utf-8"))


def one_test(run, clone, empty):
    only = "tests/house/test_lazy.py::test_a_name_is_fetched_from_its_module_and_a_module_is_itself"
    assert "1 passed" in run(f"make test TEST_ARGS={only}", clone)


def same_as_make(verb):
    def compare(run, clone, empty):
        assert run(f"make -n {verb} PYTHON=python", clone).strip() == f"python scripts/dev.py {verb}"

    return compare


def conda(run, clone, empty):
    wanted = yaml.safe_load((clone / "environment.yml").read_text("utf-8"))
    lines = wanted["dependencies"][-1]["pip"]
    assert lines[-1] == "-e ."
    assert all(Requirement(line).specifier for line in lines[:-1])


def course_is_found(run, clone, empty):
    assert "predict" in run("source .venv/bin/activate && course --help", clone)


def says(command, *words):
    """Runs in an empty folder and says these words."""

    def look(run, clone, empty):
        (empty / "rows.csv").write_text(dict(BLOCK.findall(TEXT))["csv"])
        said = run(command, empty)
        assert [word for word in words if word not in said] == []

    return look


def two_small_chapters(run, clone, empty):
    (empty / "notebooks" / "src").mkdir(parents=True)
    (empty / "pyproject.toml").write_text('[tool.course]\nrepository = "ada/costs"\nbranch = "main"\n')
    for number in ("00", "01"):
        header = f"title: Small {number}, minutes: 1, tier: cpu, memory_mb: 400, seconds: 60"
        cells = '# %% [markdown] id="objectives"\n# 1. add\n\n# %% id="one"\nprint(1 + 1)\n'
        master = empty / "notebooks" / "src" / f"{number}_small.py"
        master.write_text(f"# ---\n# course: {{{header}}}\n# ---\n\n{cells}")
    said = run("course run 00 01", empty)
    assert [word for word in ("00_small", "01_small", "seconds", "peak MB") if word not in said] == []


# A test may say where the course lives; everything that people open must follow.
TEXTS = (".md", ".cff", ".yml", ".toml", ".ipynb")


def away_and_put_back(run, clone, empty):
    here = House(clone).repository().slug
    run("course repo grace/pay-less", clone)
    tracked = [clone / name for name in run("git ls-files", clone).splitlines()]
    left = [path.name for path in tracked if path.suffix in TEXTS and here in path.read_text("utf-8")]
    assert left == []
    run("git checkout -q .", clone)


def recordings(run, clone, empty):
    listed = run("course record", clone)
    assert [
        path.stem for path in (clone / "data" / "recorded").glob("*.json") if path.stem not in listed
    ] == []


ELSEWHERE = {
    "make dashboard": ("tests/browser/test_dashboard.py", "make dashboard"),
    "make site": ("tests/notebooks/test_site.py", "build_site("),
    "make scoreboard": ("tests/authoring/test_scoreboard.py", "scoreboard.write("),
}


def elsewhere(command):
    def look(run, clone, empty):
        test, calls = ELSEWHERE[command]
        assert calls in (ROOT / test).read_text("utf-8")

    return look


TRACE = "--trace azure-conversation --model Llama-3.1-8B"
SIMULATE = f'course simulate {TRACE} --gpu "H100 SXM" --replicas 2'
PLAN = f"course plan {TRACE} --ttft-p95-ms 1000 --tpot-p95-ms 50"

HOW = {
    "make lab": lab,
    "make test": one_test,
    "make scoreboard": elsewhere("make scoreboard"),
    "make dashboard": elsewhere("make dashboard"),
    "make site": elsewhere("make site"),
    "python scripts/dev.py lab": same_as_make("lab"),
    "python scripts/dev.py test": same_as_make("test"),
    "conda env create -f environment.yml": conda,
    "source .venv/bin/activate": course_is_found,
    "course predict rows.csv": says("course predict rows.csv", "1 rows", "0 with an error", "tpot_ms"),
    SIMULATE: says(SIMULATE, "TTFT", "replica-hours", "2 x (Llama-3.1-8B on 1 x H100 SXM"),
    PLAN: says(PLAN, "winner", "USD a month", "per token"),
    "course audit": says("course audit", "0 errors"),
    "course machine": says("course machine", "CPU", "Memory", "Software"),
    "course doctor": says("course doctor", "0 problems"),
    "course record": recordings,
    "course repo OWNER/NAME": away_and_put_back,
    "course run 00 01": two_small_chapters,
}


def test_every_command_has_a_way_to_be_run_and_no_way_is_left_over():
    assert commands() == sorted(HOW)


@pytest.mark.parametrize("command", HOW)
def test_command_of_the_readme_runs(command, shell, lent_clone, tmp_path):
    HOW[command](shell, lent_clone, tmp_path)


# --- what it shows -----------------------------------------------------------------------------------------


def test_headings_come_in_the_order_of_a_reader():
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE) == [
        "What you get",
        "Start",
        "The course",
        "Bring your own",
        "For instructors",
        "For authors",
        "Is it true?",
        "License",
    ]


def test_map_has_each_chapter_with_its_masters_minutes_and_marks_the_core_path():
    masters = read_masters(ROOT / "notebooks" / "src")
    row = re.compile(
        r"^\| (\d\d)(&nbsp;●)? \| \[(.*?)\]\(notebooks/(.*?)\.ipynb\) \| (\d+) \| .+ \|$", re.MULTILINE
    )
    assert row.findall(TEXT) == [
        (
            f"{one.number:02}",
            f"&nbsp;{MARK}" * (one.number in FIRST_DAY),
            one.course.title,
            one.name,
            str(one.course.minutes),
        )
        for one in masters
    ]


def test_each_of_the_two_days_is_a_working_day():
    """Seven hours of work, breaks not counted, and no chapter twice."""
    minutes = {one.number: one.course.minutes for one in read_masters(ROOT / "notebooks" / "src")}
    days = [sum(minutes[number] for number in day) for day in (FIRST_DAY, SECOND_DAY)]
    assert all(360 <= day <= 420 for day in days)
    assert not set(FIRST_DAY) & set(SECOND_DAY)
    for day in days:
        assert f"{day // 60} h {day % 60} min" in TEXT


def test_first_five_minutes_end_at_a_figure_after_seven_cells():
    (first, *_) = read_masters(ROOT / "notebooks" / "src")
    read = first.cells[: [cell.id for cell in first.cells].index("ceiling-figure") + 1]
    assert "`ceiling-figure`, seven cells" in TEXT
    assert sum(cell.kind == "code" for cell in read) + 1 == 7  # and the set-up, which the builder adds
    words = sum(len(cell.source.split()) for cell in read if cell.kind == "markdown")
    assert words <= 3 * 200  # three minutes of reading leave two for the cells


def test_buttons_open_chapter_00_of_this_repository():
    assert badges(House(ROOT).repository(), "00_start_here") in TEXT


def test_every_link_to_a_file_or_heading_leads_there():
    headings = {
        re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in re.findall(r"^#+ (.*)$", TEXT, re.M)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (ROOT / target).exists(), target


def test_picture_is_a_small_sharp_png_that_says_in_words_what_it_shows():
    ((words, target),) = re.findall(r"!\[([^\]]+)\]\((docs/[^)]+)\)", TEXT)
    data = (ROOT / target).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 300_000
    width, _ = struct.unpack(">II", data[16:24])
    assert width >= 1600  # GitHub shows it 830 pixels wide, and twice as fine on most screens
    assert len(words) > 60
