"""What a kill leaves of the two lists that DVC writes over themselves."""

import subprocess
from pathlib import Path

import pytest
import yaml

from stages.unlock import drop_torn_list, mend_lock
from tests.calm import Calm, digests
from tests.workspace import stages_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path


# --- who reads and writes what ---


@pytest.mark.parametrize("torn", ["", '{"write": {"/data', "\x00\x00"])
def test_a_torn_list_is_dropped(root: Path, torn: str) -> None:
    (root / ".dvc/tmp/rwlock").write_text(torn)
    assert drop_torn_list(root)
    assert not (root / ".dvc/tmp/rwlock").exists()
    assert not drop_torn_list(root)


def test_a_whole_list_is_left_alone(root: Path) -> None:
    (root / ".dvc/tmp/rwlock").write_text('{"write": {}, "read": {}}')
    assert not drop_torn_list(root)
    assert (root / ".dvc/tmp/rwlock").exists()


# --- what stages were made of ---

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
NAMES = ("problems", "verify", "judge@weak", "pair")


def lock(md5: str, *names: str) -> str:
    return "schema: '2.0'\nstages:\n" + "".join(STAGE.format(name=n, md5=md5) for n in names)


def content(text: str) -> dict[str, object]:
    """Its stages."""
    found = yaml.safe_load(text)
    assert found["schema"] == "2.0"
    return dict(found.get("stages", {}))


def commit(root: Path, text: str) -> None:
    (root / "dvc.lock").write_text(text)
    for words in (
        ["init", "--quiet"],
        ["add", "dvc.lock"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "state"],
    ):
        subprocess.run(["git", *words], cwd=root, check=True)


def test_whole_stages_before_the_tear_stay_and_the_others_are_as_committed(root: Path) -> None:
    before, now = content(lock("b" * 32, *NAMES)), content(lock("a" * 32, *NAMES))
    commit(root, lock("b" * 32, *NAMES))
    whole = lock("a" * 32, *NAMES)
    place = whole.index("  judge@weak:")
    for torn in (whole[: place + 200], whole[: place + 16], whole[: whole.index("  pair:") - 3]):
        (root / "dvc.lock").write_text(torn)
        assert mend_lock(root)
        found = content((root / "dvc.lock").read_text())
        assert found == before | {name: now[name] for name in ("problems", "verify")}
        assert list(found) == list(NAMES)


@pytest.mark.parametrize("committed", [True, False])
def test_torn_anywhere_it_is_whole_again_and_nothing_in_it_is_half(
    root: Path, committed: bool
) -> None:
    whole = lock("a" * 32, *NAMES)
    if committed:
        commit(root, whole)
    mended = 0
    for length in range(0, len(whole), 7):
        (root / "dvc.lock").write_text(whole[:length])
        mended += mend_lock(root)
        assert not mend_lock(root)
        found = content((root / "dvc.lock").read_text())
        if committed and whole[:length][-1:] != "\n":
            assert found == content(whole)
        for name in list(found)[:-1]:
            assert found[name] == content(whole)[name]
    assert mended > 100


def test_a_lock_that_is_whole_or_missing_or_in_a_merge_is_left_alone(root: Path) -> None:
    assert not mend_lock(root)
    one, other = (STAGE.format(name="pair", md5=md5) for md5 in ("a" * 32, "b" * 32))
    merge = f"schema: '2.0'\nstages:\n<<<<<<< HEAD\n{one}=======\n{other}>>>>>>> other\n"
    for text in (lock("a" * 32, *NAMES), merge, merge[:-3]):
        (root / "dvc.lock").write_text(text)
        assert not mend_lock(root)
        assert (root / "dvc.lock").read_text() == text


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("committed", [True, False])
def test_after_a_tear_dvc_runs_no_stage_again(calm: Calm, tmp_path: Path, committed: bool) -> None:
    """The server that answered is gone: a stage that ran would fail."""
    space = calm.copy(tmp_path / "space")
    if not committed:  # as before a user's first commit; DVC's run cache knows all of it
        space.git("rm", "--quiet", "--cached", "dvc.lock")
        space.git("commit", "--quiet", "--message", "none")
    whole = (space.folder / "dvc.lock").read_text()
    (space.folder / "dvc.lock").write_text(whole[: len(whole) // 2].rstrip("\n"))
    said = space.run("python", "-m", "stages.unlock")
    assert "dvc.lock: torn by a kill" in said
    again = space.dvc("repro")
    assert stages_run(again) == []
    assert committed != ("is cached - skipping run" in again)
    assert content((space.folder / "dvc.lock").read_text()) == content(whole)
    assert digests(space) == calm.files
