"""Freeze what transformers' QuantizedCache keeps, for the tests of course_utils/cache/kv_quantized.py.

The backends are quanto (2 and 4 bits) and hqq (8 bits): neither belongs to the course's environment. In one of its own:

    pip install torch transformers optimum-quanto hqq safetensors
    python scripts/make_kv_fixtures.py tests/cache/fixtures
"""

import json
import os
import sys
from datetime import date
from importlib import metadata
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, QuantizedCache

TOKENS, WIDTH, KV_HEADS = 64, 64, 2
SEED = 20261125


def made_up(generator: torch.Generator, kv_heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys with a few large channels, as real ones have, and values without."""
    shape = (1, kv_heads, TOKENS, WIDTH)
    keys, values = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    keys[..., ::16] = 8 * keys[..., ::16] + 5
    return keys, values


def restored(layer) -> tuple[torch.Tensor, torch.Tensor]:
    return layer._dequantize(layer._quantized_keys), layer._dequantize(layer._quantized_values)


def main(folder: Path) -> None:
    config = LlamaConfig(
        hidden_size=KV_HEADS * WIDTH, num_hidden_layers=1, num_attention_heads=KV_HEADS, vocab_size=8
    )
    generator = torch.Generator().manual_seed(SEED)
    tensors = {}
    keys, values = made_up(generator, KV_HEADS)
    more_keys, more_values = made_up(generator, KV_HEADS)
    tensors |= {"keys": keys, "values": values, "more_keys": more_keys, "more_values": more_values}
    for bits in (2, 4):
        cache = QuantizedCache(
            "quanto", config, nbits=bits, axis_key=-1, axis_value=0, q_group_size=64, residual_length=TOKENS
        )
        cache.update(keys, values, 0)
        tensors[f"quanto{bits}.keys"], tensors[f"quanto{bits}.values"] = restored(cache.layers[0])
        cache.update(more_keys, more_values, 0)
        both = restored(cache.layers[0])
        tensors[f"quanto{bits}.keys_after"], tensors[f"quanto{bits}.values_after"] = both
    # hqq groups the flattened tensor: with one head, 64 tokens and 64 channels, axis 0 is a channel and 1 a token.
    keys, values = made_up(generator, 1)
    tensors |= {"hqq.keys_in": keys, "hqq.values_in": values}
    cache = QuantizedCache(
        "hqq", config, nbits=8, axis_key=0, axis_value=1, q_group_size=64, residual_length=TOKENS
    )
    cache.update(keys, values, 0)
    tensors["hqq8.keys"], tensors["hqq8.values"] = restored(cache.layers[0])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "quantized_cache.safetensors"
    save_file({name: one.float().contiguous() for name, one in tensors.items()}, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "optimum-quanto", "hqq")}
    record = {
        "made_by": "scripts/make_kv_fixtures.py",
        "as_of": str(date.today()),
        "seed": SEED,
        "versions": versions,
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
