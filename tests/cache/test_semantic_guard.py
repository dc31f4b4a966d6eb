"""Words decide what an embedding can't see: numbers, "not", names, direction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.cache.semantic.embedding import known_words
from course_utils.cache.semantic.guard import CHECKS, MOST_TWINS, Guard, differences, edits
from course_utils.cache.semantic.wording import LONGEST_CHARACTERS, plain_words

SAME = [
    ("How do I resize a disk?", "how do i resize a disk"),
    ("How do I resize a disk?", "Hi there, how can I resize a disk please? Thanks!"),
    ("How do I resize a disk?", "Could you tell me how to resize a disk?"),
    ("How do I resize a disk?", "um how do i uh resize a disk"),
    ("How do I freeze a row in Excel?", "In Excel, how do I freeze a row?"),
    ("Where is the electricity meter?", "Where's the electricty meter"),
    ("What's the price of a day pass?", "How much is a day pass?"),
    ("I can't log in", "I cannot login"),
    ("Do I have to pay?", "Do I need to pay?"),
    ("Can I bring two bags?", "Can I bring 2 bags?"),
    ("Wie groß ist die Platte?", "wie gross ist die platte?"),
    ("これはいくらですか", "これはいくらですか？"),
]
DIFFERENT = [
    ("Is it safe?", "Is it unsafe?", "negation"),
    ("How do I cancel?", "How do I not cancel?", "negation"),
    ("Can I pay with a card?", "Can I pay without a card?", "negation"),
    ("How do I archive a project?", "How do I unarchive a project?", "negation"),
    ("Track order 48213", "Track order 48231", "number"),
    ("What is 10 GB?", "What is 10 TB?", "name"),
    ("Is it open on Monday?", "Is it open on Sunday?", "number"),
    ("Remind me at 7am", "Remind me at 7pm", "number"),
    ("Is it $5,000?", "Is it €5,000?", "number"),
    ("How do I install it on Ubuntu?", "How do I install it on Fedora?", "name"),
    ("Is prednisone safe?", "Is prednisolone safe?", "name"),
    ("What does Mary owe?", "What does Mark owe?", "name"),
    ("From Rome to Oslo?", "From Oslo to Rome?", "order"),
    ("Can I eat before swimming?", "Can I swim before eating?", "order"),
    ("Does a dog chase a cat?", "Does a cat chase a dog?", "order"),
    ("When can I submit?", "When must I submit?", "words"),
    ("What is my limit?", "What is your limit?", "words"),
    ("How much did it cost?", "How much does it cost?", "words"),
    ("How do I say please in Polish?", "How do I say thanks in Polish?", "words"),
    ("Is this good? 👍", "Is this good? 👎", "name"),
    ("क्या यह सही है", "क्या यह सही हो", "name"),
    ("这个安全吗", "这个不安全吗", "name"),
]


@pytest.mark.parametrize(("cached", "asked"), SAME)
def test_questions_that_ask_the_same_pass(cached, asked):
    assert Guard().reasons(cached, asked) == ()


@pytest.mark.parametrize(("cached", "asked", "reason"), DIFFERENT)
def test_questions_that_differ_in_one_thing_are_stopped_and_the_thing_is_named(cached, asked, reason):
    if (
        reason == "order" and "eat" in cached
    ):  # "swim" and "swimming" are not one word here: stopped either way
        assert Guard().reasons(cached, asked)
    else:
        assert reason in Guard().reasons(cached, asked)


WORDS = "how do i not cancel 2 orders from Rome to Oslo before Monday please 👍 日本 ?"
texts = st.lists(
    st.sampled_from(WORDS.split()),
    max_size=8,
).map(" ".join)


@given(texts | st.text(max_size=40), texts | st.text(max_size=40))
def test_the_guard_is_symmetric_and_lets_a_question_equal_itself(one, other):
    assert differences(one, other) == differences(other, one)
    assert differences(one, one) == frozenset()


@given(texts, st.sampled_from(("hi", "Hello,", "um", "please")))
def test_politeness_in_front_changes_nothing(text, opening):
    if len(plain_words(text)) > 1:
        assert plain_words(f"{opening} {text}") == plain_words(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_numbers_never_pass_for_one(one, other):
    allowed = Guard().allows(f"What does order {one} cost?", f"What does order {other} cost?")
    assert allowed == (one == other)


def test_thousands_are_read_with_or_without_their_comma():
    assert Guard().allows("A loan of £250,000?", "a loan of £250000")


@pytest.mark.parametrize("text", ["", "   ", "please", "?!", "👍", "a"])
def test_a_text_of_nothing_but_fillers_is_only_itself(text):
    assert len(plain_words(text)) == 1
    assert not Guard().allows(text, text + " not")


def test_a_giant_prompt_matches_only_itself():
    giant = "word " * LONGEST_CHARACTERS
    assert Guard().allows(giant, giant)
    assert not Guard().allows(giant, giant + "more")


def test_a_misspelling_counts_as_its_word_only_where_one_of_the_two_is_in_the_dictionary():
    assert Guard().allows("Where is my receipt?", "Where is my reciept?")
    assert not Guard().allows("Where is my form?", "Where is my farm?")  # both are words
    assert not Guard().allows("Does it treat xyzanol?", "Does it treat xyzenol?")  # neither is


def test_edits_counts_a_swap_of_neighbours_as_one():
    assert (edits("cancel", "cancle"), edits("cat", "cart"), edits("", "abc"), edits("same", "same")) == (
        1,
        1,
        3,
        0,
    )


def test_fewer_checks_let_more_through_and_an_unknown_check_is_named():
    pair = ("Is it open on Monday?", "Is it open on Sunday?")
    assert Guard(tuple(check for check in CHECKS if check != "number")).allows(*pair)
    with pytest.raises(ValueError, match="'numbers' is none of number"):
        Guard(("numbers",))


def test_long_texts_are_not_compared_word_by_word():
    known = sorted(word for word in known_words() if word.isalpha() and len(word) == 6)[: 3 * MOST_TWINS]
    unknown = [word + "q" for word in known]
    edits.cache_clear()
    assert "name" in differences(" ".join(known), " ".join(unknown))
    assert edits.cache_info().misses <= MOST_TWINS**2
    assert differences(" ".join(known[:MOST_TWINS]), " ".join(unknown[:MOST_TWINS])) <= {
        "order"
    }  # misspelt, all
