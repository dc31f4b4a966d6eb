"""How do we not compute twice? Three caches: the tensors (`kv`), the prefix (`prefix`), the answer (`semantic`).

Names arrive on first use: torch loads only when a tensor or an embedding is cached.
"""

from course_utils.lazy import front_door

_HOME: dict[str, str] = {
    "PrefixCache": "prefix",
    "block_names": "prefix",
    "Conversations": "conversations",
    "generate_conversations": "conversations",
    "read_mooncake": "conversations",
    "affinity": "prefix_replay",
    "least_loaded": "prefix_replay",
    "replay": "prefix_replay",
    "round_robin": "prefix_replay",
    "PromptCache": "prompt_cache",
    "lint_prompts": "prompt_lint",
    "read_prompts": "prompt_lint",
    "BlockPool": "kv_paged",
    "GrowingKv": "kv",
    "PagedKv": "kv_paged",
    "QuantizedKv": "kv_quantized",
    "StaticKv": "kv",
    "WindowKv": "kv",
    "attend": "kv",
}
_MODULES: tuple[str, ...] = (
    "conversations",
    "kv",
    "kv_latent",
    "kv_model",
    "kv_offload",
    "kv_paged",
    "kv_quality",
    "kv_quantized",
    "prefix",
    "prefix_replay",
    "prompt_cache",  # the module: a function of that name is in it
    "prompt_lint",
    "semantic",
)
__all__ = sorted([*_HOME, *_MODULES])
__getattr__, __dir__ = front_door(__name__, _HOME, _MODULES)
