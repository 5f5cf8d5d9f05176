"""Git's output is read as text, and a workspace without Git has no commit."""

import os
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from delta.core.git import GitState, git, read_git_state

COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "first")


def test_the_state_is_the_commit_its_day_and_whether_tracked_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-11-21T12:00:00+0000")
    assert read_git_state() == GitState(None, dirty=False, date=None)
    git("init", "--quiet", check=True)
    assert read_git_state() == GitState(None, dirty=False, date=None)
    Path("tracked").write_text("one")
    git("add", "tracked", check=True)
    git(*COMMIT, check=True)
    commit = git("rev-parse", "HEAD").strip()
    Path("untracked").touch()
    assert read_git_state() == GitState(commit, dirty=False, date="2026-11-21")
    Path("tracked").write_text("two")
    assert read_git_state() == GitState(commit, dirty=True, date="2026-11-21")
    monkeypatch.setenv("PATH", "")
    assert read_git_state() == GitState(None, dirty=False, date=None)


def test_git_returns_its_output_also_names_that_are_not_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", check=True)
    Path(os.fsdecode(b"\xff")).touch()
    assert git("ls-files", "-z", "--others") == os.fsdecode(b"\xff\0")


def test_a_failed_git_command_returns_an_empty_text_or_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert git("rev-parse", "HEAD") == ""
    with pytest.raises(CalledProcessError):
        git("rev-parse", "HEAD", check=True)
    monkeypatch.setenv("PATH", "")
    assert git("--version") == ""
    with pytest.raises(FileNotFoundError):
        git("--version", check=True)
