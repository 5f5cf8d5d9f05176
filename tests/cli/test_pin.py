"""`python -m delta pin` writes commits into a profile and changes nothing else of it."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from delta.cli.pin import find_unpinned, main, pin
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.data import hub
from tests.helpers.hub_client import hub_environment
from tests.helpers.hub_server import serve_hub
from tests.helpers.import_closure import ROOT

PATH = Path("params.yaml")
NEWEST = {("own/model", "model"): "a" * 40, ("own/rows", "dataset"): "b" * 40}
TEXT = """\
# The first line.
models:                       # stage fetch
  toy:   # unpinned, as are the rows
    hub:
      repository: own/model
      revision: unpinned      # by hand
      code: false
  pinned:
    hub: {repository: own/other, revision: 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a, code: false}
  recorded:
    recording:
      source: rows
      table:
        data: &rows
          hub: {repository: own/rows, revision: "unpinned", config: null, split: train}
problems:
  sources:
    rows: {table: {data: *rows}}
    ünpinned 😀: {table: {data: {files: {files: [a], revision: 'unpinned', repository: own/rows}}}}
note: unpinned
"""
PINNED = (
    TEXT.replace("revision: unpinned ", f"revision: {'a' * 40} ")
    .replace('"unpinned"', "b" * 40)
    .replace("'unpinned'", "b" * 40)
)


def newest(repository: str, repo_type: str) -> str:
    return NEWEST[repository, repo_type]


def test_every_unpinned_revision_gets_its_commit_and_nothing_else_changes() -> None:
    text, lines = pin(PATH, TEXT, newest)
    assert text == PINNED
    model, rows = f"{'a' * 40} (own/model)", f"{'b' * 40} (own/rows)"
    assert lines == [
        f"params.yaml: models.toy.hub.revision: {model}",
        f"params.yaml: models.recorded.recording.table.data.hub.revision: {rows}",
        f"params.yaml: problems.sources.ünpinned 😀.table.data.files.revision: {rows}",
    ]
    assert pin(PATH, text, newest) == (text, ["params.yaml: every revision is a commit"])


def test_line_ends_of_windows_stay() -> None:
    text, _ = pin(PATH, TEXT.replace("\n", "\r\n"), newest)
    assert text == PINNED.replace("\n", "\r\n")


def test_a_commit_that_yaml_would_read_as_a_number_is_quoted(tmp_path: Path) -> None:
    commit = "1e" + "0" * 38
    text, _ = pin(PATH, TEXT, lambda *_: commit)
    (tmp_path / "params.yaml").write_text(text)
    content = read_all(tmp_path / "params.yaml")
    assert content["models"]["toy"]["hub"]["revision"] == commit


def test_an_anchor_stays_with_its_revision() -> None:
    rows = "{repository: own/rows, revision: %s, config: null}"
    text = f"a: {rows % '&rev unpinned'}\nb: {rows % '*rev'}\n"
    pinned, _ = pin(PATH, text, newest)
    assert pinned == f"a: {rows % ('&rev ' + 'b' * 40)}\nb: {rows % '*rev'}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "a:\n  repository: own/rows\n  revision: >-\n    unpinned\n  split: x\n",
            "plain or in quotes",
        ),
        ("a: {repository: own/rows, revision: &rev unpinned}\nnote: *rev\n", "more than revisions"),
        (
            "models: {toy: {hub: {repository: own/model, revision: &rev unpinned}}}\n"
            "rows: {repository: own/rows, revision: *rev}\n",
            "more than revisions",
        ),
        (
            "a: &a {repository: own/rows, revision: unpinned}\nb: {<<: *a, repository: own/more}\n",
            "more than revisions",
        ),
        ("a: &a {b: *a}\n", "nested deeper"),
        ("a: " + "[" * 5000 + "]" * 5000 + "\n", "nested deeper"),
    ],
)
def test_a_file_of_which_more_would_change_is_refused_in_one_line(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    monkeypatch.setattr(hub, "ask_newest_commit", newest)
    with pytest.raises(InputError, match=reason) as refusal:
        main(argparse.Namespace(files=[path]))
    assert "\n" not in str(refusal.value)
    assert path.read_text() == text


def test_where_the_hub_does_not_answer_nothing_is_written() -> None:
    def newest_of_models(_: str, repo_type: str) -> str:
        if repo_type == "dataset":
            raise OSError("unreachable")
        return "a" * 40

    with pytest.raises(
        InputError, match="newest commit of own/rows: unreachable; expected a network"
    ):
        pin(PATH, TEXT, newest_of_models)


def test_the_paper_profile_has_four_unpinned_models() -> None:
    text = (ROOT / "profiles/paper.yaml").read_text()
    revisions = list(find_unpinned(PATH, text))
    assert [revision.repository for revision in revisions] == [
        f"simplescaling/s1.1-{size}" for size in ("3B", "7B", "14B", "32B")
    ]
    pinned, _ = pin(PATH, text, lambda *_: "c" * 40)
    assert pinned == re.sub(r"revision: unpinned$", f"revision: {'c' * 40}", text, flags=re.M)


def test_the_command_asks_the_hub_and_writes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    command = [sys.executable, "-m", "delta", "pin", str(path)]

    def run(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )

    offline = run(hub_environment(None, tmp_path))
    assert offline.returncode == 2
    assert offline.stderr.count("\n") == 1
    assert "the hub does not say the newest commit of own/model" in offline.stderr
    assert path.read_text() == TEXT
    with serve_hub() as hub:
        for (name, kind), commit in NEWEST.items():
            hub.add(kind, name, "9" * 40, {})
            hub.add(kind, name, commit, {})
        absent = hub.repositories.pop(("dataset", "own/rows"))
        missing = run(hub_environment(hub, tmp_path))
        assert path.read_text() == TEXT
        hub.repositories["dataset", "own/rows"] = absent
        hub.limited["/api/models/own/model"] = 1
        done = run(hub_environment(hub, tmp_path))
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert missing.stderr.endswith(
        "https://huggingface.co/datasets/own/rows does not exist, or is private and needs "
        "HF_TOKEN\n"
    )
    assert done.returncode == 0, done.stderr
    assert path.read_text() == PINNED
    assert f"models.toy.hub.revision: {'a' * 40} (own/model)" in done.stdout
