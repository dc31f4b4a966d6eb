"""Freeze what TRL computes as generalized JSD, for the tests of `course_utils.compress` to compare with.

    python scripts/make_distillation_fixtures.py                   # builds an environment of its own, temporary
    python scripts/make_distillation_fixtures.py --python PATH     # uses the interpreter of one that has TRL

TRL and what it brings stay out of the course's environment. Leaves tests/compress/fixtures/trl_jsd.safetensors and
a JSON file with the versions and settings that made it. Some 300 MB of downloads on a CPU, then seconds.
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
REQUIREMENTS = ("torch==2.13.0", "trl==1.16.0")
SEED, SEQUENCES, TOKENS, VOCABULARY = 56, 3, 8, 512
BETAS = (0.0, 0.1, 0.5, 0.9, 1.0)
TEMPERATURES = (1.0, 2.0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--python", help="interpreter of an environment that has TRL")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.inside:
        freeze()
    elif chosen.python:
        subprocess.run([chosen.python, __file__, "--inside"], check=True)
    else:
        with tempfile.TemporaryDirectory(prefix="fixtures-") as folder:
            venv.create(folder, with_pip=True)
            python = Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
            subprocess.run([python, __file__, "--inside"], check=True)


def freeze() -> None:
    """Logits of a student and a teacher, some of them far apart, and TRL's divergence of each position."""
    import torch
    from safetensors.torch import save_file
    from trl.experimental.gkd import GKDTrainer

    generator = torch.Generator().manual_seed(SEED)
    shape = (SEQUENCES, TOKENS, VOCABULARY)
    student = 3 * torch.randn(shape, generator=generator)
    teacher = 0.7 * student + 2 * torch.randn(shape, generator=generator)
    teacher[0, :4] *= 10  # nearly one-hot: where careless code takes the logarithm of zero
    tensors = {"student": student, "teacher": teacher}
    for beta in BETAS:
        for temperature in TEMPERATURES:
            apart = GKDTrainer.generalized_jsd_loss(
                student, teacher, beta=beta, temperature=temperature, reduction="none"
            )
            tensors[f"jsd.{beta:g}.{temperature:g}"] = apart.sum(-1)
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path = FIXTURES / "trl_jsd.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    record = {
        "made_by": "scripts/make_distillation_fixtures.py",
        "made_on": date.today().isoformat(),
        "versions": {package: version(package) for package in ("trl", "torch", "transformers")},
        "python": platform.python_version(),
        "seed": SEED,
        "function": "trl.experimental.gkd.GKDTrainer.generalized_jsd_loss, reduction none, summed over the vocabulary",
        "betas": BETAS,
        "temperatures": TEMPERATURES,
        "tensors": {name: f"{value.dtype} {list(value.shape)}" for name, value in tensors.items()},
    }
    (FIXTURES / "trl_jsd.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"trl_jsd: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
