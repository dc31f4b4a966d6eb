"""Rules on batches and prompt caches that price lists leave out; rows of `data/api_rules.csv`."""

from dataclasses import dataclass
from datetime import date

from course_utils.catalog.provenance import read_rows


@dataclass(frozen=True, kw_only=True)
class ApiRule:
    """What holds at a provider, or for its models whose names start with one of `models`.

    `batch_multiplier`: price in a batch over the standard price. None: none is known for all these models.
    `batch_cached_read`: how batch and cache meet, see `ApiPrice`. `caching`: "automatic", "explicit" (you
    mark the prefix) or "none". `cache_min_tokens`: a shorter prefix is not cached. The write multipliers,
    over the input price, count only where the price list has no price of its own.
    """

    provider: str
    models: tuple[str, ...] = ()
    batch_multiplier: float | None
    batch_cached_read: str
    caching: str
    cache_min_tokens: int | None
    cache_write_multiplier: float | None
    cache_write_1h_multiplier: float | None
    note: str = ""
    source: str
    as_of: date


def api_rules() -> tuple[ApiRule, ...]:
    """All rows, as in the file."""
    return read_rows("api_rules.csv", ApiRule)


def api_rule(provider: str, model: str) -> ApiRule | None:
    """The rule whose prefix of `model` is longest, else the provider's general one, else None."""

    def fit(rule: ApiRule) -> int:
        if not rule.models:
            return 0
        return max((len(prefix) for prefix in rule.models if model.startswith(prefix)), default=-1)

    rules = [rule for rule in api_rules() if rule.provider == provider and fit(rule) >= 0]
    return max(rules, key=fit, default=None)
