"""Token losses of any causal language model, in batches whose logits fit into memory."""

import hashlib
from collections.abc import Iterator, Sequence

# Logits of one batch: a vocabulary of 49 152 takes 50 MB for 256 tokens, and the loss copies them twice.
_LOGIT_BYTES = 100e6


def token_ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def start_token(tokenizer) -> int:
    """The token between documents in training; SmolLM2's bos_token is another, which starts a chat's turn."""
    between = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    if between == tokenizer.unk_token_id and tokenizer.unk_token != "<|endoftext|>":
        between = None
    for token in (between, tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise ValueError("tokenizer has no token that starts or ends a text")


def check_context(model, tokens: int, argument: str) -> None:
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit and tokens > limit:
        raise ValueError(
            f"{argument}: the longest has {tokens} tokens, the model's context {limit}; cut them shorter"
        )


def identity(parts: Sequence) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def batches(rows: Sequence, length: int, model, batch: int, progress: bool, label: str) -> Iterator:
    """Rows of one length as tensors, few enough at a time for their logits to fit."""
    import torch

    if batch < 1:
        raise ValueError(f"batch={batch!r}: at least 1 is needed")
    check_context(model, length, "sequence_tokens")
    size = max(1, min(batch, int(_LOGIT_BYTES / (4 * length * model.config.vocab_size))))
    with _bar(len(rows), progress, label) as bar:
        for at in range(0, len(rows), size):
            yield torch.tensor(rows[at : at + size])
            bar.update(len(rows[at : at + size]))


def summed_losses(
    model, rows: list, firsts: list[int], batch: int, progress: bool, label: str
) -> list[float]:
    """For each row the nats of its tokens from index `first` on. Rows of like length share a batch, padded."""
    import torch

    if batch < 1:
        raise ValueError(f"batch={batch!r}: at least 1 is needed")
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    sums = [0.0] * len(rows)
    with _bar(len(rows), progress, label) as bar:
        at = 0
        while at < len(order):
            longest = len(rows[order[min(at + batch, len(order)) - 1]])
            size = max(1, min(batch, int(_LOGIT_BYTES / (4 * longest * model.config.vocab_size))))
            part = order[at : at + size]
            width = max(len(rows[i]) for i in part)
            # Padding goes to the right: a causal model's tokens never look there, so no mask is needed.
            padded = torch.tensor([rows[i] + [rows[i][-1]] * (width - len(rows[i])) for i in part])
            losses = losses_of(model, padded)
            for row, i in enumerate(part):
                sums[i] = losses[row, firsts[i] - 1 : len(rows[i]) - 1].sum().item()
            at += size
            bar.update(len(part))
    return sums


def losses_of(model, rows):
    """Nats of each token but the first: shape (rows, tokens − 1)."""
    import torch

    with torch.inference_mode():
        logits = logits_of(model, rows)
        return torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), rows[:, 1:].to(logits.device), reduction="none"
        ).double()


def logits_of(model, rows):
    """What the model expects after each token but the last, in float32."""
    device = next(model.parameters()).device
    return model(input_ids=rows.to(device), use_cache=False).logits[:, :-1].float()


def _bar(total: int, progress: bool, label: str):
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=label, disable=not progress, leave=False)
