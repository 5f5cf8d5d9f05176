"""With `extraction: math_verify`, every verdict equals the library's."""

import logging
import re

import pytest

from bench.graders_on_real_rows import box, read_lines
from delta.grading import math_verify_adapter
from delta.grading.math_grader import grade_as_math_verify
from delta.grading.verdict import Verdict
from tests.helpers.grading_cases import rows
from tests.helpers.import_closure import ROOT

REAL = ROOT.parent / "shared" / "real"
TEXTS = [
    "No idea.",
    "The Final Answer is: $8$. I hope it is correct.",
    r"answer: $\frac{1}{2}$ or $\frac{1}{3}$",
    r"It is $\boxed{7}$, and $\boxed{8}$ and 9.",
    "\\[\nx =\n\\boxed{8}\n\\]",
    r"\boxed{8",
    r"\boxed{\boxed{8}}",
    r"so $x = 4$, \frac{3}{4}, 50%, $12, -7 and 1,234.5 percent",
    r"\boxed{x < 3} or \boxed{x \ge 5}",
    r"\boxed{10\%}",
]
GOLDS = ["8", r"\frac{1}{2}", "10\\%", r"x < 3", "}{"]


@pytest.fixture(autouse=True)
def _no_warning() -> None:
    logging.getLogger("math_verify").setLevel(logging.ERROR)


def library_verdict(gold_answer: str, answer: str) -> Verdict:
    """Return the verdict by only the library's `parse` and `verify`."""
    from math_verify import parse, verify

    prediction = parse(answer, parsing_timeout=None)
    if not prediction:
        return Verdict("incorrect", None, "no_box")
    gold = parse(box(gold_answer), parsing_timeout=None)
    if not gold:
        return Verdict("ungradable", str(prediction[-1]), "unparsable_gold")
    is_correct = verify(gold, prediction, timeout_seconds=None)
    outcome, reason = ("correct", None) if is_correct else ("incorrect", "different")
    return Verdict(outcome, str(prediction[-1]), reason)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_the_librarys_verdict(text: str) -> None:
    for gold in GOLDS:
        assert grade_as_math_verify(gold, text, "stop") == library_verdict(gold, text)


def test_the_graders_own_cases_have_the_librarys_verdicts() -> None:
    for row in rows("math"):
        gold, text = str(row["gold"]), str(row["text"])
        for answer in (text, f"So it is $\\boxed{{{text}}}$."):
            if gold.strip():
                verdict = grade_as_math_verify(gold, answer, "stop")
                assert verdict == library_verdict(gold, answer), row


@pytest.mark.parametrize("gold", ["5 cm", r"\text{no way}", "1, 2", r"\frac{1}{2}"])
def test_many_blanks_mean_the_same_as_a_hundred(gold: str) -> None:
    many, fewer = (gold.replace(" ", " " * count) for count in (400, 100))
    for text in (box(gold), f"The final answer is ${many}$.", box(many)):
        outcome = grade_as_math_verify(many, text, "stop").outcome
        assert outcome == library_verdict(fewer, text).outcome


def test_equal_golds_and_texts_are_compared_once() -> None:
    text = r"so it is \boxed{91}"
    grade_as_math_verify("92", text, "stop")
    hits = math_verify_adapter.library_verdict.cache_info().hits
    assert grade_as_math_verify("92", text, "stop").reason == "different"
    assert math_verify_adapter.library_verdict.cache_info().hits == hits + 1


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/real")
def test_real_texts_have_the_librarys_verdicts() -> None:
    for row in list(read_lines(REAL / "math500_test.jsonl"))[::5]:
        for text in (row["solution"], re.sub(r"\\boxed", "", row["solution"])):
            verdict = grade_as_math_verify(row["answer"], text, "stop")
            assert verdict == library_verdict(row["answer"], text)
