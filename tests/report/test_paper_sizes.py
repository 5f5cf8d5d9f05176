"""Which claims the paper profile's sizes decide, if the paper's numbers are exactly true."""

import pytest

from delta.check import Params
from delta.core.params import read_all, validate
from delta.plan.pending import max_questions
from delta.report.claims.decide import ClaimResult, decide
from delta.report.context import ReportContext
from delta.report.paper.claims import read_claims
from tests.helpers.import_closure import ROOT
from tests.helpers.paper_results import BASE, NUMBERS
from tests.helpers.simulated_paper import simulated_paper

DECIDED = 35  # of 45; docs/statistics.md says what the others would need
ANSWERS = 33_517  # of one model, as before the sizes were chosen


@pytest.fixture(scope="module")
def params() -> Params:
    return validate("", Params, read_all(ROOT / "profiles/paper.yaml"))


@pytest.fixture(scope="module", params=[0, 1, 2])
def context(params: Params, request: pytest.FixtureRequest) -> ReportContext:
    return simulated_paper(params, seed=request.param)


@pytest.fixture(scope="module")
def results(context: ReportContext) -> list[ClaimResult]:
    return decide(read_claims(), context)


def test_the_measured_scores_are_the_papers(context: ReportContext) -> None:
    answers = context.models[BASE].answers
    for name, score in NUMBERS["table-2"]["scores"][BASE].items():
        correct, asked = sum(answers[name].correct), len(answers[name].correct)
        asked *= answers[name].samples
        assert correct == pytest.approx(score / 100 * asked, abs=0.51)
    runs = [run for run in context.runs("figure-3") if run.axes["pairs"] == "correct-incorrect"]
    gains = []
    for name in ("mmlu-pro", "theoremqa"):
        counts = [run.result.answers[name] for run in runs if run.result is not None]
        trained = sum(count.array.mean() / count.samples for count in counts) / len(runs)
        gains.append(100 * trained - NUMBERS["table-2"]["scores"][BASE][name])
    assert sum(gains) / 2 == pytest.approx(57.26 - 56.65, abs=0.02)


def test_the_sizes_decide_most_claims_rightly_and_none_wrongly(results: list[ClaimResult]) -> None:
    verdicts = [result.verdict for result in results]
    assert len(verdicts) == 45
    assert verdicts.count("holds") >= DECIDED
    assert set(verdicts) == {"holds", "cannot tell"}


def test_the_other_claims_say_what_they_would_need(results: list[ClaimResult]) -> None:
    page = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    for result in results:
        if result.verdict == "cannot tell":
            assert result.required is not None
            assert f"`{result.claim.id}`" in page


def test_the_sizes_ask_no_more_answers_than_before(params: Params) -> None:
    benchmarks = params.benchmarks.values()
    asked = [(max_questions(benchmark) or 0) * benchmark.samples for benchmark in benchmarks]
    assert 0.99 * ANSWERS < sum(asked) <= ANSWERS
