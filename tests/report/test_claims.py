"""The decision rules, case by case and on results that are all as in the paper."""

from dataclasses import replace

import pytest

from delta.core.errors import InputError
from delta.experiments.results import AnswerCounts, Result
from delta.report.claims import formatting, rules
from delta.report.claims.decide import ClaimResult, decide
from delta.report.claims.measures import Evaluator, Measurement, from_interval
from delta.report.claims.rules import ClaimVerdict
from delta.report.context import MissingResultError, ReportContext, Run
from delta.report.paper.claims import (
    Claim,
    MeanDelta,
    Rule,
    ScoreDifference,
    ScoreTrend,
    TopkOverlap,
    read_claims,
)
from tests.helpers.paper_results import NUMBERS, paper_context, shuffled
from tests.helpers.toy_results import toy_context

CLAIMS = read_claims()


@pytest.fixture(scope="module")
def context() -> ReportContext:
    return paper_context()


def verdicts(context: ReportContext) -> dict[str, ClaimVerdict]:
    return {result.claim.id: result.verdict for result in decide(CLAIMS, context)}


def swap_figure_1_runs(
    context: ReportContext, left: tuple[str, ...], right: tuple[str, ...]
) -> ReportContext:
    """Return a context in which two runs of Figure 1 have each other's results."""
    results = {tuple(run.axes.values()): run.result for run in context.runs("figure-1")}
    results[left], results[right] = results[right], results[left]
    runs = [Run(run.axes, results[tuple(run.axes.values())]) for run in context.runs("figure-1")]
    return replace(context, experiments=context.experiments | {"figure-1": runs})


def remove_result(context: ReportContext, experiment: str, **axes: str) -> ReportContext:
    runs = [
        Run(run.axes, None) if axes.items() <= run.axes.items() else run
        for run in context.runs(experiment)
    ]
    return replace(context, experiments=context.experiments | {experiment: runs})


def test_every_claim_holds_if_all_results_are_as_in_the_paper(context: ReportContext) -> None:
    assert verdicts(context) == {claim.id: "holds" for claim in CLAIMS}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_claims_fail_on_shuffled_numbers(context: ReportContext, seed: int) -> None:
    verdict_list = list(verdicts(shuffled(context, seed)).values())
    assert verdict_list.count("does not hold") >= 15  # of 45


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_verdicts_on_a_sign_follow_the_shuffled_numbers(context: ReportContext, seed: int) -> None:
    """The signs come from plain means over questions, without the code that decides."""
    mixed = shuffled(context, seed)
    base = mean_math(mixed.models[mixed.base].answers)
    verdict_by_claim = verdicts(mixed)
    places = {"sft-weak": 0, "sft-strong": 1, "dpo-weak": 2, "dpo-strong": 3}
    for name, place in places.items():
        result = mixed.runs("figure-1")[place].result
        assert result is not None
        gain = mean_math(result.answers) - base
        if abs(gain) > 0.003:
            as_claimed = gain < 0 if name == "sft-weak" else gain > 0
            assert verdict_by_claim[name] == ("holds" if as_claimed else "does not hold")


def mean_math(answers: dict[str, AnswerCounts]) -> float:
    names = ("math-500", "gsm8k", "amc23", "minerva", "olympiadbench", "aime24", "aime25")
    scores = [sum(answers[name].correct) / 10_000 / answers[name].samples for name in names]
    return sum(scores) / 7


def test_swapping_two_runs_changes_only_their_claims(context: ReportContext) -> None:
    before = verdicts(context)
    after = verdicts(swap_figure_1_runs(context, ("sft", "weak"), ("dpo", "weak")))
    changed = {name: verdict for name, verdict in after.items() if verdict != before[name]}
    assert changed == {
        "sft-weak": "does not hold",
        "dpo-weak": "does not hold",
        "dpo-alike": "does not hold",
    }


def test_a_claim_is_marked_where_one_of_its_scores_rests_on_cut_answers(
    context: ReportContext,
) -> None:
    runs = context.runs("figure-1")
    (run,) = [run for run in runs if tuple(run.axes.values()) == ("sft", "weak")]
    assert isinstance(run.result, Result)
    minerva = run.result.scores["minerva"]
    minerva = minerva | {"truncated": minerva["n"]}  # all answers, in a benchmark of hard math
    cut = replace(run.result, scores=run.result.scores | {"minerva": minerva})
    runs = [Run(run.axes, cut) if other is run else other for other in runs]
    changed = replace(context, experiments=context.experiments | {"figure-1": runs})
    results = decide(CLAIMS, changed)
    marked = {result.claim.id for result in results if result.cut}
    assert "sft-weak" in marked
    assert "dpo-weak" not in marked
    assert {result.cut for result in results} == {0.0, 100.0}
    lines = formatting.to_markdown(results).split("\n")
    assert sum("†" in line for line in lines) == len(marked) + 1
    assert lines[-1].startswith("† More than 5% of the answers behind this number were cut")
    assert "†" not in formatting.to_markdown(decide(CLAIMS, context))


@pytest.mark.parametrize(
    ("rule", "low", "high", "p", "verdict"),
    [
        ("above", 0.1, 3.9, 0.04, "holds"),
        ("above", 0.1, 3.9, 0.05, "cannot tell"),  # corrected: the interval alone is not enough
        ("above", -3.9, -0.1, 0.04, "does not hold"),
        ("above", -1.0, 5.0, 0.30, "cannot tell"),
        ("below", -3.9, -0.1, 0.04, "holds"),
        ("below", 0.1, 3.9, 0.04, "does not hold"),
        ("below", -3.9, 0.1, 0.06, "cannot tell"),
        ("equivalent", -2.0, 2.0, None, "holds"),
        ("equivalent", 0.5, 1.9, None, "holds"),  # different, but by less than the margin
        ("equivalent", 0.5, 2.1, None, "cannot tell"),
        ("equivalent", -9.0, 9.0, None, "cannot tell"),
        ("equivalent", 2.1, 5.0, None, "does not hold"),
        ("equivalent", -5.0, -2.1, None, "does not hold"),
        ("not-below", -2.0, -0.1, None, "holds"),
        ("not-below", 1.0, 8.0, None, "holds"),
        ("not-below", -2.1, 8.0, None, "cannot tell"),
        ("not-below", -5.0, -2.1, None, "does not hold"),
    ],
)
def test_a_rule_gives_this_verdict(
    rule: Rule, low: float, high: float, p: float | None, verdict: ClaimVerdict
) -> None:
    measured = Measurement((low + high) / 2, low, high, 0.01)
    claim = weak_pairs_claim("a", "a").model_copy(update={"rule": rule, "margin": 2.0})
    assert rules.apply_rule(claim, measured, p) == verdict


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "cannot tell"], "cannot tell"),
        (["holds", "cannot tell", "not run"], "not run"),
        (["not run", "does not hold", "holds"], "does not hold"),
        ([], "not run"),
    ],
)
def test_a_claim_holds_only_if_all_its_parts_hold(
    parts: list[ClaimVerdict], verdict: ClaimVerdict
) -> None:
    assert rules.combine_verdicts(parts) == verdict


def test_p_is_0_05_if_the_interval_ends_at_the_threshold() -> None:
    assert from_interval(2.0, 0.0, 4.0, threshold=0).p == pytest.approx(0.05)
    assert from_interval(48.0, 46.0, 50.0, threshold=50).p == pytest.approx(0.05)
    assert from_interval(0.0, -1.0, 1.0, threshold=0).p == 1.0
    assert from_interval(1.0, 1.0, 1.0, threshold=0).p == 0.0


def weak_pairs_claim(name: str, pairs: str) -> Claim:
    return Claim(
        id=name,
        family="figure-1",
        source="Figure 1",
        statement=f"{pairs} trains well.",
        rule="above",
        unit="points",
        quantity=ScoreDifference(
            domains=["easy"], runs=[{"experiment": "figure-1", "pairs": pairs}], baseline=["base"]
        ),
    )


def test_more_tests_in_a_figure_raise_the_p_of_each() -> None:
    """The run answers 6 of 40 questions more correctly than the base."""
    small = toy_context({"base": 10, "a": 16, "b": 10, "c": 10, "d": 10})
    (alone,) = decide([weak_pairs_claim("a", "a")], small)
    first, *_ = decide([weak_pairs_claim(name, name) for name in "abcd"], small)
    assert alone.parts[0].p == pytest.approx(0.0215, abs=0.0001)
    assert first.parts[0].p == pytest.approx(4 * (alone.parts[0].p or 0))
    assert (alone.verdict, first.verdict) == ("holds", "cannot tell")


def test_a_claim_without_its_run_is_not_run_and_the_others_are_decided(
    context: ReportContext,
) -> None:
    results = decide(CLAIMS, remove_result(context, "figure-3", pairs="correct-correct"))
    not_run = {result.claim.id for result in results if result.verdict == "not run"}
    assert not_run == {
        "all-outcomes-gain",
        "right-over-wrong-best",
        "wrong-over-wrong-worst",
        "outcomes-stem",
        "rejected-wrong-stem",
    }
    assert {result.verdict for result in results if result.claim.id not in not_run} == {"holds"}
    (gain,) = [result for result in results if result.claim.id == "all-outcomes-gain"]
    assert [part.verdict for part in gain.parts] == ["holds", "not run", "holds", "holds"]
    assert gain.parts[1].reason == "figure-3: 1 of 1 runs are missing"


def test_claims_on_a_missing_domain_or_experiment_are_not_run(context: ReportContext) -> None:
    groups = {name: group for name, group in context.groups.items() if group != "code"}
    experiments = {name: runs for name, runs in context.experiments.items() if name != "random"}
    smaller = replace(context, groups=groups, experiments=experiments, overlaps=[], deltas=[])
    reasons = {
        result.claim.id: result.parts[0].reason
        for result in decide(CLAIMS, smaller)
        if result.verdict == "not run"
    }
    assert reasons["code-rises-dpo"] == "this profile has no benchmark of code"
    assert reasons["step-above-random"] == "this profile has no random by k"
    assert reasons["overlap-grows"] == "no overlap of 5000"
    assert reasons["delta-step"] == "no delta of nemotron-49b against s1-7b in step_coherence"


def test_without_experiments_no_claim_has_a_verdict() -> None:
    results = decide(CLAIMS, replace(toy_context({"base": 10}), experiments={}))
    assert {result.verdict for result in results} == {"not run"}
    assert formatting.to_metrics(results)["claims"] == {}
    assert formatting.to_metrics(results)["claims_that"]["not_run"] == len(CLAIMS)


def test_runs_with_different_questions_are_not_compared() -> None:
    small = toy_context({"base": 10, "a": 16})
    (run,) = small.runs("figure-1")
    assert run.result is not None
    shorter = replace(run.result, answers={"sums": AnswerCounts(1, (1, 0))})
    unequal = replace(small, experiments={"figure-1": [Run(run.axes, shorter)]})
    with pytest.raises(InputError, match="sums: results with different numbers"):
        decide([weak_pairs_claim("a", "a")], unequal)


def test_a_trend_is_over_the_whole_axis_for_any_number_of_generators(
    context: ReportContext,
) -> None:
    trend = ScoreTrend(
        domains=["code"],
        runs={"experiment": "figure-2", "method": "dpo"},
        axis="chosen",
        positions="rank",
    )
    # The gains 0.5, 1.3, 2.0, 2.6, 3.3, 4.1 have a slope of 0.70 for each of five steps.
    assert Evaluator(context).evaluate(trend, 0).value == pytest.approx(3.5, abs=0.02)


def test_runs_that_differ_only_in_the_seed_are_replicates(context: ReportContext) -> None:
    groups = Evaluator(context).select_runs({"experiment": "random", "k": "1000"})
    assert [[run.axes["seed"] for run in runs] for runs in groups] == [["1", "2", "3"]]


def test_the_mean_of_overlaps_has_the_mean_of_their_bounds(context: ReportContext) -> None:
    measured = Evaluator(context).evaluate(TopkOverlap(sets={"k": "1000"}), 0)
    # Ten pairs of dimensions: 87.1, 28.1 and eight of 45.
    assert measured.value == pytest.approx(47.52)
    assert measured.low == pytest.approx(44.58, abs=0.01)
    assert measured.high == pytest.approx(50.48, abs=0.01)


def test_a_missing_delta_is_not_zero(context: ReportContext) -> None:
    rows = [row | {"delta": None, "low": None, "high": None} for row in context.deltas]
    quantity = MeanDelta(chosen="s1-7b", rejected="s1-3b", dimension="factuality")
    with pytest.raises(MissingResultError, match="no delta of s1-7b against s1-3b in factuality"):
        Evaluator(replace(context, deltas=rows)).evaluate(quantity, 0)


def decide_one(context: ReportContext, name: str) -> ClaimResult:
    (result,) = decide([claim for claim in CLAIMS if claim.id == name], context)
    return result


def test_a_result_is_put_into_words(context: ReportContext) -> None:
    step, widens = (decide_one(context, name) for name in ("delta-step", "delta-widens"))
    assert formatting.format_result(step) == "+1.12 [+1.10, +1.14] rating points"
    assert formatting.format_result(widens) == (
        "5 of 5 hold; weakest (factuality) +0.71 [+0.69, +0.73] rating points"
    )
    assert formatting.to_markdown([step]).splitlines() == [
        "| claim | paper | here, 95% interval | holds? |",
        "|---|---|---|---|",
        "| In step coherence the delta widens from the weakest chosen generator to the strongest. "
        "| from 0.96 to 2.08 | +1.12 [+1.10, +1.14] rating points | ✓ holds |",
    ]
    assert formatting.to_metrics([step]) == {
        "claims": {"delta-step": {"value": 1.12, "low": 1.1, "high": 1.14, "verdict": 1}},
        "claims_that": {"holds": 1, "does_not_hold": 0, "cannot_tell": 0, "not_run": 0},
    }


def test_the_claims_quote_the_papers_numbers() -> None:
    quoted = {claim.id: claim.paper_value for claim in CLAIMS}
    table = NUMBERS["table-1"]["deltas"]
    assert quoted["delta-widens"] == pytest.approx(
        {name: table["nemotron-49b"][name] - value for name, value in table["s1-7b"].items()}
    )
    base = NUMBERS["table-2"]["scores"]["nemotron-8b"]
    stem = (base["mmlu-pro"] + base["theoremqa"]) / 2
    assert quoted["outcomes-stem"] == pytest.approx(
        {name: value - stem for name, value in NUMBERS["figure-3"]["stem"].items()}
    )
    hard = [base[name] for name in ("minerva", "olympiadbench", "aime24", "aime25")]
    full = NUMBERS["figure-4"]["full"]["hard"]
    assert quoted["full-gain-hard"] == pytest.approx(full - sum(hard) / 4, abs=0.05)
    overlaps = NUMBERS["figure-5"]["overlaps"]
    strategy, noise = overlaps["strategy_coherence"], overlaps["factuality"]
    assert quoted["overlap-strategy-step"] == strategy["step_coherence"]
    difference = noise["signal_to_noise"] - strategy["step_coherence"]
    assert quoted["overlap-factuality-noise"] == pytest.approx(difference)


def test_the_papers_math_is_the_mean_over_seven_benchmarks(context: ReportContext) -> None:
    assert round(100 * mean_math(context.models[context.base].answers), 1) == 71.1


def test_claim_ids_are_unique() -> None:
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
