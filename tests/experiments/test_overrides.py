"""What a grid sets arrives in the run's params.yaml as that value, whatever Hydra would parse."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from delta.core import params
from delta.core.errors import InputError
from delta.experiments import overrides, run
from delta.experiments.grid import Cell, Changes

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
def test_dvc_writes_every_value_as_it_was_given(params_file: Path, place: str, value: Any) -> None:
    overrides.check_set_params({f"top.{place}": value}, "mine", params_file)  # raises else


@pytest.mark.parametrize("key", ["top.70B-it.seed", "top.70B-it.section"])
def test_names_that_hydra_does_not_take_for_a_key_can_be_changed(
    params_file: Path, key: str
) -> None:
    changes: Changes = {key: {"m": 5}, "top.text": "a, b"} if key.endswith("section") else {key: 5}
    overrides.check_set_params(changes, "mine", params_file)


def test_what_dvc_would_write_otherwise_is_refused_before_anything_runs(params_file: Path) -> None:
    params_file.write_text("a: &shared {x: 1}\nb: *shared\n")
    with pytest.raises(
        InputError, match=r"^mine: DVC would not write a\.x as given, but change a, b"
    ):
        overrides.check_set_params({"a.x": 2}, "mine", params_file)
    params_file.write_text("a: 1\nb: ${c}\n")
    with pytest.raises(InputError, match=r"^mine: DVC cannot set a: Interpolation key 'c' not"):
        overrides.check_set_params({"a": 2}, "mine", params_file)


def test_a_file_that_dvc_would_break_is_told_by_what_was_to_be_set(
    params_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, _arguments: list[str]) -> None:
        path.write_text("top: {")

    monkeypatch.setattr("dvc.utils.hydra.apply_overrides", broken)
    said = r"^mine: DVC would write top.text into a file that cannot be read: not YAML: line 1: "
    with pytest.raises(InputError, match=said):
        overrides.check_set_params({"top.text": "x"}, "mine", params_file)


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
    monkeypatch.setattr(run, "read_result", lambda _cell, commit, _seconds: read.append(commit))
    monkeypatch.setattr("delta.experiments.run.results.write", lambda _result: None)
    assert run.run_cells([Cell("mine", {}, changes, "key")], 1, print) == []
    (commit,) = read
    show = ["git", "show", f"{commit}:params.yaml"]
    written = subprocess.run(show, capture_output=True, check=True).stdout
    Path("experiment.yaml").write_bytes(written)
    assert params.read_all(Path("experiment.yaml"))["top"]["text"] == changes["top.text"]
    assert re.search(rb"nothing: (1e-10|1.0e-10)\n", written), written
    assert params.read_all()["top"]["text"] == "old"
