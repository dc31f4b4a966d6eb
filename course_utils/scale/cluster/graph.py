"""A Llama as an ONNX graph that ONNX Runtime serves without torch: thirteen nodes a layer, weights and shapes.

The KV cache belongs to the caller: `keys_i` and `values_i` come in, and what comes out as `new_keys_i` and
`new_values_i` may be bound to the same memory, so that a step writes one token a sequence and copies nothing.
GroupQueryAttention (an operator of ONNX Runtime's own, com.microsoft) takes each sequence at its own length, which
is what a batch that changes at every step needs.
Taught in: chapter 09.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from course_utils.measure.conversion import cache_folder
from course_utils.whole_files import whole

OPSET = 23  # the first with RMSNormalization
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


def onnx_model(folder: str | Path) -> Path:
    """Path of the graph of the Llama in `folder`, made on first use (about a second) and kept in the course's cache.

    ValueError where the folder lacks a file, or holds another architecture.
    """
    folder = Path(folder)
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"folder={str(folder)!r}: {', '.join(missing)} is not there; point it at a saved model"
        )
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in _NEEDED[:2]:
        digest.update((folder / name).read_bytes())
    path = cache_folder() / f"{folder.name}-{digest.hexdigest()[:16]}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_bytes(llama_graph(folder).SerializeToString())
    return path


def llama_graph(folder: Path):
    """An onnx.ModelProto in float32 of the Llama that `save_pretrained` wrote into `folder`, for any batch and length.

    in   tokens [sequences, new] int64; last [sequences] int32: index of each sequence's last token, past included;
         longest [1] int32: tokens of the longest; keys_i, values_i [sequences, kv_heads, room, head_dim] per layer
    out  logits [sequences, vocabulary] after the last token; new_keys_i, new_values_i like keys_i, values_i
    """
    from onnx import TensorProto, helper, numpy_helper

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = _shape(config)
    weights = _weights(folder / "model.safetensors")
    nodes, constants = [], {}

    def constant(name: str, values: np.ndarray) -> str:
        constants[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def node(kind: str, inputs, name: str, outputs=(), **attributes) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [name, *outputs], name=name, **attributes))
        return name

    def linear(x: str, name: str, *parts: str) -> str:
        weight = np.concatenate([weights[f"{part}.weight"] for part in parts]).T
        return node("MatMul", (x, constant(f"{name}.weight", weight)), name)

    def norm(x: str, name: str) -> str:
        scale = constant(f"{name}.weight", weights[f"{name}.weight"])
        return node("RMSNormalization", (x, scale), name, epsilon=config["rms_norm_eps"])

    cos, sin = _rotary(config, shape["head_dim"])
    rotary = (constant("cos", cos), constant("sin", sin))
    table = constant("embedding", weights["model.embed_tokens.weight"])
    x = node("Gather", (table, "tokens"), "embedded")
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        attention, mlp = f"{at}.self_attn", f"{at}.mlp"
        qkv = linear(norm(x, f"{at}.input_layernorm"), f"{at}.qkv", *(f"{attention}.{p}_proj" for p in "qkv"))
        mixed = node(
            "GroupQueryAttention",
            # Packed: keys and values come inside the first input.
            (qkv, "", "", f"keys_{i}", f"values_{i}", "last", "longest", *rotary),
            f"{at}.attended",
            (f"new_keys_{i}", f"new_values_{i}"),
            domain="com.microsoft",
            num_heads=config["num_attention_heads"],
            kv_num_heads=shape["kv_heads"],
            do_rotary=1,
        )
        x = node("Add", (x, linear(mixed, f"{at}.o", f"{attention}.o_proj")), f"{at}.middle")
        normed = norm(x, f"{at}.post_attention_layernorm")
        gate = linear(normed, f"{at}.gate", f"{mlp}.gate_proj")
        silu = node("Mul", (gate, node("Sigmoid", (gate,), f"{at}.sigmoid")), f"{at}.silu")
        gated = node("Mul", (silu, linear(normed, f"{at}.up", f"{mlp}.up_proj")), f"{at}.gated")
        x = node("Add", (x, linear(gated, f"{at}.down", f"{mlp}.down_proj")), f"{at}.out")
    final = norm(node("Gather", (x, constant("at_end", np.array(-1))), "ends", axis=1), "model.norm")
    head = "model.embed_tokens" if config.get("tie_word_embeddings") else "lm_head"
    linear(final, "logits", head)

    cache = ["sequences", shape["kv_heads"], "room", shape["head_dim"]]
    pairs = [(kind, i) for i in range(config["num_hidden_layers"]) for kind in ("keys", "values")]
    value = helper.make_tensor_value_info
    inputs = [
        value("tokens", TensorProto.INT64, ["sequences", "new"]),
        value("last", TensorProto.INT32, ["sequences"]),
        value("longest", TensorProto.INT32, [1]),
        *(value(f"{kind}_{i}", TensorProto.FLOAT, cache) for kind, i in pairs),
    ]
    outputs = [value("logits", TensorProto.FLOAT, ["sequences", config["vocab_size"]])]
    outputs += [value(f"new_{kind}_{i}", TensorProto.FLOAT, cache) for kind, i in pairs]
    graph = helper.make_graph(nodes, folder.name, inputs, outputs, [*constants.values()])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    facts = {"context_tokens": config["max_position_embeddings"], "end_token": config["eos_token_id"]}
    helper.set_model_props(model, {name: str(fact) for name, fact in facts.items()})
    return model


def _shape(config: dict) -> dict:
    """Widths that a configuration may leave out. ValueError for what this graph doesn't do."""
    if config.get("model_type") != "llama" or config.get("attention_bias") or config.get("mlp_bias"):
        raise ValueError(f"model_type={config.get('model_type')!r}: a Llama without biases is needed")
    if config.get("rope_parameters", {}).get("rope_type", "default") != "default" or config.get(
        "rope_scaling"
    ):
        raise ValueError("rope_parameters: the plain rotary embedding is needed, without scaling")
    heads = config["num_attention_heads"]
    return {
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
    }


def _rotary(config: dict, head_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin [positions, head_dim / 2] (Su et al. 2021, RoFormer, equation 15)."""
    theta = config.get("rope_parameters", {}).get("rope_theta") or config.get("rope_theta", 10_000.0)
    frequency = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    angle = np.arange(config["max_position_embeddings"])[:, None] * frequency
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _weights(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
