"""The OpenAI completion shape: what comes in is checked, what goes out is put together.

Shape: https://platform.openai.com/docs/api-reference/completions, as of 2026-11. `ignore_eos` is vLLM's addition,
which load tests need: texts as long as asked for. What isn't served (several choices, stop words, log
probabilities) is refused, not ignored.
Taught in: chapter 09.
"""

import json
import math
import time
import zlib
from dataclasses import dataclass

import numpy as np

from course_utils.scale.cluster.engine import Sampling

_FIELDS = {"model", "prompt", "max_tokens", "temperature", "seed", "stream", "stream_options", "ignore_eos"}
_FIELDS |= {"user", "request_id", "priority"}  # harmless: names for logs
# Values of other fields that ask for nothing beyond what is done anyway.
_NEUTRAL = {"n": 1, "best_of": 1, "echo": False, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}


class Refused(Exception):
    """A request that gets an error of this HTTP status; `field` is what was wrong with it."""

    def __init__(self, status: int, message: str, field: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.field, self.code = status, field, code

    def body(self) -> dict:
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.field, "code": self.code}}


@dataclass(frozen=True)
class Ask:
    """One request, checked: `prompt` [tokens] int64, how to sample, whether to stream and tell the usage there."""

    prompt: np.ndarray
    sampling: Sampling
    stream: bool
    usage_in_stream: bool


def read_ask(text: bytes, request_id: str, model: str, tokenizer, context_tokens: int) -> Ask:
    """The request in `text`, for `model` with `context_tokens` of context. Refused says what is wrong.

    `prompt` is a text or a list of tokens. Without a seed it is drawn from request_id: a retry draws the same text.
    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object")
    for name, value in body.items():
        if name not in _FIELDS and value is not None and (name not in _NEUTRAL or value != _NEUTRAL[name]):
            raise Refused(400, f"{name}={value!r} is not served here", name, "unsupported")
    if body.get("model", model) != model:
        raise Refused(
            404, f"model={body['model']!r} is not served here, {model!r} is", "model", "model_not_found"
        )
    prompt = _prompt(body.get("prompt"), tokenizer)
    most = context_tokens - len(prompt)
    max_tokens = body.get("max_tokens")
    max_tokens = min(16, most) if max_tokens is None else max_tokens  # 16 is OpenAI's default
    if most < 1 or not _is_whole(max_tokens) or not 1 <= max_tokens <= most:
        raise Refused(
            400,
            f"max_tokens={max_tokens!r}: with {len(prompt)} tokens of prompt, 1 to {most} fit the context of "
            f"{context_tokens}",
            "max_tokens",
            "context_length_exceeded",
        )
    temperature = body.get("temperature") or 0
    if not isinstance(temperature, int | float) or not 0 <= temperature <= 2 or math.isnan(temperature):
        raise Refused(400, f"temperature={temperature!r}: 0 to 2 is allowed", "temperature")
    seed = zlib.crc32(request_id.encode()) if body.get("seed") is None else body["seed"]
    if not _is_whole(seed):
        raise Refused(400, f"seed={seed!r}: a whole number is needed", "seed")
    options = body.get("stream_options") or {}
    return Ask(
        prompt,
        Sampling(max_tokens, float(temperature), abs(seed), bool(body.get("ignore_eos"))),
        bool(body.get("stream")),
        bool(isinstance(options, dict) and options.get("include_usage")),
    )


def _prompt(prompt, tokenizer) -> np.ndarray:
    if isinstance(prompt, str):
        prompt = tokenizer.encode(prompt).ids
    if not isinstance(prompt, list) or not prompt:
        raise Refused(400, "prompt: a text or a list of tokens is needed, and not an empty one", "prompt")
    vocabulary = tokenizer.get_vocab_size()
    if not all(_is_whole(token) and 0 <= token < vocabulary for token in prompt):
        raise Refused(400, f"prompt: tokens are whole numbers from 0 to {vocabulary - 1}", "prompt")
    return np.array(prompt, dtype=np.int64)


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class Answer:
    """Puts one answer together: parts of a stream, or the whole. `add` takes tokens and gives the text they add."""

    def __init__(self, request_id: str, model: str, prompt_tokens: int, tokenizer):
        self._head = {"id": f"cmpl-{request_id}", "object": "text_completion", "created": int(time.time())}
        self._head["model"] = model
        self._tokenizer, self._prompt_tokens = tokenizer, prompt_tokens
        self._tokens: list[int] = []
        self._text = ""

    def add(self, tokens: list[int], is_last: bool = False) -> str:
        self._tokens += tokens
        whole = self._tokenizer.decode(self._tokens)
        if not is_last:
            whole = whole.rstrip("\ufffd")  # the first bytes of a letter whose others are to come
        new, self._text = whole[len(self._text) :], whole
        return new

    def part(self, text: str, finish_reason: str | None) -> dict:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "choices": [choice]}

    def usage(self) -> dict:
        completion = len(self._tokens)
        total = self._prompt_tokens + completion
        return {"prompt_tokens": self._prompt_tokens, "completion_tokens": completion, "total_tokens": total}

    def whole(self, finish_reason: str) -> dict:
        return {**self.part(self._text, finish_reason), "usage": self.usage()}

    def last_part(self) -> dict:
        """The usage, in a part without choices, as streams end that were asked for it."""
        return {**self._head, "choices": [], "usage": self.usage()}


def event(part: dict | str) -> str:
    """One server-sent event."""
    return f"data: {part if isinstance(part, str) else json.dumps(part)}\n\n"


def model_list(model: str, context_tokens: int) -> dict:
    """What /v1/models answers."""
    one = {
        "id": model,
        "object": "model",
        "created": 0,
        "owned_by": "course",
        "max_model_len": context_tokens,
    }
    return {"object": "list", "data": [one]}
