"""Find the entries and runs that the texts of claims.yaml stand for."""

import re

from delta.report.claims.contrast import Replicates, group_replicates
from delta.report.context import MODELS, MissingResultError, NotTestableError, ReportContext
from delta.report.paper.claims import RunSelector, ScoreQuantity

AXIS_REFERENCE = re.compile(r"([\w-]+)\.(\w+)(?:\.(first|last|weakest|strongest))?")
NAMED_RUNS = {
    "base": {"experiment": MODELS, "name": "$base"},
    "full": {"experiment": "full"},
}


class Selection:
    """Finds runs and benchmarks of a profile.

    `variables` give "$name" its meaning, besides those of claims.yaml. Every method raises
    MissingResultError, which says what is missing (NotTestableError: why no result would do).
    """

    def __init__(self, context: ReportContext, variables: dict[str, str] | None = None) -> None:
        self.context = context
        weak = context.weak_pair or (None, None)
        names = {"weak_chosen": weak[0], "weak_rejected": weak[1], **(variables or {})}
        self.variables = {
            "base": context.base,
            "chosen": context.chosen,
            "rejected": context.rejected,
            **{name: entry for name, entry in names.items() if entry is not None},
        }

    def resolve(self, text: str) -> list[str]:
        """Return the entries that a text of claims.yaml stands for."""
        if text.startswith("$"):
            if text[1:] not in self.variables:
                raise MissingResultError(f"this profile has no {text[1:].replace('_', ' ')}")
            return [self.variables[text[1:]]]
        if match := AXIS_REFERENCE.fullmatch(text):
            experiment, axis, end = match.groups()
            entries = self.context.entries(experiment, axis)
            if end in ("weakest", "strongest"):
                entries = list(self.context.by_strength(entries))
            return entries if end is None else [entries[0 if end in ("first", "weakest") else -1]]
        return [text]

    def resolve_one(self, text: str) -> str:
        """Return the only entry that a text of claims.yaml stands for."""
        (entry,) = self.resolve(text)
        return entry

    def select_runs(self, selector: RunSelector) -> list[Replicates]:
        """Return the selected runs, those that differ only in the seed together."""
        axes = dict(NAMED_RUNS[selector] if isinstance(selector, str) else selector)
        experiment = axes.pop("experiment")
        allowed = {axis: self.resolve(text) for axis, text in axes.items()}
        if experiment == MODELS:
            self._check_evaluated(allowed["name"])
        runs = [
            run
            for run in self.context.runs(experiment)
            if all(run.axes.get(axis) in entries for axis, entries in allowed.items())
        ]
        if not runs:
            raise MissingResultError(f"this profile has no such run of {experiment}")
        if missing := sum(run.result is None for run in runs):
            raise MissingResultError(f"{experiment}: {missing} of {len(runs)} runs are missing")
        return group_replicates(runs)

    def _check_evaluated(self, names: list[str]) -> None:
        """Check that generators have scores. Those of a model at another temperature are others."""
        for name in names:
            if name in self.context.generators and name not in self.context.models:
                raise NotTestableError(f"{name} has no scores on the benchmarks")

    def domain_weights(self, quantity: ScoreQuantity) -> dict[str, float]:
        """Return the weight of each domain of a quantity; several are averaged."""
        weights: dict[str, float] = {}
        for sign, texts in ((1.0, quantity.domains), (-1.0, minus_domains(quantity))):
            for domain in map(self.resolve_one, texts):
                weights[domain] = weights.get(domain, 0.0) + sign / len(texts)
        return weights

    def benchmarks(self, domains: dict[str, float]) -> dict[str, float]:
        """Return the weight of each benchmark; those of a domain have equal weights."""
        weights: dict[str, float] = {}
        for domain, weight in domains.items():
            names = self.context.benchmarks(domain)
            for name in names:
                weights[name] = weights.get(name, 0.0) + weight / len(names)
        return weights


def experiment_of(selector: RunSelector) -> str:
    """Return the name of the experiment whose runs are selected."""
    return (NAMED_RUNS[selector] if isinstance(selector, str) else selector)["experiment"]


def minus_domains(quantity: ScoreQuantity) -> list[str]:
    """Return the domains that a quantity subtracts."""
    names: list[str] = getattr(quantity, "minus_domains", [])
    return names
