"""Tell results that were made in this repository from those that came with it.

A run leaves a DVC experiment, a reference that Git does not clone. A result in metrics/runs/ is
therefore made here if the experiment that it names is here (also after `dvc exp pull`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from delta.core import paths
from delta.core.git import git
from delta.experiments import results
from delta.experiments.grid import RunSpec
from delta.experiments.results import Result

SHORT = 7  # digits of a commit; Git abbreviates it to more as a repository grows


class Experiment(NamedTuple):
    """A DVC experiment in a repository."""

    ref: str  # refs/exps/BASELINE[:2]/BASELINE[2:]/NAME
    commit: str

    @property
    def baseline(self) -> str:
        """Return the commit that the experiment started from."""
        return "".join(self.ref.split("/")[2:4])


class Runs(NamedTuple):
    """The runs of an experiment by where their results come from."""

    made_elsewhere: list[Result]  # came with the repository
    made_here: list[Result]
    missing: list[RunSpec]  # without a result

    def text(self) -> str:
        """Return "4 runs: 3 came with the repository (commit 8e7a677, 2026-11-21), 1 made here"."""
        count = len(self.made_elsewhere) + len(self.made_here) + len(self.missing)
        parts = [
            f"{len(self.made_elsewhere)} came with the repository{_commits(self.made_elsewhere)}",
            f"{len(self.made_here)} made here",
        ]
        if self.missing:
            parts.append(f"{len(self.missing)} to run")
        return f"{count} run{'' if count == 1 else 's'}: {', '.join(parts)}"


def experiments(repository: Path) -> dict[str, Experiment]:
    """Return the DVC experiments of a repository by name; none where Git fails or is missing."""
    lines = git(
        *("-C", str(repository), "for-each-ref", "--format=%(refname) %(objectname)"),
        "refs/exps/??/*/*",
    ).splitlines()
    listed = [Experiment(*line.split(" ")) for line in lines]
    return {experiment.ref.rpartition("/")[2]: experiment for experiment in listed}


def made_here() -> frozenset[str]:
    """Return the names of the results in metrics/runs/ that were made in this repository.

    A committed result that replaced such a one (`git restore metrics`) names another commit.
    """
    by_name = experiments(Path())
    known = (results.read(path.stem) for path in sorted(paths.RUNS.glob("*.json")))
    return frozenset(
        result.name
        for result in known
        if result is not None
        and result.name in by_name
        and by_name[result.name].baseline.startswith(result.commit)
    )


def find_runs(specs: Sequence[RunSpec]) -> Runs:
    """Return where the results of `specs` come from."""
    names = made_here()
    runs = Runs([], [], [])
    for spec in specs:
        result = results.read(spec.key)
        if result is None:
            runs.missing.append(spec)
        else:
            (runs.made_here if result.name in names else runs.made_elsewhere).append(result)
    return runs


def _commits(made: Sequence[Result]) -> str:
    """Return the commits of the results, and the first and last day of their runs."""
    if not made:
        return ""
    by_date = sorted(made, key=lambda result: result.date)
    commits = list(dict.fromkeys(result.commit[:SHORT] for result in by_date))
    first, last = (choose(result.date for result in made) for choose in (min, max))
    days = first if first == last else f"{first} to {last}"
    return f" (commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}, {days})"
