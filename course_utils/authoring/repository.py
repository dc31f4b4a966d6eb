"""`course repo OWNER/NAME`: one setting says where the course lives, and every badge and link follows it."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from course_utils.authoring.build import write_notebooks
from course_utils.authoring.house import House, Repository, renew

_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,38}")
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}(?<!\.git)")
_BRANCH = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|/\.|\.lock/|@\{))[A-Za-z0-9._/-]+(?<![/.])(?<!\.lock)")

# Where links to the repository stand. Masters are read too: their notebooks are built again afterwards.
_PLACES = ("*.md", "*.cff", "*.toml", "*.yml", "*.yaml", "notebooks/src/*.py")
_FOLDERS = ("docs", ".binder", ".github")
_SUFFIXES = {
    "",
    ".md",
    ".rst",
    ".txt",
    ".html",
    ".py",
    ".toml",
    ".yml",
    ".yaml",
    ".cff",
    ".json",
    ".ipynb",
    ".sh",
}


def parse_slug(slug: str) -> str:
    """OWNER/NAME as GitHub allows it; ValueError that shows the form otherwise."""
    owner, slash, name = slug.partition("/")
    if not slash or not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name):
        raise ValueError(f"repository={slug!r} must be OWNER/NAME as on GitHub, such as ada/cost-course")
    return slug


def parse_branch(branch: str) -> str:
    """A branch name that git allows and links can carry; ValueError otherwise."""
    if not _BRANCH.fullmatch(branch):
        raise ValueError(f"branch={branch!r} must be a branch name of letters, digits and . _ - /")
    return branch


def move_to(house: House, slug: str, branch: str | None = None) -> list[Path]:
    """Point the course at another repository; the files that changed come back.

    Moving twice to the same place changes nothing the second time; moving there and back restores every byte.
    Raises ValueError for a name that GitHub or git would refuse.
    """
    old = house.repository()
    new = Repository(parse_slug(slug), parse_branch(branch) if branch is not None else old.branch)
    moved = {}
    for path in files_with_links(house):
        text = path.read_bytes().decode("utf-8")
        after = rewrite(text, old, new)
        if path == house.root / "pyproject.toml":
            after = rewrite_setting(after, old, new)
        if after != text:
            moved[path] = after
    setting = house.root / "pyproject.toml"
    for path in sorted(moved, key=lambda path: path == setting):  # last, so that a cut run can be repeated
        renew(path, moved[path])
    return [*moved, *write_notebooks(house)]


def rewrite(text: str, old: Repository, new: Repository) -> str:
    """The text with every link to the old repository and branch leading to the new one."""
    if old == new:
        return text
    old_owner, old_name = old.slug.split("/")
    new_owner, new_name = new.slug.split("/")
    slug = rf"(?<![\w.-]){re.escape(old.slug)}(?![\w-]|\.(?!git\b)\w)"
    # …/OWNER/NAME/blob/BRANCH/…, OWNER/NAME@BRANCH, and Binder's gh/OWNER/NAME/BRANCH?…, its slash quoted.
    for before, was, becomes in (
        (rf"{slug}/(?:blob|tree|raw|edit)/", old.branch, new.branch),
        (rf"{slug}(?:\.git)?@", old.branch, new.branch),
        (rf"gh/{slug}/", quote(old.branch, safe=""), quote(new.branch, safe="")),
        (rf"raw\.githubusercontent\.com/{slug}/", old.branch, new.branch),
    ):
        branch = rf"({before}){re.escape(was)}(?![\w.-]*\w)"
        text = re.sub(branch, lambda found, becomes=becomes: found[1] + becomes, text)
    pages = rf"(?<![\w-]){re.escape(old_owner.lower())}\.github\.io/{re.escape(old_name)}(?![\w-])"
    text = re.sub(pages, f"{new_owner.lower()}.github.io/{new_name}", text)
    return re.sub(slug, new.slug, text)


def rewrite_setting(text: str, old: Repository, new: Repository) -> str:
    """pyproject.toml with `[tool.course]` changed in place, comments and order kept."""
    head, table, rest = text.partition("[tool.course]\n")
    body, bracket, tail = rest.partition("\n[")
    body = re.sub(r"(?m)^(repository\s*=\s*)\"[^\"]*\"", rf'\g<1>"{new.slug}"', body)
    body = re.sub(r"(?m)^(branch\s*=\s*)\"[^\"]*\"", rf'\g<1>"{new.branch}"', body)
    return head + table + body + bracket + tail


def files_with_links(house: House) -> Iterator[Path]:
    """Text files that may link to the repository, in a fixed order."""
    found = {path for pattern in _PLACES for path in house.root.glob(pattern)}
    for folder in _FOLDERS:
        found |= {path for path in (house.root / folder).rglob("*") if path.suffix in _SUFFIXES}
    for path in sorted(found):
        if path.is_file() and "_build" not in path.parts:
            yield path
