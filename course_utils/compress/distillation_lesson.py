"""What chapter 06 trains live: a teacher, a student's shape and some text, small enough for a minute.

On a CPU the course's tiny model teaches a student of a quarter. On a GPU, with the hub in reach, SmolLM2-360M
teaches one of the shape of SmolLM2-135M. The text is that of a few installed packages.
Taught in: chapter 06.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from course_utils.compress.distillation_start import Shape
from course_utils.compress.distillation_training import losses_on
from course_utils.measure import corpus, load
from course_utils.measure.conversion import cache_folder
from course_utils.measure.likelihood import start_token
from course_utils.measure.runtime import tier

QUARTER = Shape(hidden=128, intermediate=256, layers=4, heads=2)
SMOLLM2_135M = Shape(hidden=576, intermediate=1536, layers=30, heads=9)
LARGER_TEACHER = "HuggingFaceTB/SmolLM2-360M-Instruct"
PACKAGES = ("click", "jinja2")


@dataclass(frozen=True, eq=False)
class Lesson:
    """Teacher, tokenizer and the student's shape; token ids to learn from [tokens] and held-out rows [rows, length].

    start: the token that begins a text. label: says which teacher this machine got.
    """

    teacher: torch.nn.Module
    tokenizer: object
    label: str
    shape: Shape
    start: int
    tokens: np.ndarray
    held_out: torch.Tensor

    def score(self, student) -> float:
        """Held-out loss, nats per token."""
        return losses_on(student, self.held_out)

    def calibration(self, rows: int = 16, seed: int = 0) -> list[torch.Tensor]:
        """Rows of the text that say which parts of the teacher matter, eight a batch; other rows for another seed."""
        length = self.held_out.shape[1]
        starts = (
            np.random.default_rng([seed, 6]).choice(len(self.tokens) // length, rows, replace=False) * length
        )
        taken = np.stack([self.tokens[at : at + length] for at in starts]).astype(np.int64)
        return list(torch.from_numpy(taken).to(next(self.teacher.parameters()).device).split(8))


def lesson(packages=PACKAGES, held_out_rows: int = 24, length: int = 128) -> Lesson:
    """A lesson that suits this machine: the hub's teacher where a GPU and the hub can be had, else the tiny one."""
    text = corpus.documentation(corpus.installed(packages)).documents
    if tier() == "gpu":
        try:
            loaded = load(LARGER_TEACHER)
            return of_text(loaded, SMOLLM2_135M, text, held_out_rows, length)
        except ValueError:
            pass  # no hub: the tiny model teaches on the GPU
    return of_text(load("tiny"), QUARTER, text, held_out_rows, length)


def of_text(loaded, shape: Shape, documents, held_out_rows: int, length: int) -> Lesson:
    """The documents as one row of ids, each after the token that starts a text, in an order that is always the same.

    Held-out rows are evenly spread over the Python language reference, which is none of the documents.
    """
    model, tokenizer, label = loaded
    start = start_token(tokenizer)
    order = np.random.default_rng(0).permutation(len(documents))
    texts = [documents[at] for at in order]
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    ids = np.concatenate([np.array([start, *one], dtype=np.uint16) for one in encoded])
    unseen = tokenizer(corpus.held_out(), add_special_tokens=False, verbose=False)["input_ids"]
    starts = [at * (len(unseen) - length) // max(1, held_out_rows - 1) for at in range(held_out_rows)]
    rows = torch.tensor([unseen[at : at + length] for at in starts])
    return Lesson(model, tokenizer, label, shape, start, ids, rows)


def empty_folder(name: str) -> Path:
    """A folder of the user's cache for a run's checkpoints, emptied."""
    folder = cache_folder() / "distillation" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
