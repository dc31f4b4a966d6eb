"""What the course claims, chapter by chapter: predicted beside measured beside published.

Each function below takes a figure from where the chapter takes it (a formula, a recording, a row with a source) and
never types one in. `scoreboard` prints them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from course_utils.catalog.provenance import data_path
from course_utils.measure.recorded import recording


@dataclass(frozen=True)
class Claim:
    """One line of the scoreboard. A column that nobody measured, or that no formula gives, is None.

    `unit`: of the three figures. `of`: where each comes from, with its date.
    """

    chapter: int
    what: str
    unit: str
    of: str
    predicted: float | None = None
    measured: float | None = None
    published: float | None = None

    def __post_init__(self):
        if sum(one is not None for one in (self.predicted, self.measured, self.published)) < 2:
            raise ValueError(f"{self.what!r}: two figures are needed, or there is nothing to compare")

    @property
    def ratio(self) -> float:
        """The first figure over the next one, in the order predicted, measured, published."""
        first, second = [one for one in (self.predicted, self.measured, self.published) if one is not None][
            :2
        ]
        return first / second if second else float("nan")


def claims() -> list[Claim]:
    """All of them, in the order of the chapters."""
    return [claim for source in SOURCES for claim in source()]


def compute_selection() -> Iterator[Claim]:
    """One published run of each engine, the middle one, and what the intervals hold of all."""
    import pandas as pd

    from course_utils.estimate import engine
    from course_utils.estimate.predict import predict_rows

    runs = predict_rows(pd.read_csv(data_path("published_runs.csv")))
    read = runs.as_of.max()
    column = {end: [row[row.metric + end] for _, row in runs.iterrows()] for end in ("", "_lo", "_hi")}
    runs = runs.assign(predicted=column[""], low=column["_lo"], high=column["_hi"])
    inside = (runs.low <= runs.value) & (runs.value <= runs.high)
    yield Claim(
        2,
        f"published runs inside their 80 % interval ({len(runs)})",
        "%",
        f"data/published_runs.csv, read {read}; these rows were in the fit",
        predicted=80.0,
        published=100 * float(inside.mean()),
    )
    for name, metric, words in (
        ("trtllm", "out_tok_s_per_gpu", "throughput"),
        ("vllm", "tpot_s", "TPOT"),
        ("vllm", "ttft_s", "TTFT"),
    ):
        error = engine.fitted(name)["error"]["leave_model_out"][metric]
        yield Claim(
            2,
            f"{words} of {name}: median distance, the model left out of the fit ({error['groups']} groups)",
            "× published",
            f"data/engines, fitted {engine.fitted(name)['as_of']}",
            predicted=1 + error["median"],
            published=1.0,
        )


def int8() -> Iterator[Claim]:
    record = recording("int8_quality")
    rows = {row["key"]: row["mean"] for row in record.rows}
    smooth = _published("Llama-2-7B", "SmoothQuant W8A8", 8, 2048)
    yield Claim(
        3,
        "perplexity in W8A8 after SmoothQuant",
        "% of that in 16 bits",
        f"SmolLM2-135M, {record.label}; Llama-2-7B, {smooth[1]}",
        measured=100 * rows["SmoothQuant 0.5"] / rows["fp32"],
        published=smooth[0],
    )


def int4() -> Iterator[Claim]:
    record = recording("int4_smollm2")
    rows = {row["key"]: row for row in record.rows}
    rounded = rows["rtn 4 bits, groups of 64"]
    rest = rows["16 bits"]["saved_bytes"] - 2 * rounded["weights"]
    yield Claim(
        4,
        "file of SmolLM2-135M in 4 bits, groups of 64",
        "MB",
        f"(4 + 16/64) bits a weight and the rest in 16; {record.label}",
        predicted=(rounded["weights"] * (4 + 16 / 64) / 8 + rest) / 1e6,
        measured=rounded["saved_bytes"] / 1e6,
    )
    for method, key in (("RTN", "rtn"), ("GPTQ", "gptq")):
        theirs = _published("LLaMA-1-7B", method, 4, 2048)
        yield Claim(
            4,
            f"perplexity in 4 bits by {method}",
            "% of that in 16 bits",
            f"SmolLM2-135M, {record.label}; LLaMA-1-7B, {theirs[1]}",
            measured=100 * rows[f"{key} 4 bits, groups of 64"]["perplexity"] / rows["16 bits"]["perplexity"],
            published=theirs[0],
        )


def pruning() -> Iterator[Claim]:
    from course_utils.compress.pruning_runs import quality_of

    record = recording("pruning")
    dense = quality_of(record, "smollm2 dense").mean
    for method, key in (("magnitude", "magnitude 50 %"), ("sparsegpt", "SparseGPT 50 %")):
        theirs = _published("Llama-2-7B", key, 16, 4096)
        yield Claim(
            5,
            f"perplexity with half of the weights zero, by {method}",
            "% of the dense model's",
            f"SmolLM2-135M, {record.label}; Llama-2-7B, {theirs[1]}",
            measured=100 * quality_of(record, f"smollm2 {method} 0.5").mean / dense,
            published=theirs[0],
        )


def distillation() -> Iterator[Claim]:
    from course_utils.compress.distillation_cost import tokens_at_equal_flop
    from course_utils.compress.distillation_study import flop_per_token

    record = recording("distillation")
    seconds = {
        way: median(row["seconds"] / row["tokens"] for row in record.rows if row["way"] == way)
        for way in ("alone", "distilled")
    }
    yield Claim(
        6,
        "time of a distilled token, the teacher's pass included",
        "× that of the student alone",
        f"2 and 6 FLOP a weight; seconds of the study, {record.label}",
        predicted=tokens_at_equal_flop(1, *flop_per_token()),
        measured=seconds["distilled"] / seconds["alone"],
    )


def kv_cache() -> Iterator[Claim]:
    record = recording("kv_quality")
    rows = {row["key"]: row for row in record.rows}
    for key, bits in (("int8", 8), ("int4", 4)):
        # Groups of 64 share a step and a low in 16 bits: half a bit a number.
        yield Claim(
            7,
            f"bytes of a KV cache in {bits} bits, 512 tokens",
            "% of 16 bits",
            f"bits and two scales for 64 numbers; held, {record.label}",
            predicted=100 * (bits + 2 * 16 / 64) / 16,
            measured=100 * rows[key]["held_share_512"],
        )


def caching() -> Iterator[Claim]:
    import pandas as pd

    from course_utils import cache

    rows = pd.read_csv(data_path("prefix_replays.csv"))
    trace = cache.generate_conversations(12_000, seed=1)
    for route, make in (("round robin", cache.round_robin), ("affinity", cache.affinity)):
        real = rows[(rows.replicas == 4) & (rows.route == route)].iloc[0]
        yield Claim(
            8,
            f"prompt tokens that four prefix caches hit, {route}",
            "%",
            f"generated from the fit; Mooncake's trace replayed {real.as_of}",
            predicted=100 * cache.replay(trace, 10_000, 4, make()).hit_share,
            measured=100 * real.hit_share,
        )


def queues() -> Iterator[Claim]:
    """Waiting in the simulator's plain servers against the formula, on a million requests; then real engines."""
    import numpy as np
    import pandas as pd

    from course_utils.scale.arrivals import poisson_arrivals
    from course_utils.scale.fleet import servers
    from course_utils.scale.queueing import mmc_wait_s
    from course_utils.scale.simulator import simulate
    from course_utils.scale.traffic import Traffic

    count, busy, requests, tick_s = 8, 0.9, 400_000, 1e-4
    rng = np.random.default_rng(11)  # not the seed of the arrivals: the same draws would come twice
    service = np.maximum(np.round(rng.exponential(1 / tick_s, requests)), 1).astype(np.int64)
    arrived = poisson_arrivals(count * busy, requests=requests, seed=7)
    traffic = Traffic(arrived, service, np.ones(requests, np.int64), "M/M/8", "generated")
    outcome = simulate(traffic, servers(count, tick_s))
    waited = outcome.e2e_s - service * tick_s
    yield Claim(
        9,
        f"mean wait for one of {count} servers, {busy:.0%} busy",
        "service times",
        f"Erlang C; {requests:,} requests simulated",
        predicted=mmc_wait_s(count * busy, 1.0, count),
        measured=float(waited.mean()),
    )
    rows = pd.read_csv(data_path("simulator_errors.csv"))
    for metric, words in (("ttft_s", "TTFT"), ("tpot_s", "TPOT"), ("e2e_s", "E2E")):
        row = rows[rows.metric == metric].iloc[0]
        yield Claim(
            9,
            f"{words} of vLLM simulated under open load: median distance, the model left out ({row.runs} runs)",
            "× published",
            f"benchmarks/simulator_reality.py, {row.as_of}",
            predicted=1 + row["median"],
            published=1.0,
        )


def scaling_out() -> Iterator[Claim]:
    """The real cluster at its lowest and its highest rate, and the simulator fed with the steps measured there."""
    record = recording("cluster_curve")
    points = sorted(record.rows[0]["points"], key=lambda row: row["rate_per_s"])
    for point in (points[0], points[-1]):
        yield Claim(
            10,
            f"median time of an answer, two real replicas on Ray, {point['rate_per_s']:.0f} requests/s",
            "s",
            f"simulated with step times measured there; {record.label}",
            predicted=median(point["simulated_e2e_s"]),
            measured=median(point["measured_e2e_s"]),
        )


def _published(model: str, method: str, bits: int, sequence_tokens: int) -> tuple[float, str]:
    """Published perplexity in % of the same model's in 16 bits at the same length, and who says so."""
    import pandas as pd

    rows = pd.read_csv(data_path("published_perplexity.csv"))
    rows = rows[(rows.model == model) & (rows.sequence_tokens == sequence_tokens)]
    base = rows[rows.method == "16 bits"].perplexity.item()
    row = rows[(rows.method == method) & (rows.bits == bits)].iloc[0]
    return 100 * row.perplexity / base, f"{row.source.removeprefix('https://github.com/')}, read {row.as_of}"


SOURCES: tuple[Callable[[], Iterator[Claim]], ...] = (
    compute_selection,
    int8,
    int4,
    pruning,
    distillation,
    kv_cache,
    caching,
    queues,
    scaling_out,
)
