"""Files and folders are written atomically, and Git's output is read as text."""

import os
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from delta.core.files import atomic_file, atomic_folder, write_text
from delta.core.git import git


def write_half(path: Path) -> None:
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as part:
        write_half(part)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_folder_and_leaves_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with atomic_folder(folder) as part:
        (part / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder) as part:
        write_half(part / "file")
    assert (folder / "file").read_text() == "old"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_replaces_the_old_one_and_the_rest_of_an_interrupted_write(
    tmp_path: Path,
) -> None:
    for name in ("folder", "folder.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stale").write_text("")
    with atomic_folder(tmp_path / "folder") as part:
        assert list(part.iterdir()) == []
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_link_is_replaced_and_its_target_is_kept(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("theirs")
    (tmp_path / "folder").symlink_to(tmp_path / "theirs")
    with atomic_folder(tmp_path / "folder"):
        pass
    assert not (tmp_path / "folder").is_symlink()
    assert (tmp_path / "theirs" / "file").read_text() == "theirs"


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
