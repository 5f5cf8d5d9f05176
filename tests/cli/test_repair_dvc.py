"""Files that a kill truncates while DVC overwrites them are repaired, and others left alone."""

import io
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.utils.serialize import dump_yaml, dumps_yaml, parse_yaml

from delta.cli.repair_dvc import repair
from tests.helpers.import_closure import ROOT
from tests.helpers.reference_run import ReferenceRun, digests
from tests.helpers.workspace import stages_run

NAMES = ("problems", "verify", "judge@weak", "pair")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a new Git repository with an empty DVC project."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".dvc/tmp/exps").mkdir(parents=True)
    (tmp_path / ".dvc/config").touch()
    stages = {name.partition("@")[0]: {"cmd": "true"} for name in NAMES}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return tmp_path


# --- rwlock ---


@pytest.mark.parametrize("name", ["rwlock", "exps/rwlock"])
@pytest.mark.parametrize("truncated", ["", '{"write": {"/data', "\x00\x00"])
def test_a_truncated_rwlock_is_removed(root: Path, truncated: str, name: str) -> None:
    (root / ".dvc/tmp" / name).write_text(truncated)
    assert repair(root) == [f".dvc/tmp/{name}: truncated by a kill; removed"]
    assert not (root / ".dvc/tmp" / name).exists()
    assert repair(root) == []


def test_a_complete_rwlock_is_left_alone(root: Path) -> None:
    (root / ".dvc/tmp/rwlock").write_text('{"write": {}, "read": {}}')
    assert repair(root) == []
    assert (root / ".dvc/tmp/rwlock").exists()


# --- dvc.lock ---

STAGE = """  {name}:
    cmd: python -m stages.{name}
    deps:
    - path: params.yaml
      hash: md5
      md5: {md5}
      size: 123
    params:
      params.yaml:
        seed: 1234
    outs:
    - path: data/{name}.parquet
      hash: md5
      md5: {md5}
      size: 4990
"""
OLD, NEW = "b" * 32, "a" * 32


def lock(md5: str, *names: str) -> str:
    return "schema: '2.0'\nstages:\n" + "".join(STAGE.format(name=n, md5=md5) for n in names)


def stages(text: str) -> dict[str, object]:
    content = yaml.safe_load(text)
    assert content["schema"] == "2.0"
    return dict(content.get("stages", {}))


def commit(root: Path, text: str) -> None:
    (root / "dvc.lock").write_text(text)
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["add", "dvc.lock"], [*who, "commit", "--quiet", "--message", "state"]):
        subprocess.run(["git", *words], cwd=root, check=True)


def test_entries_before_the_cut_are_kept_and_the_others_restored(root: Path) -> None:
    before, now = stages(lock(OLD, *NAMES)), stages(lock(NEW, *NAMES))
    commit(root, lock(OLD, *NAMES))
    whole = lock(NEW, *NAMES)
    third, fourth = whole.index("  judge@weak:"), whole.index("  pair:")
    after_a_line = whole.index("seed: 1234\n", third) + len("seed: 1234\n")
    for end in (third + 16, third + 200, after_a_line, fourth - 3, fourth):
        (root / "dvc.lock").write_text(whole[:end])
        assert len(repair(root)) == 1
        repaired_stages = stages((root / "dvc.lock").read_text())
        assert repaired_stages == before | {name: now[name] for name in ("problems", "verify")}
        assert list(repaired_stages) == list(NAMES)


@pytest.mark.parametrize("committed", [True, False])
def test_a_lock_truncated_anywhere_is_restored_without_partial_entries(
    root: Path, committed: bool
) -> None:
    whole = lock(NEW, *NAMES)
    if committed:
        commit(root, whole)
    last = whole.index("  pair:")
    repaired = 0
    for end in range(0, len(whole), 37):
        (root / "dvc.lock").write_text(whole[:end])
        repaired += len(repair(root))
        assert repair(root) == []
        repaired_stages = stages((root / "dvc.lock").read_text())
        if committed and (end < last or whole[end - 1] != "\n"):
            assert repaired_stages == stages(whole)
        for name in list(repaired_stages)[:-1]:
            assert repaired_stages[name] == stages(whole)[name]
    assert repaired > 20


class SizeRecorder(io.RawIOBase):
    """A file without content that records its size after each write."""

    def __init__(self) -> None:
        self.sizes = [0]

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.sizes.append(self.sizes[-1] + len(data))
        return len(data)


@pytest.mark.slow
def test_the_lock_of_this_project_is_repaired_after_every_write_of_dvc(root: Path) -> None:
    """DVC writes this lock in some fifteen pieces, some of which end with a line.

    A cut at the end of a line of the last entry cannot be detected.
    """
    whole = (ROOT / "dvc.lock").read_text()
    raw = SizeRecorder()
    file = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")  # type: ignore[type-var]
    opened = SimpleNamespace(open=lambda *_, **__: file)
    dump_yaml("dvc.lock", parse_yaml(whole, "dvc.lock"), fs=opened)
    assert raw.sizes[-1] == len(whole.encode())
    (root / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    commit(root, whole)
    last = whole.encode().index(f"\n  {list(stages(whole))[-1]}:\n".encode())
    for size in raw.sizes[:-1]:
        truncated = whole.encode()[:size]
        (root / "dvc.lock").write_bytes(truncated)
        if repair(root) or size <= last or not truncated.endswith(b"\n"):
            assert (root / "dvc.lock").read_text() == whole, size
    assert len(raw.sizes) > 10


def test_a_lock_that_is_not_truncated_is_left_alone(root: Path) -> None:
    assert repair(root) == []  # there is no lock
    commit(root, lock(OLD, *NAMES, "no-more"))
    ours, theirs = (STAGE.format(name="pair", md5=md5) for md5 in (NEW, OLD))
    merge = f"schema: '2.0'\nstages:\n<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> other\n"
    another_schema = lock(NEW, *NAMES).replace("2.0", "3.0")[:-3]
    damaged = lock(NEW, *NAMES).replace("deps:", "deps", 1)[:-3]
    # The committed lock has a stage that dvc.yaml no longer has.
    for text in (lock(NEW, *NAMES), merge, merge[:-3], another_schema, damaged):
        (root / "dvc.lock").write_text(text)
        assert repair(root) == []
        assert (root / "dvc.lock").read_text() == text


@pytest.mark.parametrize("graph", ["stages:\n<<<<<<< HEAD\n", "stages: [", "", "vars: []", None])
def test_with_a_broken_dvc_yaml_nothing_is_changed(root: Path, graph: str | None) -> None:
    commit(root, lock(OLD, *NAMES))
    (root / "dvc.yaml").unlink()
    if graph is not None:
        (root / "dvc.yaml").write_text(graph)
    assert repair(root) == []
    assert (root / "dvc.lock").read_text() == lock(OLD, *NAMES)


def test_a_truncated_lock_in_the_last_commit_is_not_used(root: Path) -> None:
    commit(root, lock(NEW, *NAMES)[:-60])
    (root / "dvc.lock").write_text(lock(NEW, *NAMES)[:-20])
    assert len(repair(root)) == 1
    assert (root / "dvc.lock").read_text() == lock(NEW, *NAMES[:-1])


@pytest.mark.parametrize("hard", ["false", "true"])
def test_a_lock_that_dvc_is_writing_is_not_touched(root: Path, hard: str) -> None:
    (root / ".dvc/config").write_text(f"[core]\n    hardlink_lock = {hard}\n")
    whole = lock(NEW, *NAMES)
    (root / "dvc.lock").write_text(whole[:-20])
    held, release = threading.Event(), threading.Event()

    def write() -> None:
        with Repo(str(root)) as repo, repo.lock:
            held.set()
            release.wait()
            (root / "dvc.lock").write_text(whole)

    writer = threading.Thread(target=write)
    writer.start()
    held.wait()
    try:
        with pytest.raises(LockError, match="Unable to acquire lock"):
            repair(root)
        assert (root / "dvc.lock").read_text() == whole[:-20]
    finally:
        threading.Timer(1.0, release.set).start()
    assert repair(root) == []
    writer.join()
    assert (root / "dvc.lock").read_text() == whole
    with Repo(str(root)) as repo, repo.lock:  # the repair has released its locks
        pass


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("committed", ["whole", "older", "nothing"])
def test_after_a_repair_dvc_reruns_no_stage(
    reference_run: ReferenceRun, tmp_path: Path, committed: str
) -> None:
    """The server has stopped, so a stage that ran again would fail."""
    space = reference_run.copy(tmp_path / "space")
    lock = space.folder / "dvc.lock"
    whole = lock.read_text()
    if committed == "nothing":  # as before a user's first commit
        space.git("rm", "--quiet", "--cached", "dvc.lock")
    elif committed == "older":  # every stage was run again since then
        content = parse_yaml(whole, "dvc.lock")
        for stage in content["stages"].values():
            for dep in stage["deps"]:
                dep["md5"] = "0" * 32
        lock.write_text(dumps_yaml(content))
        space.git("add", "dvc.lock")
    space.git("commit", "--quiet", "--allow-empty", "--message", "state")
    lock.write_text(whole[: len(whole) // 2].rstrip("\n"))
    assert "dvc.lock: truncated by a kill" in space.run("python", "-m", "delta", "repair-dvc")
    again = space.dvc("repro")
    assert stages_run(again) == []
    assert (committed == "whole") != ("is cached - skipping run" in again)
    assert stages(lock.read_text()) == stages(whole)
    assert digests(space) == reference_run.files
