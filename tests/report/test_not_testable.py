"""Why a claim cannot be tested here, and the quantities of those that can be: on toy data."""

from dataclasses import replace

import pytest

from delta.experiments.results import AnswerCounts
from delta.report.claims.decide import ClaimResult, decide
from delta.report.claims.measures import Evaluator
from delta.report.claims.regret import Regret
from delta.report.context import (
    TIES,
    GeneratorFacts,
    ModelScores,
    NotTestableError,
    ReportContext,
    Run,
)
from delta.report.paper.claims import (
    Claim,
    FirstPairsGain,
    MeanRegret,
    ScoreDifference,
    ScoreTrend,
    TopkOverlap,
)
from tests.helpers.toy_results import (
    SEEDS,
    decide_a,
    model_scores,
    toy_context,
    toy_result,
    weak_pairs_claim,
)


def with_runs(context: ReportContext, name: str, correct: dict[str, int]) -> ReportContext:
    """Return a context with figure 4's runs: "step_coherence 16" → correct answers, twice."""
    runs = []
    for entries, number in correct.items():
        by, k = entries.split()
        for seed in SEEDS:
            scored = replace(toy_result(number), key=f"{entries} {seed}")
            runs.append(Run({"by": by, "k": k, "seed": seed}, scored))
    return replace(context, experiments=context.experiments | {name: runs})


def reason(decided: ClaimResult) -> str:
    assert decided.verdict == "not testable here"
    (text,) = decided.reasons
    return text


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (1, "the base is at the floor in easy (2.5%)"),
        (39, "the base is at the ceiling in easy (97.5%)"),
    ],
)
def test_a_base_at_the_floor_or_ceiling_has_no_room(base: int, text: str) -> None:
    assert reason(decide_a(toy_context({"base": base, "a": 20}))) == text
    assert decide_a(toy_context({"base": 2, "a": 20})).verdict == "holds"  # 5%


def test_a_domain_without_a_benchmark_cannot_be_tested() -> None:
    context = replace(toy_context({"base": 10, "a": 20}), groups={"sums": "hard"})
    assert reason(decide_a(context)) == "this profile has no benchmark of easy"


def test_a_generator_that_is_the_base_cannot_be_weaker_than_it() -> None:
    generators = {"tiny": GeneratorFacts("warm", 0.4), "other": GeneratorFacts("early", 0.2)}
    context = replace(toy_context({"base": 10, "a": 20}), generators=generators, base_model="warm")
    assert (
        reason(decide_a(context, not_the_base=["tiny"])) == "the generator tiny is the base itself"
    )
    assert decide_a(context, not_the_base=["other"]).verdict == "holds"


def test_equal_pair_sets_are_no_comparison() -> None:
    context = toy_context({"base": 10, "a": 20, "b": 20})
    runs = [run._replace(policy=f"same {run.axes['seed']}") for run in context.runs("figure-1")]
    same = replace(context, experiments={"figure-1": runs})
    quantity = ScoreDifference(
        domains=["easy"],
        runs=[{"experiment": "figure-1", "pairs": "a"}],
        baseline=[{"experiment": "figure-1", "pairs": "b"}],
    )
    assert reason(decide_a(same, quantity=quantity)) == "both sides train on the same pairs"
    assert decide_a(context, quantity=quantity).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("tied", "drawn", "testable"),
    [
        (30, 4, True),  # 4 of 16: a quarter
        (30, 5, False),
        (5, 5, True),  # all that tie are in the set: nothing is drawn by lot
    ],
)
def test_ties_beyond_a_quarter_of_the_cut_cannot_be_tested(
    tied: int, drawn: int, *, testable: bool
) -> None:
    scored = toy_result(20, selected=16, tied_at_cut=tied, tied_and_selected=drawn)
    context = toy_context({"base": 10})
    runs = [Run({"by": "factuality", "pairs": "a", "seed": seed}, scored) for seed in SEEDS]
    decided = decide_a(replace(context, experiments={"figure-1": runs}))
    if testable:
        assert decided.verdict == "holds"
    else:
        assert reason(decided) == "5 of the 16 pairs by factuality tie at the cut"


def certified(context: ReportContext, **verdicts: str) -> ReportContext:
    dimensions = {name: {"verdict": verdict} for name, verdict in verdicts.items()}
    return replace(context, certificates={"judge": {"dimensions": dimensions}})


def test_a_dimension_that_the_judge_does_not_see_is_left_out() -> None:
    context = with_runs(
        toy_context({"base": 10}), "figure-1", {"factuality 16": 20, "step_coherence 16": 30}
    )
    blind = certified(context, factuality="blind", step_coherence="cannot tell")
    quantity = ScoreDifference(
        domains=["easy"], runs=[{"experiment": "figure-1"}], baseline=["base"]
    )
    mean = Evaluator(context).score_difference(quantity)
    assert mean.value == pytest.approx(37.5)  # 25 of 40, the mean of both
    left = Evaluator(blind).score_difference(quantity)
    assert left.value == pytest.approx(50.0)  # 30 of 40 alone
    assert left.left_out == ("the judge does not see factuality",)
    alone = quantity.model_copy(update={"runs": [{"experiment": "figure-1", "by": "factuality"}]})
    with pytest.raises(NotTestableError, match="the judge does not see factuality"):
        Evaluator(blind).score_difference(alone)


def test_a_claim_on_sizes_needs_two() -> None:
    one = with_runs(toy_context({"base": 10}), "figure-4", {"factuality 16": 20})
    with pytest.raises(NotTestableError, match="only one k in figure 4"):
        Evaluator(one).evaluate(first_pairs_claim())


def first_pairs_claim() -> Claim:
    return weak_pairs_claim("first", "a").model_copy(
        update={"quantity": FirstPairsGain(domains=["easy"], runs={"experiment": "figure-4"})}
    )


@pytest.mark.parametrize(
    ("small", "large", "value"),
    [
        (14, 18, 0.0),  # 4 more for 16 pairs, 4 more for the next 16: a straight line
        (18, 18, 20.0),  # 8 more for the first 16 and none for the next
        (10, 18, -20.0),
    ],
)
def test_the_first_pairs_gain_more_where_the_gain_is_concave(
    small: int, large: int, value: float
) -> None:
    runs = {"factuality 16": small, "factuality 32": large}
    context = with_runs(toy_context({"base": 10}), "figure-4", runs)
    assert Evaluator(context).evaluate(first_pairs_claim()).value == pytest.approx(value)


def test_without_a_gain_there_is_nothing_to_divide() -> None:
    context = with_runs(
        toy_context({"base": 10}), "figure-4", {"factuality 16": 10, "factuality 32": 11}
    )
    claim = first_pairs_claim().model_copy(
        update={"only_with_gain": {"experiment": "figure-4", "k": "32"}}
    )
    (decided,) = decide([claim], context)
    assert reason(decided).startswith("there is no gain to divide (+2.5 [")


def test_a_margin_is_a_share_of_the_gain() -> None:
    """Run a gains 20 of 40 questions, 50 points; b is 1 question under it, a 20th of the gain."""
    context = toy_context({"base": 10, "a": 30, "b": 29})
    claim = weak_pairs_claim("alike", "b").model_copy(
        update={
            "rule": "equivalent",
            "margin": 0.5,
            "gain": {"experiment": "figure-1", "pairs": "a"},
            "quantity": ScoreDifference(
                domains=["easy"],
                runs=[{"experiment": "figure-1", "pairs": "b"}],
                baseline=[{"experiment": "figure-1", "pairs": "a"}],
            ),
        }
    )
    (alike,) = decide([claim], context)
    assert alike.verdict == "holds"
    assert alike.parts[0].measured is not None
    assert alike.parts[0].measured.bound_unit == pytest.approx(50, abs=0.01)
    no_gain = toy_context({"base": 10, "a": 10, "b": 9})
    (untested,) = decide([claim], no_gain)
    assert reason(untested).startswith("there is no gain on math to compare with (")


def test_the_regret_is_the_mean_distance_to_the_best_of_each_size() -> None:
    """It is 4 of 40 questions behind at 16 pairs, and ahead at 32: 2 on average, 5 points."""
    context = with_runs(
        toy_context({"base": 10}),
        "figure-4",
        {
            "step_coherence 16": 16,
            "factuality 16": 20,
            "signal_to_noise 16": 12,
            "step_coherence 32": 24,
            "factuality 32": 20,
            "signal_to_noise 32": 12,
        },
    )
    claim = weak_pairs_claim("regret", "a").model_copy(
        update={
            "rule": "not-below",
            "margin": 1.0,
            "gain": {"experiment": "figure-4", "by": "step_coherence"},
            "quantity": MeanRegret(
                domains=["easy"],
                runs={"experiment": "figure-4"},
                axis="by",
                entry="step_coherence",
            ),
        }
    )
    measured = Evaluator(context).evaluate(claim)
    assert measured.value == pytest.approx(-5.0)
    assert measured.high <= 0
    # The gain is 10 questions of 40: the regret is a fifth of it.
    assert measured.bound_unit == pytest.approx(25.0)
    assert measured.tested.p_above(-0.9) < 0.01
    assert measured.tested.p_above(-0.2) == pytest.approx(0.5, abs=0.05)
    # No other dimension is better on average, so that it is far behind one cannot be.
    assert measured.tested.p_below(-0.2) > 0.9


def test_an_interaction_is_the_difference_of_two_differences() -> None:
    context = toy_context({"base": 10, "a": 14, "b": 12, "c": 13, "d": 12})
    quantity = ScoreDifference(
        domains=["easy"],
        runs=[{"experiment": "figure-1", "pairs": name} for name in "ad"],
        baseline=[{"experiment": "figure-1", "pairs": name} for name in "bc"],
        sums=True,
    )
    # (14 - 12) - (13 - 12) = 1 of 40 questions.
    assert Evaluator(context).score_difference(quantity).value == pytest.approx(2.5)


def test_a_generators_place_on_the_ladder_is_its_measured_strength() -> None:
    """Shares correct 0.2, 0.3 and 0.7 are the places 0, 0.2 and 1, in any order of names."""
    shares = {"b": 0.2, "c": 0.3, "a": 0.7}
    context = replace(
        toy_context({"base": 10, "a": 20, "b": 10, "c": 12}),
        generators={name: GeneratorFacts("m", share) for name, share in shares.items()},
    )
    assert list(context.by_strength(["a", "b", "c"])) == ["b", "c", "a"]
    assert Evaluator(context).resolve("figure-1.pairs.weakest") == ["b"]
    assert Evaluator(context).resolve("figure-1.pairs.strongest") == ["a"]
    trend = ScoreTrend(
        domains=["easy"], runs={"experiment": "figure-1"}, axis="pairs", positions="strength"
    )
    measured = Evaluator(context).evaluate(
        weak_pairs_claim("trend", "a").model_copy(update={"quantity": trend})
    )
    assert measured.value == pytest.approx(25.0)  # 10 + 10 x place, of 40


def test_evaluated_generators_are_ranked_by_their_scores() -> None:
    context = toy_context({"base": 10})
    context = replace(context, models=context.models | {"strong": model_scores(30)})
    generators = {"strong": GeneratorFacts("m", 0.1), "base": GeneratorFacts("m", 0.9)}
    assert list(replace(context, generators=generators).by_strength(["strong", "base"])) == [
        "base",
        "strong",
    ]


def test_a_generator_at_another_temperature_has_no_score_of_its_own() -> None:
    context = toy_context({"base": 10})
    context = replace(
        context,
        models=context.models | {"early": model_scores(5)},
        generators={"early-hot": GeneratorFacts("early", None)},
    )
    quantity = ScoreDifference(
        domains=["easy"], runs=[{"experiment": "models", "name": "early-hot"}], baseline=["base"]
    )
    with pytest.raises(NotTestableError, match="early-hot has no scores"):
        Evaluator(context).score_difference(quantity)


def test_a_selection_that_no_other_can_be_compared_with_has_no_regret() -> None:
    with pytest.raises(NotTestableError, match="nothing to compare step_coherence with"):
        Regret([], "by", "step_coherence", [{"easy": 1.0}], ())


def overlap_row(own_ties: float) -> dict[str, object]:
    names = {"dimension": "factuality", "other": "step_coherence"}
    return names | {"k": 16, "why": None, "overlap": 100.0, "overlap_own_ties": own_ties}


def test_pairs_that_only_tie_do_not_overlap_beyond_chance() -> None:
    """One seed breaks all ties alike, so equal deltas give 100%: by own ties it is 25%."""
    context = replace(toy_context({"base": 10}), overlaps=[overlap_row(25.0)])
    measured = Evaluator(context).topk_overlap(TopkOverlap(sets={"k": "16"}))
    assert measured.value == 25.0
    assert measured.questions == 16
    ties = {"dimension": "step_coherence", "k": 16, "tied": 12, "tied_and_in": 5}
    with pytest.raises(NotTestableError, match="5 of the 16 pairs by step coherence tie"):
        Evaluator(replace(context, analysis={TIES: [ties]})).topk_overlap(
            TopkOverlap(sets={"k": "16"})
        )


def test_the_base_has_no_seeds() -> None:
    context = toy_context({"base": 10, "strong": 20})
    models = {
        "base": context.models["base"],
        "weak": ModelScores({}, {"sums": AnswerCounts(1, (1,) * 5 + (0,) * 35)}),
    }
    quantity = ScoreDifference(
        domains=["easy"], runs=[{"experiment": "models", "name": "weak"}], baseline=["base"]
    )
    evaluator = Evaluator(replace(context, models=models, experiments={}))
    models["weak"].scores["sums"] = model_scores(5).scores["sums"]
    measured = evaluator.score_difference(quantity)
    assert measured.value == pytest.approx(-12.5)
    assert measured.seeds == 0
