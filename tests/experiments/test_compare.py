"""Two runs are compared question by question."""

import pytest

from delta.core.errors import InputError
from delta.experiments.compare import check_same_questions, compare, cut_by_benchmark, to_markdown
from delta.experiments.results import AnswerCounts

OURS = {"sums": AnswerCounts(1, (1, 1, 0, 0, 1))}
THEIRS = {"sums": AnswerCounts(1, (1, 0, 1, 0, 0)), "products": AnswerCounts(1, (1,))}


def test_questions_that_only_one_run_solved_are_listed() -> None:
    (comparison,) = compare(OURS, THEIRS)  # only the benchmarks of both
    assert (comparison.alike, comparison.only_ours, comparison.only_theirs) == (2, [1, 4], [2])
    assert comparison.difference.value == pytest.approx(0.2)  # 3 of 5 against 2 of 5
    assert comparison.difference.low < 0 < comparison.difference.high


def test_with_several_samples_the_run_that_is_right_more_often_solved_the_question() -> None:
    (comparison,) = compare(
        {"aime": AnswerCounts(16, (16, 3, 0))}, {"aime": AnswerCounts(16, (15, 3, 1))}
    )
    assert (comparison.alike, comparison.only_ours, comparison.only_theirs) == (1, [0], [2])
    assert comparison.difference.value == pytest.approx(0.0)


def test_other_questions_cannot_be_compared() -> None:
    with pytest.raises(InputError, match=r"benchmark sums: 5 questions × 1 answers against 2 × 1"):
        compare(OURS, {"sums": AnswerCounts(1, (0, 1))})


def test_other_versions_of_a_benchmark_cannot_be_compared() -> None:
    first, second = ({"sums": {"benchmark_version": version}} for version in ("1", "2"))
    check_same_questions("policy", first, "base", first)
    check_same_questions("policy", first, "base", {})
    message = "benchmark sums: policy was asked '1', base '2'; expected the same questions"
    with pytest.raises(InputError, match=message):
        check_same_questions("policy", first, "base", second)


def test_the_table_has_a_line_for_each_benchmark() -> None:
    lines = to_markdown(compare(OURS, THEIRS), "policy", "base", {"sums": 0.0}).split("\n")
    assert lines[0] == (
        "| benchmark | policy − base (points) | p | policy against base | only policy | "
        "only base | alike |"
    )
    assert lines[2].startswith("| sums | +20.0 [")
    assert lines[2].endswith(" | cannot tell | 2 | 1 | 2 |")


def test_the_verdict_is_better_where_the_interval_is_above_0() -> None:
    right, wrong = {"sums": AnswerCounts(1, (1,) * 20)}, {"sums": AnswerCounts(1, (0,) * 20)}
    names = ("policy", "base", {"sums": 0.0})
    assert "| < 0.001 | better | 20 | 0 | 0 |" in to_markdown(compare(right, wrong), *names)
    assert "| worse | 0 | 20 | 0 |" in to_markdown(compare(wrong, right), *names)


def test_a_difference_rests_on_the_cut_answers_of_both_runs() -> None:
    ours, theirs = ({"sums": {"n": 5, "samples": 1, "truncated": cut}} for cut in (0, 4))
    cut = cut_by_benchmark(ours, theirs | {"aime": {}})
    assert cut == {"sums": 80.0}
    text = to_markdown(compare(OURS, THEIRS), "policy", "base", cut)
    assert "] † | " in text
    assert text.endswith(
        "\n\n† More than 5% of the answers behind this number were cut at the token "
        "limit; a higher limit may change it."
    )
    assert "‡" in to_markdown(
        compare(OURS, THEIRS), "policy", "base", cut_by_benchmark({"sums": {}}, ours)
    )
