"""Whose columns are these? The names that exports use for ours, and what the names say about the counting."""

import re

from course_utils.estimate.log_file import LogFile

REQUIRED = ("arrived_at", "model", "input_tokens", "output_tokens")

# Other names of a column, without capitals and signs, as providers, gateways and traces write them.
_ALIASES = {
    "arrived_at": "timestamp time datetime created createdat starttime requesttime date",
    "model": "modelname modelid deployment",
    "input_tokens": "prompttokens contexttokens inputlength numprefilltokens prompttokencount",
    "output_tokens": (
        "completiontokens generatedtokens outputlength numdecodetokens candidatestokens candidatestokencount"
    ),
    "cached_read_tokens": (
        "cachedtokens cachereadtokens cachedinputtokens inputcachedtokens cachereadinputtokens "
        "cachedcontenttokencount"
    ),
    "cache_write_tokens": "cachecreationtokens cachecreationinputtokens",
    "reasoning_tokens": "outputreasoningtokens thoughtstokens thoughtstokencount",
    "team": "tenant project projectname projectid workspace",
    "feature": "app application usecase tag",
    "batch": "isbatch",
}
# A column that counts requests: then a line is the sum of an hour's or a day's.
_REQUESTS = {"nummodelrequests", "nrequests", "numrequests", "requests", "requestcount"}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_columns(file: LogFile, model: str | None) -> dict[str, int]:
    """Place of each of our columns in the file. ValueError for one that is missing or there twice."""
    known = {alias: ours for ours, names in _ALIASES.items() for alias in (_plain(ours), *names.split())}
    columns: dict[str, int] = {}
    for place, name in enumerate(file.header):
        ours = known.get(_plain(name))
        if ours in columns:
            first = file.header[columns[ours]]
            raise ValueError(f"{file.name}: {first!r} and {name!r} both say {ours}; leave one out")
        if ours:
            columns[ours] = place
    missing = [name for name in REQUIRED if name not in columns and not (name == "model" and model)]
    if missing:
        hint = " (or pass model=...)" * ("model" in missing)
        raise ValueError(
            f"{file.name} has no column {', '.join(missing)}{hint}; its columns are {', '.join(file.header)}: "
            "rename yours in the first line"
        )
    return columns


def counts_cached_beside(header: tuple[str, ...], columns: dict[str, int]) -> bool:
    """Anthropic's field names come with Anthropic's way to count, unless the input is called the prompt."""
    names = {ours: _plain(header[place]) for ours, place in columns.items()}
    anthropic = {names.get("cached_read_tokens"), names.get("cache_write_tokens")}
    return names["input_tokens"] == "inputtokens" and bool(
        anthropic & {"cachereadinputtokens", "cachecreationinputtokens"}
    )


def counts_thoughts_beside(header: tuple[str, ...], columns: dict[str, int]) -> bool:
    """Google's names come with Google's way to count: thoughts lie beside the answer's candidates."""
    names = {ours: _plain(header[place]) for ours, place in columns.items()}
    return names["output_tokens"].startswith("candidates") and "thoughts" in names.get("reasoning_tokens", "")


def sums_of_requests(header: tuple[str, ...]) -> str:
    """What to know of a log whose lines are sums, as usage pages export them; empty where they aren't."""
    name = next((name for name in header if _plain(name) in _REQUESTS), None)
    if name is None:
        return ""
    return (
        f"each line is a sum ({name}): it is billed as one request, at the long-context price if it is long"
    )
