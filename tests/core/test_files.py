"""Files and folders are written atomically."""

from pathlib import Path

import pytest

from delta.core.files import atomic_file, atomic_folder, write_text


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
