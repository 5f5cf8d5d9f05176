"""The inputs of the report: runs by experiment, model scores, deltas and provenance."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from delta.core.types import Counts, Row
from delta.experiments.results import AnswerCounts, Result
from delta.report.example import Example
from delta.report.origins import Origin, group_origins
from delta.report.this_run import ThisRun
from delta.report.training_facts import TrainingSettings

# Groups of benchmarks (params `benchmarks.*.group`) that form a domain of the paper (3.1.2).
# "math" in its figures is the mean over all benchmarks of both groups: Table 2 gives 71.1.
DOMAINS = {
    "easy": ("easy",),
    "hard": ("hard",),
    "math": ("easy", "hard"),
    "stem": ("stem",),
    "code": ("code",),
}
TIES = "Ties at the cut, and stability of the top-k set"  # title in ReportContext.analysis
MODELS = "models"  # the off-the-shelf models, as if they were an experiment with the axis `name`
SEED = "seed"  # the axis of an experiment's training seeds
CONTROLS = ("top", "random", "bottom", "length-matched")
FURTHER = ("gap-by-delta", "dose", "outcome-matched")  # what the paper's figures cannot separate
FURTHER_FIGURES = ("outcome-quality", *FURTHER)  # the first is of the runs of figure 3
FULL = "full"  # training on all pairs of figure 4
# Experiments that the page shows in a form of their own; all others are the reader's.
PAPER_FIGURES = tuple(f"figure-{number}" for number in range(1, 6))
PAPER = ("table-1", "table-2", *PAPER_FIGURES, FULL, *CONTROLS, *FURTHER)


class MissingResultError(Exception):
    """A claim or figure needs a result that this profile lacks or that has not run yet."""


class NotTestableError(MissingResultError):
    """A claim cannot be tested with this profile, however many questions and seeds it has."""


class GeneratorFacts(NamedTuple):
    """What is known of a generator."""

    model: str  # its name in `models` or `sft_models`
    correct: float | None  # share of its gradable traces that are correct; None: not verified


@dataclass(frozen=True)
class ModelScores:
    """The results of a model that no experiment trained."""

    scores: dict[str, dict[str, Any]]  # by benchmark, as in data/counts/evaluate
    answers: dict[str, AnswerCounts]


class Run(NamedTuple):
    """One run of an experiment; `result` is None until it has run."""

    axes: dict[str, str]  # axis → entry
    result: Result | ModelScores | None
    training: TrainingSettings | None = None  # None where no experiment trained it
    # Equal for runs with the same training on the same pairs; None where these are not recorded.
    policy: str | None = None


@dataclass(frozen=True)
class Provenance:
    """The origin of the results."""

    profile: str
    commit: str
    uncommitted_changes: bool
    date: str  # of the page
    revisions: dict[str, str]  # of models and benchmarks
    counts: dict[str, int | str]  # what → number
    made_here: frozenset[str] = frozenset()  # DVC experiments of this repository, by name


class ChangedAnswers(NamedTuple):
    """Questions to which the policy gave more right answers than the base, or fewer."""

    gained: int
    lost: int


@dataclass(frozen=True)
class WorkspaceRun:
    """The run in this workspace. `summary` is metrics/summary.json."""

    summary: ThisRun
    changed: dict[str, ChangedAnswers]  # by benchmark
    example: Example | None
    selector: dict[str, Any]  # params `selector`
    selection: Counts  # of stage select
    training: Counts  # of stage train
    training_settings: TrainingSettings


@dataclass(frozen=True)
class ReportContext:
    """All inputs of the report."""

    this_run: WorkspaceRun
    experiments: dict[str, list[Run]]  # in the profile's order
    models: dict[str, ModelScores]  # off the shelf, the weakest at math first
    base: str  # the policy before training; one of `models`
    chosen: str  # generator of the chosen traces of figure 4
    rejected: str  # generator of the rejected traces of figure 2 and table 1
    groups: dict[str, str]  # benchmark → easy, hard, stem, code or other
    deltas: list[Row]  # of delta.analysis.generator_deltas.delta_matrix_rows
    overlaps: list[Row]  # of delta.analysis.topk_sets.overlap_rows
    analysis: dict[str, list[Row]]  # title → rows of a table of delta.analysis
    provenance: Provenance
    seed_axes: dict[str, list[str]] = field(default_factory=dict)  # of each experiment
    generators: dict[str, GeneratorFacts] = field(default_factory=dict)
    base_model: str = ""  # `train.base`: the base's name in `models` or `sft_models`
    weak_pair: tuple[str, str] | None = None  # generators of figure 1's weak pairs
    certificates: dict[str, Counts] = field(
        default_factory=dict
    )  # of each rater, the judge's first

    def runs(self, experiment: str) -> list[Run]:
        """Return the runs of an experiment; none if the profile does not have it."""
        if experiment == MODELS:
            return [Run({"name": name}, model) for name, model in self.models.items()]
        return self.experiments.get(experiment, [])

    def entries(self, experiment: str, axis: str) -> list[str]:
        """Return the entries of an axis in order. Raises MissingResultError if there are none."""
        entries = dict.fromkeys(run.axes[axis] for run in self.runs(experiment) if axis in run.axes)
        if not entries:
            raise MissingResultError(f"this profile has no {experiment} by {axis}")
        return list(entries)

    def benchmarks(self, domain: str) -> list[str]:
        """Return the benchmarks of a domain. Raises MissingResultError if there are none."""
        names = [name for name, group in self.groups.items() if group in DOMAINS[domain]]
        if not names:
            raise NotTestableError(f"this profile has no benchmark of {domain}")
        return names

    def by_strength(self, generators: list[str]) -> dict[str, float]:
        """Return the measured strength of generators, the weakest first.

        It is the mean score on math where all of them are evaluated, otherwise the share of their
        traces that are correct. Raises MissingResultError where neither is known.
        """
        math = [name for name, group in self.groups.items() if group in DOMAINS["math"]]
        if math and all(name in self.models for name in generators):
            strengths = {
                name: sum(self.models[name].scores[key]["value"] for key in math) / len(math)
                for name in generators
            }
        else:
            strengths = {name: self._share_correct(name) for name in generators}
        return dict(sorted(strengths.items(), key=lambda item: item[1]))

    def _share_correct(self, generator: str) -> float:
        facts = self.generators.get(generator)
        if facts is None or facts.correct is None:
            raise MissingResultError(
                f"the strength of {generator} is not known: it has no score and no verified traces"
            )
        return facts.correct

    def own_experiments(self) -> list[str]:
        """Return the experiments that are neither the paper's nor controls."""
        return [name for name, runs in self.experiments.items() if runs and name not in PAPER]

    def paper_experiments(self) -> list[str]:
        """Return the paper's experiments and the controls of this profile."""
        return [name for name in self.experiments if name in PAPER]

    def paper_figures(self) -> list[str]:
        """Return the names of the paper's figures."""
        return list(PAPER_FIGURES)

    def figures(self) -> list[str]:
        """Return the names of the paper's figures, and of those for what they cannot separate."""
        return [*PAPER_FIGURES, *FURTHER_FIGURES]

    def has_result(self, experiment: str) -> bool:
        """Return whether at least one run of an experiment has a result."""
        return any(run.result is not None for run in self.runs(experiment))

    def origins(self, experiments: list[str]) -> list[Origin]:
        """Return who made the results of these experiments."""
        runs = [run for name in experiments for run in self.runs(name)]
        results = [run.result for run in runs if isinstance(run.result, Result)]
        return group_origins(results, self.provenance.made_here)

    def count_missing(self, experiments: list[str]) -> tuple[int, int]:
        """Return how many runs of these experiments have no result, and how many there are."""
        runs = [run for name in experiments for run in self.runs(name)]
        return sum(run.result is None for run in runs), len(runs)
