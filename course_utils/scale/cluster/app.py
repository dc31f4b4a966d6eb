"""The application that Ray Serve runs: here by `serving`, on Kubernetes by its import path (docs/kuberay.md).

Taught in: chapter 10.
"""

from pathlib import Path

from course_utils.catalog.provenance import data_path
from course_utils.scale.cluster.engine import EngineSettings
from course_utils.scale.cluster.replica import MODEL_NAME, CompletionServer

DEPLOYMENT = "CompletionServer"


def application(folder: Path, engine: EngineSettings, size: dict, drain_s: float):
    """A Serve application of the Llama in `folder`; `size` is num_replicas or autoscaling_config."""
    from ray import serve

    deployment = serve.deployment(
        name=DEPLOYMENT,
        # Room for what runs and for what waits inside, where the line is bounded and refused by 429.
        max_ongoing_requests=engine.max_running + engine.max_waiting + 1,
        graceful_shutdown_timeout_s=drain_s,
        graceful_shutdown_wait_loop_s=0.2,
        health_check_period_s=1,
        health_check_timeout_s=10,
        ray_actor_options={"num_cpus": 1},
        **size,
    )(CompletionServer)
    return deployment.bind(str(folder), MODEL_NAME, engine)


def build(args: dict):
    """The tiny model's application from `args` of a Serve configuration: the fields of EngineSettings, and drain_s."""
    settings = dict(args)
    drain_s = float(settings.pop("drain_s", 10.0))
    try:
        engine = EngineSettings(**settings)
    except TypeError as error:
        raise ValueError(f"args={args!r}: {error}; fields of EngineSettings and drain_s are known") from None
    return application(data_path("tiny_lm"), engine, {"num_replicas": 1}, drain_s)
