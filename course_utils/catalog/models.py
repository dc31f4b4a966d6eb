"""Shapes of language models: what counting parameters, KV cache and throughput needs, without the weights.

`model` takes a catalog name or any Hugging Face `config.json`. Parameter counts are worked out from the shape
and checked against what the makers publish; multimodal models are counted without their vision tower.
"""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from course_utils.catalog.hf_config import read_config
from course_utils.catalog.model_names import fitting, spellings, words
from course_utils.catalog.provenance import check_range, read_rows


@dataclass(frozen=True)
class ModelShape:
    """One decoder-only model. Counts are whole numbers; sizes are vector lengths; contexts are tokens.

    Layers come in up to three kinds. `attention_layers` keep a KV cache (None: all do); of these
    `full_attention_layers` see the whole context (None: all do), the rest the last `sliding_window` tokens.
    Layers without attention (hybrids) keep `state_values_per_layer` numbers per sequence, at any length, and
    have `mixer_parameters` weights each in place of attention.

    In a mixture of experts, `dense_layers` is how many layers have a plain MLP of `intermediate_size`; the
    others have experts of `moe_intermediate_size`. `kv_lora_rank` marks multi-head latent attention: one
    latent of that length per token, plus one rotated key of `qk_rope_head_dim`. With `index_topk` each token attends
    to as many others as that, picked by a small index of its own (DeepSeek-V3.2's sparse attention).
    """

    name: str
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_context: int
    source: str
    as_of: date
    repository: str = ""
    aliases: tuple[str, ...] = ()
    published_params: int | None = None
    note: str = ""
    tied_embeddings: bool = False
    gated_mlp: bool = True
    experts: int = 0
    experts_per_token: int = 0
    shared_experts: int = 0
    moe_intermediate_size: int = 0
    dense_layers: int = 0
    kv_lora_rank: int | None = None
    q_lora_rank: int | None = None
    qk_rope_head_dim: int | None = None
    qk_nope_head_dim: int | None = None
    v_head_dim: int | None = None
    index_topk: int | None = None
    sliding_window: int | None = None
    full_attention_layers: int | None = None
    attention_layers: int | None = None
    mixer_parameters: int = 0
    state_values_per_layer: int = 0
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    query_gate: bool = False
    norms_per_layer: int = 2
    norm_bias: bool = False
    learned_positions: int = 0

    KEY: ClassVar = ("name",)

    def __post_init__(self):
        for name in ("layers", "hidden_size", "heads", "kv_heads", "head_dim", "vocab_size", "max_context"):
            check_range(name, getattr(self, name), 1, 2e7)
        check_range("intermediate_size", self.intermediate_size, 0, 1e6)
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads={self.kv_heads!r}: a divisor of heads={self.heads} is needed")
        if self.experts and not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(
                f"experts_per_token={self.experts_per_token!r}: 1 to experts={self.experts} is needed"
            )
        if self.experts and not self.moe_intermediate_size:
            raise ValueError("moe_intermediate_size=0: the width of one expert is needed")
        if self.kv_lora_rank and not (self.qk_rope_head_dim and self.qk_nope_head_dim and self.v_head_dim):
            raise ValueError(
                "qk_rope_head_dim, qk_nope_head_dim and v_head_dim are needed beside kv_lora_rank"
            )
        if not 0 <= self.full_kv_layers <= self.kv_layers <= self.layers:
            raise ValueError(
                f"full_attention_layers={self.full_kv_layers!r}, attention_layers={self.kv_layers!r}: "
                f"at most attention_layers, at most layers={self.layers} are needed"
            )
        if self.full_kv_layers < self.kv_layers and not self.sliding_window:
            raise ValueError(
                "sliding_window is empty; it is needed where some layers don't see the whole context"
            )

    @property
    def kv_layers(self) -> int:
        """Layers that keep a KV cache."""
        return self.layers if self.attention_layers is None else self.attention_layers

    @property
    def full_kv_layers(self) -> int:
        """Layers whose KV cache grows with the whole context."""
        return self.kv_layers if self.full_attention_layers is None else self.full_attention_layers

    @property
    def parameters(self) -> int:
        """All weights."""
        return _embedding_parameters(self) + _layer_parameters(self, experts=self.experts)

    @property
    def active_parameters(self) -> int:
        """Weights in use for one token: all but the experts it isn't sent to.

        The embedding table is in here, though a token reads one row of it; some makers leave it out.
        """
        return _embedding_parameters(self) + _layer_parameters(self, experts=self.experts_per_token)


def _embedding_parameters(shape: ModelShape) -> int:
    """Token and position embeddings, the output matrix unless tied, the last norm."""
    matrices = 1 if shape.tied_embeddings else 2
    return shape.hidden_size * (matrices * shape.vocab_size + shape.learned_positions + 1 + shape.norm_bias)


def _layer_parameters(shape: ModelShape, experts: int) -> int:
    """All layers, with `experts` routed experts counted in each mixture-of-experts layer."""
    moe_layers = shape.layers - shape.dense_layers if shape.experts else 0
    norms = shape.norms_per_layer * shape.hidden_size * (1 + shape.norm_bias)
    return (
        shape.layers * norms
        + shape.kv_layers * (_latent_attention(shape) if shape.kv_lora_rank else _attention(shape))
        + (shape.layers - shape.kv_layers) * shape.mixer_parameters
        + (shape.layers - moe_layers) * _mlp(shape, shape.intermediate_size)
        + moe_layers * _moe(shape, experts)
    )


def _attention(shape: ModelShape) -> int:
    query, key_value = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    query_rows = query * (1 + shape.query_gate)
    weights = shape.hidden_size * (query_rows + 2 * key_value + query)
    biases = shape.qkv_bias * (query_rows + 2 * key_value) + shape.output_bias * shape.hidden_size
    return weights + biases + shape.qk_norm * 2 * shape.head_dim


def _latent_attention(shape: ModelShape) -> int:
    """Multi-head latent attention (DeepSeek-V2, section 2.1), with the norms of its two latents."""
    hidden, latent = shape.hidden_size, shape.kv_lora_rank
    query = shape.heads * (shape.qk_nope_head_dim + shape.qk_rope_head_dim)
    if shape.q_lora_rank:
        queries = hidden * shape.q_lora_rank + shape.q_lora_rank + shape.q_lora_rank * query
    else:
        queries = hidden * query
    down = hidden * (latent + shape.qk_rope_head_dim) + latent
    up = latent * shape.heads * (shape.qk_nope_head_dim + shape.v_head_dim)
    return queries + down + up + shape.heads * shape.v_head_dim * hidden


def _mlp(shape: ModelShape, width: int) -> int:
    inward = 2 if shape.gated_mlp else 1
    return (inward + 1) * shape.hidden_size * width + shape.mlp_bias * (inward * width + shape.hidden_size)


def _moe(shape: ModelShape, experts: int) -> int:
    router = shape.experts * (shape.hidden_size + shape.mlp_bias)
    return (
        router
        + experts * _mlp(shape, shape.moe_intermediate_size)
        + shape.shared_experts * _mlp(shape, shape.moe_intermediate_size)
    )


_WEIGHTS = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".onnx")


def models() -> tuple[ModelShape, ...]:
    """All shapes of `data/models.csv`, in the file's order."""
    return read_rows("models.csv", ModelShape)


def model(name_or_config_path: str | Path) -> ModelShape:
    """A catalog shape by name, alias or repository, or the shape in a `config.json` or its folder.

    Any organisation, tuning suffix (-Instruct) or quantization suffix (-FP8, -AWQ) may stand around the name.
    ValueError for an unknown name (it offers the nearest), for one that fits models of different shapes (it lists
    them), and for a config that lacks what is needed (it says which key).
    """
    text = str(name_or_config_path).strip()
    if not isinstance(name_or_config_path, str | Path) or not text:
        raise ValueError(
            f"name_or_config_path={name_or_config_path!r}: a model's name, such as 'Llama-3.1-8B', or the path of a "
            "config.json is needed"
        )
    path = Path(text).expanduser()
    if path.suffix == ".json" or path.is_dir():
        return ModelShape(**read_config(path))
    index = _index()
    for key in spellings(text):
        if shape := index.get(key):
            return shape
    fits = list(dict.fromkeys(index["".join(found)].name for found in _fitting(text)))
    if len(fits) == 1:
        return index[spellings(fits[0])[0]]
    if fits:
        more = f" and {len(fits) - 8} more" if len(fits) > 8 else ""
        raise ValueError(f"name_or_config_path={text!r} fits several models: {', '.join(fits[:8])}{more}")
    if path.suffix in _WEIGHTS:
        raise ValueError(
            f"name_or_config_path={text!r}: a file of weights; the config.json that came with it is needed"
        )
    near = get_close_matches(spellings(text)[-1], index, n=5, cutoff=0.5)
    offer = list(dict.fromkeys(index[key].name for key in near))[:3]
    raise ValueError(
        f"name_or_config_path={text!r}: no such model in the catalog, and no path to a config.json; "
        f"nearest: {', '.join(offer) or 'none'}"
    )


def _names(shape: ModelShape) -> tuple[str, ...]:
    return (shape.name, *shape.aliases, *([shape.repository] if shape.repository else []))


@lru_cache(maxsize=1)
def _index() -> dict[str, ModelShape]:
    """Every spelling that means one shape. A model's own name comes before what others shed to reach it."""
    index: dict[str, ModelShape] = {}
    for form in range(3):
        for shape in models():
            for name in _names(shape):
                forms = spellings(name)
                index.setdefault(forms[min(form, len(forms) - 1)], shape)
    return index


def _fitting(text: str) -> list[list[str]]:
    known = {"".join(words(name)): words(name) for shape in models() for name in (shape.name, *shape.aliases)}
    return [known[label] for label in fitting(text, known)]
