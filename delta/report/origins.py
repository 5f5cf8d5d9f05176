"""Say who made the results of experiments: commits, dates and machines."""

from collections.abc import Iterable
from typing import NamedTuple

from delta.experiments.origin import SHORT
from delta.experiments.results import Result

NO_MACHINE = "machine not recorded"


class Origin(NamedTuple):
    """Runs that were made here, or that came with the repository."""

    made_here: bool
    runs: int
    commits: list[str]
    dates: list[str]  # sorted
    machines: list[str]


def group_origins(results: Iterable[Result], made_here: frozenset[str]) -> list[Origin]:
    """Return the origins of results, those made here first; equal results count once.

    `made_here` has the names of the DVC experiments of this repository (experiments.origin).
    """
    by_key = {result.key: result for result in results}.values()
    origins = []
    for is_here in (True, False):
        own = [result for result in by_key if (result.name in made_here) == is_here]
        if own:
            commits = dict.fromkeys(result.commit[:SHORT] for result in own)
            dates = sorted({result.date for result in own})
            machines = dict.fromkeys(machine_of(result.counts) for result in own)
            origins.append(Origin(is_here, len(own), list(commits), dates, list(machines)))
    return origins


def machine_of(counts: dict[str, dict[str, object]]) -> str:
    """Return the machine that trained, from the counts of a run."""
    return str(counts.get("train", {}).get("machine") or NO_MACHINE)
