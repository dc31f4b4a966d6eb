"""GPTQ and AWQ of one block of SmolLM2-135M's shape: our code against llmcompressor, in one run.

    python benchmarks/gptq_awq.py --python PATH [--sequences 128] [--tokens 512] [--repeats 1] [--threads 2] [--rows …]

PATH is the interpreter of an environment with llmcompressor (scripts/make_fixtures.py says how to make one);
it isn't in the course's own. Both sides get the same random weights (hidden 576; q, k, v, o, gate, up and
down), the same token ids in batches of 8, 4 bits in groups of 64, damping 0.01, and run in turn, each after a
small call of its own that isn't timed. Three rows:

- gptq, layers: Hessians and codes of the seven layers from their recorded inputs, no model around them;
- gptq, block and awq, block: the whole call on a model of one block, forward passes included.

Printed: seconds of each, the ratio theirs / ours (above 1: ours is faster), the same ratio of CPU seconds, which
a busy machine disturbs less (use --threads 1: waiting threads burn CPU), and how far each moved the model's last
hidden states, as a share of their energy. JSON comes last.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path

GROUP, BATCH = 64, 8
SMOLLM2_BLOCK = {
    "vocab_size": 512,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 1,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
}
ROWS = ("gptq, layers", "gptq, block", "awq, block")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--python", help="interpreter of an environment with llmcompressor")
    options.add_argument("--sequences", type=int, default=128)
    options.add_argument("--tokens", type=int, default=512)
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    options.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    options.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    options.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.side:
        run_side(chosen)
    else:
        run_both(chosen)


def run_both(chosen) -> None:
    print(
        f"one block, {chosen.sequences} × {chosen.tokens} tokens, {chosen.threads} threads, 4 bits, groups of {GROUP}"
    )
    print(
        f"{'':<14}{'ours s':>9}{'theirs s':>10}{'ratio':>8}{'cpu ratio':>11}{'ours moved':>13}{'theirs moved':>14}",
        flush=True,
    )
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, chosen.sequences, chosen.tokens)
        for row in chosen.rows:
            runs = {"ours": [], "theirs": []}
            for _ in range(chosen.repeats):
                for side, python in (("ours", sys.executable), ("theirs", chosen.python)):
                    if python:
                        runs[side].append(run_apart(python, side, row, folder, chosen.threads))
            table[row] = summary(runs)
            formats = ((9, 2), (10, 2), (8, 2), (11, 2), (13, 5), (14, 5))
            cells = (cell(value, *form) for value, form in zip(table[row].values(), formats, strict=True))
            print(f"{row:<14}" + "".join(cells), flush=True)
    if not chosen.python:
        print("theirs was not run: pass --python PATH of an environment with llmcompressor")
    print(json.dumps(table))


def summary(runs: dict) -> dict:
    """Medians and ratios of a row; None where the other side wasn't run."""

    def median(side, key):
        return statistics.median(run[key] for run in runs[side]) if runs[side] else None

    def ratio(key):
        return median("theirs", key) / median("ours", key) if runs["theirs"] else None

    return {
        "ours_s": median("ours", "s"),
        "theirs_s": median("theirs", "s"),
        "ratio": ratio("s"),
        "cpu_ratio": ratio("cpu_s"),
        "ours_moved": median("ours", "moved"),
        "theirs_moved": median("theirs", "moved"),
    }


def cell(value, width: int, digits: int) -> str:
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def run_apart(python: str, side: str, row: str, folder: str, threads: int) -> dict:
    """One measurement in a process of its own: no side warms the other's caches, imports aren't counted."""
    command = [python, __file__, "--side", side, "--row", row, "--folder", folder, "--threads", str(threads)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)}
    )
    if done.returncode:
        raise SystemExit(f"{side}, {row} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def prepare(folder: str, sequences: int, tokens: int) -> None:
    """The model and the token ids that both sides read."""
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SMOLLM2_BLOCK))
    with torch.no_grad():  # a few loud channels, as trained models have
        for norm in (model.model.layers[0].input_layernorm, model.model.layers[0].post_attention_layernorm):
            norm.weight[torch.randperm(576)[:6]] = 15.0
    model.save_pretrained(folder)
    save_file({"ids": torch.randint(0, 512, (sequences, tokens))}, Path(folder, "ids.safetensors"))


def run_side(chosen) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaForCausalLM

    torch.set_num_threads(chosen.threads)
    model = LlamaForCausalLM.from_pretrained(chosen.folder, dtype=torch.float32).eval()
    ids = load_file(Path(chosen.folder, "ids.safetensors"))["ids"]
    with torch.no_grad():
        before = model.model(ids[:4]).last_hidden_state
        if chosen.row == "gptq, layers":
            layers = {"ours": ours_layers, "theirs": their_layers}[chosen.side]
            layers(deepcopy(model), recorded_inputs(model, ids[:1]))  # imports and first calls, not counted
            inputs = recorded_inputs(model, ids)
            took = timed(lambda: layers(model, inputs))
        else:
            block = {"ours": ours_block, "theirs": their_block}[chosen.side]
            block(deepcopy(model), ids[:BATCH, :16], chosen.row)
            took = timed(lambda: block(model, ids, chosen.row))
        after = model.model(ids[:4]).last_hidden_state
    moved = ((after - before).square().sum() / before.square().sum()).item()
    print(json.dumps(took | {"moved": moved}))


def timed(call) -> dict:
    start, start_cpu = time.perf_counter(), time.process_time()
    call()
    return {"s": time.perf_counter() - start, "cpu_s": time.process_time() - start_cpu}


def recorded_inputs(model, ids) -> dict:
    """What each of the seven linears reads, [tokens, columns]; q, k and v share a tensor, gate and up too."""
    import torch

    found = {}
    block = model.model.layers[0]

    def keep(name):
        return lambda _, args: found.setdefault(name, []).append(args[0].reshape(-1, args[0].shape[-1]))

    shared = {"self_attn.q_proj": ("self_attn.k_proj", "self_attn.v_proj"), "mlp.gate_proj": ("mlp.up_proj",)}
    first = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
    hooks = [block.get_submodule(name).register_forward_pre_hook(keep(name)) for name in first]
    for batch in ids.split(BATCH):
        model.model(batch)
    for hook in hooks:
        hook.remove()
    inputs = {name: torch.cat(parts) for name, parts in found.items()}
    return inputs | {other: inputs[name] for name, others in shared.items() for other in others}


def ours_layers(model, inputs) -> None:
    import torch

    from course_utils.compress.calibration import stats_of
    from course_utils.compress.gptq import quantize_gptq

    block, readers = model.model.layers[0], {}
    for name, x in inputs.items():
        readers.setdefault(id(x), []).append(name)
    for names in readers.values():
        stats = stats_of(inputs[names[0]].split(BATCH * 512))
        layers = [block.get_submodule(name) for name in names]
        stacked = quantize_gptq(torch.cat([layer.weight for layer in layers]), stats, 4, GROUP).dequantize()
        for layer, weight in zip(
            layers, stacked.split([layer.out_features for layer in layers]), strict=True
        ):
            layer.weight.copy_(weight)


def their_layers(model, inputs) -> None:
    import torch
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.utils import calculate_qparams
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight
    from llmcompressor.modifiers.gptq.helpers import accumulate_hessian, make_empty_hessian

    settings = QuantizationArgs(num_bits=4, symmetric=True, strategy="group", group_size=GROUP)
    for name, x in inputs.items():
        layer = model.model.layers[0].get_submodule(name)
        hessian, samples = make_empty_hessian(layer), torch.zeros((), dtype=torch.int64)
        for batch in x.split(BATCH * 512):
            hessian, samples = accumulate_hessian(batch, layer, hessian, samples)
        grouped = layer.weight.reshape(layer.out_features, -1, GROUP)
        scale, zero = calculate_qparams(grouped.amin(-1), grouped.amax(-1), settings)
        weight, _, _ = quantize_weight(
            layer.weight.clone()[None], (hessian / samples)[None], scale[None], zero[None], None, settings
        )
        layer.weight.copy_(weight[0])


def ours_block(model, ids, row: str) -> None:
    from course_utils.compress import awq, gptq

    method = gptq if row.startswith("gptq") else awq
    method.quantize_model(model, ids.split(BATCH), 4, GROUP, progress=False)


def their_block(model, ids, row: str) -> None:
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.pipelines.cache import IntermediatesCache
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from torch.utils.data import DataLoader
    from transformers import PreTrainedTokenizerFast

    # Without an accelerator 0.14 fails where its AWQ pins memory for one; there is nothing to pin for here.
    IntermediatesCache._pin_intermediate = classmethod(lambda cls, intermediate: None)
    weights = QuantizationArgs(num_bits=4, symmetric=True, strategy="group", group_size=GROUP)
    what = {
        "config_groups": {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)},
        "ignore": ["lm_head"],
    }
    recipe = (
        [GPTQModifier(**what, dampening_frac=0.01, actorder=None)]
        if row.startswith("gptq")
        else [AWQModifier(), QuantizationModifier(**what)]
    )
    oneshot(
        model=model,
        processor=PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a"))),
        dataset=DataLoader(
            [{"input_ids": row, "attention_mask": row.new_ones(len(row))} for row in ids], batch_size=BATCH
        ),
        recipe=recipe,
    )


if __name__ == "__main__":
    main()
