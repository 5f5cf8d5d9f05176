"""Each value of a grid reaches the params.yaml of its run unchanged, however YAML reads it."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from delta.core import params
from delta.core.errors import InputError
from delta.experiments import run
from delta.experiments.changes import check_changes, write_changes
from delta.experiments.grid import Changes, RunSpec

TEXTS = (
    "max(factuality, step_coherence)",
    "0.5*(factuality + step_coherence) / 2",
    "a,b",
    "[a]",
    "{a: 1}",
    "a=b",
    "it's",
    'say "so"',
    "~a",
    "+a",
    " two  blanks ",
    "",
    "null",
    "true",
    "5",
    "5e-8",
    "back\\slash",
    "ends in \\",
    "\\' \\\\' \\\\\\",
    "a: b",
    "# no comment",
    "-",
    "choice(a, b)",
    "two\nlines",
    "$x ${y} \\${z}",
    "*",
    "&a",
    "!tag",
    "%",
    "@",
    "`",
    "né – × ’ 数",
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -3,
    123456789012345678,
    1.0,
    5e-8,
    1e-10,
    1e22,
    -2.5e-300,
    [],
    [1, "a, b", None, True, 1e-10, {"x": [2]}],
    {"a": 1},
    {"other": {"deep": None, "k": "max(a, b)"}, "a-b": 1e-9, "with blank, and: more": ""},
)
CONTENT = """\
top:
  text: old  # a comment
  nothing: null
  list: [1, 2]
  section: {k: 1, m: 2}
  70B-it: {seed: 1, section: {k: 1}}
"""


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(CONTENT)
    return path


SECTIONS = tuple(value for value in OTHERS if isinstance(value, dict | None))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((place, value) for place in ("text", "nothing", "list") for value in (*TEXTS, *OTHERS)),
        *(("section", value) for value in SECTIONS),
    ],
    ids=repr,
)
def test_every_value_is_written_as_it_was_given(params_file: Path, place: str, value: Any) -> None:
    write_changes(params_file, {f"top.{place}": value}, "mine")
    written = params.read_all(params_file)["top"][place]
    assert (written, type(written)) == (value, type(value))


@pytest.mark.parametrize("key", ["top.70B-it.seed", "top.70B-it.section"])
def test_names_that_begin_with_a_digit_can_be_changed(params_file: Path, key: str) -> None:
    changes: Changes = {key: {"m": 5}, "top.text": "a, b"} if key.endswith("section") else {key: 5}
    check_changes(changes, "mine", params_file)
    assert params_file.read_text() == CONTENT  # a check writes nothing
    write_changes(params_file, changes, "mine")
    assert params.get(key, params_file) == changes[key]


def test_a_change_of_a_yaml_alias_is_refused_before_anything_runs(params_file: Path) -> None:
    params_file.write_text("a: &shared {x: 1}\nb: *shared\n")
    with pytest.raises(InputError, match=r"^mine: setting a\.x would also change b; expected no"):
        check_changes({"a.x": 2}, "mine", params_file)


def test_comments_and_the_order_of_keys_stay(params_file: Path) -> None:
    write_changes(params_file, {"top.text": "new"}, "mine")
    written = params_file.read_text().replace("text: new", "text: old")
    assert written == CONTENT.replace("nothing: null", "nothing:")  # the same to YAML


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "ERROR: unexpected error - Unknown function 'max'\nAvailable: bool,choice\n\n"
            "See https://hydra.cc for details\n\nHaving any troubles? Hit us up\n",
            "unexpected error - Unknown function 'max' Available: bool,choice",
        ),
        ("Queueing\nERROR: no experiment 'x'\nHave you run it?\n", "no experiment 'x'"),
        ("ERROR: bad config\nLearn more about configuration at x.\n", "bad config"),
        ("a\nkilled\n", "killed"),
        ("", "it ended without a reason"),
    ],
)
def test_dvcs_error_is_printed_without_its_offers_of_help(output: str, reason: str) -> None:
    assert run.dvc_error(output) == reason


@pytest.mark.slow
def test_an_experiment_has_the_values_of_its_grid_and_the_workspace_keeps_its_own(
    params_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(params_file.parent)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "test")
        monkeypatch.setenv(f"{name}_EMAIL", "test@example.org")
    Path("dvc.yaml").write_text("stages: {summary: {cmd: 'true', params: [top]}}")
    for command in ("git init -q", "dvc init -q", "git add .", "git commit -qm state"):
        subprocess.run(command.split(), check=True)
    changes: Changes = {"top.text": "max(factuality, step_coherence)", "top.nothing": 1e-10}
    read: list[str] = []

    def read_result(_spec: RunSpec, commit: str, _seconds: int) -> SimpleNamespace:
        read.append(commit)
        return SimpleNamespace(scores={})

    monkeypatch.setattr(run, "read_result", read_result)
    monkeypatch.setattr("delta.experiments.run.results.write", lambda _result: None)
    assert run.run_experiments([RunSpec("mine", {}, changes, "key")], 1, print) == []
    (commit,) = read
    show = ["git", "show", f"{commit}:params.yaml"]
    written = subprocess.run(show, capture_output=True, check=True).stdout
    Path("experiment.yaml").write_bytes(written)
    assert params.read_all(Path("experiment.yaml"))["top"]["text"] == changes["top.text"]
    assert re.search(rb"nothing: (1e-10|1.0e-10)\n", written), written
    assert params.read_all()["top"]["text"] == "old"
