"""Whose answer is it? Everything that must be equal, to the letter, before likeness is even asked about."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from course_utils.cache.semantic.wording import plain_words


@dataclass(frozen=True)
class Scope:
    """Who asks whom, under which instructions. Answers never leave their scope.

    tenant         customer, or user where answers are personal ("what's *my* balance?")
    system_prompt  instructions, tools and documents that the model sees
    model          name and version
    parameters     temperature, maximum tokens, response format: whatever changes the answer
    history        the turns before this question, from `history_key`; "" for a first question
    """

    tenant: str
    system_prompt: str = ""
    model: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    history: str = ""

    def __post_init__(self):
        if not isinstance(self.tenant, str) or not self.tenant:
            raise ValueError(
                f"tenant={self.tenant!r}: the name of a tenant is needed, also where there is one only"
            )

    @cached_property
    def key(self) -> str:
        """A digest, 32 hexadecimal digits, equal only for equal scopes. Parameters' order doesn't matter."""
        # JSON keeps the fields apart: ("ab", "c") and ("a", "bc") are two scopes.
        fields = [self.tenant, self.system_prompt, self.model, dict(self.parameters), self.history]
        text = json.dumps(fields, sort_keys=True, ensure_ascii=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def history_key(messages: Sequence[Mapping[str, object]]) -> str:
    """Key of the turns before the last one, for `Scope.history`; "" where the last is the only one.

    messages: role and content each, the last one the question. Turns count as equal where their plain words
    are; what is no text (images, calls of tools) must be equal to the letter.
    "Cancel it" means what the turns before it say: a key of the last message alone is wrong nearly always.
    """
    if not messages:
        raise ValueError("messages is empty: the question itself is needed as the last one")
    before = [_said(turn) for turn in messages[:-1]]
    text = json.dumps(before, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:32] if before else ""


def _said(turn: Mapping[str, object]) -> dict:
    """A turn as it counts for the key: its text as plain words, all else (calls of tools, names) as it is."""
    content = turn["content"]
    return {**turn, "content": plain_words(content) if isinstance(content, str) else content}
