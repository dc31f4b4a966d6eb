"""A real distributed engine: the tiny model on Ray Serve, behind an OpenAI-compatible endpoint, batched by the step.

Read in this order: `graph` (the model), `decoder` (its KV cache), `engine` (continuous batching), `completions` and
`replica` (the endpoint), `runtime` and `processes` (Ray, from start to end), `service` (all of it in a `with` block).
`measured_steps` are its step times for the simulator, `vllm` the same endpoint on a GPU.
"""

from course_utils.lazy import front_door

_HOME = {
    "Decoder": "decoder",
    "Engine": "engine",
    "EngineSettings": "engine",
    "Runtime": "runtime",
    "Scaling": "service",
    "Service": "service",
    "llama_graph": "graph",
    "measured_step_times": "measured_steps",
    "onnx_model": "graph",
    "ray_runtime": "runtime",
    "serving": "service",
    "vllm_command": "vllm",
    "vllm_serving": "vllm",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = front_door(__name__, _HOME)
