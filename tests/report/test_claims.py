"""The decision rules: case by case, and on a world in which all came out as the paper says."""

from dataclasses import replace

import pytest

from delta.core.errors import InputError
from delta.experiments.results import AnswerCounts
from delta.report import claims, paper
from delta.report.claims import ClaimResult, format, rules
from delta.report.claims.measures import Estimate, Evaluator, estimate
from delta.report.claims.rules import Rule, Verdict
from delta.report.context import Cell, MissingResultError, ReportContext
from delta.report.paper import Claim, Delta, Overlap, Rise, Scores
from tests.helpers.paper_results import NUMBERS, paper_world, shuffled
from tests.helpers.toy_results import toy_world

ALL = paper.claims()


@pytest.fixture(scope="module")
def world() -> ReportContext:
    return paper_world()


def verdicts(world: ReportContext) -> dict[str, Verdict]:
    return {one.claim.id: one.verdict for one in claims.decide(ALL, world)}


def with_swapped(
    world: ReportContext, one: tuple[str, ...], other: tuple[str, ...]
) -> ReportContext:
    """Two runs of Figure 1 with each other's results."""
    cells = {tuple(cell.at.values()): cell.result for cell in world.cells("figure-1")}
    cells[one], cells[other] = cells[other], cells[one]
    swapped = [Cell(cell.at, cells[tuple(cell.at.values())]) for cell in world.cells("figure-1")]
    return replace(world, experiments=world.experiments | {"figure-1": swapped})


def without(world: ReportContext, experiment: str, **at: str) -> ReportContext:
    cells = [
        Cell(cell.at, None) if at.items() <= cell.at.items() else cell
        for cell in world.cells(experiment)
    ]
    return replace(world, experiments=world.experiments | {experiment: cells})


def test_every_claim_holds_where_all_came_out_as_the_paper_says(world: ReportContext) -> None:
    assert verdicts(world) == {claim.id: "holds" for claim in ALL}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_shuffled_numbers_the_claims_do_not_all_hold(world: ReportContext, seed: int) -> None:
    found = list(verdicts(shuffled(world, seed)).values())
    assert found.count("does not hold") >= 15  # of 45


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_verdict_on_a_sign_follows_the_shuffled_numbers(
    world: ReportContext, seed: int
) -> None:
    """Means over questions, without any of the code that decides."""
    mixed = shuffled(world, seed)
    base = mean_math(mixed.models[mixed.base].answers)
    found = verdicts(mixed)
    at = {"sft-weak": 0, "sft-strong": 1, "dpo-weak": 2, "dpo-strong": 3}
    for name, place in at.items():
        result = mixed.cells("figure-1")[place].result
        assert result is not None
        gain = mean_math(result.answers) - base
        if abs(gain) > 0.003:
            as_claimed = gain < 0 if name == "sft-weak" else gain > 0
            assert found[name] == ("holds" if as_claimed else "does not hold")


def mean_math(answers: dict[str, AnswerCounts]) -> float:
    names = ("math-500", "gsm8k", "amc23", "minerva", "olympiadbench", "aime24", "aime25")
    shares = [sum(answers[name].correct) / 10_000 / answers[name].samples for name in names]
    return sum(shares) / 7


def test_two_runs_that_change_places_flip_their_claims_and_no_others(world: ReportContext) -> None:
    before = verdicts(world)
    after = verdicts(with_swapped(world, ("sft", "weak"), ("dpo", "weak")))
    changed = {name: verdict for name, verdict in after.items() if verdict != before[name]}
    assert changed == {
        "sft-weak": "does not hold",
        "dpo-weak": "does not hold",
        "dpo-alike": "does not hold",
    }


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
def test_a_rule_decides(
    rule: Rule, low: float, high: float, p: float | None, verdict: Verdict
) -> None:
    found = Estimate((low + high) / 2, low, high, 0.01)
    assert rules.decided(rule, found, p, than=0, margin=2) == verdict


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
def test_a_claim_holds_where_all_its_parts_do(parts: list[Verdict], verdict: Verdict) -> None:
    assert rules.combine_verdicts(parts) == verdict


def test_p_of_an_interval_is_a_twentieth_where_it_ends_at_the_bound() -> None:
    assert estimate(2.0, 0.0, 4.0, than=0).p == pytest.approx(0.05)
    assert estimate(48.0, 46.0, 50.0, than=50).p == pytest.approx(0.05)
    assert estimate(0.0, -1.0, 1.0, than=0).p == 1.0
    assert estimate(1.0, 1.0, 1.0, than=0).p == 0.0


def part(name: str, runs: str) -> Claim:
    return Claim(
        id=name,
        family="figure-1",
        where="here",
        statement=f"{runs} trains well.",
        rule="above",
        unit="points",
        of=Scores(
            domains=["easy"], ours=[{"experiment": "figure-1", "pairs": runs}], theirs=["base"]
        ),
    )


def test_more_tests_in_a_figure_ask_for_more_of_each() -> None:
    """The run is right on 6 of 40 questions more than the base."""
    small = toy_world(easy={"base": 10, "a": 16, "b": 10, "c": 10, "d": 10})
    alone = claims.decide([part("a", "a")], small)
    among = claims.decide([part(name, name) for name in "abcd"], small)
    assert alone[0].parts[0].p == pytest.approx(0.0215, abs=0.0001)
    assert among[0].parts[0].p == pytest.approx(4 * (alone[0].parts[0].p or 0))
    assert (alone[0].verdict, among[0].verdict) == ("holds", "cannot tell")


def test_what_lacks_a_run_is_not_run_and_the_rest_is_decided(world: ReportContext) -> None:
    decided = claims.decide(ALL, without(world, "figure-3", pairs="correct-correct"))
    lost = {one.claim.id for one in decided if one.verdict == "not run"}
    assert lost == {
        "all-outcomes-gain",
        "right-over-wrong-best",
        "wrong-over-wrong-worst",
        "outcomes-stem",
        "rejected-wrong-stem",
    }
    assert {one.verdict for one in decided if one.claim.id not in lost} == {"holds"}
    (gain,) = [one for one in decided if one.claim.id == "all-outcomes-gain"]
    assert [one.verdict for one in gain.parts] == ["holds", "not run", "holds", "holds"]
    assert gain.parts[1].why == "figure-3: 1 of 1 runs are not there"


def test_a_profile_without_a_domain_or_an_experiment_leaves_its_claims_not_run(
    world: ReportContext,
) -> None:
    groups = {name: group for name, group in world.groups.items() if group != "code"}
    experiments = {name: cells for name, cells in world.experiments.items() if name != "random"}
    smaller = replace(world, groups=groups, experiments=experiments, overlaps=[], deltas=[])
    whys = {
        one.claim.id: one.parts[0].why
        for one in claims.decide(ALL, smaller)
        if one.verdict == "not run"
    }
    assert whys["code-rises-dpo"] == "this profile has no benchmark of code"
    assert whys["step-above-random"] == "this profile has no random by k"
    assert whys["overlap-grows"] == "no overlap of 5000"
    assert whys["delta-step"] == "no delta of nemotron-49b against s1-7b in step_coherence"


def test_a_world_without_anything_has_no_verdicts() -> None:
    nothing = replace(toy_world(easy={"base": 10}), experiments={})
    decided = claims.decide(ALL, nothing)
    assert {one.verdict for one in decided} == {"not run"}
    assert format.metrics(decided)["claims"] == {}
    assert format.metrics(decided)["claims_that"]["not_run"] == len(ALL)


def test_runs_that_were_asked_other_questions_are_not_compared() -> None:
    small = toy_world(easy={"base": 10, "a": 16})
    (cell,) = small.cells("figure-1")
    assert cell.result is not None
    cut = replace(cell.result, answers={"sums": AnswerCounts(1, (1, 0))})
    odd = replace(small, experiments={"figure-1": [Cell(cell.at, cut)]})
    with pytest.raises(InputError, match="sums: results with different numbers"):
        claims.decide([part("a", "a")], odd)


def test_a_rise_is_over_the_whole_axis_whatever_the_number_of_generators(
    world: ReportContext,
) -> None:
    rise = Rise(
        domains=["code"],
        along={"experiment": "figure-2", "method": "dpo"},
        axis="chosen",
        places="rank",
    )
    # The gains 0.5, 1.3, 2.0, 2.6, 3.3, 4.1 have a slope of 0.70 for each of five steps.
    assert Evaluator(world, {}).of(rise, 0).value == pytest.approx(3.5, abs=0.02)


def test_seeds_are_one_run_whose_answers_vary(world: ReportContext) -> None:
    found = Evaluator(world, {}).configurations({"experiment": "random", "k": "1000"})
    assert [[cell.at["seed"] for cell in cells] for cells in found] == [["1", "2", "3"]]


def test_the_mean_of_overlaps_has_the_mean_of_their_bounds(world: ReportContext) -> None:
    found = Evaluator(world, {}).of(Overlap(ours={"k": "1000"}), 0)
    # Ten pairs of dimensions: 87.1, 28.1 and eight of 45.
    assert found.value == pytest.approx(47.52)
    assert found.low == pytest.approx(44.58, abs=0.01)
    assert found.high == pytest.approx(50.48, abs=0.01)


def test_a_delta_that_was_not_measured_is_no_zero(world: ReportContext) -> None:
    rows = [row | {"delta": None, "low": None, "high": None} for row in world.deltas]
    wanted = Delta(chosen="s1-7b", rejected="s1-3b", dimension="factuality")
    with pytest.raises(MissingResultError, match="no delta of s1-7b against s1-3b in factuality"):
        Evaluator(replace(world, deltas=rows), {}).of(wanted, 0)


def one_claim(world: ReportContext, name: str) -> ClaimResult:
    (found,) = claims.decide([claim for claim in ALL if claim.id == name], world)
    return found


def test_a_claim_in_words(world: ReportContext) -> None:
    assert (
        format.format_result(one_claim(world, "delta-step")) == "+1.12 [+1.10, +1.14] rating points"
    )
    assert format.format_result(one_claim(world, "delta-widens")) == (
        "5 of 5 hold; weakest (factuality) +0.71 [+0.69, +0.73] rating points"
    )
    assert format.table([one_claim(world, "delta-step")]).splitlines() == [
        "| claim | paper | here, 95 % interval | holds? |",
        "|---|---|---|---|",
        "| In step coherence the delta widens from the weakest chosen generator to the strongest. "
        "| from 0.96 to 2.08 | +1.12 [+1.10, +1.14] rating points | ✓ holds |",
    ]
    assert format.metrics([one_claim(world, "delta-step")]) == {
        "claims": {"delta-step": {"value": 1.12, "low": 1.1, "high": 1.14, "verdict": 1}},
        "claims_that": {"holds": 1, "does_not_hold": 0, "cannot_tell": 0, "not_run": 0},
    }


def test_the_claims_quote_the_papers_numbers() -> None:
    quoted = {claim.id: claim.paper for claim in ALL}
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
    apart = noise["signal_to_noise"] - strategy["step_coherence"]
    assert quoted["overlap-factuality-noise"] == pytest.approx(apart)


def test_the_papers_math_is_the_mean_over_seven_benchmarks(world: ReportContext) -> None:
    assert round(100 * mean_math(world.models[world.base].answers), 1) == 71.1


def test_every_claim_has_a_name_of_its_own() -> None:
    assert len({claim.id for claim in ALL}) == len(ALL)
