"""What a smaller cache costs in quality: perplexity of text that is read through it, piece by piece.

Each window of text goes in as a prompt does in chunks: a piece sees the pieces before it out of the cache, rounded or
forgotten as the cache has it, and itself as it is. The first piece sees no cache and isn't scored.
Taught in: chapter 07.
"""

from collections.abc import Callable, Iterable

import torch
from torch.nn.functional import cross_entropy

from course_utils.cache.kv import GrowingKv, LayerKv, windowed
from course_utils.cache.kv_model import for_model, step
from course_utils.cache.kv_quantized import QuantizedKv
from course_utils.measure.likelihood import identity, token_ids
from course_utils.measure.scores import Difference, Score, paired, score

# Caches of the recording, by key: bits, and which axis of keys and of values shares a scale.
ROUNDED = {
    "int8": (8, "channel", "token"),
    "int4": (4, "channel", "token"),
    "int4, keys per token": (4, "token", "token"),
    "int4, values per channel": (4, "channel", "channel"),
    "int2": (2, "channel", "token"),
}
WINDOWS = {"window 128, 0 sinks": (128, 0), "window 124, 4 sinks": (124, 4)}
WINDOWED = {"sequence_tokens": 512, "scored_tokens": 256}
GROUP_TOKENS = 64


def perplexity_through(
    model,
    tokenizer,
    text: str,
    make: Callable[[], LayerKv] = GrowingKv,
    *,
    sequence_tokens: int = 512,
    piece_tokens: int = GROUP_TOKENS,
    windows: int = 8,
    progress: bool = False,
) -> Score:
    """Perplexity of windows of `text`, evenly spread, read in pieces through caches from `make`; lower is better.

    ValueError where the text is too short for the windows, or a window isn't longer than a piece.
    """
    from tqdm.auto import tqdm

    pieces = _spread(tokenizer, text, sequence_tokens, windows)
    if not 1 <= piece_tokens < sequence_tokens:
        raise ValueError(
            f"piece_tokens={piece_tokens!r}: from 1 to below sequence_tokens={sequence_tokens} is needed"
        )
    per_window = []
    for ids in tqdm(pieces, desc="perplexity", disable=not progress, leave=False):
        row, cache = torch.tensor([ids], device=model.device), for_model(model, make)
        logits = [step(model, part, cache) for part in row.split(piece_tokens, dim=1)]
        losses = cross_entropy(torch.cat(logits, dim=1)[0, :-1].float(), row[0, 1:], reduction="none")
        per_window.append(losses[piece_tokens - 1 :].double().mean().item())
    setting = f"sequence {sequence_tokens} tokens in pieces of {piece_tokens}, {windows} windows"
    return score("perplexity", "", "exponential", per_window, identity(pieces), setting)


def perplexity_windowed(
    model,
    tokenizer,
    text: str,
    window: int | None,
    sinks: int = 0,
    *,
    sequence_tokens: int = 1024,
    scored_tokens: int = 512,
    windows: int = 4,
    progress: bool = False,
) -> Score:
    """Perplexity of the last `scored_tokens` when each token sees only `window` and `sinks` (None: all before it).

    One pass with the mask `windowed`, which gives what `WindowKv` gives token by token.
    """
    from tqdm.auto import tqdm

    pieces = _spread(tokenizer, text, sequence_tokens, windows)
    if not 1 <= scored_tokens < sequence_tokens:
        raise ValueError(f"scored_tokens={scored_tokens!r}: from 1 to below {sequence_tokens} is needed")
    seen = windowed(sequence_tokens, window or sequence_tokens, sinks, model.device)[None, None]
    per_window = []
    for ids in tqdm(pieces, desc="perplexity", disable=not progress, leave=False):
        row = torch.tensor([ids], device=model.device)
        with torch.inference_mode():
            logits = model(
                input_ids=row, attention_mask=seen, use_cache=False, logits_to_keep=scored_tokens + 1
            ).logits
        losses = cross_entropy(logits[0, :-1].float(), row[0, -scored_tokens:], reduction="none")
        per_window.append(losses.double().mean().item())
    setting = f"last {scored_tokens} of {sequence_tokens} tokens, {windows} windows"
    return score("perplexity", "", "exponential", per_window, identity(pieces), setting)


def held_share(make: Callable[[], LayerKv], tokens: int, kv_heads: int, head_dim: int) -> float:
    """Bytes that a layer's cache really holds over those of a growing one in bf16, fed token numbers in bf16."""
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(1, kv_heads, tokens, head_dim, generator=generator).to(torch.bfloat16)
    held = []
    for cache in (make(), GrowingKv()):
        for part in one.split(256, dim=2):
            cache.append(part.clone(), part.clone())
        held.append(cache.held_bytes)
    return held[0] / held[1]


def cases(seed: int) -> Iterable[tuple[str, Callable[[], dict]]]:
    """What `course record kv_quality` measures: SmolLM2-135M through each cache. Nothing is random; seed is unused."""
    from course_utils.measure.corpus import held_out
    from course_utils.measure.models import load

    model, tokenizer, label = load("smollm2", device="cpu")
    text = held_out()
    shape = (model.config.num_key_value_heads, model.config.head_dim)

    def row(measured: Score, **more) -> dict:
        return {
            "model": label,
            "setting": measured.setting,
            "nats_per_window": list(measured.per_block),
            **more,
        }

    def through(make: Callable[[], LayerKv]) -> dict:
        measured = perplexity_through(model, tokenizer, text, make, windows=8)
        shares = {f"held_share_{tokens}": held_share(make, tokens, *shape) for tokens in (512, 2047)}
        return row(measured, **shares)

    def limited(window: int | None, sinks: int) -> dict:
        return row(perplexity_windowed(model, tokenizer, text, window, sinks, windows=8, **WINDOWED))

    yield "not rounded", lambda: through(GrowingKv)
    for key, (bits, keys, values) in ROUNDED.items():
        yield (
            key,
            lambda b=bits, k=keys, v=values: through(
                lambda: QuantizedKv(b, GROUP_TOKENS, key_axis=k, value_axis=v)
            ),
        )
    yield "no window", lambda: limited(None, 0)
    for key, (window, sinks) in WINDOWS.items():
        yield key, lambda w=window, s=sinks: limited(w, s)


def changes(rows: Iterable[dict], against: str) -> dict[str, Difference]:
    """Change of perplexity of each row of the recording against row `against`, on the same windows of text.

    ValueError where no row has that key. Rows of another setting are left out: they are no pair.
    """
    rows = list(rows)
    scores = {
        row["key"]: score(
            "perplexity", "", "exponential", row["nats_per_window"], row["setting"], row["setting"]
        )
        for row in rows
    }
    if against not in scores:
        raise ValueError(f"against={against!r}: one of {', '.join(scores)} is needed")
    base = scores.pop(against)
    return {key: paired(one, base) for key, one in scores.items() if one.setting == base.setting}


def _spread(tokenizer, text: str, sequence: int, count: int) -> list[list[int]]:
    ids = token_ids(tokenizer, text)
    most = len(ids) // sequence
    if not 2 <= count <= most:
        raise ValueError(f"windows={count!r}: from 2 to {most} windows of {sequence} tokens fit this text")
    step_tokens = (len(ids) - sequence) // (count - 1)
    return [ids[at * step_tokens : at * step_tokens + sequence] for at in range(count)]
