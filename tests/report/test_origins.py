"""Results say who made them; changes that a run makes do not count as changes of the code."""

import subprocess
from pathlib import Path

import pytest

from delta.core.git import read_git_state
from delta.experiments.results import Result
from delta.report.origins import Origin, group_origins


def result(name: str, commit: str, date: str, machine: str | None = None) -> Result:
    counts = {"train": {} if machine is None else {"machine": machine}}
    return Result(name, name, {}, commit, date, 60, counts, {}, {})


def test_results_made_here_come_first_and_equal_results_count_once() -> None:
    results = [
        result("a", "aaaaaaaaaaaa", "2026-11-22"),
        result("b", "bbbbbbb", "2026-11-21"),
        result("b", "bbbbbbb", "2026-11-21"),
        result("e", "bbbbbbbb", "2026-11-21"),
        result("c", "cccccccccccc", "2026-11-30", "2 × CPU"),
    ]
    assert group_origins(results, frozenset({"c", "d"})) == [
        Origin(True, 1, ["ccccccc"], ["2026-11-30"], ["2 × CPU"]),
        Origin(
            False,
            3,
            ["aaaaaaa", "bbbbbbb"],
            ["2026-11-21", "2026-11-22"],
            ["machine not recorded"],
        ),
    ]
    assert group_origins([], frozenset({"c"})) == []


def test_what_a_run_writes_is_no_uncommitted_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("metrics/runs").mkdir(parents=True)
    for name in ("params.yaml", "dvc.lock", "metrics/runs/a.json"):
        Path(name).write_text("before")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "state")):
        subprocess.run(["git", *words], check=True)
    assert not read_git_state().dirty
    for name in ("dvc.lock", "metrics/runs/a.json", "untracked"):
        Path(name).write_text("after")
    assert not read_git_state().dirty
    Path("params.yaml").write_text("after")
    assert read_git_state().dirty
