"""Math-Verify's extraction, faster: every reading and verdict is the library's own."""

import logging
import re
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.graders_on_real_rows import box, read_lines
from bench.long_traces import long_traces
from delta.grading import math_verify_fast
from delta.grading.math import grade_as_math_verify
from delta.grading.verdict import Verdict
from tests.fixtures.cases import rows
from tests.helpers.import_closure import ROOT

REAL = ROOT.parent / "shared" / "real"
TEXTS = [
    "",
    "No idea.",
    "The answer is 8.",
    "The Final Answer is: $8$. I hope it is correct.",
    "final answer is 3/4 I hope",
    "FINAL ANSWER to this is 12",
    "My anſwer: 7",  # a long s is an s where case does not count
    "İ answered 7, İ did: ANSWER 8",  # its small letter is two characters
    "answer: the sum 3 + 4 = 7, and 9",
    "The answeranswer 5",
    r"answer: $\frac{1}{2}$ or $\frac{1}{3}$",
    r"\boxed{7} no: \boxed{8}",
    r"It is $\boxed{7}$, and $\boxed{8}$ and 9.",
    r"$\boxed{7}$ \[ \boxed{8} \] 9",
    "\\[\nx =\n\\boxed{8}\n\\]",
    "\\[ x \\] \\(\\boxed{8}\\)\n\\(\\boxed{9}",
    "$$ a\n\\boxed{8} $$$",
    "$$$\\boxed{8}$$$",
    r"\$5 and $\boxed{5\%}$ % percent",
    "a\n[\\boxed{3}]\nb [ \\boxed{4} ] c",
    r"[\boxed{3}] x",
    r"\\[ \boxed{3} \\] \\\[ \boxed{4} \] ",
    r"3$\boxed{4}$ $\boxed{5}$",
    r"$x$ then $\boxed{x}$ and answer: $y$",
    r"\boxed{8",
    r"\boxed{}",
    r"\boxed{\boxed{8}}",
    r"\boxed{" + "(" * 9 + "7" + ")" * 9 + "}",
    r"\boxed{" * 50,
    r"\boxed{a} " * 40,
    r"so $x = 4$, \frac{3}{4}, 50%, $12, -7 and 1,234.5 percent",
    "1/2 + 3 = 3.5",
    r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}",
    r"\boxed{x < 3} or \boxed{x \ge 5}",
    r"\boxed{10\%}",
    "\u2028$\\boxed{1}$\u2028 2",
]
GOLDS = ["8", r"\frac{1}{2}", "x", "10\\%", "(1,2)", r"x < 3", "}{"]
FORMULAS = [
    *("8", "-8", "1,234", "1234567,5", "(1,2)", "[1,2)", r"\{1,2\}", "1,2", "1;2", "x=3", "x<3<y"),
    *(r"\frac{1}{n^3}", "x^3+3x-6", "x^5 - x^4 + x", r"2ab=2^1\cdot a^1\cdot b^1", "2 x^2 y"),
    *(r"\log (x^2 - 36) = \log y^2 = 2\log y = \log 5x", r"\sin^2 x + \cos x", r"\sqrt[3]{2}"),
    *(r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"(-\infty, 3] \cup [5, \infty)", "5!"),
    *(r"\int_0^1 x dx", r"\sum_{k=1}^n k", r"\binom{4}{2}", r"3\frac{1}{2}", r"x \in \{1\}"),
    *(r"\lambda^2 x^2 - (\lambda^2 + \lambda) x + \lambda + 1", r"|x-1|", "10\\%", "2(3)(x+1)"),
    *("}{", "x^", r"\frac{1}", r"75^x\circ", r"x\circ y", r"5x\circ", r"75^x^\circ"),
]
# What the expressions look for, so that drawn texts come near to what they match.
PIECES = [
    *("$", "$$", r"\[", r"\]", r"\(", r"\)", " [", "] ", "[", "]", "\\", "\n", " ", "{", "}"),
    *(r"\boxed{", r"\boxed{8}", r"\boxed{x+1}", r"\frac{1}{2}", "8", "-7", "1,234", "x", "=", "."),
    *(
        "answer",
        "Answer:",
        " final answer is",
        "The FINAL ANSWER is:",
        " I hope",
        *("ſ", "İ", "K", "aNsWer"),
        " and ",
        ",",
    ),
    *("%", " percent", r"\%", "**", r"\$", "…"),
]
# Texts without displays, of lines after some of which the last lines may begin.
LINES = [
    *("so.\n", "is\n", "a:\n", " and\n", "or\n", ",\n", " percent\n", " percent,\n", "and.\n"),
    *(
        " pct.\n",
        "\n",
        "\n\n",
        "$x$",
        "$5$",
        " [1]",
        "\n[1]\n",
        r"\(7\)",
        r"\frac{1}{2}",
        r"\(",
        r"\)",
    ),
    *(
        "$",
        "\\",
        "7",
        "-7",
        " 1,234",
        ".5",
        "3 +",
        "4)",
        "**",
        "=",
        "$12",
        " ",
        "%",
        "é.\n",
        "\u2028",
    ),
]
AFTERWARDS = "Both of them satisfy the original condition, as one can easily see. " * 8
STRADDLING = [
    "Therefore the roots are $x_1$ given by $1$ and\n$2$.\n",
    "It is $5$ percent\nand $6$ in all.",
    "It is $5$ percent,\n$6$ in all.",
    "So we have [1] or\n [2] as it is.",
    "So we have \\(1\\) and\n\\(2\\) here.",
    "They are \\frac{1}{2} or\n\\frac{1}{3} then.",
    "They are $1$ and\n\n$2$ here.",
    "They are $1$ and then.\n$2$ here.",
    "We have 3 +\n4 = 7 percent.\n12.",
]


@pytest.fixture(autouse=True)
def _no_warning() -> None:
    logging.getLogger("math_verify").setLevel(logging.ERROR)


def plain(gold_answer: str, answer: str, finish_reason: str = "stop") -> Verdict:
    """The verdict by nothing but `parse` and `verify`."""
    from math_verify import parse, verify

    prediction = parse(answer, parsing_timeout=None)
    if not prediction:
        return Verdict("incorrect", None, "cut" if finish_reason == "length" else "no_box")
    gold = parse(box(gold_answer), parsing_timeout=None)
    if not gold:
        return Verdict("ungradable", str(prediction[-1]), "unparsable_gold")
    right = verify(gold, prediction, timeout_seconds=None)
    reason = None if right else "different"
    return Verdict("correct" if right else "incorrect", str(prediction[-1]), reason)


def spans(found: Any) -> list[tuple[tuple[int, int], dict[str, str | None]]]:
    return [(match.span(), match.groupdict()) for match in found]


def check_matches(text: str) -> None:
    answers = math_verify_fast._answers(text)
    assert answers == [found.start() for found in math_verify_fast.ANSWER.finditer(text)]
    for searches in math_verify_fast._searches():
        for pattern, starts, _ in searches:
            found = math_verify_fast._matches(pattern, starts, text, answers)
            expected = spans(pattern.finditer(text))
            assert spans(found) == expected, pattern.pattern[:60]
            if all(starts is None for _, starts, _ in searches):
                check_last_lines(text, pattern, expected)


def check_last_lines(text: str, pattern: re.Pattern[str], everything: list[Any]) -> None:
    """A search of them finds what one of all finds there, and nothing reaches into them."""
    for last in (0, 3, 12):
        with patch.object(math_verify_fast, "LAST", last):
            begin = math_verify_fast._last_lines(text)
        found = spans(pattern.finditer(text, begin))
        assert found == [one for one in everything if one[0][0] >= begin], pattern.pattern[:60]
        assert all(end <= begin for (_, end), _ in everything[: len(everything) - len(found)])


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_the_librarys_matches_and_verdicts(text: str) -> None:
    check_matches(text)
    with patch.object(math_verify_fast, "LAST", 0):
        for gold in GOLDS:
            assert grade_as_math_verify(gold, text, "stop") == plain(gold, text)


def test_the_graders_own_cases_have_the_librarys_verdicts() -> None:
    for row in rows("math"):
        gold, text = str(row["gold"]), str(row["text"])
        for answer in (text, f"So it is $\\boxed{{{text}}}$."):
            if gold.strip():
                assert grade_as_math_verify(gold, answer, "stop") == plain(gold, answer), row


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join))
def test_any_text_has_the_librarys_matches(text: str) -> None:
    check_matches(text)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(LINES), max_size=30).map("".join))
def test_any_lines_have_the_librarys_matches(text: str) -> None:
    check_matches(text)


@pytest.mark.parametrize("text", STRADDLING)
def test_formulas_that_are_one_match_over_a_lines_end_stay_one(text: str) -> None:
    check_matches(text)
    whole = text + AFTERWARDS
    for gold in ("2", r"\{1,2\}", "6", r"\{6, \frac{5}{100}\}", r"\frac{1}{3}", "12"):
        assert grade_as_math_verify(gold, whole, "stop") == plain(gold, whole)


@pytest.mark.parametrize("gold", ["5 cm", r"\text{no way}", "1, 2", r"\frac{1}{2}"])
def test_many_blanks_mean_no_more_than_a_hundred(gold: str) -> None:
    many, fewer = (gold.replace(" ", " " * count) for count in (400, 100))
    for text in (box(gold), f"The final answer is ${many}$.", box(many)):
        assert grade_as_math_verify(many, text, "stop").outcome == plain(fewer, text).outcome


def test_a_long_text_is_looked_through_from_a_line_near_its_end() -> None:
    lines = "We count them again.\n" * 100
    text = f"There are 7 of them.\n{lines}So there are 9.\n{'And that is all of it.'}"
    begin = math_verify_fast._last_lines(text)
    assert 500 <= len(text) - begin <= 600
    assert text[begin - 1 : begin + 3] == ".\nWe"
    assert grade_as_math_verify("9", text, "stop").outcome == "correct"


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PIECES), max_size=15).map("".join), st.sampled_from(GOLDS))
def test_any_text_has_the_librarys_verdict(text: str, gold: str) -> None:
    with patch.object(math_verify_fast, "LAST", 3):
        assert grade_as_math_verify(gold, text, "stop") == plain(gold, text)


def test_nine_expressions_of_the_library_are_tried_only_where_they_can_begin() -> None:
    starts = [search[1] for same in math_verify_fast._searches() for search in same]
    names = [one.__name__ for one in starts if one is not None]
    assert sorted(names) == ["_around_boxes", *["_at_answers"] * 4, *["_at_final_answers"] * 4]
    assert len(starts) == 13


def test_a_reading_over_a_thousand_characters_is_compared_and_not_remembered() -> None:
    long = r"\boxed{" + "1+" * 600 + "1}"
    before = math_verify_fast._is_right.cache_info().currsize
    assert grade_as_math_verify("601", long, "stop").outcome == "correct"
    assert math_verify_fast._is_right.cache_info().currsize == before


def test_equal_formulas_are_compared_once_however_they_are_written() -> None:
    for text in (r"\boxed{91}", r"$\boxed{91}$", r"The final answer is $91$. I hope"):
        assert grade_as_math_verify("92", text, "stop").reason == "different"
    first = math_verify_fast.read(r"\boxed{91}")
    assert first == math_verify_fast.read(r"$\boxed{91}$")
    assert first != math_verify_fast.read(r"$\boxed{91}$ %")


def test_a_formula_parsed_in_two_stages_is_the_formula_parsed_in_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from latex2sympy2_extended.antlr_parser import PSParser
    from math_verify.parser import parse_latex_cached
    from sympy import srepr

    def parsed(formula: str) -> str | None:
        try:
            return str(srepr(parse_latex_cached.__wrapped__(formula)))
        except Exception:  # noqa: BLE001 - whatever the library raises
            return None

    in_one = [parsed(formula) for formula in FORMULAS]
    monkeypatch.setattr(PSParser, "math", PSParser.math)  # undone after the test
    math_verify_fast.parse_in_two_stages.__wrapped__()
    assert [parsed(formula) for formula in FORMULAS] == in_one
    assert in_one.count(None) == 7


def test_a_number_read_with_kept_names_is_the_number_read_with_sympys_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sympy
    from sympy.parsing import sympy_parser

    texts = ("7", "0.1", "1/3", "-2**3", "Max(1, x)", "max(2, 3)", "pi + E", "I", "f(x)")
    own = [sympy.srepr(sympy.sympify(text)) for text in texts]
    looked_up = []
    stringify_expr = sympy_parser.stringify_expr

    def seen(text: str, local_dict: Any, global_dict: Any, transformations: Any) -> str:
        looked_up.append(global_dict)
        return str(stringify_expr(text, local_dict, global_dict, transformations))

    monkeypatch.setattr(sympy_parser, "parse_expr", sympy_parser.parse_expr)  # undone at the end
    monkeypatch.setattr(sympy_parser, "stringify_expr", seen)
    sympy.sympify("f + g")  # made the library's way
    math_verify_fast.keep_sympys_names.__wrapped__()
    assert [sympy.srepr(sympy.sympify(text)) for text in texts] == own
    library, _, *ours = looked_up
    assert all(names.keys() == library.keys() for names in ours)
    assert all(
        names[key] is library[key] for names in ours for key in library if key != "__builtins__"
    )
    assert len({id(names) for names in ours}) == len(texts)  # what one text does to them is its own


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/real")
def test_real_texts_have_the_librarys_verdicts() -> None:
    for row in list(read_lines(REAL / "math500_test.jsonl"))[::5]:
        other = re.sub(r"\\boxed", "", row["solution"])
        for text in (row["solution"], other):
            assert grade_as_math_verify(row["answer"], text, "stop") == plain(row["answer"], text)


@pytest.mark.slow
def test_long_traces_have_the_librarys_matches_and_verdicts() -> None:
    _, traces = long_traces(12, 1)
    for trace in traces:
        check_matches(trace.text)
        ours = grade_as_math_verify(trace.gold, trace.text, trace.finish_reason)
        assert ours == plain(trace.gold, trace.text, trace.finish_reason)
