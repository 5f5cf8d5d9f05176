"""Run Git and read what it prints."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

# Every run writes these, so their changes say nothing about the code and parameters of a run.
WRITTEN_BY_RUNS = ("dvc.lock", "metrics")


@dataclass(frozen=True)
class GitState:
    """The commit of this workspace, and whether it describes the tracked files."""

    commit: str | None  # 40 hex digits; None without a commit, a repository or Git
    dirty: bool  # a tracked file that no run writes has changes that are not committed
    date: str | None  # of the commit, YYYY-MM-DD


def read_git_state() -> GitState:
    """Return the state of the repository in the current folder."""
    shown = git("show", "--no-patch", "--no-show-signature", "--format=%H %cs", "HEAD")
    commit, _, date = shown.strip().partition(" ")
    others = [f":(exclude){path}" for path in WRITTEN_BY_RUNS]
    dirty = bool(git("status", "--porcelain", "--untracked-files=no", "--", ".", *others))
    return GitState(commit or None, dirty, date or None)


def git(*args: str, check: bool = False) -> str:
    """Return the standard output of `git ARGS`; an empty string where Git fails or is missing.

    With `check`, raises CalledProcessError or FileNotFoundError instead.
    """
    try:
        done = subprocess.run(["git", *args], check=check, capture_output=True)
    except FileNotFoundError:
        if check:
            raise
        return ""
    # File names need not be UTF-8. os.fsencode turns the surrogates back into their bytes.
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""


def is_tracked(path: Path) -> bool:
    """Return whether DVC or Git tracks the file, or all files of the folder but hidden ones."""
    if _list_files(path.with_name(f"{path.name}.dvc")):
        return True
    untracked = [Path(name).relative_to(path) for name in _list_files(path, "--others")]
    is_missing = any(not any(part.startswith(".") for part in name.parts) for name in untracked)
    return bool(_list_files(path)) and not is_missing


def _list_files(path: Path, *options: str) -> list[str]:
    listed = git("--literal-pathspecs", "ls-files", "-z", *options, "--", str(path))
    return listed.split("\0")[:-1]
