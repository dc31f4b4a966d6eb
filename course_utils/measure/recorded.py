"""Runs that were recorded once and are replayed where a machine can't repeat them.

A recording is a list of cases, each a key and a function that measures it and returns a row. `record` runs
them, keeps every row as it comes, and goes on where an interrupted run stopped. `recording` replays.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from course_utils.catalog.provenance import data_path, recorded
from course_utils.measure.machine import describe, environment
from course_utils.whole_files import write_whole

_VERSIONS = ("torch", "transformers", "bitsandbytes", "onnxruntime", "numpy")

Case = tuple[str, Callable[[], dict[str, Any]]]


@dataclass(frozen=True)
class Recording:
    """What was measured, on what, how and when. `rows`: one a case, raw samples included, each with its `key`."""

    name: str
    rows: tuple[dict[str, Any], ...]
    hardware: str
    environment: str
    versions: dict[str, str]
    command: str
    seed: int
    as_of: str

    @property
    def label(self) -> str:
        """ "recorded on AMD EPYC, 2 cores, 2026-11-24": what a figure says that shows it."""
        return recorded(self.hardware, self.as_of)

    def table(self):
        """The rows as a DataFrame, indexed by key."""
        import pandas as pd

        return pd.DataFrame(self.rows).set_index("key")


def recording(name: str) -> Recording:
    """Replay `data/recorded/<name>.json`. ValueError for one that isn't there, or lacks a field."""
    folder = data_path("recorded")
    path = folder / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise ValueError(
            f"name={name!r}: no such recording; there are {there}. `course record {name}` makes it"
        )
    content = json.loads(path.read_text("utf-8"))
    missing = sorted(set(Recording.__dataclass_fields__) - set(content))
    if missing:
        raise ValueError(f"{path.name} lacks {missing[0]!r}: record it again with `course record {name}`")
    return Recording(**{**content, "rows": tuple(content["rows"])})


def record(
    name: str, cases: Iterable[Case], folder: Path, *, seed: int = 0, progress: bool = True
) -> Recording:
    """Measure every case and write `folder/<name>.json`, whole. An interrupted run goes on where it stopped.

    Rows wait in `folder/<name>.partial.jsonl`, one a line, until all are there; those of another seed,
    machine or version are thrown away. ValueError where two cases share a key.
    """
    from tqdm.auto import tqdm

    cases = list(cases)
    keys = [key for key, _ in cases]
    if len(set(keys)) < len(keys):
        raise ValueError(f"cases of {name!r}: key {max(keys, key=keys.count)!r} is there twice")
    terms = terms_of(seed)
    partial = Partial(folder / f"{name}.partial.jsonl", terms)
    for key, measure in tqdm(cases, desc=name, disable=not progress):
        if key not in partial.rows:
            partial.add({"key": key, **measure()})
    made = Recording(
        name=name,
        rows=tuple(partial.rows[key] for key in keys),
        hardware=terms["hardware"],
        environment=environment(),
        versions=terms["versions"],
        command=f"course record {name} --seed {seed}",
        seed=seed,
        as_of=date.today().isoformat(),
    )
    write_whole(folder / f"{name}.json", json.dumps(asdict(made), indent=1) + "\n")
    partial.forget()
    return made


class Partial:
    """Rows of a run that isn't finished, by their `key`; each lies on disk, on a line of its own, once it is added.

    Rows of an earlier, interrupted run are there from the start if its `terms` were the same, else thrown away.
    """

    def __init__(self, path: Path, terms: dict):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self.rows = path, _kept(path, terms)
        # Anew, without the line that a crash cut off: the next row would be glued to it.
        write_whole(path, "".join(json.dumps(line) + "\n" for line in (terms, *self.rows.values())))

    def add(self, row: dict[str, Any]) -> None:
        self.rows[row["key"]] = row
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps(row), file=file, flush=True)
            os.fsync(file.fileno())

    def forget(self) -> None:
        """Remove the file: what it was for is written elsewhere, whole."""
        self._path.unlink()


def terms_of(seed: int) -> dict:
    """What two parts of a run must have in common to be one run: seed, hardware, versions.

    Not the day nor the threads: a run that is taken up tomorrow is the same run.
    """
    here = describe()
    hardware = here.gpu.name if here.gpu else f"{here.cpu}, {here.cores_usable:g} cores"
    return {"seed": seed, "hardware": hardware, "versions": _versions()}


def _kept(partial: Path, terms: dict) -> dict[str, dict]:
    """Rows of an interrupted run on the same terms, by key; a last line cut off by a crash is dropped."""
    if not partial.exists():
        return {}
    lines = []
    for line in partial.read_text("utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    if not lines or lines[0] != terms:
        return {}
    return {row["key"]: row for row in lines[1:]}


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in _VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
