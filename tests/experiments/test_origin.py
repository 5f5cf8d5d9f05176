"""A result whose DVC experiment is in this repository was made here; a clone does not have it."""

import subprocess
from pathlib import Path

import pytest

from delta.experiments import origin

COMMIT = ("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "--allow-empty")
BASELINE = "ab" + "0" * 38


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with the experiment `k-4` and two references that are none."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, *COMMIT, "-m", "state")
    for ref in (f"ab/{BASELINE[2:]}/k-4", "stash", "exec/EXEC_HEAD"):
        git(folder, "update-ref", f"refs/exps/{ref}", "HEAD")
    return folder


def test_an_experiment_of_this_repository_was_made_here(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert origin.made_here() == {"k-4"}
    (found,) = origin.experiments(repository).values()
    assert found == (f"refs/exps/ab/{BASELINE[2:]}/k-4", git(repository, "rev-parse", "HEAD"))


def test_a_clone_and_a_folder_outside_git_have_no_experiment(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", str(repository), "clone")
    assert origin.experiments(tmp_path / "clone") == {}
    monkeypatch.chdir(tmp_path)
    assert origin.made_here() == frozenset()
