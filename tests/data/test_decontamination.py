"""Which training problems match a benchmark question: equal texts, and shared n-grams."""

import time

import pytest

from delta.data.decontamination import (
    BenchmarkQuestion,
    NgramIndex,
    NgramMatch,
    ngrams,
    normalize,
    normalized_key,
)


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
        ("x² and x2", ["x 2", "2 and", "and x2"]),
        ("$AB$ Is $A$", ["ab is", "is A"]),
        (r"$\Delta$ of $\delta$", ["Delta of", "of delta"]),
        ("求x的值", ["求 x", "x 的", "的 值"]),
        ("テスト3個", ["テ ス", "ス ト", "ト 3", "3 個"]),
        (r"costs \$5 or 5~dollars", ["costs 5", "5 or", "or 5", "5 dollars"]),
    ],
)
def test_words_are_runs_of_letters_and_digits_without_latex_typesetting(
    text: str, words: list[str]
) -> None:
    assert ngrams(text, 2) == words


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (r"Compute $\dfrac{1}{2}$.", r"compute  \tfrac{1}{2}."),
        (r"What is $\left( 3 \right)$?", r"What is \( (3) \)?"),
        ("3+4", "3 + 4"),
        ("1,000 men", r"1{,}000 men"),
        (r"\displaystyle\sum_i i", r"\sum_i i"),
        ("Find x² + 1.", "find x^2 + 1."),
        ("Find x²", "Find x^{2}"),
        ("Find $x^{2}$", "Find $x^2$"),
        ("2¹⁰ men", "2^{10} men"),
        ("2¹⁰ men", "2^10 men"),
        ("x⁻¹", "x^{-1}"),
        ("x₁ + x₂", "x_1 + x_{2}"),
        ("3 − 4", "3 - 4"),
        ("Tom’s “A–B”", 'Tom\'s "A-B"'),
        ("½ of it", "1/2 of it"),
        ("HOW MANY ARE THERE?", "How many are there?"),
        ("A ball falls.", "a ball falls."),
        ("Is I a letter? Then I see one.", "is I a letter? then i see one."),
        ("Tom and I'm", "tom and i'm"),
        ("A 5 kg ball", "a 5 kg ball"),
        (r"If $n$ is odd \text{Or} $A$ holds", r"if $n$ is odd \text{or} $A$ holds"),
        (r"$x \text{ If } A$", r"$x \text{ if } A$"),
        ("1,234 apples", "1234 apples"),
        ("He has (about 1,234 apples)", "he has (about 1234 apples)"),
        ("It costs $1,234.", "It costs $1234."),
        (r"$f(1{,}234)$", "$f(1234)$"),
        (r"$\frac{1,234}{5,678}$", r"$\frac{1234}{5678}$"),
        ("If $AB = 5$", "If AB = 5"),
        ("1,234,567 stars", "1234567 stars"),
        ("求１＋２的值", "求1+2的值"),
    ],
)
def test_texts_that_differ_only_in_typesetting_are_equal(text: str, other: str) -> None:
    assert normalized_key(text) == normalized_key(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("7 + 2", "7 - 2"),
        ("x < y", "x > y"),
        ("1.5", "15"),
        (r"\leftarrow", "arrow"),
        (r"\textile", "ile"),
        ("12,34", "1234"),
        ("What is 10²?", "What is 102?"),
        ("x²", "x2"),
        ("x²", "x_2"),
        ("101₂", "1012"),
        ("x^{2y}", "x^2y"),
        ("3½", "31/2"),
        ("$a + B$", "$A + b$"),
        ("Find $a$.", "Find $A$."),
        (r"\(P(A)\)", r"\(p(a)\)"),
        (r"\[AB\]", r"\[ab\]"),
        (r"$\Delta$", r"$\delta$"),
        (r"\Pi", r"\pi"),
        ("f(X) = 2", "f(x) = 2"),
        ("Find a if A is 3.", "Find A if a is 3."),
        ("5 M", "5 m"),
        ("f(1,234)", "f(1234)"),
        ("⟨1,234⟩", "⟨1234⟩"),
        ("求A的值", "求a的值"),
        ("$f(x, 1,234)$", "$f(x, 1234)$"),
        ("the point (1,234)", "the point (1234)"),
        (r"the set \{1,234\}", r"the set \{1234\}"),
        ("[1,234] and x", "[1234] and x"),
        ("x_{1,234}", "x_{1234}"),
        ("S = {1,234}", "S = {1234}"),
        ("If AB = 5", "If ab = 5"),
        ("求1+2的值", "求1-2的值"),
    ],
)
def test_texts_with_different_meanings_are_not_equal(text: str, other: str) -> None:
    assert normalized_key(text) != normalized_key(other)


def test_a_command_that_only_begins_like_a_typesetting_one_is_kept() -> None:
    assert normalize(r"\leftrightarrow \bigcup \limsup") == r"\leftrightarrow \bigcup \limsup"


QUESTIONS = [
    BenchmarkQuestion("aime", "aime.0", "How many positive integers n are less than 2026?"),
    BenchmarkQuestion("aime", "aime.1", "Again: how many positive integers n are there?"),
    BenchmarkQuestion("math", "math.7", "Show how many positive integers n exist."),
    BenchmarkQuestion("math", "math.8", "What is 7 - 2?"),
]


def test_a_shared_ngram_gives_one_match_for_each_benchmark() -> None:
    matches = NgramIndex(QUESTIONS, 4).matches("Tell me HOW many $positive$ integers, n, are odd.")
    assert matches == [
        NgramMatch("aime", "aime.0", "how many positive integers"),
        NgramMatch("math", "math.7", "how many positive integers"),
    ]


def test_a_shorter_run_of_words_is_no_match() -> None:
    assert (
        NgramIndex(QUESTIONS, 4).matches("many positive integers, and less than 2026 of them") == []
    )
    assert NgramIndex(QUESTIONS, 4).matches("many positive integers n") != []


def test_a_text_shorter_than_n_words_matches_only_an_equal_text() -> None:
    index = NgramIndex(QUESTIONS, 8)
    assert index.matches("what is $7-2$?") == [NgramMatch("math", "math.8", "whatis7-2?")]
    assert index.matches("What is 7 + 2?") == []
    assert index.matches("In the evening I ask you: What is 7 - 2?") == []


def test_without_n_only_equal_statements_count() -> None:
    index = NgramIndex(QUESTIONS, None)
    assert index.matches("How many positive integers n are less than 2025?") == []
    assert index.matches("how many positive integers $n$ are less than 2026 ?") == [
        NgramMatch("aime", "aime.0", "howmanypositiveintegersnarelessthan2026?")
    ]


def test_a_text_of_exactly_n_words_is_one_ngram() -> None:
    assert ngrams("one two three", 3) == ["one two three"]
    assert ngrams("one two three", 4) == ["onetwothree"]
    assert ngrams("one two three", None) == ["onetwothree"]


CHINESE = "小明和小红从相距一百米的两地同时出发，几分钟后相遇？"


def test_each_chinese_or_japanese_character_is_a_word() -> None:
    index = NgramIndex([BenchmarkQuestion("cmath", "cmath.0", CHINESE)], 8)
    shared = index.matches("已知小明和小红从相距一百米的两地同时走来，求时间。")
    assert shared == [NgramMatch("cmath", "cmath.0", "小 明 和 小 红 从 相 距")]
    assert index.matches("小明有三个苹果，吃了一个，还有几个？") == []
    japanese = "太郎くんはりんごを五個買いました。"
    index = NgramIndex([BenchmarkQuestion("mgsm", "mgsm.0", japanese)], 8)
    assert index.matches("昨日、太郎くんはりんごを三個買いました。") != []
    assert index.matches("花子さんはみかんを五個食べました。") == []


def test_short_texts_that_differ_in_a_power_or_in_case_do_not_match() -> None:
    index = NgramIndex(
        [
            BenchmarkQuestion("own", "own.0", "What is 10²?"),
            BenchmarkQuestion("own", "own.1", "Find $a + B$"),
        ],
        4,
    )
    assert index.matches("What is 102?") == []
    assert index.matches("Find $A + b$") == []
    assert index.matches("what is 10^2?") != []
    assert index.matches("find $a+B$") != []


@pytest.mark.parametrize(
    "part", [" ", "a ", "(", "(1,234", "\\(", "$", "$$", "\\begin{align}", "1,", "²", "_{"]
)
def test_normalization_takes_linear_time(part: str) -> None:
    start = time.thread_time()
    normalized_key(part * 20_000)
    assert time.thread_time() - start < 2
