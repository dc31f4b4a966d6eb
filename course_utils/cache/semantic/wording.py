"""What a question asks, in plain words: greetings, fillers, articles and spelling habits taken off.

Two questions that differ only in what is taken off here have the same answer. Everything that can change an
answer stays: numbers, units, names, "not", "my" and "your", "before" and "after", "can" and "must".
English only: in another language nothing is taken off, so questions match when they are the same words.
Taught in: chapter 08, section 5.
"""

import re
import unicodedata
from functools import lru_cache

LONGEST_CHARACTERS = 2_000  # a longer prompt is no question: only the same text matches it

_WORD = re.compile(r"[£$€¥]?\d+(?:[.,:/]\d+)*%?[^\W\d_]*|[^\W\d_]+(?:'[^\W\d_]+)*|[^\w\s]", re.UNICODE)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBER_WORDS = {word: str(value) for value, word in enumerate(_UNITS.split())}
NUMBER_WORDS |= {word: str(10 * value) for value, word in enumerate(_TENS.split(), 2)}
NUMBER_WORDS |= {"hundred": "100", "thousand": "1000", "million": "1000000"}

# Taken off at either end of a question, again and again. Not inside: "how do I say please in French" asks for it.
_HELLO = r"(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening))(?: there| all| team| everyone)?"
_THANKS = r"(?:many )?thanks(?: a lot| so much| in advance)?|thank you(?: very much| so much)?|cheers"
_POLITE = rf"{_HELLO}|{_THANKS}|please|pls|kindly|(?:a )?quick one|(?:a )?(?:quick|silly|simple) question"
_SORRY = r"sorry(?: to bother you)?|(?:just|i was|i am) wondering|wondering|okay|ok|yeah|yes"
_OPENING = r"well|so|and|but|right|now|like|morning|afternoon|evening"
_ASKING = (
    r"(?:can|could|would) (?:you|someone|anyone) (?:please )?(?:tell me|explain|show me|let me know|help me)"
)
_KNOW = r"do you know|does anyone know|any idea|i (?:want|need|would like) to know|tell me|explain"
_START = re.compile(rf"(?:{_POLITE}|{_SORRY}|{_ASKING}|{_KNOW}|{_OPENING})(?!\w)")
_END = re.compile(rf"(?<!\w)(?:{_POLITE})$")
_ABOUT_WORDS = re.compile(
    r"\b(?:say|write|spell|spelt|mean|means|meaning|translate|word|words|phrase|reply|pronounce)\b"
)

# From left to right; each is applied to text in lower case, with one space between words.
_REWRITES = tuple(
    (re.compile(rf"\b(?:{pattern})(?!\w)"), replacement)
    for pattern, replacement in (
        # Contractions, also as typed without an apostrophe.
        (r"can't|cant|cannot", "can not"),
        (r"won't", "will not"),
        (r"(\w+)n't", r"\1 not"),
        (r"(do|does|did|is|are|was|should|would)nt", r"\1 not"),
        (r"(what|where|who|how|when|that|it|there)(?:'s|s)", r"\1 is"),
        (r"i'm|im", "i am"),
        (r"i'd", "i would"),
        (r"i've", "i have"),
        (r"um+|uh+|er+m?|hmm+", ""),
    )
)
# Frames that ask the same; after the ends are taken off.
_FRAMES = tuple(
    (re.compile(rf"\b(?:{pattern})(?!\w)"), replacement)
    for pattern, replacement in (
        (r"(?:is|would) it (?:be )?(?:possible|ok|okay|fine|all right) (?:for me )?to|am i able to", "can i"),
        (
            r"what is the (?:best |right |proper |correct )?way to|how to|how (?:do|can) (?:you|we|one)",
            "how i",
        ),
        (r"(how|where) (?:do|can|could|would|might) i", r"\1 i"),
        (r"(who|which|what) (?:do|should|can) i (contact|ask|use|choose)", r"\1 i \2"),
        (r"how i go about (\w+)ing", r"how i \1"),
        (r"have you got", "do you have"),
        (r"what is the (?:price|cost) of", "how much is"),
        (r"(?:what|how much) (?:do|does|will|would) (.*?) cost", r"how much \1"),
        (r"must|have to|has to", "need to"),
        (r"usually|normally|typically|actually|really|basically", ""),
    )
)

# These carry no difference. Tenses do: "did" and "was" stay.
_EMPTY = frozenset(["a", "an", "the", "do", "does", "is", "are", "am", "be"])

# One spelling for words that ask for the same thing in any question. Short on purpose: every pair here is a bet.
_SAME = {
    word: group.split()[0]
    for group in (
        "get obtain receive",
        "change update modify alter",
        "buy purchase",
        "start begin commence",
        "shop store",
        "phone telephone",
        "fix repair",
        "fast quick rapid",
        "fastest quickest",
        "make create",
        "center centre",
        "color colour",
        "license licence",
        "program programme",
        "install instal",
        "enroll enrol",
        "submit lodge",
        "large big",
        "holiday vacation",
        "photo photograph picture",
        "choose select pick",
        "reservation booking",
    )
    for word in group.split()
}


@lru_cache(maxsize=65_536)
def plain_words(text: str) -> tuple[str, ...]:
    """Words of `text` that can change its answer, in lower case and in their order.

    Numbers keep their unit ("2pm", "£250000"); number words become digits. Emoji and other symbols stay, each
    as a word. A text over `LONGEST_CHARACTERS`, or of nothing but fillers, is one word: itself.
    """
    cleaned = " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split())
    if len(cleaned) > LONGEST_CHARACTERS:
        return (cleaned,)
    loose = re.sub(r"[.,;:!?\"()\[\]…–—-]+(?=\s|$)|(?<=\s)[\"(\[]|(?<=[^\W\d_])[-–/](?=\w)", " ", cleaned)
    loose = _rewritten(loose, _REWRITES)
    if not _ABOUT_WORDS.search(loose):
        loose = _without_ends(loose)
    words = [_word(word) for word in _WORD.findall(_rewritten(loose, _FRAMES)) if _says_something(word)]
    return tuple(word for word in words if word not in _EMPTY) or (cleaned,)


def _rewritten(text: str, rules) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _without_ends(text: str) -> str:
    """Without greetings at the front and thanks at the back, however many."""
    while begins := _START.match(text):
        text = text[begins.end() :].lstrip()
    while ends := _END.search(text):
        text = text[: ends.start()].rstrip()
    return text


def _says_something(word: str) -> bool:
    """Words, numbers, symbols such as emoji and +, and the vowel signs of other scripts; not punctuation."""
    return word[0].isalnum() or unicodedata.category(word[0])[0] in "SM" or word[0] in "£$€¥%#&@*"


def _word(word: str) -> str:
    if word in NUMBER_WORDS:
        return NUMBER_WORDS[word]
    if word[0].isdigit() or word[0] in "£$€¥":
        return re.sub(r",(?=\d{3})", "", word)
    word = re.sub(r"'s?$", "", word)
    return _SAME.get(word, word)
