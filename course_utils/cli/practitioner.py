"""Commands for who has a model to serve: predict, simulate, plan; and what this machine is."""

import json
from typing import Annotated

import typer

from course_utils.cli.options import Json


def plan(
    trace: Annotated[
        str, typer.Option(help="File of requests, or azure-conversation, azure-code, mooncake.")
    ],
    model: Annotated[
        list[str], typer.Option(help="Name in the catalog, or a config.json; several compare models.")
    ],
    ttft_p95_ms: Annotated[
        float | None, typer.Option(help="Time to first token that 95 % must keep.")
    ] = None,
    tpot_p95_ms: Annotated[
        float | None, typer.Option(help="Time per further token that 95 % must keep.")
    ] = None,
    budget_usd_per_month: Annotated[float | None, typer.Option(help="No limit if left out.")] = None,
    max_quality_loss: Annotated[
        float, typer.Option(help="Share lost against 16 bits; 1 allows any, and what nobody measured.")
    ] = 0.03,
    min_quality: Annotated[float | None, typer.Option(help="Least of the scores given by --score.")] = None,
    score: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Your own score of a model or variant.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only prices stated for it: us-east-1, …")] = None,
    gpus: Annotated[
        list[str] | None, typer.Option(help="Chips, parted by commas; all that have a price if none.")
    ] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Sellers of chips; all if none.")] = None,
    api: Annotated[
        list[str] | None, typer.Option(help="APIs to price: PROVIDER/MODEL; hosts of the model if none.")
    ] = None,
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, …")] = "vllm",
    top: Annotated[int, typer.Option(help="Ways to make sure of, and to show.")] = 10,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    report: Annotated[str | None, typer.Option(metavar="OUT.html", help="A page for a meeting.")] = None,
    as_json: Json = False,
) -> None:
    """Rank the ways to serve a trace, and say why each loser lost.

    Chips, precisions, prices and APIs within your limits. Thousands of candidates are screened in closed form, those
    that could win are simulated on the trace. Exit code 1: nothing meets everything, and the output says which limit
    binds.
    """
    from course_utils.authoring.plan_command import plan_command, scores_given
    from course_utils.decide.plan import Requirements, Space

    allowed = None if max_quality_loss == 1 else max_quality_loss
    asked = Requirements(ttft_p95_ms, tpot_p95_ms, budget_usd_per_month, allowed, min_quality, region)
    space = Space(
        models=tuple(model),
        chips=tuple(name for text in gpus for name in text.split(",")) if gpus else None,
        providers=tuple(provider) if provider else None,
        apis=tuple(api) if api else None,
        scores=scores_given(score or ()),
        engine=engine,
    )
    raise typer.Exit(plan_command(trace, asked, space, top=top, seed=seed, as_json=as_json, report=report))


def simulate(
    trace: Annotated[
        str, typer.Option(help="File of requests, or azure-conversation, azure-code, mooncake.")
    ],
    model: Annotated[str, typer.Option(help="Name in the catalog, or a config.json.")],
    gpu: Annotated[str, typer.Option(help="Name in the catalog.")],
    replicas: Annotated[int | None, typer.Option(help="1, or the autoscaler's minimum, if left out.")] = None,
    tp: Annotated[int, typer.Option(help="Chips that share each layer.")] = 1,
    pp: Annotated[int, typer.Option(help="Stages of layers.")] = 1,
    precision: Annotated[str, typer.Option(help="bf16, fp8, int4, …")] = "bf16",
    engine: Annotated[str, typer.Option(help="vllm, sglang, trtllm, …")] = "vllm",
    routing: Annotated[
        str, typer.Option(help="round-robin, power-of-two, prefix-affinity, …")
    ] = "round-robin",
    prefix_cache: Annotated[
        bool, typer.Option("--prefix-cache", help="Keep prompts that begin alike.")
    ] = False,
    autoscale: Annotated[str, typer.Option(metavar="MIN:MAX", help="Replicas at least and at most.")] = "",
    autoscale_rule: Annotated[
        str, typer.Option(help="concurrency, queue, ttft or predictive.")
    ] = "concurrency",
    autoscale_target: Annotated[float, typer.Option(help="In the rule's unit, per replica.")] = 16.0,
    cold_start_s: Annotated[float, typer.Option(help="From launch until a replica serves.")] = 60.0,
    ttft_slo_ms: Annotated[float, typer.Option(help="Later first tokens are no goodput.")] = 1000.0,
    tpot_slo_ms: Annotated[float, typer.Option(help="Slower answers are no goodput.")] = 50.0,
    usd_per_gpu_hour: Annotated[
        float | None, typer.Option(help="The catalog's cheapest on-demand price if left out.")
    ] = None,
    rate_factor: Annotated[float, typer.Option(help="2 makes requests come twice as fast.")] = 1.0,
    requests: Annotated[int | None, typer.Option(help="Only the first so many.")] = None,
    seed: Annotated[int, typer.Option(help="Of whatever is drawn at random.")] = 0,
    as_json: Json = False,
) -> None:
    """Send a trace through a fleet: latency, goodput, cost.

    Nothing is served: each engine's steps are simulated, from the same formulas as `course predict`.
    """
    options = {name: value for name, value in locals().items() if name != "as_json"}
    from course_utils.scale.simulate_command import simulate_command
    from course_utils.scale.simulation_plan import Plan

    raise typer.Exit(simulate_command(Plan(**options), as_json))


def predict(
    rows: Annotated[
        str, typer.Argument(help="CSV: model, gpu, gpus, tp, precision, isl, osl, engine, load.")
    ],
    out: Annotated[
        str | None, typer.Option("-o", "--out", help="CSV to write, with the predictions.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict speed and price of a table of deployments.

    Throughput, TTFT, TPOT and dollars per million tokens, each with its 80 % interval.
    `load` is max, batch=N, concurrency=N or rate=R. A row that can't be served says why in `error`.
    """
    from course_utils.estimate.predict_file import predict_file

    raise typer.Exit(predict_file(rows, out, as_json))


def machine(as_json: Json = False) -> None:
    """What this machine is: tier, processor, memory, GPU."""
    from dataclasses import asdict

    from course_utils.measure.machine import describe

    found = describe()
    print(json.dumps(asdict(found), indent=1, default=str) if as_json else found)


def doctor(as_json: Json = False) -> None:
    """Say what is wrong with this installation, and what to do. Exit code 1: a problem stops the course."""
    from dataclasses import asdict

    from course_utils.authoring.doctor import examine
    from course_utils.authoring.finding import PROBLEM, print_findings

    findings = examine()
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        print_findings(findings)
    raise typer.Exit(1 if any(one.state == PROBLEM for one in findings) else 0)


COMMANDS = (plan, simulate, predict, machine, doctor)
