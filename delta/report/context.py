"""The inputs of the report: runs by experiment, model scores, deltas and provenance."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from delta.core.types import Row
from delta.experiments.results import AnswerCounts, Result

# Groups of benchmarks (params `benchmarks.*.group`) that form a domain of the paper (3.1.2).
# "math" in its figures is the mean over all benchmarks of both groups: Table 2 gives 71.1.
DOMAINS = {
    "easy": ("easy",),
    "hard": ("hard",),
    "math": ("easy", "hard"),
    "stem": ("stem",),
    "code": ("code",),
}
MODELS = "models"  # the off-the-shelf models, as if they were an experiment with the axis `name`
SEED = "seed"  # the axis of an experiment's training seeds


class MissingResultError(Exception):
    """A claim or figure needs a result that this profile lacks or that has not run yet."""


@dataclass(frozen=True)
class ModelScores:
    """The results of a model that no experiment trained."""

    scores: dict[str, dict[str, Any]]  # by benchmark, as in data/counts/evaluate
    answers: dict[str, AnswerCounts]


class Run(NamedTuple):
    """One run of an experiment; `result` is None until it has run."""

    axes: dict[str, str]  # axis → entry
    result: Result | ModelScores | None


@dataclass(frozen=True)
class Provenance:
    """The origin of the results."""

    profile: str
    commit: str
    uncommitted_changes: bool
    date: str
    revisions: dict[str, str]  # of models and benchmarks
    counts: dict[str, int | str]  # "stage: what" → number


@dataclass(frozen=True)
class ReportContext:
    """All inputs of the report."""

    experiments: dict[str, list[Run]]  # in the profile's order
    models: dict[str, ModelScores]  # off the shelf, the weakest at math first
    base: str  # the policy before training; one of `models`
    chosen: str  # generator of the chosen traces of figure 4
    rejected: str  # generator of the rejected traces of figures 2 and 4
    groups: dict[str, str]  # benchmark → easy, hard, stem, code or other
    deltas: list[Row]  # of delta.analysis.generator_deltas.delta_matrix_rows
    overlaps: list[Row]  # of delta.analysis.topk_sets.overlap_rows
    analysis: dict[str, list[Row]]  # title → rows of a table of delta.analysis
    provenance: Provenance

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
            raise MissingResultError(f"this profile has no benchmark of {domain}")
        return names

    def count_missing(self, experiments: list[str]) -> tuple[int, int]:
        """Return how many runs of these experiments have no result, and how many there are."""
        runs = [run for name in experiments for run in self.runs(name)]
        return sum(run.result is None for run in runs), len(runs)
