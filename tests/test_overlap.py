"""Training problems against benchmark questions: what is the same text, and what shares words."""

import pytest

from delta.overlap import Asked, Index, Shared, evened, keys, whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Find the sum", ["find the", "the sum"]),
        (r"$\frac{1}{2}$ of it", ["frac 1", "1 2", "2 of", "of it"]),
        (r"\dfrac12 \quad \text{Or} \left(x\right)", ["frac12 or", "or x"]),
        ("1,000 coins; 12{,}500 more", ["1000 coins", "coins 12500", "12500 more"]),
        ("a_1 + a_2", ["a 1", "1 a", "a 2"]),
        ("Ｆｕｌｌ widTH", ["full width"]),
        ("naïve café", ["naïve café"]),
        (r"costs \$5 or 5~dollars", ["costs 5", "5 or", "or 5", "5 dollars"]),
    ],
)
def test_words_are_runs_of_letters_and_digits_without_the_noise_of_latex(
    text: str, words: list[str]
) -> None:
    assert keys(text, 2) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"Compute $\dfrac{1}{2}$.", r"compute  \tfrac{1}{2}."),
        (r"What is $\left( 3 \right)$?", r"What is \( (3) \)?"),
        ("3+4", "3 + 4"),
        ("1,000 men", r"1{,}000 men"),
        (r"\displaystyle\sum_i i", r"\sum_i i"),
    ],
)
def test_texts_that_differ_in_typesetting_only_are_equal(one: str, other: str) -> None:
    assert whole(one) == whole(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7 + 2", "7 - 2"),
        ("x < y", "x > y"),
        ("1.5", "15"),
        (r"\leftarrow", "arrow"),
        (r"\textile", "ile"),
        ("12,34", "1234"),
    ],
)
def test_texts_that_mean_something_else_are_not_equal(one: str, other: str) -> None:
    assert whole(one) != whole(other)


def test_a_command_that_only_begins_like_one_of_type_stays() -> None:
    assert evened(r"\leftrightarrow \bigcup \limsup") == r"\leftrightarrow \bigcup \limsup"


QUESTIONS = [
    Asked("aime", "aime.0", "How many positive integers n are less than 2026?"),
    Asked("aime", "aime.1", "Again: how many positive integers n are there?"),
    Asked("math", "math.7", "Show how many positive integers n exist."),
    Asked("math", "math.8", "What is 7 - 2?"),
]


def test_a_run_of_n_words_in_common_is_found_once_for_each_benchmark() -> None:
    found = Index(QUESTIONS, 4).shared("Tell me HOW many $positive$ integers, n, are odd.")
    assert found == [
        Shared("aime", "aime.0", "how many positive integers"),
        Shared("math", "math.7", "how many positive integers"),
    ]


def test_a_run_of_fewer_words_is_not_enough() -> None:
    assert Index(QUESTIONS, 4).shared("many positive integers, and less than 2026 of them") == []
    assert Index(QUESTIONS, 4).shared("many positive integers n") != []


def test_a_text_shorter_than_n_words_is_dropped_only_where_all_of_it_is_equal() -> None:
    index = Index(QUESTIONS, 8)
    assert index.shared("what is $7-2$?") == [Shared("math", "math.8", "whatis7-2?")]
    assert index.shared("What is 7 + 2?") == []
    assert index.shared("In the evening I ask you: What is 7 - 2?") == []


def test_without_n_only_equal_statements_count() -> None:
    index = Index(QUESTIONS, None)
    assert index.shared("How many positive integers n are less than 2025?") == []
    assert index.shared("how many positive integers $n$ are less than 2026 ?") == [
        Shared("aime", "aime.0", "howmanypositiveintegersnarelessthan2026?")
    ]


def test_n_words_exactly_are_one_run() -> None:
    assert keys("one two three", 3) == ["one two three"]
    assert keys("one two three", 4) == ["onetwothree"]
    assert keys("one two three", None) == ["onetwothree"]
