"""What runs inside the sandbox: an IPython kernel, and the few names by which the grader asks it for values.

This file sees no question, no reference and no input but those that it is called with. Whatever a student
does to it, the grader reads plain data from it and compares elsewhere. It runs as a script, without the
course's library, and needs `ipykernel`.
"""

import builtins
import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import re
import signal
import sys
import types

LIBRARY = "course_utils"


class Absent:
    """What stands for a name of the course's library: it can be imported, and not used."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")

    def __call__(self, *_, **__):
        raise RuntimeError(f"{self._name} is not there when marks are given: an answer is your own code")


class AbsentModule(types.ModuleType):
    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")


class Stand(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets a notebook's import cell run where the library isn't."""

    def find_spec(self, name, path=None, target=None):
        inside = name == LIBRARY or name.startswith(f"{LIBRARY}.")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if inside else None

    def create_module(self, spec):
        return AbsentModule(spec.name)

    def exec_module(self, module):
        pass


class Late(BaseException):
    """A call had not come back in time. No Exception, so that `except Exception` lets it by."""


class Json(str):
    """Text that the kernel hands out as it is."""

    def __repr__(self):
        return str(self)


def late(*_):
    raise Late


@contextlib.contextmanager
def at_most(seconds):
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Asked:
    """The names under which the grader reaches in: `course_asked.setup`, `.answer`, `.call`."""

    def __init__(self, shell, plain):
        self.shell, self.plain = shell, plain
        self.before()

    def setup(self, source):
        """Run an import cell line by line: one package that is missing here takes nothing else with it."""
        import ast

        try:
            tree = ast.parse(self.shell.transform_cell(source))
        except (SyntaxError, ValueError, RecursionError) as error:
            return Json(json.dumps({"failed": [f"{type(error).__name__}: {error}"[:200]]}))
        failed = []
        for node in tree.body:
            try:
                code = compile(ast.Module([node], []), "<set-up>", "exec")
                exec(code, self.shell.user_ns)
            except Exception as error:
                failed.append(f"{type(error).__name__}: {error}"[:200])
        return Json(json.dumps({"failed": failed}))

    def before(self):
        """Called before an exercise's cell is run."""
        self.known, self.found, self.endless = dict(self.shell.user_ns), None, False
        return Json('{"ready": true}')

    def answer(self, names):
        """Which name the answer goes by: one of `names`, or the one function that the last cell defined."""
        space = self.shell.user_ns
        for name in names:
            if name in space:
                self.found = name
                return Json(json.dumps({"name": name}))
        new = [
            name
            for name, value in space.items()
            if callable(value) and not name.startswith("_") and self.known.get(name) is not value
        ]
        self.found = new[0] if len(new) == 1 else None
        return Json(json.dumps({"name": self.found, "new": [str(name)[:80] for name in new[:5]]}))

    def call(self, arguments, seconds):
        """What the answer gives for `arguments` (a literal): plain data, or the kind of its error, as JSON."""
        value = None
        try:
            if self.endless:  # an earlier call never came back: nobody waits for the others
                raise Late
            with at_most(seconds):
                answer = self.shell.user_ns[self.found]
                value = answer(*read(arguments)) if callable(answer) else answer
                return Json(json.dumps({"value": paired(self.plain(value))}))
        except Late:
            self.endless = True
            return Json('{"late": true}')
        except NoData:
            return Json(json.dumps({"no_data": type(value).__name__[:80]}))
        except BaseException as error:
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
            try:
                said = str(error)[:300]
            except BaseException:
                said = ""
            return Json(json.dumps({"error": type(error).__name__[:80], "kinds": kinds[:20], "said": said}))


class NoData(Exception):
    """The value has no plain form."""


def paired(value):
    """A plain value in what JSON can say: dicts as lists of pairs, for their keys need not be text."""
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is list:
        return [paired(item) for item in value]
    if type(value) is dict:
        return {"pairs": [[paired(key), paired(item)] for key, item in value.items()]}
    raise NoData


def read(literal):
    """Arguments from their text. Arrays and tables are made only where one is asked for."""
    names = {"nan": float("nan"), "inf": float("inf"), "set": set}
    if re.search(r"\b(array|DataFrame)\(", literal):
        import numpy
        import pandas

        names |= {"array": numpy.array, "DataFrame": pandas.DataFrame}
    return eval(literal, {"__builtins__": {}}, names)


def main():
    folder, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    scope = {"__name__": "agreement"}
    with open(os.path.join(here, "agreement.py"), encoding="utf-8") as file:
        exec(compile(file.read(), "agreement.py", "exec"), scope)
    sys.meta_path.insert(0, Stand())
    ready, silence = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silence, number)

    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.Session.key = b"course"  # no secret: a signature that a student's code can make too proves nothing
    if hasattr(signal, "setitimer"):
        config.IPKernelApp.transport, config.IPKernelApp.ip = "ipc", os.path.join(folder, "k")
    app = IPKernelApp.instance(config=config, connection_file=os.path.join(folder, "connection.json"))
    app.capture_fd_output = False
    app.initialize([])
    builtins.course_asked = Asked(app.shell, scope["plain"])
    os.write(ready, json.dumps({"port": app.shell_port}).encode() + b"\n")
    os.close(ready)
    app.start()


if __name__ == "__main__":
    main()
