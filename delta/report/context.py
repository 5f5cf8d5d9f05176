"""All that the report knows: runs by experiment, scores, deltas, and where they are from."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from delta.core.types import Row
from delta.experiments.results import AnswerCounts, Result

# Groups of benchmarks (params `benchmarks.*.group`) that make a domain of the paper (3.1.2).
# Its figures' "math" is the mean over all benchmarks of both groups: Table 2 gives 71.1.
DOMAINS = {
    "easy": ("easy",),
    "hard": ("hard",),
    "math": ("easy", "hard"),
    "stem": ("stem",),
    "code": ("code",),
}
MODELS = "models"  # the off-the-shelf models, as if they were an experiment with the axis `name`


class MissingResultError(Exception):
    """The one line says what is missing."""


@dataclass(frozen=True)
class ModelScores:
    """A model as it came."""

    scores: dict[str, dict[str, Any]]  # by benchmark, as in data/counts/evaluate
    answers: dict[str, AnswerCounts]


class Cell(NamedTuple):
    """One run of an experiment; no result where it has not run yet."""

    at: dict[str, str]  # axis → entry
    result: Result | ModelScores | None


@dataclass(frozen=True)
class Provenance:
    """What made the results."""

    profile: str
    commit: str
    changed: bool  # files of the working tree differ from the commit
    date: str
    revisions: dict[str, str]  # of models and data sets
    counts: dict[str, int | str]  # words → number: problems, pairs, votes, …


@dataclass(frozen=True)
class ReportContext:
    experiments: dict[str, list[Cell]]  # cells in the profile's order
    models: dict[str, ModelScores]  # off the shelf, the weakest at math first
    base: str  # the policy before training; one of `models`
    chosen: str  # generator of the chosen traces of figure 4
    rejected: str  # generator of the rejected traces of figures 2 and 4
    groups: dict[str, str]  # benchmark → easy, hard, stem, code, other
    deltas: list[Row]  # delta.analysis.generator_deltas.rows
    overlaps: list[Row]  # delta.analysis.topk_sets.overlaps
    examined: dict[str, list[Row]]  # title of a table → its rows: what delta.analysis found
    provenance: Provenance

    def cells(self, experiment: str) -> list[Cell]:
        if experiment == MODELS:
            return [Cell({"name": name}, model) for name, model in self.models.items()]
        return self.experiments.get(experiment, [])

    def entries(self, experiment: str, axis: str) -> list[str]:
        """In order. NotRun where this profile has no such experiment."""
        found = dict.fromkeys(cell.at[axis] for cell in self.cells(experiment) if axis in cell.at)
        if not found:
            raise MissingResultError(f"this profile has no {experiment} by {axis}")
        return list(found)

    def benchmarks(self, domain: str) -> list[str]:
        found = [name for name, group in self.groups.items() if group in DOMAINS[domain]]
        if not found:
            raise MissingResultError(f"this profile has no benchmark of {domain}")
        return found
