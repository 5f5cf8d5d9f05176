"""A result whose DVC experiment is in this repository was made here; a clone does not have it."""

import subprocess
from pathlib import Path

import pytest

from delta.experiments import origin, results
from delta.experiments.grid import RunSpec
from delta.experiments.results import Result

COMMIT = ("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "--allow-empty")
BASELINE = "ab" + "0" * 38


def result(name: str, commit: str, date: str = "2026-11-21") -> Result:
    """Return a result whose key is the last part of its name."""
    key = name.rpartition("-")[2]
    return Result(key, name, {}, commit, date, 60, {}, {}, {})


def spec(key: str) -> RunSpec:
    return RunSpec("figure", {}, {}, key)


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


def test_only_references_of_experiments_are_experiments(repository: Path) -> None:
    (found,) = origin.experiments(repository).items()
    ref = f"refs/exps/ab/{BASELINE[2:]}/k-4"
    assert found == ("k-4", (ref, git(repository, "rev-parse", "HEAD")))
    assert found[1].baseline == BASELINE


def test_a_result_was_made_here_if_its_experiment_is_here(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    results.write(result("k-4", BASELINE[:7]))
    results.write(result("k-8", BASELINE[:7]))
    assert origin.made_here() == {"k-4"}
    # The repository's own result of the same name is restored (git restore metrics).
    results.write(result("k-4", "8e7a677"))
    assert origin.made_here() == frozenset()


def test_the_runs_of_an_experiment_are_told_apart_and_counted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    results.write(result("k-4", BASELINE[:7]))
    results.write(result("k-8", "8e7a677"))
    runs = origin.find_runs([spec("4"), spec("8"), spec("16")])
    assert [row.key for row in runs.made_here] == ["4"]
    assert [row.key for row in runs.made_elsewhere] == ["8"]
    assert [row.key for row in runs.missing] == ["16"]
    assert runs.text() == (
        "3 runs: 1 came with the repository (commit 8e7a677, 2026-11-21), 1 made here, 1 to run"
    )
    results.write(result("k-16", "10ab12c", "2026-11-02"))
    results.write(result("k-32", "10ab12c0", "2026-11-02"))  # one commit, longer abbreviated
    assert (
        origin.find_runs([spec("16"), spec("32")])
        .text()
        .startswith("2 runs: 2 came with the repository (commit 10ab12c, 2026-11-02), ")
    )
    assert origin.find_runs([spec("8"), spec("16")]).text() == (
        "2 runs: 2 came with the repository (commits 10ab12c, 8e7a677, 2026-11-02 to 2026-11-21), "
        "0 made here"
    )
    assert origin.find_runs([spec("4")]).text() == "1 run: 0 came with the repository, 1 made here"


def test_a_clone_and_a_folder_outside_git_have_no_experiment(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", str(repository), "clone")
    assert origin.experiments(tmp_path / "clone") == {}
    monkeypatch.chdir(tmp_path)
    assert origin.made_here() == frozenset()
