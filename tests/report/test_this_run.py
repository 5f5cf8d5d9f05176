"""The run's measures and comparisons on toy answers that a person can count."""

import json
from pathlib import Path

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.types import Row
from delta.report.summary import Names, RunCounts, summarize
from delta.report.this_run import (
    LABELS,
    Measure,
    compare_scores,
    comparison_row,
    measure_run,
    read_comparisons,
    read_summary,
    to_markdown,
)
from delta.stats.contrasts import Contrast, CorrectCounts, Term, contrast, verdict
from delta.stats.intervals import wilson

Answer = tuple[str | None, ...]
CUT: Answer = (
    "length",
    None,
    "incorrect",
    "incorrect",
)  # finish reason, extracted, outcome, any form
LOOSE: Answer = ("stop", None, "incorrect", "correct")  # right, without a box
WRONG: Answer = ("stop", "8", "incorrect", "incorrect")
RIGHT: Answer = ("stop", "7", "correct", "correct")
PROGRAM: Answer = ("stop", "f", "correct", None)
NO_PROGRAM: Answer = ("stop", None, "incorrect", None)


def answers(benchmark: str, *questions: list[Answer]) -> pl.DataFrame:
    """Return the rows of one benchmark; each question has a list of answers."""
    rows = [
        (f"{benchmark}.{number}", *answer)
        for number, samples in enumerate(questions)
        for answer in samples
    ]
    columns = ["question_id", "finish_reason", "extracted", "outcome", "flexible_outcome"]
    return pl.DataFrame(rows, dict.fromkeys(columns, pl.String), orient="row")


BASE = {
    "sums": answers("sums", [CUT], [CUT], [LOOSE], [WRONG]),
    "code": answers("code", [NO_PROGRAM], [NO_PROGRAM]),
}
POLICY = {
    "sums": answers("sums", [RIGHT], [WRONG], [RIGHT], [RIGHT]),
    "code": answers("code", [PROGRAM], [NO_PROGRAM]),
}


def by_name(measures: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


def test_the_measures_count_answers_over_all_questions() -> None:
    measures = by_name(measure_run(BASE, POLICY))
    assert list(measures) == list(LABELS)
    fractions = {
        name: (row.questions, row.base.value, row.policy.value) for name, row in measures.items()
    }
    assert fractions == {
        "finished": (6, pytest.approx(4 / 6), 1.0),
        "asked_form": (6, pytest.approx(1 / 6), pytest.approx(5 / 6)),
        "right_any_form": (4, 0.25, 0.75),  # without the programs
        "right_if_finished": (2, 0.5, 1.0),  # the last two sums
        "right_if_asked_form": (1, 0.0, 1.0),  # the last sum
        "correct": (6, 0.0, pytest.approx(4 / 6)),
    }
    assert measures["right_any_form"].base == pytest.approx(wilson(0.25, 4))
    assert measures["finished"].difference.value == pytest.approx(2 / 6)


def test_of_cut_answers_nothing_is_said_among_finished_ones() -> None:
    # The first question has one finished answer before and two after; the second none before.
    base = {"sums": answers("sums", [CUT, LOOSE], [CUT, CUT], [WRONG, WRONG])}
    policy = {"sums": answers("sums", [RIGHT, WRONG], [RIGHT, RIGHT], [CUT, RIGHT])}
    finished = by_name(measure_run(base, policy))["right_if_finished"]
    assert finished.label == "is right where both finish (2)"
    assert (finished.questions, finished.base.value, finished.policy.value) == (2, 0.5, 0.75)
    assert finished.difference.value == 0.25
    all_cut = {"sums": answers("sums", [CUT, CUT], [CUT, CUT], [CUT, CUT])}
    assert "right_if_finished" not in by_name(measure_run(all_cut, policy))


def test_the_difference_is_paired_by_question() -> None:
    # 20 questions that only the policy finishes: the same test as contrast() on one benchmark.
    base = {"sums": answers("sums", *[[CUT]] * 20)}
    policy = {"sums": answers("sums", *[[WRONG]] * 20)}
    finished = by_name(measure_run(base, policy))["finished"]
    assert finished.difference == contrast_of([1] * 20, [0] * 20)
    assert (finished.difference.value, finished.verdict) == (1.0, "better")
    assert by_name(measure_run(policy, base))["finished"].verdict == "worse"
    assert by_name(measure_run(base, base))["finished"].verdict == "cannot tell"


def contrast_of(ours: list[int], theirs: list[int]) -> Contrast:
    return contrast([Term(CorrectCounts([ours, theirs], 1), [1, -1])])


def test_every_question_has_equal_weight_whatever_its_number_of_answers() -> None:
    base = {
        "aime": answers("aime", [WRONG, WRONG]),
        "sums": answers("sums", [WRONG], [WRONG], [WRONG]),
    }
    policy = {
        "aime": answers("aime", [RIGHT, WRONG]),
        "sums": answers("sums", [RIGHT], [WRONG], [WRONG]),
    }
    correct = by_name(measure_run(base, policy))["correct"]
    assert correct.questions == 4
    assert correct.policy.value == pytest.approx((1 / 2 + 1) / 4)
    assert correct.difference.value == pytest.approx((1 / 2 + 1) / 4)


def test_without_any_but_code_there_is_no_measure_of_any_form() -> None:
    measures = measure_run({"code": BASE["code"]}, {"code": POLICY["code"]})
    assert [measure.name for measure in measures] == ["finished", "asked_form", "correct"]


def test_other_questions_are_refused() -> None:
    with pytest.raises(InputError, match="benchmark sums: the base and the policy were not asked"):
        measure_run({"sums": BASE["sums"][:3]}, {"sums": POLICY["sums"]})


# --- comparisons ---


def score(group: str, value: float, low: float, high: float, n: int, cut: int = 0) -> Row:
    interval = {"value": value, "low": low, "high": high}
    counts = {"n": n, "samples": 1, "truncated": cut}
    return interval | {"group": group, "benchmark_version": "v"} | counts


SCORES = {
    "zero-shot": {
        "sums": score("easy", 0.0, 0.0, 0.5, 4, cut=2),
        "code": score("code", 0.0, 0.0, 0.6, 2),
    },
    "policy": {"sums": score("easy", 0.75, 0.3, 0.95, 4), "code": score("code", 0.5, 0.1, 0.9, 2)},
}


def test_each_benchmark_and_each_group_is_compared() -> None:
    rows = compare_scores(SCORES, "zero-shot", "policy", (BASE, POLICY))
    assert [(row.benchmark, row.group, row.questions) for row in rows] == [
        ("sums", "easy", 4),
        (None, "easy", 4),
        ("code", "code", 2),
        (None, "code", 2),
    ]
    assert rows[0].base == (0.0, 0.0, 0.5)
    assert rows[0].policy == (0.75, 0.3, 0.95)
    assert rows[0].difference == contrast_of([1, 0, 1, 1], [0, 0, 0, 0])
    assert rows[0].difference == rows[1].difference
    assert rows[2].verdict == "cannot tell"


def test_a_group_has_the_mean_of_its_benchmarks() -> None:
    scores = {
        model: {name: row | {"group": "all"} for name, row in rows.items()}
        for model, rows in SCORES.items()
    }
    rows = compare_scores(scores, "zero-shot", "policy", (BASE, POLICY))
    assert [(row.benchmark, row.questions) for row in rows] == [("sums", 4), ("code", 2), (None, 6)]
    assert rows[2].policy.value == 0.625
    assert rows[2].difference.value == 0.625


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (0.0, 0.2, "cannot tell")],
)
def test_the_verdict_is_that_of_the_interval(low: float, high: float, expected: str) -> None:
    assert verdict(Contrast(0.1, low, high, 0.5)) == expected


def test_the_table_has_a_line_for_each_benchmark() -> None:
    rows = compare_scores(SCORES, "zero-shot", "policy", (BASE, POLICY))
    table, note = to_markdown(rows).split("\n\n")
    lines = table.split("\n")
    assert lines[0] == (
        "| benchmark | group | base | policy | difference (points) | policy against base |"
    )
    assert lines[2].startswith("| sums | easy | 0.0% [0.0, 50.0] † | 75.0% [30.0, 95.0] | +75.0 [")
    assert lines[3].endswith(" | cannot tell |")
    assert len(lines) == 4
    assert table.count("†") == 1
    assert note.startswith("† More than 5% of the answers behind this number were cut")


def test_a_summary_without_the_counts_does_not_say_that_nothing_was_cut() -> None:
    rows = compare_scores(SCORES, "zero-shot", "policy", (BASE, POLICY))
    assert [(row.base_cut, row.policy_cut) for row in rows] == 2 * [(50.0, 0.0)] + 2 * [(0.0, 0.0)]
    old = [comparison_row(row) for row in rows]
    for row in old:
        del row["base_cut"], row["policy_cut"]
    table, note = to_markdown(read_comparisons(old)).split("\n\n")
    assert table.count("‡") == 4
    assert note.startswith("‡ It is not known")


# --- metrics/summary.json ---


def write_summary(path: Path) -> None:
    content = summarize(
        Names("zero-shot", "smollm2-135m", "dpo"),
        SCORES,
        measure_run(BASE, POLICY),
        compare_scores(SCORES, "zero-shot", "policy", (BASE, POLICY)),
        RunCounts(
            [{"votes": 10, "refused": 0}],
            {"selected": 16, "mean_delta_selected": 4.0},
            {"pairs_kept": 15, "last_loss": 0.5, "last_margin": 2.0},
        ),
    )
    path.write_text(json.dumps(content))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_summary(tmp_path / "summary.json")
    run = read_summary(tmp_path / "summary.json")
    assert (run.base, run.model, run.method) == ("zero-shot", "smollm2-135m", "dpo")
    unknown = "What DPO on 15 pairs taught smollm2-135m cannot be told apart from chance."
    assert run.sentence == unknown
    assert [measure.name for measure in run.measures] == list(LABELS)
    assert run.measures[2].policy.value == 0.75
    assert run.measures[2].label == "is right, whatever the form"
    rows = compare_scores(SCORES, "zero-shot", "policy", (BASE, POLICY))
    assert [row[:3] for row in run.comparisons] == [row[:3] for row in rows]
    assert run.comparisons[0].difference[:4] == pytest.approx(rows[0].difference[:4], abs=1e-3)
    assert run.comparisons[0].verdict == rows[0].verdict
    assert [(row.model, row.benchmark, row.questions) for row in run.scores] == [
        ("zero-shot", "sums", 4),
        ("zero-shot", "code", 2),
        ("policy", "sums", 4),
        ("policy", "code", 2),
    ]
    assert run.scores[2].score == (0.75, 0.3, 0.95)
    assert run.numbers["policy"]["easy"] == {
        "score": 75.0,
        "low": 30.0,
        "high": 95.0,
        "gain": 75.0,
        "cut": 0.0,
    }
    assert [row.base_cut for row in run.comparisons] == [50.0, 50.0, 0.0, 0.0]
    assert [row.cut for row in run.scores] == [50.0, 0.0, 0.0, 0.0]


def test_a_missing_or_an_old_summary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    with pytest.raises(InputError, match=r"summary.json: missing or damaged"):
        read_summary(path)
    path.write_text('{"selection": {"pairs": 16}, "scores": []}')
    with pytest.raises(InputError, match=r"summary.json: of another version; rebuild"):
        read_summary(path)
