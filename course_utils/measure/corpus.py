"""Text without a download: the documentation that every installation already carries.

Training text: docstrings of the standard library and of pinned packages, read with `ast`, so that nothing is
imported. Held-out text: the Python language reference as `pydoc_data.topics`. Neither is committed: the text
is rebuilt from what is installed, and a hash says whether it is the same.
Taught in: chapters 03 to 05.
"""

import ast
import hashlib
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# Packages that document themselves at length, in the order of their weight in the text.
PACKAGES = (
    "stdlib",
    "numpy",
    "pandas",
    "scipy",
    "matplotlib",
    "torch",
    "transformers",
    "accelerate",
    "ipython",
    "pydantic",
    "rich",
    "tqdm",
    "joblib",
    "jinja2",
    "click",
    "typer",
    "hypothesis",
    "pytest",
    "tornado",
    "traitlets",
)
# Some packages generate their docstrings; without a limit transformers and torch would be most of the text.
PACKAGE_LIMIT_BYTES = 2_500_000
# Shorter docstrings ("See base class.") teach little but their own brevity.
SHORTEST_CHARS = 80
# A docstring that shares a line this long with the held-out text is left out: pdb's manual is in both.
SHARED_LINE_CHARS = 40
_NOT_READ = {"tests", "test", "idle_test", "site-packages", "dist-packages", "_vendor", "vendored"}


@dataclass(frozen=True)
class Corpus:
    """`documents` in a fixed order; `packages` maps each source to (version, bytes used)."""

    documents: tuple[str, ...]
    packages: dict[str, tuple[str, int]]

    @property
    def size_bytes(self) -> int:
        return sum(len(document.encode()) for document in self.documents)

    @property
    def sha256(self) -> str:
        return sha256(self.documents)


def documentation(
    packages: Sequence[str] = PACKAGES, limit_bytes: int = PACKAGE_LIMIT_BYTES, progress: bool = False
) -> Corpus:
    """Docstrings of `packages`, each under its signature, without repeats and without held-out lines.

    The same installed versions give the same text on the same kind of system. ValueError for a package that
    isn't installed, and for a limit below 1.
    """
    if limit_bytes < 1:
        raise ValueError(f"limit_bytes={limit_bytes!r}: at least 1 is needed")
    if not packages:
        raise ValueError("packages is empty: name at least one, such as 'stdlib'")
    forbidden = set(long_lines(held_out()))
    seen: set[str] = set()
    documents: list[str] = []
    used: dict[str, tuple[str, int]] = {}
    for name in _with_bar(packages, progress):
        version, files = _sources(name)
        taken = 0
        for document in _documents(files):
            size = len(document.encode())
            body = document.split("\n\n", 1)[1]
            if taken + size > limit_bytes or body in seen or not forbidden.isdisjoint(long_lines(body)):
                continue
            seen.add(body)
            documents.append(document)
            taken += size
        used[name] = (version, taken)
    return Corpus(tuple(documents), used)


def installed(packages: Sequence[str]) -> tuple[str, ...]:
    """Those of `packages` that are here: a chapter calibrates on what there is, on Colab as on Binder."""
    return tuple(name for name in packages if name == "stdlib" or any(metadata.distributions(name=name)))


def held_out() -> str:
    """The Python language reference that comes with Python: about 650 kB of prose, examples and grammar."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise ValueError(
            "this Python comes without pydoc_data.topics; install its documentation module "
            "(a full Python from python.org has it)"
        ) from None
    return "\n".join(topics[name].strip() + "\n" for name in sorted(topics))


def blocks(text: str, chars: int, count: int | None = None) -> tuple[str, ...]:
    """`text` cut into pieces of `chars` characters, `count` of them evenly spread where it is given.

    The last, shorter piece is dropped: blocks of equal length weigh the same in a mean.
    """
    if chars < 1:
        raise ValueError(f"chars={chars!r}: at least 1 is needed")
    pieces = [text[start : start + chars] for start in range(0, len(text) - chars + 1, chars)]
    if count is None:
        return tuple(pieces)
    if not 1 <= count <= len(pieces):
        raise ValueError(f"count={count!r}: the text has {len(pieces)} blocks of {chars} characters")
    return tuple(pieces[index * len(pieces) // count] for index in range(count))


def gzip_bits_per_byte(text: str) -> float:
    """What the compressor `gzip -9` needs, in bits per byte of UTF-8: the floor that a model has to beat."""
    import gzip

    raw = text.encode()
    if not raw:
        raise ValueError("text is empty: nothing to compress")
    return 8 * len(gzip.compress(raw, 9, mtime=0)) / len(raw)


def sha256(documents: Iterable[str]) -> str:
    """One hash over all documents and the borders between them."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def long_lines(text: str) -> Iterator[str]:
    """Lines long enough to tell whether two texts share a passage."""
    for line in text.splitlines():
        if len(line.strip()) >= SHARED_LINE_CHARS:
            yield line.strip()


def _sources(name: str) -> tuple[str, list[Path]]:
    if name == "stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        files = [path for path in root.rglob("*.py") if _wanted(path.relative_to(root))]
        return ".".join(map(str, sys.version_info[:3])), sorted(files)
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise ValueError(f"packages: {name!r} is not installed; install it or leave it out") from None
    files = [Path(file.locate()) for file in package.files or () if file.suffix == ".py" and _wanted(file)]
    return package.version, sorted(files)


def _wanted(path: Path) -> bool:
    return _NOT_READ.isdisjoint(path.parts)


def _documents(files: Iterable[Path]) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other people's "\d" in a plain string
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, kinds) else None
            if text and len(text) >= SHORTEST_CHARS:
                yield f"{_signature(node, path)}\n\n{text.strip()}\n"


def _signature(node: ast.AST, path: Path) -> str:
    if isinstance(node, ast.Module):
        return f"module {path.parent.name if path.stem == '__init__' else path.stem}"
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}"
    return f"def {node.name}({ast.unparse(node.args)})"


def _with_bar(items: Sequence[str], progress: bool) -> Iterable[str]:
    if not progress:
        return items
    from tqdm.auto import tqdm

    return tqdm(items, desc="reading docstrings", unit="package")
