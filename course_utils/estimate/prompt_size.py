"""Input tokens that nobody typed: images, tool schemas, a conversation that is sent again with every call."""

from dataclasses import dataclass
from datetime import date
from math import ceil, floor, isfinite, sqrt

from course_utils.catalog.provenance import read_rows
from course_utils.estimate.cost import Usage


@dataclass(frozen=True, kw_only=True)
class ImageRule:
    """How a provider turns pixels into tokens: a row of `data/image_rules.csv`.

    The image is scaled down to fit `fit_px`, then to `short_side_px`, then cut into tiles (one tile up to
    `one_tile_px`, never more than `max_tiles`), each of `tokens_per_tile`; or it costs its area over
    `pixels_per_token`, up to `max_tokens`.
    """

    rule: str
    models: str
    tokens_base: float
    tokens_per_tile: float | None
    tile_px: int | None
    fit_px: int | None
    short_side_px: int | None
    one_tile_px: int | None
    max_tiles: int | None
    pixels_per_token: float | None
    max_tokens: float | None
    note: str = ""
    source: str
    as_of: date


def image_rules() -> tuple[ImageRule, ...]:
    """The published rules, one per family of models."""
    return read_rows("image_rules.csv", ImageRule)


def image_tokens(width_px: int, height_px: int, rule: str) -> int:
    """Input tokens of one image under a published rule, such as "openai-tiles": see `image_rules`.

    Providers round in ways they don't publish: good to a token or so, for the models that the rule names.
    """
    for name, side in (("width_px", width_px), ("height_px", height_px)):
        if not 1 <= side <= 100_000:
            raise ValueError(f"{name}={side!r}: 1 to 100000 pixels is needed")
    rules = {one.rule: one for one in image_rules()}
    if rule not in rules:
        raise ValueError(f"rule={rule!r}: one of {', '.join(rules)} is needed")
    how = rules[rule]
    width, height = _fit(width_px, height_px, how)
    if how.pixels_per_token:
        return ceil(min(width * height / how.pixels_per_token, how.max_tokens))
    return ceil(how.tokens_base + how.tokens_per_tile * _tiles(width, height, how))


def _fit(width: float, height: float, how: ImageRule) -> tuple[float, float]:
    for limit, side in ((how.fit_px, max), (how.short_side_px, min)):
        if limit:
            scale = min(1, limit / side(width, height))
            width, height = width * scale, height * scale
    return width, height


def _tiles(width: float, height: float, how: ImageRule) -> int:
    if how.one_tile_px and max(width, height) <= how.one_tile_px:
        return 1
    across, down = width / how.tile_px, height / how.tile_px
    if how.max_tiles and ceil(across) * ceil(down) > how.max_tiles:
        # Shrink to the budget, then a little more, until one side holds whole tiles.
        shrink = sqrt(how.max_tiles / (across * down))
        across, down = across * shrink, down * shrink
        whole = min(floor(across) / across, floor(down) / down)
        across, down = across * whole, down * whole
    # Scaling leaves 1.5000000001 tiles where 1.5 are meant.
    return ceil(across - 1e-9) * ceil(down - 1e-9)


def tool_loop(
    prompt_tokens: float,
    schema_tokens: float,
    calls: int,
    call_tokens: float,
    result_tokens: float,
    answer_tokens: float,
    cached: bool = False,
) -> tuple[Usage, ...]:
    """Usage of every request of one task in which a model calls tools, one call a turn, then answers.

    prompt_tokens: instructions and question. schema_tokens: the tools' descriptions, part of *every* input.
    call_tokens: output of a turn that calls a tool. result_tokens: what the tool returns. Each request sends
    the whole conversation again, so input grows with the square of the calls. cached: what the request before
    has sent is read from the cache, and what is new is written to it.
    """
    if calls < 0:
        raise ValueError(f"calls={calls!r}: 0 or more is needed")
    given = {"prompt_tokens": prompt_tokens, "schema_tokens": schema_tokens, "call_tokens": call_tokens}
    for name, tokens in (given | {"result_tokens": result_tokens, "answer_tokens": answer_tokens}).items():
        if not isfinite(tokens) or tokens < 0:
            raise ValueError(f"{name}={tokens!r}: 0 or more is needed")
    start = prompt_tokens + schema_tokens
    turns = []
    for turn in range(calls + 1):
        whole = start + turn * (call_tokens + result_tokens)
        known = whole - call_tokens - result_tokens if turn else 0
        turns.append(
            Usage(
                input_tokens=whole,
                cached_read_tokens=known if cached else 0,
                cache_write_tokens=whole - known if cached else 0,
                output_tokens=call_tokens if turn < calls else answer_tokens,
            )
        )
    return tuple(turns)
