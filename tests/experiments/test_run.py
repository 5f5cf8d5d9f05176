"""Each distinct run of a grid runs once, also after a kill or a lost result."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.experiments import run as experiments_run
from delta.experiments.grid import RunSpec
from tests.helpers.import_closure import ROOT
from tests.helpers.stage_outputs import OUTS
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = pytest.mark.timeout(2400)  # DVC starts Python many times


# Stages that take no time: each writes its parameters, and `evaluate` writes real answer rows.
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
    score = {{"value": 0.5, "group": "easy", "n": 2, "samples": 1, "truncated": 0}}
    path = Path(f"data/counts/evaluate/{{argv[0]}}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({{argv[0]: {{"products": score}}}}))
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> DvcWorkspace:
    """Return a workspace with stand-in stages, at a path that DVC's own queue cannot handle."""
    space = DvcWorkspace(
        tmp_path_factory.mktemp("experiments") / "Köln #1", ROOT / "profiles/smoke.yaml"
    )
    log = space.folder.parent / f"{space.folder.name}.log"
    log.with_suffix(".delay").write_text("0")
    space.replace_checks()
    for name, outs in OUTS.items():
        made = [] if name == "evaluate" else outs
        code = STAND_IN.format(outs=made, log=str(log))
        (space.folder / "stages" / f"{name}.py").write_text(code)
    space.commit()
    return space


def trained(space: DvcWorkspace) -> list[str]:
    log = space.folder.parent / f"{space.folder.name}.log"
    return log.read_text().split("\n")[:-1]


def delay(space: DvcWorkspace, seconds: float) -> None:
    (space.folder.parent / f"{space.folder.name}.delay").write_text(str(seconds))


def results_of(space: DvcWorkspace) -> list[dict[str, Any]]:
    files = sorted((space.folder / "metrics/runs").glob("*.json"))
    return [json.loads(path.read_text()) for path in files]


def experiment(space: DvcWorkspace, *words: str, ok: bool = True) -> str:
    return space.run("python", "-m", "delta", "experiment", *words, ok=ok)


@pytest.mark.slow
def test_an_experiment_is_run_collected_and_rendered(space: DvcWorkspace) -> None:
    output = experiment(space, "figure-1", "--jobs", "2")
    assert "8 runs: 0 came with the repository, 0 made here, 8 to run" in output
    runs = results_of(space)
    assert sorted(
        (run["changes"]["train.method"], run["answers"]["products"]["correct"]) for run in runs
    ) == [
        *[("dpo", [1, 1])] * 4,  # two kinds of pairs, two seeds
        *[("sft", [1, 0])] * 4,
    ]
    assert trained(space)[0] == "dpo three-shot"  # the profile's own
    assert sorted(trained(space)[1:]) == sorted(
        2 * ["dpo one-shot", "dpo three-shot", "sft one-shot", "sft three-shot"]
    )
    table = space.dvc("exp", "show", "--csv", "--no-pager")
    for run in runs:
        assert run["name"] in table


@pytest.mark.slow
def test_a_run_that_another_figure_shares_is_not_repeated(
    space: DvcWorkspace,
) -> None:
    before = trained(space)
    assert "8 runs: 0 came with the repository, 8 made here\n" in experiment(space, "figure-1")
    assert trained(space) == before
    # Figure 2 has one seed. Figure 1 has run half of it: what is trained by DPO.
    output = experiment(space, "figure-2")
    assert "4 runs: 0 came with the repository, 2 made here, 2 to run" in output
    assert sorted(trained(space)[len(before) :]) == ["kto one-shot", "kto three-shot"]
    assert len(results_of(space)) == 8 + 2


@pytest.mark.slow
def test_a_lost_result_is_collected_again_without_training(
    space: DvcWorkspace,
) -> None:
    before = trained(space)
    files = sorted((space.folder / "metrics/runs").glob("*.json"))
    files[0].unlink()
    assert "right: easy 50.0%; 0 to go" in experiment(space, "figure-1", "figure-2")
    assert trained(space) == before
    assert len(results_of(space)) == 8 + 2


@pytest.mark.slow
def test_the_same_command_repeats_a_failed_run(space: DvcWorkspace) -> None:
    fails = space.folder.parent / f"{space.folder.name}.fail"
    fails.write_text("")
    output = experiment(space, "random", ok=False)
    assert output.count(": failed: failed to reproduce 'train'") == 2
    logs = list((space.folder / "logs/experiments").glob("random-*.log"))
    assert ["no such luck" in log.read_text() for log in logs] == [True, True]
    fails.unlink()
    assert experiment(space, "random").count(": right: easy 50.0% (") == 2


@pytest.mark.slow
def test_what_came_with_the_repository_is_run_again_only_with_force(space: DvcWorkspace) -> None:
    for path in (space.folder / "metrics/runs").glob("*.json"):
        result = json.loads(path.read_text())
        if result["name"].startswith("random-"):
            path.write_text(json.dumps(result | {"name": "other", "commit": "8e7a677"}))
    for ref in space.git("for-each-ref", "--format=%(refname)", "refs/exps").split():
        if "/random-" in ref:
            space.git("update-ref", "-d", ref)
    before = trained(space)
    assert "2 came with the repository (commit 8e7a677, " in experiment(space, "random")
    assert trained(space) == before
    assert "0 to go" in experiment(space, "random", "--force")
    assert {run["name"] for run in results_of(space)}.isdisjoint({"other"})
    after = experiment(space, "random", "--force")
    assert "2 runs: 0 came with the repository, 2 made here\n" in after


@pytest.mark.slow
def test_an_unknown_experiment_is_refused_before_anything_runs(space: DvcWorkspace) -> None:
    before = trained(space)
    output = experiment(space, "figure-9", ok=False)
    assert "experiment 'figure-9'; expected all, table-1, table-2" in output
    assert trained(space) == before
    assert stages_run(output) == []


def kill_inside(space: DvcWorkspace) -> None:
    """Kill processes in the workspace that outlive the command: DVC gives each stage a session."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str((folder / "cwd").resolve()).startswith(str(space.folder)):
                os.kill(int(folder.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue


@pytest.mark.slow
def test_after_a_kill_the_same_command_resumes(space: DvcWorkspace) -> None:
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
    # Figures 1 and 2, random and figure 3.
    assert len(results_of(space)) == 8 + 2 + 2 + 4
    # The run that was killed in training is trained again; the finished one is not.
    assert len(trained(space)) == before + 1 + 4


class SlowToEnd(ThreadPoolExecutor):
    """As where the thread of the runs sees first that Ctrl-C has ended one."""

    def shutdown(self, *args: Any, **options: Any) -> None:
        time.sleep(0.5)
        super().shutdown(*args, **options)


def test_after_ctrl_c_no_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    begun: list[str] = []

    def interrupt(_: Path, spec: RunSpec, *__: object) -> None:
        begun.append(spec.key)
        if begun == ["a"]:
            time.sleep(0.2)  # until the main thread waits
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(experiments_run, "git", lambda *_, **__: "")
    monkeypatch.setattr(experiments_run, "_clone", lambda folder: folder)
    monkeypatch.setattr(experiments_run, "_run_in", interrupt)
    specs = [RunSpec("sizes", {}, {}, key) for key in "abc"]
    monkeypatch.setattr(experiments_run, "ThreadPoolExecutor", SlowToEnd)
    with pytest.raises(KeyboardInterrupt):
        list(experiments_run._run_all(specs, 1, 0))
    assert begun == ["a"]


def test_a_project_in_a_folder_of_a_repository_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(InputError, match="this project is the folder project/ of a Git reposito"):
        experiments_run._clone(Path("clone"))
    assert not Path("clone").exists()


TOY = """
stages:
  model:
    cmd: echo once > model.bin && head -c 5000000 /dev/zero >> model.bin
    outs: [model.bin]
  policy:
    cmd: head -c 1000000 model.bin > policy.bin && echo ${method} >> policy.bin
    deps: [model.bin]
    params: [method]
    outs: [policy.bin]
"""


@pytest.mark.slow
def test_a_clone_links_what_the_cache_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str, folder: Path = tmp_path) -> None:
        subprocess.run(words, cwd=folder, env=DvcWorkspace.environment(), check=True)

    def cached(size: int) -> list[Path]:
        files = (tmp_path / ".dvc/cache/files").rglob("*")
        return [file for file in files if file.is_file() and file.stat().st_size >= size]

    (tmp_path / "dvc.yaml").write_text(TOY)
    (tmp_path / "params.yaml").write_text("method: dpo\n")
    for command in ("git init -q", "dvc init -q", "dvc repro -q", "git add .", "git commit -qm x"):
        run(*command.split())
    monkeypatch.chdir(tmp_path)
    clone = experiments_run._clone(Path("clone"))
    (model,) = cached(2_000_000)
    assert (clone / "model.bin").stat().st_ino == model.stat().st_ino
    # A stage that runs again replaces its link: what the cache had stays as it was.
    before = {file: file.read_bytes() for file in cached(1)}
    (clone / "params.yaml").write_text("method: kto\n")
    run("dvc", "repro", "-q", folder=clone)
    assert (clone / "policy.bin").read_bytes().endswith(b"kto\n")
    assert {file: file.read_bytes() for file in before} == before
    assert (clone / "policy.bin").stat().st_ino in {file.stat().st_ino for file in cached(1)}
    # The workspace of a person has copies, which may be edited.
    assert (tmp_path / "model.bin").stat().st_ino != model.stat().st_ino
