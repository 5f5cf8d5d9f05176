"""Grids become runs; DVC's queue runs each distinct one once, and the results stay in Git."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from delta import check, queueing, results
from delta.errors import InputError
from delta.experiments import ExperimentParams, cells, key, with_changes
from delta.params import read_all, sections
from delta.results import Answered, Result
from tests.closure import ROOT
from tests.workspace import Workspace, stages_run

pytestmark = pytest.mark.timeout(2400)  # DVC starts Python many times

PROFILES = ("params.yaml", "profiles/smoke.yaml", "profiles/paper.yaml")
SMOKE = read_all(ROOT / "profiles/smoke.yaml")


def grid(**axes: dict[str, Any]) -> ExperimentParams:
    return ExperimentParams(always={"train.method": "dpo"}, vary=axes)


def test_a_grid_has_one_run_for_every_choice_of_entries() -> None:
    found = cells(
        SMOKE,
        "mine",
        grid(
            k={"4": {"selector.k": 4}, "6": {"selector.k": 6}},
            chosen={name: {"pairing.chosen": name} for name in ("one-shot", "three-shot")},
        ),
    )
    assert [cell.at for cell in found] == [
        {"k": "4", "chosen": "one-shot"},
        {"k": "4", "chosen": "three-shot"},
        {"k": "6", "chosen": "one-shot"},
        {"k": "6", "chosen": "three-shot"},
    ]
    assert found[1].changes == {
        "train.method": "dpo",
        "selector.k": 4,
        "pairing.chosen": "three-shot",
    }
    assert len({cell.key for cell in found}) == 4
    assert found[1].name == f"mine-4-three-shot-{found[1].key}"


def test_where_nothing_varies_there_is_nothing_to_run() -> None:
    assert cells(SMOKE, "mine", grid()) == []


def test_the_same_run_in_two_grids_has_one_key() -> None:
    same = {"selector.k": SMOKE["selector"]["k"]}
    assert key(SMOKE) == key(with_changes(SMOKE, same, "mine"))


@pytest.mark.parametrize(
    ("parameter", "value", "same"),
    [
        ("train.dpo.beta", 0.3, False),
        ("train.kto.beta", 0.3, True),  # the smoke profile trains by DPO
        ("generators.three-shot.seed", 99, False),
        ("generators.one-shot.seed", 99, True),  # not paired
        ("evaluation.sampling.seed", 99, False),
        ("evaluation.models.zero-shot.examples", 1, True),  # not the policy
        ("benchmarks.products.questions", 2, False),
        ("selector.seed", 99, False),
        ("engine.endpoint.tries", 3, True),
        ("engine.vllm.max_num_seqs", 3, True),
        ("engine.kind", "ray", True),  # vLLM all the same
        ("engine.ray.replicas", 3, True),
        ("grading.where", "ray", True),
        ("grading.extraction", "math_verify", False),
    ],
)
def test_the_key_is_of_what_shapes_the_policy_and_its_answers(
    parameter: str, value: Any, same: bool
) -> None:
    assert (key(with_changes(SMOKE, {parameter: value}, "mine")) == key(SMOKE)) == same


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("train.methd", "'train.methd' is not a parameter; there are base, method, dpo"),
        ("train.dpo", "train.dpo = 1: it is a section with learning_rate, beta, epochs"),
        ("train.dpo.beta.x", "'train.dpo.beta.x' is not a parameter"),
    ],
)
def test_a_change_of_what_is_no_parameter_is_refused(parameter: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cells(SMOKE, "mine", grid(one={"a": {parameter: 1}}))


def test_a_parameter_set_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"experiments\.mine: train\.method is set twice"):
        cells(SMOKE, "mine", grid(method={"sft": {"train.method": "sft"}}))


def test_a_value_and_the_section_around_it_cannot_both_be_set() -> None:
    section = {"train.dpo": {"learning_rate": 1e-5, "beta": 0.1, "epochs": 1}}
    with pytest.raises(InputError, match=r"train\.dpo\.beta is set twice, as train\.dpo, at a, b"):
        cells(SMOKE, "mine", grid(one={"a": section}, two={"b": {"train.dpo.beta": 0.3}}))


def test_a_section_of_a_grid_replaces_the_whole_section() -> None:
    tables: dict[str, Any] = {"always": {}, "vary": {}}
    new = with_changes({"a": {"b": {"c": 1, "d": 2}}}, {"a.b": {"d": 3}}, "mine")
    assert new == {"a": {"b": {"d": 3}}}
    assert with_changes({"a": {"b": tables}}, {"a.b": None}, "mine") == {"a": {"b": None}}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_of_every_experiment_is_a_valid_params_yaml(profile: str) -> None:
    content = read_all(ROOT / profile)
    declared = sections("experiments", ExperimentParams, ROOT / profile)
    for name, experiment in declared.items():
        for cell in cells(content, name, experiment):
            new = with_changes(content, cell.changes, name)
            check.check_content(new, f"{profile}: {name} {cell.at}")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_profiles_have_the_papers_figures_and_the_controls(profile: str) -> None:
    assert list(read_all(ROOT / profile)["experiments"]) == [
        *("table-1", "table-2", "figure-5", "figure-1", "figure-2", "figure-3", "figure-4"),
        *("random", "bottom", "length-matched", "seeds"),
    ]


def test_the_papers_grids_have_its_numbers_of_runs() -> None:
    path = ROOT / "profiles/paper.yaml"
    declared = sections("experiments", ExperimentParams, path)
    content = read_all(path)
    found = {name: cells(content, name, one) for name, one in declared.items()}
    assert {name: len(runs) for name, runs in found.items() if runs} == {
        "figure-1": 4,
        "figure-2": 12,
        "figure-3": 4,
        "figure-4": 15,
        "random": 9,
        "bottom": 15,
        "length-matched": 15,
        "seeds": 3,
    }
    # DPO on s1-7B against s1-3B stands in Figure 1 and in Figure 2.
    assert len({cell.key for runs in found.values() for cell in runs}) == 77 - 1


# --- results ---


RESULT = Result(
    key="0123456789ab",
    name="figure-1-sft-weak-0123456789ab",
    changes={"train.method": "sft", "selector.k": None},
    commit="abcdef0",
    date="2026-11-21",
    seconds=130,
    counts={"select": {"selected": 8}},
    scores={"sums": {"value": 0.5, "n": 2}},
    answers={"sums": Answered(16, (16, 0))},
)


def test_a_result_is_read_as_it_was_written_and_answers_are_a_character_each(
    tmp_path: Path,
) -> None:
    path = results.write(RESULT, tmp_path)
    assert json.loads(path.read_text())["answers"] == {"sums": {"samples": 16, "correct": "g0"}}
    assert results.read(RESULT.key, tmp_path) == RESULT
    assert results.read("ffffffffffff", tmp_path) is None


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    path = results.write(RESULT, tmp_path)
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match=r"0123456789ab\.json: not a whole result"):
        results.read(RESULT.key, tmp_path)


# --- DVC's queue ---


def test_the_status_of_the_queue_is_read_as_dvc_prints_it() -> None:
    status = (
        "Task     Name                 Created    Status\n"
        "0d26ee9  figure-1-sft-a-12    08:48 AM   Running\n"
        "4691f5a  figure-1-dpo-a-34    Nov 20, 2026  Success\n"
        "1f2e3d4  figure-1-dpo-b-56    08:49 AM   Queued\n\n"
        "Worker status: 1 active, 1 idle\n"
    )
    assert queueing.parsed(status) == queueing.Queue(
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
        queueing.check_clone_path(Path("/home", name, "delta"))


@pytest.mark.parametrize("name", ["with blanks", "it's", 'a"b', "a%b", "a:b", "a;b", "a&b"])
def test_other_odd_paths_work(name: str) -> None:
    queueing.check_clone_path(Path("/home", name))  # tried with DVC 3.67


def watched(monkeypatch: pytest.MonkeyPatch, looks: list[dict[str, str]], done: int) -> list[str]:
    """What is said of one run while DVC shows `looks` one after another, and has its experiment
    from the look `done` on."""
    (cell, *_) = cells(SMOKE, "toy", grid(k={"4": {"selector.k": 4}}))
    left = [queueing.Queue({cell.name: one["a"]} if one else {}, 1) for one in looks]
    seen = 0

    def look() -> queueing.Queue:
        nonlocal seen
        seen += 1
        return left.pop(0)

    monkeypatch.setattr(queueing, "queued", look)
    monkeypatch.setattr(queueing, "finished", lambda: {cell.name: "commit"} if seen >= done else {})
    monkeypatch.setattr(queueing, "_dvc", lambda *_, **__: "")
    monkeypatch.setattr(queueing, "result", lambda *_: None)
    monkeypatch.setattr("delta.queueing.results.write", lambda _: None)
    monkeypatch.setattr("delta.queueing.time.sleep", lambda _: None)
    said: list[str] = []
    queueing.run([cell], 1, said.append)
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
    path = Path(f"metrics/evaluate/{{argv[0]}}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(score))
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    from tests.test_graph import OUTS

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
    return space.run("python", "-m", "stages.experiment", *words, ok=ok)


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
            ["python", "-m", "stages.experiment", "figure-3"],
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
