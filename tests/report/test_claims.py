"""The decision rules, case by case and on results that are all as in the paper."""

import math
from dataclasses import replace

import pytest

from delta.core.errors import InputError
from delta.experiments.results import AnswerCounts, Result
from delta.report.claims import formatting, rules
from delta.report.claims.decide import ClaimResult, decide
from delta.report.claims.measures import Evaluator, Measurement
from delta.report.claims.rules import ClaimVerdict
from delta.report.context import MissingResultError, ReportContext, Run
from delta.report.paper.claims import (
    Claim,
    MeanDelta,
    Rule,
    TopkOverlap,
    read_claims,
)
from delta.stats.one_sided import RulePs, StudentT
from tests.helpers.paper_results import NUMBERS, SEEDS, paper_context, shuffled
from tests.helpers.toy_results import toy_context, weak_pairs_claim

CLAIMS = read_claims()


@pytest.fixture(scope="module")
def context() -> ReportContext:
    return paper_context()


def verdicts(context: ReportContext, family: str | None = None) -> dict[str, ClaimVerdict]:
    return {result.claim.id: result.verdict for result in decide(of_family(family), context)}


def of_family(family: str | None) -> list[Claim]:
    """Return the claims of a table or figure; all for None."""
    return [claim for claim in CLAIMS if family in (None, claim.family)]


def swap_figure_1_runs(
    context: ReportContext, left: tuple[str, str], right: tuple[str, str]
) -> ReportContext:
    """Return a context in which two configurations of Figure 1 have each other's results."""
    names = {left: right, right: left}
    results = {tuple(run.axes.values()): run.result for run in context.runs("figure-1")}
    runs = []
    for run in context.runs("figure-1"):
        method, pairs, seed = run.axes.values()
        swapped = names.get((method, pairs), (method, pairs))
        runs.append(Run(run.axes, results[*swapped, seed]))
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
    verdict_by_claim = verdicts(mixed, "figure-1")
    places = {"sft-weak": 0, "sft-strong": 1, "dpo-weak": 2, "dpo-strong": 3}
    for name, place in places.items():
        runs = mixed.runs("figure-1")[len(SEEDS) * place :][: len(SEEDS)]
        scores = [mean_math(run.result.answers) for run in runs if run.result is not None]
        gain = sum(scores) / len(SEEDS) - base
        if abs(gain) > 0.003:
            as_claimed = gain < 0 if name == "sft-weak" else gain > 0
            assert verdict_by_claim[name] == ("holds" if as_claimed else "does not hold")


def mean_math(answers: dict[str, AnswerCounts]) -> float:
    names = ("math-500", "gsm8k", "amc23", "minerva", "olympiadbench", "aime24", "aime25")
    scores = [
        sum(answers[name].correct) / len(answers[name].correct) / answers[name].samples
        for name in names
    ]
    return sum(scores) / 7


def test_swapping_two_runs_changes_only_their_claims(context: ReportContext) -> None:
    before = verdicts(context, "figure-1")
    after = verdicts(swap_figure_1_runs(context, ("sft", "weak"), ("dpo", "weak")), "figure-1")
    changed = {name: verdict for name, verdict in after.items() if verdict != before[name]}
    assert changed == {
        "sft-weak": "does not hold",
        "dpo-weak": "does not hold",
        "dpo-alike": "does not hold",
        "sft-needs-strong": "does not hold",
    }


def test_a_claim_is_marked_where_one_of_its_scores_rests_on_cut_answers(
    context: ReportContext,
) -> None:
    runs = context.runs("figure-1")
    (run,) = [run for run in runs if tuple(run.axes.values()) == ("sft", "weak", "1")]
    assert isinstance(run.result, Result)
    minerva = run.result.scores["minerva"]
    minerva = minerva | {"truncated": minerva["n"]}  # all answers, in a benchmark of hard math
    cut = replace(run.result, scores=run.result.scores | {"minerva": minerva})
    runs = [Run(run.axes, cut) if other is run else other for other in runs]
    changed = replace(context, experiments=context.experiments | {"figure-1": runs})
    results = decide(of_family("figure-1"), changed)
    marked = {result.claim.id for result in results if result.cut}
    assert "sft-weak" in marked
    assert "dpo-weak" not in marked
    assert {result.cut for result in results} == {0.0, 100.0}
    lines = formatting.to_markdown(results).split("\n")
    assert sum("†" in line for line in lines) == len(marked) + 1
    assert lines[-1].startswith("† More than 5% of the answers behind this number were cut")
    assert "†" not in formatting.to_markdown(decide(of_family("figure-1"), context))


@pytest.mark.parametrize(
    ("rule", "value", "error", "verdict"),
    [
        ("above", 2.0, 1.0, "holds"),  # 2 standard errors above 0
        ("above", 1.9, 1.0, "cannot tell"),
        ("above", 0.1, 1.0, "does not hold"),  # 2.9 below the smallest effect, 3
        ("above", 1.1, 1.0, "cannot tell"),
        ("above", 1.1, 0.2, "holds"),  # surely above 0, and surely below 3: what it says is true
        ("above", 0.2, 0.2, "does not hold"),  # a precise null
        ("below", -2.0, 1.0, "holds"),
        ("below", -0.1, 1.0, "does not hold"),
        ("below", -1.5, 1.0, "cannot tell"),
        ("equivalent", 0.0, 1.0, "holds"),  # 2 standard errors from each margin
        ("equivalent", 0.1, 1.0, "cannot tell"),
        ("equivalent", 1.0, 0.2, "holds"),  # different, but by less than the margin
        ("equivalent", 4.3, 1.0, "does not hold"),
        ("equivalent", 4.1, 1.0, "cannot tell"),  # outside by 2.1: there are two sides to be on
        ("not-below", 0.0, 1.0, "holds"),
        ("not-below", -0.1, 1.0, "cannot tell"),
        ("not-below", -4.0, 1.0, "does not hold"),
    ],
)
def test_a_rule_gives_this_verdict(
    rule: Rule, value: float, error: float, verdict: ClaimVerdict
) -> None:
    claim = weak_pairs_claim("a", "a").model_copy(
        update={"rule": rule, "margin": 2.0, "smallest": 3.0}
    )
    measured = Measurement(value, 0, 0, 0, 0, StudentT(value, error, math.inf))
    assert rules.verdict(rules.part_ps(claim, measured)) == verdict


def test_all_parts_must_hold_and_one_refuted_part_refutes() -> None:
    parts = [RulePs(0.001, 0.9), RulePs(0.02, 0.01), RulePs(0.003, 0.5)]
    assert rules.claim_ps(parts) == RulePs(0.02, 0.03)  # the largest; 3 x the smallest
    assert rules.verdict(RulePs(0.02, 0.03)) == "holds"
    assert rules.verdict(RulePs(0.03, 0.02)) == "does not hold"
    assert rules.verdict(RulePs(0.03, 0.03)) == "cannot tell"


def test_the_verdict_has_a_p_below_0_05_that_counts_both_sides() -> None:
    assert rules.two_sided(0.02) == 0.04
    assert rules.two_sided(0.7) == 1.0


@pytest.mark.parametrize(
    ("correct", "p", "verdict"),
    [
        ({"base": 10, "a": 16, "b": 11, "c": 12, "d": 13}, 0.0191, "holds"),
        ({"base": 16, "a": 10, "b": 17, "c": 18, "d": 19}, 0.0183, "does not hold"),
    ],
)
def test_more_tests_in_a_figure_raise_the_p_of_each(
    correct: dict[str, int], p: float, verdict: ClaimVerdict
) -> None:
    """Run a answers 6 of 40 questions more correctly than the base, or 6 fewer.

    What refutes it is less than the smallest effect, 0.1 points above the base.
    """
    small = toy_context(correct)
    (alone,) = decide([weak_pairs_claim("a", "a")], small)
    first, *_ = decide([weak_pairs_claim(name, name) for name in "abcd"], small)
    assert alone.p == pytest.approx(p, abs=0.0001)
    assert first.p == pytest.approx(4 * (alone.p or 0))
    assert (alone.verdict, first.verdict) == (verdict, "cannot tell")


def test_a_test_that_occurs_twice_in_a_figure_enters_once() -> None:
    small = toy_context({"base": 10, "a": 16, "b": 16})
    (alone,) = decide([weak_pairs_claim("a", "a")], small)
    same, _ = decide([weak_pairs_claim("a", "a"), weak_pairs_claim("again", "a")], small)
    assert same.p == alone.p


def test_a_claim_without_its_run_is_not_run_and_the_others_are_decided(
    context: ReportContext,
) -> None:
    results = decide(
        of_family("figure-3"), remove_result(context, "figure-3", pairs="correct-correct")
    )
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
    assert gain.parts[1].reason == "figure-3: 3 of 3 runs are missing"


def test_claims_on_a_missing_experiment_are_not_run(context: ReportContext) -> None:
    experiments = {name: runs for name, runs in context.experiments.items() if name != "random"}
    smaller = replace(context, experiments=experiments, overlaps=[], deltas=[])
    reasons = {
        result.claim.id: result.parts[0].reason
        for family in ("controls", "figure-5", "table-1")
        for result in decide(of_family(family), smaller)
        if result.verdict == "not run"
    }
    assert reasons["step-above-random"] == "this profile has no random by k"
    assert reasons["overlap-grows"] == "no overlap of 5000"
    assert reasons["delta-widens"] == "no delta of nemotron-49b against s1-7b in step_coherence"


def test_without_experiments_no_claim_has_a_verdict() -> None:
    results = decide(CLAIMS, replace(toy_context({"base": 10}), experiments={}))
    assert {result.verdict for result in results} <= {"not run", "not testable here"}
    assert formatting.to_metrics(results)["claims_that"]["holds"] == 0


def test_runs_with_different_questions_are_not_compared() -> None:
    small = toy_context({"base": 10, "a": 16})
    run, other = small.runs("figure-1")
    assert run.result is not None
    shorter = replace(run.result, answers={"sums": AnswerCounts(1, (1, 0))})
    unequal = replace(small, experiments={"figure-1": [Run(run.axes, shorter), other]})
    with pytest.raises(InputError, match="sums: results with different numbers"):
        decide([weak_pairs_claim("a", "a")], unequal)


def test_runs_that_differ_only_in_the_seed_are_replicates(context: ReportContext) -> None:
    groups = Evaluator(context).select_runs({"experiment": "random", "k": "1000"})
    assert [[run.axes["seed"] for run in runs] for runs in groups] == [["1", "2", "3"]]


def test_the_mean_of_overlaps_has_the_mean_of_their_bounds(context: ReportContext) -> None:
    measured = Evaluator(context).topk_overlap(TopkOverlap(sets={"k": "1000"}))
    # Ten pairs of dimensions: 87.1, 28.1 and eight of 45.
    assert measured.value == pytest.approx(47.52)
    assert measured.low == pytest.approx(44.58, abs=0.01)
    assert measured.high == pytest.approx(50.48, abs=0.01)


def test_a_missing_delta_is_not_zero(context: ReportContext) -> None:
    rows = [row | {"delta": None, "low": None, "high": None} for row in context.deltas]
    quantity = MeanDelta(chosen="s1-7b", rejected="s1-3b", dimension="factuality")
    with pytest.raises(MissingResultError, match="no delta of s1-7b against s1-3b in factuality"):
        Evaluator(replace(context, deltas=rows)).mean_delta(quantity)


def decide_one(context: ReportContext, name: str) -> ClaimResult:
    (result,) = decide([claim for claim in CLAIMS if claim.id == name], context)
    return result


def test_a_result_is_put_into_words(context: ReportContext) -> None:
    alike, widens = (decide_one(context, name) for name in ("dpo-alike", "delta-widens"))
    assert formatting.format_result(widens) == (
        "5 of 5 hold; weakest: factuality +0.71 [+0.69, +0.73] rating points"
    )
    assert formatting.format_margin(alike.claim, alike.weakest) == (
        "50% of the gain, here 1.3 points"
    )
    counts, table = formatting.to_markdown([widens]).split("\n\n")
    assert counts == "1 hold, 0 do not, 0 cannot tell, 0 not testable here, 0 not run."
    assert table.splitlines() == [
        "| claim | paper | here, 95% interval | p | sees | verdict | what would tell, or why not |",
        "|---|---|---|---|---|---|---|",
        "| The delta is wider for the strongest chosen generator than for the weakest, in every "
        "dimension. | wider by 0.71 to 1.12 | 5 of 5 hold; weakest: factuality +0.71 [+0.69, "
        "+0.73] rating points | < 0.001 | 0.03 rating points | ✓ holds | – |",
    ]
    numbers = formatting.to_metrics([widens])
    assert numbers["claims_that"] == {
        "holds": 1,
        "does_not_hold": 0,
        "cannot_tell": 0,
        "not_testable_here": 0,
        "not_run": 0,
    }
    assert numbers["claims"]["delta-widens"] == {
        "value": 0.71,
        "low": 0.69,
        "high": 0.73,
        "p": 0.0,
        "sees": 0.0286,
        "verdict": 1,
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
