"""What `course record` can measure again, by name: one line a recording."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from course_utils.measure.recorded import Recording, record


@dataclass(frozen=True)
class Recordable:
    """A recording of data/recorded/.

    measures   what a row holds, in a line
    home       "module:function"; the function takes the seed and returns the cases, (key, measure) pairs
    """

    name: str
    measures: str
    home: str

    def cases(self) -> Callable:
        """The function that makes the cases; imports what it needs."""
        module, _, name = self.home.partition(":")
        return getattr(import_module(module), name)


RECORDABLES: tuple[Recordable, ...] = (
    Recordable(
        "kv_quality",
        "perplexity of SmolLM2 through a KV cache in 8, 4 and 2 bits, and with a window",
        "course_utils.cache.kv_quality:cases",
    ),
    Recordable(
        "int4_tiny",
        "the tiny model in 2 to 8 bits by rounding, GPTQ, AWQ and NF4: error, bytes, perplexity, seconds",
        "course_utils.compress.grid:tiny_cases",
    ),
    Recordable(
        "int4_smollm2",
        "SmolLM2-135M in 3 to 8 bits by rounding, GPTQ, AWQ and NF4: error, bytes, perplexity, seconds",
        "course_utils.compress.grid:smollm2_cases",
    ),
    Recordable(
        "int8_quality",
        "perplexity of SmolLM2 in 8 bits: weights alone, and W8A8 in five ways",
        "course_utils.compress.int8_quality:cases",
    ),
    Recordable(
        "distillation",
        "a student of a quarter trained alone, distilled and from a pruned start, three seeds each",
        "course_utils.compress.distillation_study:cases",
    ),
    Recordable(
        "pruning",
        "SmolLM2 and the tiny model pruned by magnitude, Wanda, SparseGPT, 2:4 and whole parts: losses by window",
        "course_utils.compress.pruning_runs:cases",
    ),
    Recordable(
        "benchmark_lab",
        "the lab's usual variants: losses of the tiny model, times and memory of random weights at real widths",
        "course_utils.decide.benchmark.harness:cases",
    ),
    Recordable(
        "cluster_curve",
        "two replicas on Ray Serve at five rates, beside the simulator's figures; then one is killed under load",
        "course_utils.scale.cluster.curve:cases",
    ),
)


def recordable(name: str) -> Recordable:
    """The recording of that name; ValueError offers the nearest names."""
    names = {one.name: one for one in RECORDABLES}
    if name in names:
        return names[name]
    near = get_close_matches(name, names) or sorted(names)
    raise ValueError(
        f"NAME is {name!r}, expected one of {', '.join(near) or 'none: there is no recording yet'}"
    )


def run_recording(name: str, folder: Path, seed: int = 0, fresh: bool = False) -> Recording:
    """Measure it and write `folder/<name>.json`, whole; an interrupted run goes on where it stopped, unless `fresh`."""
    chosen = recordable(name)
    if fresh:
        (folder / f"{name}.partial.jsonl").unlink(missing_ok=True)
    return record(name, chosen.cases()(seed), folder, seed=seed)
