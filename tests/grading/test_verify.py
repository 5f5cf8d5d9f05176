"""Verdicts on traces: the graded answers, recorded verdicts, and counts."""

from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, TRACE
from delta.core.tables import TEXT_ROWS, frame_of
from delta.grading.config import CodeParams, GradingParams
from delta.grading.llm_equivalence import ComparisonParams
from delta.grading.verdict import Verdict
from delta.grading.verify import (
    VerifyParams,
    apply_recorded_verdicts,
    grade_traces,
    join_problems,
    summarize,
    trace_batches,
)

RIGHT = Verdict("correct", "2", None)
WRONG = Verdict("incorrect", "3", "different")
STUCK = Verdict("ungradable", None, "timeout")


def params(recorded: Any = "keep") -> VerifyParams:
    llm = ComparisonParams(
        model="llama", max_attempts=3, temperature=0.0, top_p=1.0, max_tokens=99, seed=9
    )
    return VerifyParams(recorded=recorded, llm_fallback=False, llm=llm)


def grading(max_ungradable: float = 1.0) -> GradingParams:
    code = CodeParams(
        sandbox="bubblewrap",
        timeout_s=6.0,
        memory_mib=1024,
        processes=16,
        output_kib=1024,
        file_mib=16,
    )
    return GradingParams(
        backend="local",
        workers=1,
        timeout_s=20.0,
        max_ungradable=max_ungradable,
        extraction="last_box",
        code=code,
    )


def problems() -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {"problem_id": "p.0", "statement": "1 + 1?", "gold_answer": "2"},
        {"problem_id": "p.1", "statement": "Prove it.", "gold_answer": ""},
        {"problem_id": "p.2", "statement": "And this.", "gold_answer": None},
    ]
    return frame_of(rows, PROBLEM)


def traces(*rows: tuple[str, str, str, int | None, str | None]) -> pl.DataFrame:
    """Return a trace table of (trace_id, problem_id, text, answer_start, recorded_outcome)."""
    names = ("trace_id", "problem_id", "text", "answer_start", "recorded_outcome")
    rows_ = [
        dict(zip(names, row, strict=True))
        | {"generator": "a", "sample": 0, "finish_reason": "stop", "reasoning_start": 0}
        for row in rows
    ]
    return frame_of(rows_, TRACE)


def recorded_outcomes(**outcomes: str | None) -> pl.DataFrame:
    rows = ((name, "p.0", "It is 2.", 0, outcome) for name, outcome in outcomes.items())
    return join_problems(problems(), traces(*rows))


@pytest.mark.slow
def test_only_the_answer_after_the_reasoning_is_graded() -> None:
    rows = join_problems(
        problems(),
        traces(
            ("right", "p.0", r"<think>\boxed{3}</think>\boxed{2}", 24, None),
            ("wrong", "p.0", r"<think>\boxed{2}</think>\boxed{3}", 24, None),
            ("no box", "p.0", r"<think>\boxed{2}</think>Two.", 24, None),
            ("open", "p.0", r"<think>\boxed{2}", None, None),
            ("empty gold", "p.1", r"\boxed{2}", 0, None),
            ("null gold", "p.2", r"\boxed{2}", 0, None),
        ),
    )
    assert grade_traces(grading(), [rows]) == {
        "right": RIGHT,
        "wrong": WRONG,
        "no box": Verdict("incorrect", None, "no_box"),
        "open": Verdict("incorrect", None, "cut"),
        "empty gold": Verdict("no_gold", None, "no_gold"),
        "null gold": Verdict("no_gold", None, "no_gold"),
    }


def test_a_recorded_verdict_is_kept_and_differences_are_counted() -> None:
    rows = recorded_outcomes(
        a="correct", b="correct", c="incorrect", d="incorrect", e=None, f="ungradable"
    )
    graded = {"a": RIGHT, "b": WRONG, "c": RIGHT, "d": STUCK, "e": WRONG, "f": STUCK}
    verdicts, counts = apply_recorded_verdicts(params("keep"), rows, graded)
    assert verdicts.rows() == [
        ("a", "correct", "2", None, "source"),
        ("b", "correct", "3", None, "source"),
        ("c", "incorrect", "2", "recorded", "source"),
        ("d", "incorrect", None, "recorded", "source"),
        ("e", "incorrect", "3", "different", "grader"),
        ("f", "ungradable", None, "timeout", "source"),
    ]
    assert counts == {
        "recorded_verdicts": {
            "recorded": 5,
            "differs": 3,
            "correct_graded_incorrect": 1,
            "incorrect_graded_correct": 1,
            "incorrect_graded_ungradable": 1,
        }
    }


def test_with_recorded_grade_only_the_graders_verdicts_count() -> None:
    rows = recorded_outcomes(a="correct", b="correct")
    verdicts, counts = apply_recorded_verdicts(params("grade"), rows, {"a": RIGHT, "b": WRONG})
    assert verdicts.rows() == [
        ("a", "correct", "2", None, "grader"),
        ("b", "incorrect", "3", "different", "grader"),
    ]
    assert counts["recorded_verdicts"]["differs"] == 1


def test_every_trace_has_one_verdict_and_the_counts_add_up() -> None:
    rows = recorded_outcomes(a="correct", b=None, c=None)
    verdicts, _ = apply_recorded_verdicts(params(), rows, {"a": RIGHT, "b": WRONG, "c": STUCK})
    assert summarize(grading(), verdicts) == {
        "graded": 3,
        "correct": 1,
        "incorrect": 1,
        "ungradable": 1,
        "reasons": {"different": 1, "timeout": 1},
        "no_gold": 0,
        "decided_by": {"grader": 2, "llm": 0, "source": 1},
    }


def test_too_many_ungradable_traces_are_an_error() -> None:
    verdicts, _ = apply_recorded_verdicts(
        params(), recorded_outcomes(a=None, b=None), {"a": RIGHT, "b": STUCK}
    )
    with pytest.raises(InputError, match="verify: 1 of 2 answers are ungradable"):
        summarize(grading(max_ungradable=0.4), verdicts)
    assert summarize(grading(max_ungradable=0.5), verdicts)["ungradable"] == 1


NO_GOLD = Verdict("no_gold", None, "no_gold")


def test_traces_without_gold_answers_are_outside_the_ungradable_fraction() -> None:
    verdicts, recorded_counts = apply_recorded_verdicts(
        params(), recorded_outcomes(a=None, b=None, c="correct"), dict.fromkeys("abc", NO_GOLD)
    )
    assert verdicts["outcome"].to_list() == ["no_gold", "no_gold", "correct"]
    assert recorded_counts["recorded_verdicts"] == {"recorded": 1, "differs": 0}
    result = summarize(grading(max_ungradable=0.0), verdicts)
    assert result == {
        "graded": 1,
        "correct": 1,
        "incorrect": 0,
        "ungradable": 0,
        "reasons": {},
        "no_gold": 2,
        "decided_by": {"grader": 0, "llm": 0, "source": 1},
    }


def test_traces_without_gold_do_not_dilute_the_ungradable_fraction() -> None:
    rows = recorded_outcomes(a=None, b=None, **dict.fromkeys("cdefgh"))
    verdicts, _ = apply_recorded_verdicts(
        params(), rows, {"a": RIGHT, "b": STUCK, **dict.fromkeys("cdefgh", NO_GOLD)}
    )
    with pytest.raises(InputError, match="verify: 1 of 2 answers are ungradable"):
        summarize(grading(max_ungradable=0.2), verdicts)


def test_a_trace_of_a_missing_problem_is_an_error() -> None:
    with pytest.raises(InputError, match="1 traces belong to no problem"):
        join_problems(problems(), traces(("x", "p.9", "2", 0, None)))


def test_batches_are_small_and_keep_the_order_of_traces() -> None:
    problem_ids = ("p.2", "p.0", "p.1")
    rows = [(f"t.{number}", problem_ids[number % 3], "Two.", 0, None) for number in range(2_000)]
    result = list(trace_batches(problems(), traces(*rows).lazy()))
    assert pl.concat(result).equals(join_problems(problems(), traces(*rows)))
    assert max(batch.height for batch in result) <= TEXT_ROWS
