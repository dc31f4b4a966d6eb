"""What breaks a prefix: a linter for the prompts in your own log, and what putting them in order would save.

A prompt is a list of parts in the order in which they are sent. Two prompts share a prefix up to the first character
that differs, so a part that changes makes everything after it new, however constant.

    report = lint_prompts(read_prompts("prompts.jsonl"))
    print(report)

Taught in: chapter 08.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from course_utils.cache.prefix import PrefixCache

# The order in which providers lay a prompt out, whatever the order in the request.
PARTS = ("tools", "system", "documents", "history", "user")
_BLOCK_CHARS = 64  # 16 tokens

_TIMES = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?\b"
    r"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b(?=,? \d| [A-Z])|\b1[6-9]\d{8}(?:\d{3})?\b"
)
_IDS = re.compile(
    r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,64}\b"
    r"|\b(?:req|session|sess|trace|conv|user|usr)[_-][A-Za-z0-9]{6,}\b"
)


@dataclass(frozen=True)
class Part:
    """A piece of a prompt. kind: one of PARTS; `user` is the only one that is expected to be new each time."""

    kind: str
    text: str

    def __post_init__(self):
        if self.kind not in PARTS:
            raise ValueError(f"kind={self.kind!r}: one of {', '.join(PARTS)} is needed")


Prompt = tuple[Part, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that breaks a prefix. `share`: of prompts that have it; `example`: one of them, cut short."""

    rule: str
    says: str
    share: float
    example: str


@dataclass(frozen=True)
class LintReport:
    """What was found, and shares of all prompt characters that an endless cache would have hit: as sent, reordered."""

    prompts: int
    findings: tuple[Finding, ...]
    hit_share: float
    hit_share_reordered: float

    def __str__(self) -> str:
        lines = [
            f"{self.prompts:,} prompts; {self.hit_share:.0%} of their text could be read from a cache as it is,"
        ]
        lines.append(f"{self.hit_share_reordered:.0%} if what changes stood at the end.")
        lines += [
            f"- {one.says} ({one.share:.0%} of prompts), such as: {one.example!r}" for one in self.findings
        ]
        return "\n".join(lines)


def lint_prompts(prompts: Sequence[Prompt]) -> LintReport:
    """Find what breaks prefixes in prompts, in the order of their arrival. ValueError for fewer than two."""
    if len(prompts) < 2:
        raise ValueError(f"{len(prompts)} prompts: at least two are needed to share anything")
    rules = (_changing_values, _shuffled_tools, _new_text_up_front, _white_space)
    findings = [found for rule in rules for found in rule(prompts)]
    return LintReport(
        len(prompts),
        tuple(findings),
        hit_share_of(prompts),
        hit_share_of([reordered(one) for one in prompts]),
    )


def reordered(prompt: Prompt) -> Prompt:
    """The same prompt laid out for a cache: tools sorted, then what is constant, what changes at the end.

    Times and ids are taken out of every part but the user's and the history and put before the user's text; nothing
    is lost.
    """
    moved, kept = [], {kind: [] for kind in PARTS}
    for part in prompt:
        text = part.text
        if part.kind == "tools":
            text = _sorted_tools(text)
        if part.kind in ("tools", "system"):
            moved += [found.group() for pattern in (_TIMES, _IDS) for found in pattern.finditer(text)]
            text = _IDS.sub("<id below>", _TIMES.sub("<time below>", text))
        kept[part.kind].append(text)
    ordered = [Part(kind, text) for kind in PARTS[:-1] for text in kept[kind]]
    tail = [Part("user", "; ".join(moved))] if moved else []
    return (*ordered, *tail, *(Part("user", text) for text in kept["user"]))


def hit_share_of(prompts: Sequence[Prompt]) -> float:
    """Share of all prompt text that an endless cache would have hit, in blocks of about 16 tokens."""
    cache, asked, hit = PrefixCache(float("inf")), 0, 0
    for prompt in prompts:
        text = "\x00".join(f"{part.kind}\x01{part.text}" for part in prompt)
        asked += len(text)
        hit += min(cache.serve(_blocks(text)) * _BLOCK_CHARS, len(text))
    return hit / asked if asked else 0.0


def read_prompts(path: Path | str) -> list[Prompt]:
    """A log in JSON lines, each with `messages` (role, content) and, where there are some, `tools`.

    System messages are `system`, the last message is `user`, those between are `history`. ValueError names the line.
    """
    prompts, path = [], Path(path)
    for number, line in enumerate(
        path.read_bytes().split(b"\n"), 1
    ):  # a text may hold U+2028: no end of a line here
        if not line.strip():
            continue
        try:
            prompts.append(_prompt(json.loads(line)))
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(
                f"{path.name}, line {number}: a JSON object with messages of role and content is needed ({problem!r})"
            ) from None
    return prompts


def _prompt(request: dict) -> Prompt:
    messages = request["messages"]
    parts = [Part("tools", json.dumps(request["tools"], ensure_ascii=False))] if request.get("tools") else []
    for at, message in enumerate(messages):
        kind = "system" if message["role"] in ("system", "developer") else "history"
        content = message["content"] if "tool_calls" not in message else message
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        parts.append(Part("user" if kind == "history" and at == len(messages) - 1 else kind, text))
    return tuple(parts)


def _blocks(text: str) -> list[bytes]:
    names, before = [], b""
    for at in range(0, len(text) - _BLOCK_CHARS + 1, _BLOCK_CHARS):
        before = blake2b(
            before + text[at : at + _BLOCK_CHARS].encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        names.append(before)
    return names


def _changing_values(prompts: Sequence[Prompt]) -> list[Finding]:
    """Times and ids in parts that should be constant, if they differ between prompts."""
    found = []
    for rule, pattern, says in (
        ("time", _TIMES, "a time stands before text that doesn't change"),
        ("id", _IDS, "an id stands before text that doesn't change"),
    ):
        seen = [
            (match.group(), part.text)
            for prompt in prompts
            for part in prompt
            if part.kind in ("tools", "system")
            if (match := pattern.search(part.text))
        ]
        if len({value for value, _ in seen}) > 1:
            found.append(
                Finding(rule, says, min(1.0, len(seen) / len(prompts)), _around(seen[-1][1], seen[-1][0]))
            )
    return found


def _shuffled_tools(prompts: Sequence[Prompt]) -> list[Finding]:
    """The same tools in more than one order, or the same keys in more than one."""
    texts = [part.text for prompt in prompts for part in prompt if part.kind == "tools"]
    orders: dict[str, Counter] = {}
    for text in texts:
        orders.setdefault(_sorted_tools(text), Counter())[text] += 1
    others = sum(sum(seen.values()) - max(seen.values()) for seen in orders.values())
    if not others:
        return []
    example = next(text for seen in orders.values() if len(seen) > 1 for text in seen)
    return [Finding("tools", "the same tools come in different orders", others / len(prompts), example[:80])]


def _new_text_up_front(prompts: Sequence[Prompt]) -> list[Finding]:
    """A part of the user's before a part that many prompts have in common."""
    common = Counter(
        part for prompt in prompts for part in set(prompt) if part.kind in ("tools", "system", "documents")
    )
    hit = []
    for prompt in prompts:
        users = [at for at, part in enumerate(prompt) if part.kind in ("user", "history")]
        if users and any(common[part] > 1 for part in prompt[users[0] + 1 :]):
            hit.append(prompt[users[0]].text)
    if not hit:
        return []
    says = "text of one user stands before text that others have, too"
    return [Finding("user first", says, len(hit) / len(prompts), hit[0][:80])]


def _white_space(prompts: Sequence[Prompt]) -> list[Finding]:
    """Parts that differ in white space only."""
    spellings: dict[tuple, set] = {}
    for prompt in prompts:
        for part in prompt:
            if part.kind in ("system", "documents"):
                spellings.setdefault((part.kind, " ".join(part.text.split())), set()).add(part.text)
    twice = {text for texts in spellings.values() if len(texts) > 1 for text in texts}
    if not twice:
        return []
    share = sum(any(part.text in twice for part in prompt) for prompt in prompts) / len(prompts)
    return [Finding("white space", "the same text differs in spaces or line ends", share, min(twice)[:80])]


def _sorted_tools(text: str) -> str:
    try:
        tools = json.loads(text)
    except ValueError:
        return text
    return json.dumps(sorted(tools, key=json.dumps) if isinstance(tools, list) else tools, sort_keys=True)


def _around(text: str, value: str) -> str:
    at = text.index(value)
    return text[max(0, at - 30) : at + len(value) + 30]
