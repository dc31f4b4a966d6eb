"""Where things lie in a clone of the course, and where the course lives on the web."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from course_utils.whole_files import whole


@dataclass(frozen=True)
class Repository:
    """`slug` is OWNER/NAME on GitHub, `branch` the branch that people open."""

    slug: str
    branch: str


@dataclass(frozen=True)
class House:
    """One clone of the course."""

    root: Path

    @property
    def masters(self) -> Path:
        return self.root / "notebooks" / "src"

    @property
    def student(self) -> Path:
        return self.root / "notebooks"

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def instructor(self) -> Path:
        return self.build / "instructor"

    @property
    def executed(self) -> Path:
        return self.build / "executed"

    def repository(self) -> Repository:
        """The `[tool.course]` table of pyproject.toml; ValueError if it lacks either key."""
        table = tomllib.loads(self.root.joinpath("pyproject.toml").read_text("utf-8"))
        course = table.get("tool", {}).get("course", {})
        if not {"repository", "branch"} <= course.keys():
            raise ValueError(f"{self.root / 'pyproject.toml'} needs [tool.course] with repository and branch")
        return Repository(course["repository"], course["branch"])


def find_house(start: Path | None = None) -> House:
    """The clone around `start` (the current folder).

    Raises FileNotFoundError outside a clone. The folder that this package was installed from does not count:
    commands write files, and only where the reader stands.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "src").is_dir() and (folder / "pyproject.toml").is_file():
            return House(folder)
    raise FileNotFoundError(f"no clone of the course around {here}: run this inside one")


def replaced_block(text: str, begin: str, end: str, block: str, name: str) -> str:
    """The text with `block` between two lines that stand in it; ValueError where it has not each of them once."""
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{name} needs the lines {begin!r} and {end!r}, once each")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{block}\n\n{end}{rest.split(end)[1]}"


def renew(path: Path, text: str) -> bool:
    """Write a file whole, where its text is not that already; True if it changed."""
    data = text.encode("utf-8")
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_bytes(data)
    return True
