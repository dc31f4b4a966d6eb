"""What a submission can try. Each attack sits in the first answer; the other two are honest and must lose nothing."""

import io
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import joblib
import pytest

from course_utils.grading.feedback_page import feedback_page
from course_utils.grading.kernel import Kernel
from course_utils.grading.labs import lab, seed_of
from course_utils.grading.results import harmless
from course_utils.grading.sandbox import Limits, problem_of_sandbox
from course_utils.grading.submissions import find_submissions, read_submission, student_of
from course_utils.grading.syscalls import filter_program
from tests.grading.room import code, make_room, points

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.notebooks  # kernels are started: not among an author's quick tests

# name: the cell in place of the first answer. Each must earn nothing.
IN_A_CELL = {
    "patched math.isclose": """
import math
math.isclose = lambda *_, **__: True
def share(a, b): return 1.0
""",
    "equal to everything": """
class Equal(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    __hash__ = float.__hash__
def share(a, b): return Equal(1)
""",
    "__float__ that looks around": """
import sys
class Late:
    def __float__(self):
        for frame in (sys._getframe(n) for n in range(8)):
            for name in ("expected", "right", "reference"):
                if name in frame.f_locals: return float(frame.f_locals[name])
        return 1.0
    def __class__(self): return float
    __class__ = float
def share(a, b): return Late()
""",
    "proxy": """
class Proxy:
    def __getattr__(self, name): return self
    def __call__(self, *_, **__): return self
    def __iter__(self): return iter([self])
    def __bool__(self): return True
    def __len__(self): return 1
    def __eq__(self, other): return True
    __hash__ = None
def share(a, b): return Proxy()
""",
    "endless repr": """
class Endless:
    def __repr__(self): return "9" * 50_000_000
    tolist = property(lambda self: self)
    def __call__(self): return self
def share(a, b): return Endless()
""",
    "monkeypatched library": """
import course_utils, course_utils.grading.checks as checks
checks.assess = checks.check = lambda *_, **__: 2.0
def share(a, b): return 2.0
""",
    "the practice reference": """
from course_utils.grading.cases.ch01 import own_usd_per_mtok as share
""",
    "the library's own function": """
from course_utils.estimate.cost import self_hosted_usd_per_mtok
def share(a, b): return self_hosted_usd_per_mtok(a, b, 1.0)
""",
    "the grader in sys.modules": """
import gc, sys
def share(a, b):
    for name, module in list(sys.modules.items()):
        for thing in list(vars(module).values()):
            if getattr(thing, "question_id", None) or "reference" in getattr(thing, "__dict__", {}):
                return thing.reference(a, b)
    return [o for o in gc.get_objects() if type(o).__name__ in ("Question", "GradedQuestion")][0].reference(a, b)
""",
    "forged sys.modules": """
import sys, types
sys.modules["course_utils.grading.checks"] = types.ModuleType("checks")
sys.modules["json"] = sys.modules["math"] = sys.modules["signal"] = types.ModuleType("json")
def share(a, b): return 0.5
""",
    "forged way of asking": """
import builtins
class Liar:
    def __getattr__(self, name): return lambda *_: type("S", (), {"__repr__": lambda s: '{"value": true}'})()
builtins.course_asked = Liar()
share = 1
""",
    "exit in the cell": "import os\nos._exit(0)",
    "exit in the answer": "import os\ndef share(a, b): os._exit(0)",
    "sys.exit": "import sys\ndef share(a, b): sys.exit(0)",
    "endless cell": "while True: pass",
    "endless answer": "def share(a, b):\n    while True: pass",
    "endless, deaf to errors and alarms": """
import signal
def share(a, b):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "recursion": "def share(a, b): return share(a, b)",
    "recursion without a limit": "import sys\nsys.setrecursionlimit(10**9)\ndef share(a, b): return share(a, b) + 1",
    "crash": "import ctypes\ndef share(a, b): return ctypes.string_at(0)",
    "fork bomb": """
import os
def share(a, b):
    while True: os.fork()
""",
    "fork bomb in the cell, errors ignored": """
import os
for _ in range(2000):
    try: os.fork()
    except OSError: pass
def share(a, b): return 0.0
""",
    "other programs": """
import subprocess, multiprocessing
def share(a, b):
    return len(subprocess.run(["/bin/sh", "-c", "echo 1"], capture_output=True).stdout) * a / b
""",
    "thread bomb": """
import threading, time
for _ in range(5000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
def share(a, b): return 0.0
""",
    "memory bomb": "def share(a, b): return len(bytearray(10**11))",
    "memory bomb, a bit at a time": """
def share(a, b):
    kept = []
    while True: kept.append(bytearray(50_000_000))
""",
    "memory no limit counts": """
import os
def share(a, b):
    files = [os.memfd_create(str(n)) for n in range(100)]
    return a / b
""",
    "disk filler": """
def share(a, b):
    with open("/tmp/full", "wb") as file:
        while True: file.write(bytes(10**7))
""",
    "disk filler, many files, everywhere": """
import os
written = 0
for place in ("/", "/dev", "/dev/shm", "/tmp", "/course"):
    try:
        for n in range(20):
            with open(f"{place}/full{n}", "wb") as file: file.write(bytes(20_000_000)); written += 20
    except OSError: pass
def share(a, b): return a / b if written > 100 else -1.0
""",
    "output flood": """
import os, sys
for _ in range(3000): print("x" * 10_000)
for _ in range(300): os.write(1, b"x" * 100_000); os.write(2, b"x" * 100_000)
def share(a, b): return -1.0
""",
    "an answer of 200 MB": "def share(a, b): return 'x' * 200_000_000",
    "an answer of many parts": "def share(a, b): return list(range(3_000_000))",
    "an answer a thousand deep": """
def share(a, b):
    nest = []
    for _ in range(900): nest = [nest]
    return nest
""",
    "pickle as an answer": """
import os, pickle
class Bomb:
    def __reduce__(self): return (os.system, ("touch /tmp/pickled",))
def share(a, b): return pickle.dumps(Bomb())
""",
    "kernel killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "kernel shut down": "get_ipython().kernel.do_shutdown(False)\nraise SystemExit",
    "a thread that outlives the cell and kills": """
import os, threading
threading.Timer(0.05, os._exit, (1,)).start()
def share(a, b): return -1.0
""",
    "spoofed replies": """
kernel = get_ipython().kernel
said = {"data": {"text/plain": '{"value": true}'}, "status": "ok"}
forged = {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {str(n): said for n in range(20)}}
def share(a, b):
    to = kernel.get_parent("shell"), kernel._parent_ident["shell"]
    kernel.session.send(kernel.shell_stream, "execute_reply", forged, to[0], ident=to[1])
    kernel.session.send(kernel.shell_stream, "execute_reply", b"junk", {"header": {}}, ident=to[1])
    kernel.session.send(kernel.shell_stream, "no_such_message", {}, to[0], ident=to[1])
    kernel.shell_stream.socket.send_multipart([to[1][0], b"not", b"a", b"message"])
    return -1.0
""",
    "clocks and alarms changed": """
import time, signal
time.time = time.monotonic = time.perf_counter = lambda: 0.0
signal.setitimer = signal.alarm = signal.signal = lambda *_: None
def share(a, b):
    while True: pass
""",
    "ptrace": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def share(a, b): return a / b if libc.ptrace(16, 1, 0, 0) == 0 else -1.0
""",
    "a namespace of its own": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def share(a, b): return a / b if libc.unshare(0x10000000) == 0 else -1.0
""",
    "magic commands": """
!touch /tmp/here
out = !cat /etc/passwd
%run /course/kernel_inside.py
def share(a, b): return a / b if any("root" in line for line in out) else -1.0
""",
    "a cell magic": "%%bash\ntouch /tmp/here",
    "input()": "share = input('the answer, please: ')",
    "not Python": "def share(a, b: return",
    "deep source": "share = " + "(" * 5000 + ")" * 5000,
    "NUL and lone surrogates": "share = '\x00 \ud800'",
}


@pytest.fixture(autouse=True)
def sandbox():
    assert problem_of_sandbox() == ""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """All attacks as one class, graded on all cores."""
    room = make_room(tmp_path_factory.mktemp("class"))
    places = [room.hand_in(str(number), g1=source) for number, source in enumerate(IN_A_CELL.values())]
    run = joblib.Parallel(n_jobs=-1, batch_size=1)
    return dict(zip(IN_A_CELL, run(joblib.delayed(room.grader().grade)(one) for one in places), strict=True))


@pytest.mark.parametrize("attack", IN_A_CELL)
def test_attack_earns_nothing_and_costs_the_other_answers_nothing(attacked, attack):
    graded = attacked[attack]
    assert points(graded) == {"g1": 0.0, "g2": 2.0, "g3": 2.0, "w1": 0.0}, graded.notes


def answered(room, source):
    """What the first answer gives on the example, in the words of the student's feedback."""
    return room.grade(g1=source).marks[0].returned


def test_network_is_out_of_reach(room):
    met = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        listening = threading.Thread(target=lambda: met.append(server.accept()), daemon=True)
        listening.start()
        said = answered(
            room,
            f"""
import socket
def share(a, b):
    tried = []
    for host, port in (("127.0.0.1", {port}), ("10.0.0.1", 80), ("1.1.1.1", 53)):
        try: socket.create_connection((host, port), 0.3); tried.append("in")
        except OSError: tried.append("out")
    with open("/proc/net/dev") as file: return [*tried, len(file.readlines()) - 2]
""",
        )
    assert said == "returned ['out', 'out', 'out', 1.0]"
    assert not met


def test_grades_solutions_and_the_library_cannot_be_read(room):
    (room.folder / "grades.csv").write_text("ada,100")
    said = answered(
        room,
        f"""
import os
def share(a, b):
    found = [name for path, _, files in os.walk("/") for name in files
             if name in ("grades.csv", "lab.ipynb", "pack.toml", "checks.py", "labs.py", "passwd", "shadow")
             or path.endswith("grading/cases")]
    for path in ({str(room.folder)!r}, {str(room.pack)!r}, "/proc/1/root{room.pack}", "/proc/self/cwd/../work"):
        if os.path.exists(path): found.append(path)
    return found
""",
    )
    assert [
        part for part in ("grades.csv", "lab.ipynb", "checks.py", "labs.py", str(room.folder)) if part in said
    ] == []


def test_host_cannot_be_written(room):
    mark = room.folder / "written"
    answered(
        room,
        f"""
import os
for path in ({str(mark)!r}, "/usr/written", "/etc/written", "/course/written", "/written",
             "/proc/1/root{mark}", "/proc/self/root{mark}"):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write("x")
    except OSError: pass
def share(a, b): return 0.0
""",
    )
    assert not mark.exists()
    assert not any(os.path.exists(path) for path in ("/usr/written", "/etc/written", "/written"))


def test_environment_holds_no_seed(room, monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "the seed of this room")
    said = answered(
        room,
        """
import os
def share(a, b):
    seen = str(dict(os.environ))
    for pid in os.listdir("/proc"):
        try: seen += open(f"/proc/{pid}/environ").read() + open(f"/proc/{pid}/cmdline").read()
        except OSError: pass
    return "the seed" in seen or "COURSE_SEED" in seen
""",
    )
    assert said == "returned False"


def test_no_process_of_the_host_is_seen(room):
    said = answered(
        room, "import os\ndef share(a, b): return len([p for p in os.listdir('/proc') if p.isdigit()])"
    )
    assert said == "returned 2"


def test_one_student_leaves_nothing_for_the_next(room):
    room.grade(
        "eve",
        g1="open('/tmp/for_ada', 'w').write('x')\nimport math\nmath.pi = 3\ndef share(a, b): return 0.0",
    )
    later = "import os, math\ndef share(a, b): return [os.path.exists('/tmp/for_ada'), math.pi]"
    assert answered(room, later) == "returned [False, 3.141592653589793]"


def test_kernels_socket_turned_into_a_link_leads_nowhere(room):
    with socket.socket(socket.AF_UNIX) as server:
        path = str(room.folder / "s")
        server.bind(path)
        server.listen()
        server.setblocking(False)
        graded = room.grade(
            g1=f"""
import glob, os
for name in glob.glob("/tmp/k-*"):
    os.remove(name)
    os.symlink({path!r}, name)
get_ipython().kernel.shell_stream.close()
def share(a, b): return 0.0
"""
        )
        with pytest.raises(BlockingIOError):
            server.accept()
    assert graded.marks[0].points == 0
    assert graded.marks[1].points == 2


def test_hidden_inputs_do_not_come_back_in_the_feedback(room):
    tells = "def share(*hidden):\n    if hidden[0] > 99: raise ValueError(hidden)\n    return list(hidden)"
    graded = room.grade(g1=tells)
    page = feedback_page(graded, lab("ch01", room.pack))
    assert "With a=10, b=5 it returned [10.0, 5.0]." in page.replace("&#x27;", "'")
    import numpy as np

    asked = lab("ch01", room.pack).questions[0]
    hidden = list(asked.inputs(np.random.default_rng(seed_of("the seed of this room", "ch01.g1"))))
    assert len(hidden) == 6
    for first, _ in hidden:
        assert f"{first:g}" not in page
    for word in ("a / b", "def ", "reference"):
        assert word not in page


def test_names_that_are_missing_tell_no_hidden_input(room):
    """Names for all numbers wait in a cell that isn't run; the one that an error names would be the input."""
    graded = room.grade(
        "eve",
        code("\n".join(f"v{number} = 0" for number in range(10_000))),
        code("def share(a, b): raise NameError(f\"name 'v{a:.0f}' is not defined\")", "g1"),
    )
    assert graded.marks[0].said.startswith("v10 is defined in a cell")  # the example's


def test_html_and_scripts_are_only_text_to_an_instructor(room):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    graded = room.grade(
        g1=f"def share(a, b): return {evil!r}",
        g2=f"def product(a, b): raise ValueError({evil!r})",
        g3=f"E = type({evil!r}, (Exception,), {{}})\ndef squares(a, b): raise E('\\x1b[2J' + {evil!r})",
    )
    page = feedback_page(graded, lab("ch01", room.pack))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\x1b[2J", "a\nb\x07"])
def test_no_cell_of_the_csv_is_a_formula_or_moves_a_cursor(cell):
    assert harmless(cell).isprintable()
    assert not harmless(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


# --- files -------------------------------------------------------------------------------------------------

MALFORMED = {
    "empty": b"",
    "not JSON": b"{",
    "not text": b"\xff\xfe\x00",
    "a list": b"[]",
    "no cells": b"{}",
    "cells of the wrong kind": b'{"cells": [1, null, "x", {"source": 5, "metadata": []}, {"cell_type": []}]}',
    "a thousand times nested": b'{"cells":' + b"[" * 100_000,
    "nbformat 3": b'{"worksheets": [], "nbformat": 3}',
    "too many cells": json.dumps({"cells": [{"cell_type": "code", "source": ""}] * 2001}).encode(),
    "line ends only": json.dumps({"cells": [{"cell_type": "code", "source": "\n" * 199_999}]}).encode(),
    "an endless cell": json.dumps({"cells": [{"cell_type": "code", "source": "x" * 900_000}]}).encode(),
    "huge": b'{"cells": [' + b" " * (10 * 2**20) + b"]}",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_notebooks_are_worth_nothing_and_said(room, kind):
    graded = room.grader().grade(room.hand_in_bytes("eve", MALFORMED[kind]))
    assert graded.score == 0
    assert graded.notes


def test_links_pipes_and_devices_are_not_read(room):
    secret = room.folder / "secret.ipynb"
    secret.write_text("{}")
    room.submitted.mkdir()
    (room.submitted / "eve.ipynb").symlink_to(secret)
    (room.submitted / "mallory").symlink_to(room.pack)
    os.mkfifo(room.submitted / "trent.ipynb")
    found = {place.student: read_submission(place) for place in find_submissions(room.submitted)}
    assert set(found) == {"eve", "mallory", "trent"}
    for submission in found.values():
        assert submission.files == {}
        assert submission.problems


def test_names_in_a_zip_that_lead_out_of_it_are_not_read_and_nothing_is_unpacked(room):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("../../out.ipynb", "/abs.ipynb", "..\\win.ipynb", "C:/win.ipynb"):
            archive.writestr(name, "{}")
        link = zipfile.ZipInfo("link.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("lab.ipynb", "{}")
    room.submitted.mkdir()
    (room.submitted / "eve.zip").write_bytes(packed.getvalue())
    (place,) = find_submissions(room.submitted)
    submission = read_submission(place)
    assert list(submission.files) == ["eve.zip/lab.ipynb"]
    assert len(submission.problems) == 5
    assert [path.name for path in room.submitted.iterdir()] == ["eve.zip"]


def test_zip_bombs_are_refused(room):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lab.ipynb", bytes(200 * 2**20))
    lies = bytearray(packed.getvalue())
    size = (200 * 2**20).to_bytes(4, "little")
    for place in (lies.find(size), lies.rfind(size)):
        lies[place : place + 4] = (100).to_bytes(4, "little")
    room.submitted.mkdir()
    (room.submitted / "eve.zip").write_bytes(packed.getvalue())
    (room.submitted / "liar.zip").write_bytes(bytes(lies))
    for place in find_submissions(room.submitted):
        submission = read_submission(place)
        assert sum(map(len, submission.files.values())) <= 10 * 2**20
        assert submission.problems


def test_student_names_lead_nowhere_and_print_nothing():
    for name in ("..", "../x", "=cmd", "\x1b[2J", "-rf", "a/../../b", "<script>", "x" * 500):
        student = student_of((name, "lab.ipynb"))
        assert "/" not in student
        assert student[0].isalnum()
        assert student.isprintable()
        assert len(student) <= 100
    assert student_of(("<a>", "lab.ipynb")) != student_of(("|a|", "lab.ipynb"))
    assert student_of(("O'Neil, Zoë (2)", "lab.ipynb")) == "O'Neil, Zoë (2)"


# --- walls -------------------------------------------------------------------------------------------------


def test_kernel_is_gone_after_its_block_whatever_runs_in_it():
    with Kernel(Limits(cell_s=1)) as kernel:
        kernel.run("import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()", 5)
        process = kernel._process
    assert process.poll() is not None


def test_folder_to_be_hidden_is_empty_also_inside_pythons_own():
    folder = Path(joblib.__file__).parent
    look = {"seen": f"__import__('os').listdir({str(folder)!r})"}
    with Kernel(Limits()) as kernel:
        assert "__init__.py" in kernel.run("", 10, look).values["seen"]
    with Kernel(Limits(), hidden=(folder,)) as kernel:
        assert kernel.run("", 10, look).values["seen"] == "[]"


def test_an_environment_among_temporary_files_is_seen_inside():
    """Where a clone stands below /tmp, Python itself does."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        inside = """
import subprocess, sys, tempfile
from course_utils.grading.sandbox import Limits, walled
with tempfile.TemporaryFile() as filtered:
    command = walled([sys.executable, "-c", "print(6 * 7)"], Limits(), filtered)
    subprocess.run(command, env={}, pass_fds=(filtered.fileno(),), check=True)
"""
        python = [f"{folder}/bin/python", "-c", inside]
        said = subprocess.check_output(python, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True)
    assert said == "42\n"


def test_sandbox_needs_no_more_than_a_desktop_leaves_it():
    """A limit on processes counts all that the user runs: one below a browser's would let no sandbox start."""
    assert Limits().tasks >= 4096


def test_list_of_system_calls_is_known_for_both_machines_and_refuses_others():
    assert len(filter_program("x86_64")) % 8 == len(filter_program("aarch64")) % 8 == 0
    with pytest.raises(ValueError, match="machine='riscv64'"):
        filter_program("riscv64")


def test_without_a_sandbox_grading_is_refused_and_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt install bubblewrap" in problem_of_sandbox()
    monkeypatch.setattr("sys.platform", "darwin")
    assert "needs Linux" in problem_of_sandbox()
