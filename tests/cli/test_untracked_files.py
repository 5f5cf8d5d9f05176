"""A run that reads an untracked data file is refused before it starts."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from delta.check import Params
from delta.cli.experiment import check_tracked
from delta.core.errors import InputError
from delta.core.params import read_all, validate
from delta.data import sources
from tests.helpers.import_closure import ROOT


def file(path: str) -> dict[str, Any]:
    return {"file": {"path": path, "sha256": "0" * 64}}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Return parameters with a problem source, a benchmark and a model from untracked files."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    for name in ("pairs.jsonl", "exam.jsonl", "weights/model.safetensors"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("{}\n")
    content = read_all(ROOT / "profiles/smoke.yaml")
    content["problems"]["sources"]["mine"] = {
        "table": {"data": file("pairs.jsonl"), "statement": "q", "gold_answer": None}
    }
    content["benchmarks"]["exam"] = {
        "group": "other",
        "samples": 1,
        "questions": None,
        "max_tokens": 16,
        "source": {
            "format": "columns",
            "data": file("exam.jsonl"),
            "statement": "q",
            "gold_answer": "a",
            "grader": "math",
            "options": None,
        },
    }
    content["models"]["own"] = {"folder": {"path": "weights", "sha256": "0" * 64}}
    return validate("", Params, content)


@pytest.mark.parametrize(
    ("changed", "path", "key"),
    [
        ("problems.seed", "pairs.jsonl", "problems.sources.mine"),
        ("problems", "pairs.jsonl", "problems.sources.mine"),
        ("benchmarks.exam.questions", "exam.jsonl", "benchmarks.exam.source.data"),
        ("benchmarks.sums.questions", "pairs.jsonl", "problems.sources.mine"),
        ("models.own.folder.sha256", "weights", "models.own.folder"),
    ],
)
def test_the_error_names_the_file_its_parameter_and_the_remedy(
    params: Params, changed: str, path: str, key: str
) -> None:
    others = {"pairs.jsonl", "exam.jsonl", "weights"} - {path}
    subprocess.run(["git", "add", *others], check=True)
    with pytest.raises(InputError) as caught:
        check_tracked(params, {changed: 1}, "mine")
    assert str(caught.value) == (
        f"mine: it reads {path!r} ({key}), which is not in Git, and a run has only what "
        f"Git tracks; expected `git add {path}`, or an absolute path"
    )
    subprocess.run(["git", "add", path], check=True)
    check_tracked(params, {changed: 1}, "mine")


@pytest.mark.parametrize("changed", ["train.dpo.beta", "selector.k", "pairing.chosen"])
def test_a_run_that_rereads_no_file_is_accepted(params: Params, changed: str) -> None:
    check_tracked(params, {changed: 1}, "mine")


def test_a_partly_tracked_folder_counts_as_untracked(params: Params) -> None:
    Path("weights/config.json").write_text("{}")
    Path("weights/.cache").mkdir()
    Path("weights/.cache/lock").write_text("")
    Path(".gitignore").write_text("*.safetensors\n")
    subprocess.run(["git", "add", "weights/config.json", ".gitignore"], check=True)
    with pytest.raises(InputError, match=r"reads 'weights' \(models\.own\.folder\), which is not"):
        check_tracked(params, {"models.own.folder.sha256": 1}, "mine")
    subprocess.run(["git", "add", "--force", "weights/model.safetensors"], check=True)
    check_tracked(params, {"models.own.folder.sha256": 1}, "mine")


def test_an_absolute_path_is_accepted(params: Params) -> None:
    content = params.model_dump()
    content["problems"]["sources"]["mine"]["table"]["data"] = file(
        str(Path("pairs.jsonl").resolve())
    )
    check_tracked(validate("", Params, content), {"problems.seed": 1}, "mine")


def test_a_file_tracked_by_dvc_is_accepted(params: Params) -> None:
    Path(".gitignore").write_text("pairs.jsonl\n")
    Path("pairs.jsonl.dvc").write_text("outs: []\n")
    subprocess.run(["git", "add", "pairs.jsonl.dvc"], check=True)
    check_tracked(params, {"problems.seed": 1}, "mine")


def test_a_queued_run_that_lacks_a_file_names_the_workspace_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = tmp_path / ".dvc/tmp/exps/tmpabc"
    queued.mkdir(parents=True)
    (tmp_path / "pairs.jsonl").write_text("{}\n")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(queued)
    hint = (
        rf"; {tmp_path} has it, but not its Git: `git add pairs.jsonl`, or name an absolute path$"
    )
    with pytest.raises(InputError, match=hint):
        sources.local_files("mine", "pairs.jsonl")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"\.csv$"):
        sources.local_files("mine", "none.jsonl")
