"""Several users of one cache: read permission is enough to read, and new files inherit it."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from delta.core import fingerprint
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Failure
from delta.training import checkpoints
from tests.helpers.echo_engine import Echo, make_request
from tests.helpers.tiny_models import write_model

NOBODY = 65534


@contextlib.contextmanager
def without_write_permission(folder: Path) -> Iterator[None]:
    """Run as a user who may read `folder` but not write to it. Root could write anywhere."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """Return a folder that every user may enter. Only their owner may enter pytest's folders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def test_a_reader_without_write_permission_fails_before_a_model_is_asked(
    shared_folder: Path,
) -> None:
    folder = shared_folder / "judge-strong"
    with ReplyCache(folder) as cache:
        first, second = make_request("first"), make_request("second")
        list(cache.cached(Echo(), max_failed=0.0)([first]))
    engine = Echo()
    with without_write_permission(shared_folder), ReplyCache(folder) as cache:
        generate = cache.cached(engine, max_failed=0.0)
        assert [reply.text for _, reply in generate([first])] == ["re: first"]
        with pytest.raises(PermissionError, match=r"Permission denied: '.*/judge-strong'"):
            list(generate([first, second]))
        with pytest.raises(PermissionError):
            cache.put("a", {"n": 1})
    assert engine.prompts == []
    with ReplyCache(folder) as cache:
        assert len(cache) == 1


def test_a_reader_without_write_permission_cannot_create_a_cache(shared_folder: Path) -> None:
    with (
        without_write_permission(shared_folder),
        pytest.raises(PermissionError, match=r"Permission denied: '.*/judge-weak'"),
        ReplyCache(shared_folder / "judge-weak"),
    ):
        pass
    assert list(shared_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "cache", "file"),
    [("755", "755", "644"), ("2775", "2775", "664"), ("700", "700", "600"), ("777", "777", "666")],
)
def test_a_new_cache_and_its_files_have_the_permissions_of_the_folder(
    shared_folder: Path, folder: str, cache: str, file: str
) -> None:
    shared_folder.chmod(int(folder, 8))
    before = os.umask(0o077)  # of a careful user, who would close what others share
    try:
        with ReplyCache(shared_folder / "judge-strong") as opened:
            opened.put("a", {"n": 1})
            opened.failed["b"] = Failure("timeout", "no such luck")
    finally:
        os.umask(before)
    assert mode(shared_folder / "judge-strong") == cache
    assert {mode(path) for path in (shared_folder / "judge-strong").iterdir()} == {file}


def test_existing_files_keep_their_permissions(shared_folder: Path) -> None:
    for key in "ab":
        with ReplyCache(shared_folder / "judge-strong") as cache:
            cache.put(key, {"n": 1})
        (own,) = (shared_folder / "judge-strong").glob("*.log")
        own.chmod(0o640)
        shared_folder.chmod(0o777)
    assert (mode(own), mode(own.parent)) == ("640", "755")


def test_a_models_files_have_the_permissions_of_its_folder(shared_folder: Path) -> None:
    folder = shared_folder / "policy"
    folder.mkdir(mode=0o755)
    write_model(folder)  # ends as fetch and train do
    assert {path.name: mode(path) for path in folder.iterdir() if mode(path) != "644"} == {}
    assert mode(folder / "model.safetensors") == "644"
    (folder / "model.safetensors").chmod(0o600)  # as safetensors writes it
    folder.chmod(0o750)
    fingerprint.write_fingerprint(folder, "train")
    assert mode(folder / "model.safetensors") == "640"


def test_another_user_of_a_shared_folder_can_resume_from_a_checkpoint(shared_folder: Path) -> None:
    shared_folder.chmod(0o2775)
    checkpoint = shared_folder / "checkpoint-4"
    (checkpoint / "part").mkdir(parents=True)
    checkpoint.chmod(0o700)
    for name in ("model.safetensors", "part/rank.pt"):
        (checkpoint / name).write_text("x")
        (checkpoint / name).chmod(0o600)
    checkpoints.mark_complete(checkpoint, resumable=True)
    assert {mode(path) for path in checkpoint.rglob("*") if path.is_file()} == {"664"}
    assert [mode(checkpoint), mode(checkpoint / "part")] == ["2775", "2775"]
