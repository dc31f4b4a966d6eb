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
    "cache_write_tokens": (
        "cachecreationtokens cachecreationinputtokens "
        "ephemeral5minputtokens cachecreationephemeral5minputtokens cachecreation5minputtokens "
        "cachecreationinputtokens5m cachewritetokens5m cachewrite5mtokens"
    ),
    "cache_write_1h_tokens": (
        "ephemeral1hinputtokens cachecreationephemeral1hinputtokens cachecreation1hinputtokens "
        "cachecreationinputtokens1h cachewritetokens1h"
    ),
    "reasoning_tokens": "outputreasoningtokens thoughtstokens thoughtstokencount",
    "team": "tenant project projectname projectid workspace",
    "feature": "app application usecase tag",
    "batch": "isbatch",
}
# Anthropic's counts of *all* written tokens: those kept five minutes and those kept an hour.
_ALL_WRITTEN = {"cachecreationtokens", "cachecreationinputtokens"}
# A column that counts requests: then a line is the sum of an hour's or a day's.
_REQUESTS = {"nummodelrequests", "nrequests", "numrequests", "requests", "requestcount"}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_OURS = {alias: ours for ours, names in _ALIASES.items() for alias in (_plain(ours), *names.split())}


def find_columns(file: LogFile, model: str | None) -> dict[str, int]:
    """Place of each of our columns in the file. ValueError for one that is missing or there twice."""
    columns: dict[str, int] = {}
    for place, name in enumerate(file.header):
        ours = _OURS.get(_plain(name))
        if ours in columns:
            first = file.header[columns[ours]]
            # A whole and its five-minute part say no different things: the whole is read.
            if _plain(name) in _ALL_WRITTEN and "5m" in _plain(first):
                columns[ours] = place
                continue
            if "5m" in _plain(name) and _plain(first) in _ALL_WRITTEN:
                continue
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


def unread(header: tuple[str, ...], most: int = 6) -> str:
    """Which columns of the file nothing here understands, the first few by name; empty where there is none."""
    names = [name or "(no name)" for name in header if _plain(name) not in {*_OURS, *_REQUESTS}]
    if not names:
        return ""
    shown = [name if len(name) <= 30 else name[:27] + "..." for name in names[:most]]
    more = f" and {len(names) - most} more" * (len(names) > most)
    return f"not read: {', '.join(shown)}{more}"


def counts_written_together(header: tuple[str, ...], columns: dict[str, int]) -> bool:
    """Whether the written tokens include those kept for an hour: as Anthropic counts, not as we do."""
    both = "cache_write_tokens" in columns and "cache_write_1h_tokens" in columns
    return both and _plain(header[columns["cache_write_tokens"]]) in _ALL_WRITTEN


def counts_cached_beside(header: tuple[str, ...], columns: dict[str, int]) -> bool:
    """Anthropic's field names come with Anthropic's way to count, unless the input is called the prompt."""
    names = {ours: _plain(header[place]) for ours, place in columns.items()}
    cached = [
        names.get(of, "") for of in ("cached_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    ]
    return names["input_tokens"] == "inputtokens" and any(
        "ephemeral" in name or name in ("cachereadinputtokens", "cachecreationinputtokens") for name in cached
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
