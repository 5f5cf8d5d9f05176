"""What comparisons can see: by hand, of the profiles, and with measured seeds."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from delta.check import Params
from delta.core import paths
from delta.core.files import write_text
from delta.core.params import read_all, validate
from delta.experiments import grid, results
from delta.experiments.results import AnswerCounts, Result
from delta.plan import power, render_power
from delta.plan.power import Domain
from delta.stats.power import ASSUMED, POLICY_AND_BASE, TWO_POLICIES, Benchmark
from tests.helpers.import_closure import ROOT

PROFILES = ("params.yaml", *(f"profiles/{name}.yaml" for name in ("paper", "gpu", "smoke")))


def profile(name: str) -> Params:
    return validate("", Params, read_all(ROOT / name))


def domain_of(params: Params, name: str) -> Domain:
    (domain,) = (domain for domain in power.domains(params) if domain.name == name)
    return domain


def test_the_smallest_difference_by_hand() -> None:
    domain = Domain("easy", [Benchmark(0.5, 1_000, 1)], ASSUMED)
    # Two trainings of one seed: 2 x 0.4 x 0.25 + 0.05² over 1,000 questions; 2.8 standard errors.
    error = 100 * math.sqrt((0.2 + 0.0025) / 1_000)
    assert power.seen(domain, 1, TWO_POLICIES) == pytest.approx(2.805 * error, rel=0.01)
    needed = power.alternative_sizes(domain, 1, TWO_POLICIES, 2.0)
    # (2.8 x 45 / 2)² questions, or 5 answers: (0.2 / K + 0.05²) / 1,000 <= (0.02 / 2.8)²
    assert needed.questions == pytest.approx((2.805 * 45 / 2) ** 2, rel=0.01)
    assert needed.samples == math.ceil(0.2 / (1_000 * (0.02 / 2.805) ** 2 - 0.0025)) == 5


def test_the_differences_that_the_paper_prints() -> None:
    printed = [(d.figure, d.domain, round(d.points, 3)) for d in power.paper_differences()]
    assert printed == [
        ("figure-3", "math", 0.8),
        ("figure-3", "stem", 0.5),
        ("figure-4", "easy", 2.0),
        ("figure-4", "hard", 2.32),
        ("figure-4", "stem", 0.845),
    ]
    weights = {(d.figure, d.domain): d.weights for d in power.paper_differences()}
    assert weights["figure-3", "math"] == POLICY_AND_BASE
    assert weights["figure-3", "stem"] == (1.0, 0.0)  # two means of two trainings each


@pytest.mark.parametrize("name", PROFILES)
def test_every_figure_that_trains_has_its_smallest_differences(name: str) -> None:
    params = profile(name)
    lines = render_power.power_section(params, []).lines
    assert max(map(len, lines)) <= 100
    text = " ".join(" ".join(lines).split())
    for figure, experiment in params.experiments.items():
        assert (f" {figure}" in text) == bool(experiment.vary)
    groups = {benchmark.group for benchmark in params.benchmarks.values()} - {"other"}
    assert groups <= {line.split()[0] for line in lines}


def test_the_score_of_a_base_is_measured_or_printed_or_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paper, smoke = profile("profiles/paper.yaml"), profile("profiles/smoke.yaml")
    assert power.base_scores(paper)["aime24"] == 0.61
    assert set(power.base_scores(smoke).values()) == {0.5}
    write_text(paths.score("nemotron-8b"), '{"nemotron-8b": {"aime24": {"value": 0.4}}}')
    assert power.base_scores(paper)["aime24"] == 0.4
    assert power.base_scores(paper)["aime25"] == 0.508


def result(key: str, correct: Sequence[int]) -> Result:
    counts = AnswerCounts(1, tuple(correct))
    return Result(key, "run", {}, "a" * 40, "2026-11-21", 1, {}, {}, {"sums": counts})


def test_the_spread_of_seeds_is_measured_where_they_have_run(tmp_path: Path) -> None:
    content = read_all(ROOT / "profiles/paper.yaml")
    experiment = profile("profiles/paper.yaml").experiments["full"]
    specs = grid.expand_grid(content, "full", experiment)
    for spec, right in zip(specs, (40, 50, 60), strict=True):  # of 100: a spread of 10 points
        results.write(result(spec.key, [1] * right + [0] * (100 - right)), tmp_path)
    (group,) = power.replicates(content, {"full": experiment}, tmp_path)
    assert len(group) == 3
    variance = power.seed_variance([group], ["sums"])
    assert variance is not None
    assert math.sqrt(variance.total) == pytest.approx(0.1)
    assert variance.df == 2
    # Seeds of a random selection draw other pairs too.
    random = profile("profiles/paper.yaml").experiments["random"]
    assert list(power.replicates(content, {"random": random}, tmp_path)) == []
    assert power.seed_variance([], ["sums"]) is None


def test_seeds_that_vary_raise_the_smallest_difference() -> None:
    quiet = domain_of(profile("profiles/paper.yaml"), "stem")
    noisy = quiet._replace(noise=quiet.noise._replace(seed_sd=0.01, seed_df=20))
    seen = [power.seen(domain, 3, TWO_POLICIES) for domain in (quiet, noisy)]
    assert seen[1] > seen[0]
    # Two means of three seeds with a spread of 1 point: 0.8 points of error, whatever is asked.
    assert power.alternative_sizes(noisy, 3, TWO_POLICIES, 1.0).questions is None
    assert power.alternative_sizes(noisy, 3, TWO_POLICIES, 1.0).seeds is not None
