"""The grid of chapter 04: bits × group size × method × model, each cell measured on the same blocks of text.

`course record int4_tiny` and `course record int4_smollm2` run it; the chapter replays them. A cell loads the
model afresh, compresses it, and then measures

- `error`: ‖H − Ĥ‖² / ‖H‖² of the last hidden states on held-out text, what is left of all layers' errors;
- `saved_bytes`: of a safetensors file with packed codes, 16-bit scales, and everything else in 16 bits;
- perplexity, with the loss of each block, so that two cells can be paired;
- what it writes after two prompts;
- `seconds` and `cpu_seconds` of compressing alone, and the process's `peak_bytes` meanwhile.
Taught in: chapter 04.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import torch

from course_utils.compress import awq, gptq
from course_utils.compress.blocks import round_model, round_model_nf4
from course_utils.compress.nf4 import Nf4
from course_utils.compress.packing import pack, stored_tensors
from course_utils.compress.texts import calibration_batches, scored_text
from course_utils.measure import models, quality
from course_utils.measure.footprint import peak_memory, tensors_size
from course_utils.measure.quality import Score
from course_utils.measure.scores import score

METHODS = ("none", "rtn", "nf4", "gptq", "awq")
SEQUENCE_TOKENS = 256
CALIBRATION = ("docstrings", 16, SEQUENCE_TOKENS)
# Each cell continues these, for text side by side.
PROMPTS = ("A list in Python is", "The for statement is used to")
# Every second ratio of the search: half the time, and the curve between two of them is flat.
AWQ_RATIOS = awq.RATIOS[::2]


@dataclass(frozen=True)
class Cell:
    """One way to compress. `group`: weights that share a scale. `calibration`: kind, sequences, tokens of each.

    Without a calibration of its own a cell takes the usual one; `draw` is another sample of the same kind.
    """

    method: str
    bits: int = 16
    group: int = 0
    scheme: str = "symmetric"
    calibration: tuple[str, int, int] | None = None
    draw: int = 0

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}, expected one of {', '.join(METHODS)}")

    @property
    def key(self) -> str:
        """ "gptq 4 bits, groups of 64": unique within a model."""
        if self.method == "none":
            return "16 bits"
        words = f"{self.method} {self.bits} bits, groups of {self.group}"
        if self.scheme != "symmetric":
            words += f", {self.scheme}"
        if self.calibration:
            kind, sequences, tokens = self.calibration
            words += f", {sequences} × {tokens} tokens of {kind}, draw {self.draw}"
        return words

    def compress(self, model, batches) -> dict:
        """Compress the model in place; results by layer, empty for "none". Shows a progress bar."""
        match self.method:
            case "none":
                return {}
            case "rtn":
                return round_model(model, self.bits, self.group, self.scheme)
            case "nf4":
                return round_model_nf4(model, self.group)
            case "gptq":
                # Loudest columns first: with few tokens SmolLM2 gains nothing in the order as they come.
                return gptq.quantize_model(model, batches, self.bits, self.group, self.scheme, act_order=True)
            case "awq":  # as published: scales, then clipped ranges
                options = {"ratios": AWQ_RATIOS, "clip": True}
                return awq.quantize_model(model, batches, self.bits, self.group, self.scheme, **options)


@dataclass(frozen=True)
class Grid:
    """A model and its cells. `windows`: blocks of text that perplexity is measured on."""

    model: str
    windows: int
    cells: tuple[Cell, ...]

    def cases(self, seed: int = 0) -> Iterator[tuple[str, Callable[[], dict]]]:
        """What `measure.recorded.record` runs: (key, measure) pairs."""
        for cell in self.cells:
            yield cell.key, partial(measure, self, cell, seed)


def tiny_cases(seed: int = 0):
    """Cases of the recording int4_tiny: the whole grid on the course's own model, and its calibration traps."""
    return TINY.cases(seed)


def smollm2_cases(seed: int = 0):
    """Cases of the recording int4_smollm2: the part of the grid that half an hour of one core allows."""
    return SMOLLM2.cases(seed)


def measure(grid: Grid, cell: Cell, seed: int = 0) -> dict:
    """One row of the recording: see the module's docstring. Takes seconds for the tiny model, minutes for SmolLM2."""
    model, tokenizer, label = models.load(grid.model)
    kind, sequences, tokens = cell.calibration or CALIBRATION
    batches = (
        calibration_batches(tokenizer, sequences, tokens, kind, seed=seed + cell.draw)
        if cell.method in ("gptq", "awq")
        else []
    )
    started, started_cpu = time.perf_counter(), time.process_time()
    peak = peak_memory(lambda: cell.compress(model, batches))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    found = quality.perplexity(
        model, tokenizer, scored_text(), SEQUENCE_TOKENS, windows=grid.windows, progress=True
    )
    layers = peak.result
    return {
        "model": grid.model,
        "label": label,
        "method": cell.method,
        "bits": cell.bits,
        "group": cell.group,
        "scheme": cell.scheme,
        "calibration": f"{sequences} × {tokens} tokens of {kind}" if batches else "",
        "calibration_kind": kind if batches else "",
        "calibration_sequences": sequences if batches else 0,
        "calibration_tokens": tokens if batches else 0,
        "draw": cell.draw,
        "on_its_old_grid": "Q4_1" in label and (cell.bits, cell.group, cell.scheme) == (4, 32, "zero_point"),
        "error": _hidden_error(grid.model, model, tokenizer),
        "layer_error": sum(one.error for one in layers.values()) / max(1, len(layers)),
        "weights": sum(one.quantized.codes.numel() for one in layers.values()),
        "bits_per_weight": _bits_per_weight(layers),
        "saved_bytes": saved_bytes(model, layers),
        "perplexity": found.mean,
        "losses": [round(loss, 6) for loss in found.per_block],
        "text_id": found.text_id,
        "setting": found.setting,
        "texts": [continued(model, tokenizer, prompt) for prompt in PROMPTS],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": peak.peak_bytes,
        "threads": torch.get_num_threads(),
    }


def score_of(row) -> Score:
    """The perplexity that a row of the recording holds, with its interval, ready for `measure.scores.paired`."""
    return score("perplexity", "", "exponential", row["losses"], row["text_id"], row["setting"])


def mean_score(rows) -> Score:
    """The perplexity of several rows on the same text, each block's loss averaged over them: one choice of grid
    may be lucky, the mean over group sizes or draws less so. ValueError for rows of different texts.
    """
    rows = list(rows)
    texts = {(row["text_id"], row["setting"]) for row in rows}
    if len(texts) != 1:
        raise ValueError(f"rows were scored on {len(texts)} texts, expected the same one for all")
    losses = [sum(blocks) / len(rows) for blocks in zip(*(row["losses"] for row in rows), strict=True)]
    return score("perplexity", "", "exponential", losses, *texts.pop())


@torch.inference_mode()
def continued(model, tokenizer, prompt: str, new_tokens: int = 32) -> str:
    """What the model writes after the prompt, the likeliest token each time."""
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"].to(model.device)
    rest = {
        "attention_mask": torch.ones_like(ids),
        "do_sample": False,
        "pad_token_id": tokenizer.eos_token_id,
    }
    made = model.generate(ids, max_new_tokens=new_tokens, **rest)
    return tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)


def saved_bytes(model, layers: dict) -> int:
    """Bytes of a safetensors file that holds the compressed layers packed, and the rest of the model in 16 bits."""
    tensors = {}
    for name, result in layers.items():
        for part, tensor in _stored(result.quantized).items():
            tensors[f"{name}.{part}"] = tensor
    seen = set()
    for name, value in model.named_parameters():  # a tied lm_head comes once
        if name.removesuffix(".weight") not in layers and value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            tensors[name] = value.detach().to(torch.bfloat16)
    return tensors_size(tensors)


def _stored(quantized) -> dict:
    if isinstance(quantized, Nf4):
        # 0 … 15 becomes −8 … 7: the packed bytes are the same.
        return {"codes": pack(quantized.codes.to(torch.int8) - 8, 4), "scale": quantized.absmax.half()}
    return stored_tensors(quantized)


def _bits_per_weight(layers: dict) -> float:
    if not layers:
        return 16.0
    stored = sum(one.quantized.size_bytes(scale_bytes=2) for one in layers.values())
    return 8 * stored / sum(one.quantized.codes.numel() for one in layers.values())


def _hidden_error(name: str, model, tokenizer) -> float:
    reference = _hidden(name)
    states = _hidden_states(model, tokenizer)
    return ((states - reference).square().sum() / reference.square().sum()).item()


@cache
def _hidden(name: str):
    model, tokenizer, _ = models.load(name)
    return _hidden_states(model, tokenizer)


@torch.no_grad()
def _hidden_states(model, tokenizer):
    ids = torch.cat(calibration_batches(tokenizer, 4, SEQUENCE_TOKENS, "reference", seed=1))
    return model.model(ids.to(model.device), use_cache=False).last_hidden_state.float().cpu()


def _ways(bits, groups, methods) -> tuple[Cell, ...]:
    return tuple(Cell(m, b, g) for g, b, m in product(groups, bits, methods))


# The same number of tokens of other text, fewer, more, shorter pieces, and the very text that is scored.
_TRAPS = (
    ("docstrings", 16, 256),
    ("docstrings", 1, 32),
    ("docstrings", 2, 256),
    ("docstrings", 64, 256),
    ("docstrings", 512, 8),
    ("reference", 16, 256),
    ("code", 16, 256),
    ("random", 16, 256),
    ("scored", 16, 256),
)
TINY = Grid(
    "tiny",
    40,
    (
        Cell("none"),
        *_ways((4, 3), (64, 32, 128), ("rtn", "gptq", "awq")),
        *_ways((2,), (64,), ("rtn", "gptq", "awq")),
        *_ways((8,), (64, 32, 128), ("rtn",)),
        Cell("nf4", 4, 64),
        *(Cell("gptq", 3, 64, calibration=trap, draw=1) for trap in _TRAPS),
    ),
)
SMOLLM2 = Grid(
    "smollm2",
    12,
    (
        Cell("none"),
        *_ways((4, 3), (64,), ("rtn", "gptq", "awq")),
        Cell("rtn", 8, 64),
        Cell("nf4", 4, 64),
        Cell("rtn", 4, 32, "zero_point"),
        *_ways((4, 3), (32, 192), ("rtn",)),
    ),
)
