"""DVC's queue runs each distinct run of a grid once, whatever is killed or lost, and goes on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from delta.cli import dvc_queue
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.experiments.grid import ExperimentParams, cells
from tests.helpers.import_closure import ROOT
from tests.helpers.workspace import Workspace, stages_run

pytestmark = pytest.mark.timeout(2400)  # DVC starts Python many times


def test_the_status_of_the_queue_is_read_as_dvc_prints_it() -> None:
    status = (
        "Task     Name                 Created    Status\n"
        "0d26ee9  figure-1-sft-a-12    08:48 AM   Running\n"
        "4691f5a  figure-1-dpo-a-34    Nov 20, 2026  Success\n"
        "1f2e3d4  figure-1-dpo-b-56    08:49 AM   Queued\n\n"
        "Worker status: 1 active, 1 idle\n"
    )
    assert dvc_queue.parsed(status) == dvc_queue.Queue(
        {
            "figure-1-sft-a-12": "Running",
            "figure-1-dpo-a-34": "Success",
            "figure-1-dpo-b-56": "Queued",
        },
        2,
    )


@pytest.mark.parametrize(
    ("name", "letter"), [("Köln", "ö"), ("数据", "数"), ("a#b", "#"), ("a?b", "?")]
)
def test_a_clone_at_a_path_that_dvcs_queue_cannot_bear_is_refused(name: str, letter: str) -> None:
    said = rf"^/home/{re.escape(name)}/delta: DVC cannot queue .* path has .*{re.escape(letter)}"
    with pytest.raises(InputError, match=said):
        dvc_queue.check_clone_path(Path("/home", name, "delta"))


@pytest.mark.parametrize(("name", "lines"), [("Kölln", 1), ("Koelln", 0)])
def test_check_tells_so_before_anything_runs_and_lets_the_pipeline_run(
    tmp_path: Path, name: str, lines: int
) -> None:
    clone = tmp_path / name
    for folder in ("delta", "stages"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, clone / folder, ignore=ignored)
    shutil.copy(ROOT / "params.yaml", clone)
    command = [sys.executable, "-m", "delta", "check"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    told = done.stderr.splitlines()
    assert len(told) == lines
    assert all("cannot queue experiments" in line and "`make repro` works" in line for line in told)


@pytest.mark.parametrize("name", ["with blanks", "it's", 'a"b', "a%b", "a:b", "a;b", "a&b"])
def test_other_odd_paths_work(name: str) -> None:
    dvc_queue.check_clone_path(Path("/home", name))  # tried with DVC 3.67


def watched(monkeypatch: pytest.MonkeyPatch, looks: list[dict[str, str]], done: int) -> list[str]:
    """What is said of one run while DVC shows `looks` one after another, and has its experiment
    from the look `done` on."""
    grid = ExperimentParams(always={}, vary={"k": {"4": {"selector.k": 4}}})
    (cell,) = cells(read_all(ROOT / "profiles/smoke.yaml"), "toy", grid)
    left = [dvc_queue.Queue({cell.name: one["a"]} if one else {}, 1) for one in looks]
    seen = 0

    def look() -> dvc_queue.Queue:
        nonlocal seen
        seen += 1
        return left.pop(0)

    monkeypatch.setattr(dvc_queue, "queued", look)
    monkeypatch.setattr(
        dvc_queue, "finished", lambda: {cell.name: "commit"} if seen >= done else {}
    )
    monkeypatch.setattr(dvc_queue, "_dvc", lambda *_, **__: "")
    monkeypatch.setattr(dvc_queue, "result", lambda *_: None)
    monkeypatch.setattr("delta.cli.dvc_queue.results.write", lambda _: None)
    monkeypatch.setattr("delta.cli.dvc_queue.time.sleep", lambda _: None)
    said: list[str] = []
    dvc_queue.run([cell], 1, said.append)
    return [line.removeprefix(f"{cell.name}: ").split(";")[0].split(" in ")[0] for line in said]


QUEUED, RUNNING, FAILED = {"a": "Queued"}, {"a": "Running"}, {"a": "Failed"}


@pytest.mark.parametrize(
    ("looks", "done", "said"),
    [
        ([{}, {}, QUEUED, RUNNING, {}], 5, ["queued", "done"]),
        ([{}, {}, QUEUED, {}, RUNNING, {}], 6, ["queued", "done"]),  # moved while DVC looked
        ([{}, {}, QUEUED, {}, {}], 9, ["queued", "failed"]),
        ([{}, {}, QUEUED, FAILED], 9, ["queued", "failed"]),
        ([QUEUED, {}, RUNNING, {}], 4, ["done"]),  # of the same command before: not queued again
        ([FAILED, FAILED, QUEUED, RUNNING, {}], 5, ["queued", "done"]),
    ],
)
def test_a_task_that_moves_while_dvc_looks_is_neither_failed_nor_queued_twice(
    monkeypatch: pytest.MonkeyPatch, looks: list[dict[str, str]], done: int, said: list[str]
) -> None:
    assert watched(monkeypatch, looks, done) == said


# Stages that take no time: each writes what its parameters say, and evaluate real answer rows.
STAND_IN = """
import json, sys, time
from pathlib import Path
import polars as pl
import yaml
name, argv = Path(__file__).stem, sys.argv[1:]
params = yaml.safe_load(Path("params.yaml").read_text())
if name == "train":
    with Path({log!r}).open("a") as log:
        log.write(params["train"]["method"] + " " + params["pairing"]["chosen"] + "\\n")
    time.sleep(float(Path({log!r}).with_suffix(".delay").read_text()))
    if Path({log!r}).with_suffix(".fail").exists():
        sys.exit("no such luck")
for out in {outs}:
    path = Path(out.format(*argv))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = str([params[name] for name in ("train", "pairing", "selector")]) + str(argv)
    if path.suffix == ".json":
        content = json.dumps({{name: {{"method": params["train"]["method"]}}}})
    path.write_text(content)
if name == "evaluate":
    Path("data/answers", argv[0]).mkdir(parents=True, exist_ok=True)
    right = {{"dpo": "correct", "sft": "incorrect", "kto": "incorrect"}}[params["train"]["method"]]
    rows = {{"question_id": ["q.0", "q.1"], "sample": [0, 0], "outcome": ["correct", right]}}
    pl.DataFrame(rows).write_parquet(f"data/answers/{{argv[0]}}/products.parquet")
    score = {{argv[0]: {{"products": {{"value": 0.5, "n": 2, "samples": 1}}}}}}
    path = Path(f"data/counts/evaluate/{{argv[0]}}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(score))
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    from tests.end_to_end.test_dvc_graph import OUTS

    space = Workspace(tmp_path_factory.mktemp("queue"), ROOT / "profiles/smoke.yaml")
    log = space.folder.parent / f"{space.folder.name}.log"
    log.with_suffix(".delay").write_text("0")
    for name, outs in OUTS.items():
        made = [] if name == "evaluate" else outs
        code = STAND_IN.format(outs=made, log=str(log))
        (space.folder / "stages" / f"{name}.py").write_text(code)
    space.commit()
    return space


def trained(space: Workspace) -> list[str]:
    log = space.folder.parent / f"{space.folder.name}.log"
    return log.read_text().split("\n")[:-1]


def delay(space: Workspace, seconds: float) -> None:
    (space.folder.parent / f"{space.folder.name}.delay").write_text(str(seconds))


def results_of(space: Workspace) -> list[dict[str, Any]]:
    files = sorted((space.folder / "metrics/runs").glob("*.json"))
    return [json.loads(path.read_text()) for path in files]


def experiment(space: Workspace, *words: str, ok: bool = True) -> str:
    return space.run("python", "-m", "delta", "experiment", *words, ok=ok)


@pytest.mark.slow
def test_an_experiment_is_queued_run_collected_and_rendered(space: Workspace) -> None:
    output = experiment(space, "figure-1", "--jobs", "2")
    assert "4 runs, 0 of them done" in output
    found = results_of(space)
    assert sorted(
        (one["changes"]["train.method"], one["answers"]["products"]["correct"]) for one in found
    ) == [
        ("dpo", "11"),
        ("dpo", "11"),
        ("sft", "10"),
        ("sft", "10"),
    ]
    assert trained(space)[0] == "dpo three-shot"  # the profile's own
    assert sorted(trained(space)[1:]) == [
        *("dpo one-shot", "dpo three-shot", "sft one-shot", "sft three-shot")
    ]
    shown = space.dvc("exp", "show", "--csv", "--no-pager")
    for one in found:
        assert one["name"] in shown


@pytest.mark.slow
def test_again_nothing_is_run_and_a_training_of_another_figure_is_not_repeated(
    space: Workspace,
) -> None:
    before = trained(space)
    assert "4 runs, 4 of them done" in experiment(space, "figure-1")
    assert trained(space) == before
    # Of its four, both by DPO are known from figure-1.
    assert "4 runs, 2 of them done" in experiment(space, "figure-2")
    assert sorted(trained(space)[len(before) :]) == ["kto one-shot", "kto three-shot"]
    assert len(results_of(space)) == 6


@pytest.mark.slow
def test_a_result_that_was_lost_is_collected_again_and_nothing_is_trained(
    space: Workspace,
) -> None:
    before = trained(space)
    files = sorted((space.folder / "metrics/runs").glob("*.json"))
    files[0].unlink()
    assert "done; 0 to go" in experiment(space, "figure-1", "figure-2")
    assert trained(space) == before
    assert len(results_of(space)) == 6


@pytest.mark.slow
def test_a_failed_run_is_named_and_run_again_by_the_same_command(space: Workspace) -> None:
    fails = space.folder.parent / f"{space.folder.name}.fail"
    fails.write_text("")
    output = experiment(space, "seeds", ok=False)
    assert output.count(": failed; `dvc queue logs ") == 2
    fails.unlink()
    assert experiment(space, "seeds").count(": done") == 2


@pytest.mark.slow
def test_a_name_that_is_not_declared_is_refused_before_anything_runs(space: Workspace) -> None:
    before = trained(space)
    output = experiment(space, "figure-9", ok=False)
    assert "experiment 'figure-9': allowed: all, table-1, table-2" in output
    assert trained(space) == before
    assert stages_run(output) == []


def kill_inside(space: Workspace) -> None:
    """The queue's workers and what they run are no children of the command that started them."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str((folder / "cwd").resolve()).startswith(str(space.folder)):
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue


@pytest.mark.slow
def test_killed_with_its_workers_the_same_command_goes_on(space: Workspace) -> None:
    delay(space, 8)
    before = len(trained(space))
    with (space.folder.parent / "killed.out").open("w") as out:
        process = subprocess.Popen(
            ["python", "-m", "delta", "experiment", "figure-3"],
            cwd=space.folder,
            env=space.env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    until = time.monotonic() + 1200  # twenty times what it takes on an idle machine
    while len(trained(space)) < before + 2 and time.monotonic() < until:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kill_inside(space)
    assert len(trained(space)) == before + 2, (space.folder.parent / "killed.out").read_text()
    delay(space, 0)
    assert "0 to go" in experiment(space, "figure-3")
    assert len(results_of(space)) == 6 + 2 + 4
    # What was in training when it was killed is trained again, what had ended is not.
    assert len(trained(space)) == before + 1 + 4
