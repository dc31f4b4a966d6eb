"""Freeze what other people's libraries compute, for the tests of `course_utils.compress` to compare with.

    python scripts/make_fixtures.py                   # builds an environment of its own in a temporary folder
    python scripts/make_fixtures.py --python PATH     # uses the interpreter of one that exists
    python scripts/make_fixtures.py --only NAME       # leaves the other fixtures as they are

llmcompressor pins an older transformers than the course uses, so it never enters the course's environment: this
script installs it beside, runs itself there, and leaves only tests/compress/fixtures/*.safetensors and a JSON
file each with the versions and settings that made it. About 1 GB of downloads, then seconds.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import venv
from datetime import date
from importlib.metadata import version
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "compress" / "fixtures"
REQUIREMENTS = (
    "torch==2.13.0",
    "llmcompressor==0.14.0.1",
    "compressed-tensors==0.19.0",
    "bitsandbytes==0.50.2",
)
NAMES = ("llmcompressor_gptq", "llmcompressor_pruning", "bitsandbytes", "compressed_tensors")
SEED = 54
ROWS, COLUMNS, TOKENS, GROUP, DAMPING = 64, 512, 640, 128, 0.01


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--python", help="interpreter of an environment that has the libraries")
    options.add_argument("--only", choices=NAMES, help="make this fixture and no other")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    inside = [__file__, "--inside", *(["--only", chosen.only] if chosen.only else [])]
    if chosen.inside:
        freeze([chosen.only] if chosen.only else NAMES)
    elif chosen.python:
        subprocess.run([chosen.python, *inside], check=True)
    else:
        with tempfile.TemporaryDirectory(prefix="fixtures-") as folder:
            venv.create(folder, with_pip=True)
            python = Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
            subprocess.run([python, *inside], check=True)


def freeze(names) -> None:
    import torch

    torch.manual_seed(SEED)
    # float16 values, held in float32 by both sides: half the bytes here, and the same numbers.
    weight = (0.02 * torch.randn(ROWS, COLUMNS)).half()
    inputs = torch.randn(TOKENS, 64) @ torch.randn(64, COLUMNS) * 0.1 + torch.randn(TOKENS, COLUMNS)
    inputs[:, torch.randperm(COLUMNS)[:6]] *= 20
    inputs = inputs.half()
    makers = {
        "llmcompressor_gptq": (lambda: gptq_of(weight, inputs), ("llmcompressor", "compressed-tensors")),
        "llmcompressor_pruning": (lambda: pruning_of(weight, inputs), ("llmcompressor",)),
        "bitsandbytes": (lambda: bitsandbytes_of(weight), ("bitsandbytes",)),
        "compressed_tensors": (lambda: rounding_of(weight), ("compressed-tensors",)),
    }
    for name in names:
        make, uses = makers[name]
        save(name, make(), uses)


def gptq_of(weight, inputs):
    """GPTQ codes of llmcompressor: symmetric, symmetric in order of activations, asymmetric; groups of 128."""
    import torch
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight
    from llmcompressor.modifiers.gptq.helpers import accumulate_hessian, make_empty_hessian

    layer = torch.nn.Linear(COLUMNS, ROWS, bias=False)
    layer.weight.data = weight.float()
    hessian = make_empty_hessian(layer)
    hessian, samples = accumulate_hessian(inputs.float(), layer, hessian, torch.zeros((), dtype=torch.int64))
    tensors = {"weight": weight, "inputs": inputs}
    for name, symmetric, order in (
        ("sym", True, None),
        ("sym_ordered", True, "static"),
        ("asym", False, None),
    ):
        arguments, scale, zero = grid_of(weight.float(), 4, "group", symmetric, order)
        rounded, _, fell_back = quantize_weight(
            weight.float()[None].clone(),
            (hessian / samples)[None],
            scale[None],
            zero[None],
            None,
            arguments,
            blocksize=128,
            percdamp=DAMPING,
        )
        assert not fell_back.any()
        tensors |= {
            f"{name}.codes": codes_of(rounded[0], scale, zero, arguments),
            f"{name}.scale": scale,
            f"{name}.zero": zero,
        }
    return tensors


def pruning_of(weight, inputs):
    """Which weights llmcompressor's Wanda keeps, and what its SparseGPT makes of them; 30, 50, 70 % and 2:4.

    Weight and inputs are those of llmcompressor_gptq.safetensors, so they aren't stored again.
    """
    import torch
    from llmcompressor.modifiers.pruning.sparsegpt import sgpt_sparsify
    from llmcompressor.modifiers.pruning.wanda import wanda_sparsify

    layer = torch.nn.Linear(COLUMNS, ROWS, bias=False)
    layer.weight.data = weight.float()
    batch = inputs.float()[None]
    hessian, _ = sgpt_sparsify.accumulate_hessian(batch, layer, sgpt_sparsify.make_empty_hessian(layer), 0)
    scalars, _ = wanda_sparsify.accumulate_row_scalars(
        batch, layer, wanda_sparsify.make_empty_row_scalars(layer), 0
    )
    tensors = {}
    for name, sparsity, n, m in (
        ("30", 0.3, 0, 0),
        ("50", 0.5, 0, 0),
        ("70", 0.7, 0, 0),
        ("2of4", 0.5, 2, 4),
    ):
        kept = wanda_sparsify.sparsify_weight(layer, {layer: scalars.clone()}, sparsity, n, m)
        tensors[f"wanda.{name}.kept"] = kept != 0
        _, pruned = sgpt_sparsify.sparsify_weight(
            layer,
            {layer: hessian.clone()},
            sparsity=sparsity,
            prune_n=n,
            prune_m=m,
            block_size=128,
            dampening_frac=DAMPING,
            preserve_sparsity_mask=False,
        )
        tensors[f"sparsegpt.{name}.weight"] = pruned.detach()
    assert not (weight == 0).any()  # so that a zero in a result is a weight that was pruned
    return tensors


def bitsandbytes_of(weight):
    """NF4 codes (two a byte, first high) and block scales; int8 codes and row maxima."""
    import bitsandbytes.functional as bnb

    packed, state = bnb.quantize_4bit(weight.float(), blocksize=64, quant_type="nf4")
    codes, row_max, _ = bnb.int8_vectorwise_quant(weight.clone())
    return {
        "weight": weight,
        "nf4.packed": packed.flatten(),
        "nf4.absmax": state.absmax,
        "nf4.values": state.code,
        "nf4.dequantized": bnb.dequantize_4bit(packed, state),
        "int8.codes": codes,
        "int8.row_max": row_max,
    }


def rounding_of(weight):
    """Scales, zero points and codes of compressed-tensors, and its packed int32 words."""
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    tensors = {"weight": weight}
    for bits in (3, 4, 8):
        for strategy in ("group", "channel", "tensor"):
            for symmetric in (True, False):
                arguments, scale, zero = grid_of(weight.float(), bits, strategy, symmetric)
                name = f"{strategy}.{bits}.{'sym' if symmetric else 'asym'}"
                codes = codes_of(weight.float(), scale, zero, arguments)
                tensors |= {f"{name}.scale": scale, f"{name}.zero": zero}
                tensors[f"{name}.packed"] = pack_to_int32(codes, bits)
    return tensors


def grid_of(weight, bits, strategy, symmetric, order=None):
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.utils import calculate_qparams

    size = {"group": GROUP}.get(strategy)
    arguments = QuantizationArgs(
        num_bits=bits, symmetric=symmetric, strategy=strategy, group_size=size, actorder=order
    )
    grouped = weight.reshape(len(weight), -1, size or weight.shape[1])
    low, high = grouped.amin(-1), grouped.amax(-1)
    if strategy == "tensor":
        low, high = low.amin(0), high.amax(0)
    return arguments, *calculate_qparams(low, high, arguments)


def codes_of(weight, scale, zero, arguments):
    import torch
    from compressed_tensors.quantization import quantize

    return quantize(weight, scale, zero, arguments, dtype=torch.int8)


def save(name: str, tensors: dict, uses: tuple[str, ...]) -> None:
    from safetensors.torch import save_file

    FIXTURES.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in tensors.items()}, FIXTURES / f"{name}.safetensors")
    record = {
        "made_by": "scripts/make_fixtures.py",
        "made_on": date.today().isoformat(),
        "versions": {package: version(package) for package in (*uses, "torch", "transformers")},
        "python": platform.python_version(),
        "seed": SEED,
        "rows": ROWS,
        "columns": COLUMNS,
        "tokens": TOKENS,
        "group_size": GROUP,
        "damping": DAMPING,
        "tensors": {key: f"{value.dtype} {list(value.shape)}" for key, value in tensors.items()},
    }
    (FIXTURES / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"{name}: {(FIXTURES / f'{name}.safetensors').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
