import gzip
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.measure.corpus import (
    blocks,
    documentation,
    gzip_bits_per_byte,
    held_out,
    installed,
    long_lines,
    sha256,
)

SMALL = ("click", "tqdm", "joblib")


@pytest.fixture(scope="module")
def small():
    return documentation(SMALL)


def test_the_same_installation_gives_the_same_text(small):
    assert documentation(SMALL).sha256 == small.sha256


def test_documents_are_docstrings_under_their_signature(small):
    starts = {document.split("\n\n")[0].split(" ")[0] for document in small.documents}
    assert starts == {"module", "class", "def"}
    assert any(document.startswith("def echo(message:") for document in small.documents)


def test_no_docstring_comes_twice(small):
    bodies = [document.split("\n\n", 1)[1] for document in small.documents]
    assert len(set(bodies)) == len(bodies)


def test_the_text_says_which_versions_it_is_from(small):
    assert list(small.packages) == list(SMALL)
    assert small.packages["click"][0] == metadata.version("click")
    assert sum(used for _, used in small.packages.values()) == small.size_bytes


def test_a_limit_holds_for_each_package():
    text = documentation(SMALL, limit_bytes=10_000)
    assert all(0 < used <= 10_000 for _, used in text.packages.values())


def test_training_text_shares_no_long_line_with_the_held_out_text(small):
    taught = {line for document in small.documents for line in long_lines(document.split("\n\n", 1)[1])}
    assert taught.isdisjoint(long_lines(held_out()))


def test_the_held_out_text_is_the_language_reference():
    text = held_out()
    assert len(text) > 300_000
    assert 'The "with" statement' in text


def test_a_hash_sees_where_documents_end():
    assert sha256(["ab", "c"]) != sha256(["a", "bc"])


@given(st.text(min_size=1, max_size=300), st.integers(1, 50))
def test_blocks_are_the_text_without_its_last_piece(text, chars):
    pieces = blocks(text, chars)
    assert all(len(piece) == chars for piece in pieces)
    assert text.startswith("".join(pieces))
    assert len(text) - chars * len(pieces) < chars


def test_few_blocks_are_spread_over_the_text():
    assert blocks("abcdefghij", 1, 5) == ("a", "c", "e", "g", "i")


def test_gzip_counts_bits_for_each_byte():
    raw = b"a rose is a rose is a rose " * 40
    assert gzip_bits_per_byte(raw.decode()) == 8 * len(gzip.compress(raw, 9)) / len(raw)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: documentation(("no-such-package",)), "'no-such-package' is not installed"),
        (lambda: documentation(()), "packages is empty"),
        (lambda: documentation(SMALL, limit_bytes=0), "limit_bytes=0"),
        (lambda: blocks("abc", 0), "chars=0"),
        (lambda: blocks("abc", 1, 4), "count=4"),
        (lambda: gzip_bits_per_byte(""), "empty"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_only_packages_that_are_here_are_read_when_asked_for_what_is_installed():
    assert installed(("stdlib", "no-such-package", "numpy")) == ("stdlib", "numpy")
