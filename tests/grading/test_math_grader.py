"""The mathematical grader: the box that counts, equal answers, and Math-Verify's extraction."""

import gc
import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delta.grading.formulas.boxes import joined_boxes, last_box
from delta.grading.formulas.cleaning import clean
from delta.grading.formulas.rounding import stored_decimal
from delta.grading.math_grader import grade, grade_as_math_verify
from delta.grading.theoremqa_grader import real_number
from delta.grading.verdict import Verdict
from tests.helpers.grading_cases import CaseRow, check, rows

TABLES = (
    *("math", "math_exact", "math_structure", "math_forms"),
    *("math_values", "math_relations", "math_units", "math_programs"),
)
BLANKS = " " * 20_000
DETERMINANT = r"\\".join(
    "&".join(f"x_{{{7 * row + column}}}" for column in range(7)) for row in range(7)
)
Grade = Callable[[str, str | None, str], Verdict]


@pytest.fixture(autouse=True, scope="module")
def load_math_verify() -> None:
    """Load Math-Verify before the tests that measure time."""
    for grader in (grade, grade_as_math_verify):
        grader("5", r"\boxed{\int_0^1 x dx}", "stop")


@pytest.mark.parametrize("row", [row for name in TABLES for row in rows(name)], ids=str)
def test_every_row_of_the_table_has_its_outcome(row: CaseRow) -> None:
    check(grade, row)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"So it is \boxed{8}.", "8"),
        (r"\boxed{7} No, that is wrong. \boxed{8}", "8"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{a {b} c}}", r"\text{a {b} c}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\} open}", r"\} open"),
        (r"\boxed{a \\}", r"a \\"),
        (r"\boxed{  12 " + "\n}", "12"),
        (r"\boxed{}", ""),
        (r"\boxed{\boxed{8}}", "8"),
        (r"\boxed{7} and then \boxed{8", "7"),
        (r"\fbox{8}", "8"),
        (r"\boxed{8", None),
        (r"\boxed{\frac{1}{2}", None),
        ("The answer is 8.", None),
        (r"boxed{8}", None),
        ("", None),
        (r"\boxed{" + "1" * 999 + "}", "1" * 999),
        (r"\boxed{" + "1" * 1_001 + "}", None),
    ],
)
def test_the_last_balanced_box_is_the_answer(text: str, content: str | None) -> None:
    assert last_box(text) == content


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        (r"\boxed{2} or \boxed{3}", ["2", "3"]),
        (r"$x = \boxed{2}$ \quad\text{and}\quad $x = \boxed{3}$", ["2", "3"]),
        (r"\boxed{1}, \boxed{2}, and \boxed{3}", ["1", "2", "3"]),
        (r"\boxed{2}. No: \boxed{3}", ["3"]),
        (r"\boxed{2}, so \boxed{3}", ["3"]),
        (r"\boxed{3} and \boxed{3}", ["3"]),
        (r"\boxed{\boxed{8}}", ["8"]),
        (r"\boxed{7} and \boxed{8", ["7"]),
        ("none", []),
    ],
)
def test_boxes_joined_by_words_are_one_answer(text: str, contents: list[str]) -> None:
    assert joined_boxes(text) == contents


@pytest.mark.parametrize(
    ("answer", "finish_reason", "verdict"),
    [
        (None, "length", Verdict("incorrect", None, "cut")),
        (None, "stop", Verdict("incorrect", None, "cut")),
        ("It is", "length", Verdict("incorrect", None, "cut")),
        (r"It is \boxed{8", "length", Verdict("incorrect", None, "cut")),
        (r"\boxed{8}. So", "length", Verdict("correct", "8", None)),
        ("", "refused", Verdict("incorrect", None, "no_box")),
        (r"\boxed{ 5 + 3 }", "stop", Verdict("correct", "5 + 3", None)),
    ],
)
def test_a_cut_answer_has_the_reason_cut(
    answer: str | None, finish_reason: str, verdict: Verdict
) -> None:
    assert grade("8", answer, finish_reason) == verdict


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("8", r"It is \boxed{8}.", Verdict("correct", "8", None)),
        ("8", "The answer is 8.", Verdict("correct", "8", None)),  # a guess, as it is documented
        # Adjacent boxes merge into a set, so a self-correction is wrong.
        ("8", r"\boxed{7} no: \boxed{8}", Verdict("incorrect", "7,8", "different")),
        ("8", "No idea.", Verdict("incorrect", None, "no_box")),
        ("8", None, Verdict("incorrect", None, "cut")),
        ("", r"\boxed{8}", Verdict("ungradable", None, "empty_gold")),
        ("}{", r"\boxed{8}", Verdict("ungradable", "8", "unparsable_gold")),
    ],
)
def test_math_verify_mode_has_the_librarys_extraction(
    gold: str, answer: str | None, verdict: Verdict
) -> None:
    assert grade_as_math_verify(gold, answer, "stop") == verdict


def outcome(gold: str, answer: str) -> str:
    return grade(gold, f"\\boxed{{{answer}}}", "stop").outcome


def seconds(gold: str, answer: str, grader: Grade = grade) -> float:
    """Return the CPU seconds of grading, without the garbage and the threads of earlier tests."""
    gc.disable()
    try:
        start = time.thread_time()
        grader(gold, answer, "stop")
        return time.thread_time() - start
    finally:
        gc.enable()


@settings(max_examples=60)
@given(st.integers(2, 9), st.integers(0, 300), st.integers(-2, 2))
def test_long_whole_numbers_are_compared_exactly(base: int, exponent: int, more: int) -> None:
    written = str(base**exponent + more)
    expected = "correct" if more == 0 else "incorrect"
    assert outcome(f"{base}^{{{exponent}}}", written) == expected
    assert outcome(written, f"{base}^{{{exponent}}}") == expected


@settings(max_examples=60)
@given(st.fractions(), st.fractions())
def test_fractions_with_equal_values_are_equal(first: Fraction, second: Fraction) -> None:
    texts = [f"\\frac{{{value.numerator}}}{{{value.denominator}}}" for value in (first, second)]
    assert outcome(texts[0], texts[1]) == ("correct" if first == second else "incorrect")
    assert outcome(texts[0], f"{texts[0]}+{texts[1]}-{texts[1]}") == "correct"


@settings(max_examples=300)
@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_single_precision_number_means_its_shortest_decimal(stored: float) -> None:
    value = Fraction(repr(stored))
    precision = Fraction(1, 10**30)  # as if all its digits were written
    shortest, _ = stored_decimal(value, precision)
    assert shortest == value or abs(float(shortest) - stored) <= abs(stored) * 2**-24


@pytest.mark.parametrize(
    "answer",
    [
        "(10^8)!",
        "2^{10^9}",
        "9^9^9^9",
        r"\binom{10^9}{5\cdot 10^8}",
        r"\sum_{k=1}^{10^9} k!",
        r"\sum_{a=1}^{1000}\sum_{b=1}^{1000}\sum_{c=1}^{1000} abc",
        "((10^9)!)!",
        "1e999999999",
        r"\sqrt{2^{10^9}+1}",
        r"x^{10^{10^{10}}}",
        r"\left(\frac{7}{3}\right)^{10^8}",
        "10^{-10^{9}}",
        r"\prod_{k=1}^{10^6} \frac{k}{k+1}",
        "(" * 400 + "1" + ")" * 400,
        "{" * 400 + "1" + "}" * 400,
        "x" + "^{x" * 200 + "}" * 200,
        r"\frac{1}{" * 80 + "2" + "}" * 80,
        ",".join(map(str, range(200))),
        r"\pm " * 30 + "1",
        r"\begin{vmatrix}" + DETERMINANT + r"\end{vmatrix}",
        r"7^{10^{100}} \bmod 13",
        r"\int \frac{dx}{x^{20}+x+1}",
        "^".join("9" * 400),
        "5" + "!" * 900,
        "1/2x" * 100,
    ],
)
def test_answers_with_huge_values_are_graded_quickly(answer: str) -> None:
    for gold in ("8", "x", answer + "+1"):
        assert seconds(gold, f"\\boxed{{{answer}}}") < 1


@pytest.mark.parametrize(
    "gold",
    [
        "{" * 10**6 + "5" + "}" * 10**6,
        "(" * 10**6 + "5",
        r"\begin{pmatrix}" + r"\\".join(["&".join("1" * 1000)] * 1000) + r"\end{pmatrix}",
        ",".join(map(str, range(20_000))),
        "+".join("1" * 20_000),
    ],
    ids=["braces", "brackets", "a matrix", "a list", "a sum"],
)
def test_a_gold_of_many_pages_is_too_large(gold: str) -> None:
    assert grade(gold, r"\boxed{5}", "stop")[::2] == ("ungradable", "too_large")
    assert seconds(gold, r"\boxed{6}") < 1


def test_a_wrong_answer_to_a_long_formula_is_graded_quickly() -> None:
    gold = r"y=e^{-x/2}(c_1\cos\frac{3x}2+c_2\sin\frac{3x}2)"
    assert seconds(gold, f"\\boxed{{{gold.replace('3x', '5x')}}}") < 0.5
    gold = r"\frac{\cos (2 t)}{15}+C_{1} e^{t}+C_{2} e^{-t}+C_{3} \cos (t)+C_{4} \sin (t)"
    assert seconds(gold, f"\\boxed{{{gold.replace('15', '16')}}}") < 0.5
    assert outcome(gold, gold.replace("15", "16")) == "incorrect"


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("5", rf"{BLANKS}\boxed{{5}}{BLANKS}"),
        ("5", rf"\boxed{BLANKS}{{5}}"),
        ("5", rf"\boxed{{5{BLANKS}}}"),
        (f"5{BLANKS}cm", r"\boxed{5}"),
        (rf"\text{{a{BLANKS}b}}", r"\boxed{5}"),
        (f"1,{BLANKS}2", r"\boxed{2,1}"),
        ("1,2", rf"\boxed{{1}}{BLANKS}and{BLANKS}\boxed{{2}}"),
        ("5", f"The final answer is{BLANKS}5"),
        ("5", f"${BLANKS}5$"),
    ],
)
def test_long_runs_of_blanks_are_graded_quickly(gold: str, text: str) -> None:
    for grader in (grade, grade_as_math_verify):
        assert seconds(gold, text, grader) < 0.5


@settings(max_examples=400)
@given(st.text("\\{}()[]^_+-*/=<>,.:;!'|&$%0129xyie ", max_size=25), st.text(max_size=15))
def test_any_text_has_a_verdict(answer: str, second: str) -> None:
    for gold, text in ((answer, second), (second, answer), ("5", answer)):
        verdict = grade(gold, f"\\boxed{{{text}}}", "stop")
        assert verdict.outcome in ("correct", "incorrect", "ungradable")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        (r"x = \frac{3}{4}", Fraction(3, 4)),
        (r"11 5/6", Fraction(71, 6)),
        (r"2.5\,\Omega", Fraction(5, 2)),
        (r"\text{7 apples}", 7),
        ("3:4", Fraction(3, 4)),
        ("2^{10}", 1024),
        ("x", None),
        ("(1,2)", None),
        ("2x+3=5", None),
        ("(10^8)!", None),
    ],
)
def test_a_number_may_have_a_name_and_a_unit(text: str, value: Fraction | None) -> None:
    read = real_number(clean(text))
    assert (read and read.value) == value
