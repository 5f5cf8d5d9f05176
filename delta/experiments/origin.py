"""Tell results that were made in this repository from those that came with it.

A run leaves a DVC experiment, a reference that Git does not clone. A result in metrics/runs/ is
therefore made here if the experiment of its name is here (also after `dvc exp pull`).
"""

from pathlib import Path
from typing import NamedTuple

from delta.core.git import git


class Experiment(NamedTuple):
    """A DVC experiment in a repository."""

    ref: str  # refs/exps/BASELINE[:2]/BASELINE[2:]/NAME
    commit: str


def experiments(repository: Path) -> dict[str, Experiment]:
    """Return the DVC experiments of a repository by name; none where Git fails or is missing."""
    lines = git(
        *("-C", str(repository), "for-each-ref", "--format=%(refname) %(objectname)"),
        "refs/exps/??/*/*",
    ).splitlines()
    found = [Experiment(*line.split(" ")) for line in lines]
    return {experiment.ref.rpartition("/")[2]: experiment for experiment in found}


def made_here() -> frozenset[str]:
    """Return the names of the DVC experiments of this workspace's repository.

    The name of a result is that of its experiment (delta.experiments.results.Result.name).
    """
    return frozenset(experiments(Path()))
