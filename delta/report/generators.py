"""Collect facts of the generators: their models, and how often their traces are correct."""

from typing import Any

from delta.core import paths
from delta.core.files import read_json
from delta.experiments.grid import ExperimentParams
from delta.report.context import GeneratorFacts


def read_generators(generators: dict[str, Any]) -> dict[str, GeneratorFacts]:
    """Return the facts by generator. `generators` is that section of params.yaml."""
    return {
        name: GeneratorFacts(str(generator["model"]), _share_correct(name))
        for name, generator in generators.items()
    }


def _share_correct(generator: str) -> float | None:
    """Return the share of the graded traces that are correct; None where none was verified."""
    path = paths.counts("verify", generator)
    if not path.is_file():
        return None
    counts = read_json(path, "verify", generator)
    graded = counts["correct"] + counts["incorrect"]
    return counts["correct"] / graded if graded else None


def weak_pair(experiments: dict[str, ExperimentParams]) -> tuple[str, str] | None:
    """Return the generators of Figure 1's weak pairs, chosen first; None where they are not set."""
    figure = experiments.get("figure-1")
    changes = {} if figure is None else figure.vary.get("pairs", {}).get("weak", {})
    names = [changes.get(f"pairing.{side}") for side in ("chosen", "rejected")]
    return (str(names[0]), str(names[1])) if all(names) else None
