"""Hours on the clock, billed and used: a small node, and the paper's profile by hand."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from delta.check import Params
from delta.core.params import read_all, validate
from delta.plan import costs, hours, machine, render, render_requirements, resources
from delta.plan.costs import Cost, TrainingCost
from delta.plan.experiment_hours import experiment_hours
from delta.plan.hours import Alternative, NodeHours, RunStep
from delta.plan.model_sizes import sizes
from delta.plan.pending import pending_requests
from delta.plan.requests import RequestGroup, Workspace, count_requests
from delta.plan.speeds import GPUS, Gpu
from tests.helpers.import_closure import ROOT
from tests.helpers.plan_workspace import up_to_date

DOCUMENT = (ROOT / "docs/gpu-hours.md").read_text(encoding="utf-8")


def profile(name: str) -> Params:
    return validate("", Params, read_all(ROOT / f"profiles/{name}.yaml"))


def with_engine(params: Params, **changes: Any) -> Params:
    engine = params.engine.model_copy(update=changes)
    return params.model_copy(update={"engine": engine})


def asked(stage: str, model: str, gpu_hours: float) -> Cost:
    group = RequestGroup(stage, model, model, 1, 1_000, 10, 0, "exact")
    return Cost(group, None, gpu_hours, None)


def spent(params: Params, costs_: list[Cost], gpus: int) -> dict[str, tuple[float, int]]:
    """Return hours and busy GPUs of the stages that ask, with all models fetched."""
    workspace = Workspace(params, up_to_date(*(f"fetch@{name}" for name in params.models)))
    found = hours.node_hours(workspace, costs_, None, sizes(params), gpus, {})
    assert found is not None
    return {step.name: (step.hours, step.busy) for step in found.steps if step.busy}


def test_one_engine_uses_its_own_gpus_and_ray_as_many_as_it_can() -> None:
    paper = profile("paper")
    alone = with_engine(paper, kind="vllm")
    # 12 hours of GPUs: of s1-3b on one, of nemotron-49b on four of eight
    work = [asked("generate", "s1-3b", 12), asked("evaluate", "nemotron-49b", 12)]
    assert spent(alone, work, 8) == {"generate": (12, 1), "evaluate": (3, 4)}
    assert spent(paper, work, 8) == {"generate": (1.5, 8), "evaluate": (1.5, 8)}
    assert spent(paper, work, 6) == {"generate": (2, 6), "evaluate": (3, 4)}
    two = with_engine(paper, ray=paper.engine.ray.model_copy(update={"replicas": 2}))
    assert spent(two, work, 8) == {"generate": (6, 2), "evaluate": (1.5, 8)}


def test_a_model_is_started_once_in_a_stage() -> None:
    paper = profile("paper")
    work = [asked("judge", "gpt-oss-120b", 1), asked("judge", "gpt-oss-120b", 1)]
    work.append(asked("evaluate", "s1-3b", 1))
    steps = list(hours._asking(paper, work, sizes(paper), 8))
    starts = [step.hours * 3_600 for step in steps if step.name == hours.START]
    assert starts == pytest.approx([120 + 65.3, 120 + 6.18])  # GB at 1 GB/s


def test_only_training_that_may_stop_early_is_said_to_take_less() -> None:
    paper, cost = profile("paper"), TrainingCost(64, "exact", 100, 1e4, hours=1)
    assert paper.train.early_stopping is not None
    less = "  less where the loss converges earlier"
    assert render.training_section(paper, cost).lines[-1] == less
    sft = paper.train.model_copy(update={"method": "sft"})
    section = render.training_section(paper.model_copy(update={"train": sft}), cost)
    assert less not in section.lines


def test_the_node_is_what_training_and_the_largest_model_need() -> None:
    assert hours.gpus_of_node(profile("paper")) == 8
    assert hours.gpus_of_node(profile("gpu")) == 1


def test_a_node_is_billed_whole_and_the_plan_says_what_would_lower_it() -> None:
    paper = with_engine(profile("paper"), kind="vllm")
    node = NodeHours(
        8, [RunStep("fetch", 2, 0), RunStep("generate", 10, 1, "s1-3b"), RunStep("train", 1, 8)]
    )
    assert (node.wall, node.billed, node.used) == (13, 104, 18)
    lower = hours.what_would_lower(paper, node, {"s1-3b": Alternative(1, 0.5)})
    assert lower == [
        "engine.kind: ray, which keeps every GPU busy (70.0 GPU h)",
        "`make downloads` before the GPUs are rented (16.0 GPU h)",
        "serving.s1-3b.tensor_parallel_size: 1 (5.0 GPU h)",
    ]
    section = render.hours_section(paper, node, lower, "Hours")
    assert "  13.0 hours (0.5 days), 104 GPU hours billed, 18 used (17%)." in section.lines


def test_hours_with_unknown_parts_are_not_known() -> None:
    paper = profile("paper")
    unknown = [asked("generate", "s1-3b", 1)._replace(hours=None)]
    assert hours.node_hours(Workspace(paper, {}), unknown, None, {}, 8, {}) is None
    assert hours.node_hours(Workspace(paper, {}), [], TrainingCost(None, ""), {}, 8, {}) is None
    section = render.hours_section(paper, None, [], "")
    assert section.lines == []
    assert section.not_checked == [
        "hours on the clock and billed: some of the numbers above are not known"
    ]
    laptop = validate("", Params, read_all(ROOT / "params.yaml"))
    assert render.hours_section(laptop, None, [], "").not_checked == []


def test_a_model_that_needs_more_gpus_than_the_node_has_is_in_the_way() -> None:
    paper = profile("paper")
    workspace = Workspace(paper, up_to_date(*(f"fetch@{name}" for name in paper.models)))
    work = [asked("evaluate", "nemotron-49b", 4), asked("evaluate", "s1-3b", 4)]
    training = TrainingCost(1_000, "exact", 1_000, 1e6, hours=16)
    node = hours.node_hours(workspace, work, training, sizes(paper), 2, {})
    assert node is not None
    # neither its engine's start nor the checkpoints of a training that needs eight
    assert {step.name for step in node.steps} == {"evaluate", "starts", "grading"}
    assert {step.model for step in node.steps} == {"s1-3b", ""}
    assert node.used <= node.billed
    assert render.hours_section(paper, node, [], "").blocks == [
        "nemotron-49b needs 4 GPUs, the node has 2 (--gpus); its hours are not counted",
        "train needs 8 GPUs, the node has 2 (--gpus); its hours are not counted",
    ]


# The table of docs/gpu-hours.md


def rows(marker: str) -> list[list[str]]:
    """Return the cells of the table after a marker, without its head."""
    table = DOCUMENT.partition(f"<!-- {marker}")[2].partition("\n\n")[0].splitlines()
    lines = [line for line in table if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace(",", "")) for cell in cells]


def test_the_rates_of_the_table_follow_from_bytes() -> None:
    table = rows("rates")
    assert len(table) == 9
    for row in table:
        gpus, weights, cache, sequences, step, rate = numbers(row[1:])
        bandwidth = 2.345 * gpus * (0.8 if gpus > 1 else 1)  # GB a millisecond
        assert step == pytest.approx((weights + sequences * cache) / bandwidth + 4, rel=0.01)
        assert rate == pytest.approx(1_000 * sequences / step, rel=0.01)


def test_the_hours_of_the_table_follow_from_its_rates_and_add_up() -> None:
    total = 0.0
    for row in rows("asking"):
        replicas, read, read_rate, written, rate, took = numbers(row[1:])
        seconds = 1e6 * (read / read_rate + written / rate) / replicas
        assert took == pytest.approx(seconds / 3_600, rel=0.01)
        total += took
    total += sum(numbers([row[2]])[0] for row in rows("others"))
    assert wall_and_billed_by_hand() == pytest.approx((total, 8 * total), rel=0.01)


def wall_and_billed_by_hand() -> tuple[float, float]:
    found = re.search(r"In all ([\d,]+) hours on the clock .* ([\d,]+) GPU hours billed", DOCUMENT)
    assert found is not None
    wall, billed = numbers(list(found.groups()))
    return wall, billed


def planned(params: Params, gpu: Gpu, gpus: int, *settled: str) -> NodeHours:
    """Return the hours of a run in an empty folder, of all stages but those `settled`."""
    workspace, known = Workspace(params, up_to_date(*settled)), sizes(params)
    groups = [count_requests(workspace, item, 1.0) for item in pending_requests(workspace)]
    requests = [costs.request_cost(params, group, known[group.model], gpu) for group in groups]
    training = costs.training_cost(workspace, known[params.train.base], gpu)
    found = hours.node_hours(workspace, requests, training, known, gpus, {})
    assert found is not None
    return found


def test_the_plan_of_the_papers_profile_is_that_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # nothing is here yet
    node = planned(profile("paper"), GPUS["H100"], 8)
    wall, billed = wall_and_billed_by_hand()
    assert node.wall == pytest.approx(wall, rel=0.25)
    assert node.billed == pytest.approx(billed, rel=0.25)
    assert node.used > 0.9 * node.billed
    # 447 GB at 0.2 GB/s, and as long again
    assert node.steps[0].name == hours.DOWNLOAD
    assert node.steps[0].hours == pytest.approx(2 * 447 / 0.2 / 3_600, rel=0.01)
    named = re.search(r"^\| engine starts \| (\d+), .*\n\| last replies \| (\d+),", DOCUMENT, re.M)
    assert named is not None
    steps = Counter(step.name for step in node.steps)
    assert numbers(list(named.groups())) == [steps[hours.START], steps[hours.LAST]]


def test_the_days_of_the_papers_profile_are_its_hours() -> None:
    recipe = (ROOT / "docs/paper-recipe.md").read_text(encoding="utf-8")
    wall, _ = wall_and_billed_by_hand()
    assert f"the first run takes {wall / 24:.1f} days" in recipe
    assert f"In all {wall:.0f} hours on the clock ({wall / 24:.1f} days)" in DOCUMENT
    _, _, total = experiments_by_hand()
    assert f"{total:.0f} in all ({total / 24:.1f} days)" in DOCUMENT
    assert f"days and the experiments {total / 24:.1f}" in recipe


def experiments_by_hand() -> list[float]:
    """Return trainings, hours of each and of all of the paper's profile."""
    found = re.search(r"The profile's (\d+) experiments take ([\d.]+) .* ([\d.]+) in all", DOCUMENT)
    assert found is not None
    return numbers(list(found.groups()))


def test_the_experiments_of_the_papers_profile_take_the_hours_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = experiment_hours(Workspace(profile("paper"), {}), GPUS["H100"], 8)
    assert found is not None
    trainings, each, total = experiments_by_hand()
    assert found.trainings == trainings
    assert found.wall == pytest.approx(total, rel=0.1)
    assert each * trainings == pytest.approx(total, rel=0.01)
    line = render.experiment_section(found, 8).lines[0]
    assert line.startswith(
        "Experiments: 147 trainings × about 7.74 h wall = 1,137.4 h (47.4 days), "
    )
    # where the node is too small for the training, there is nothing to say
    assert experiment_hours(Workspace(profile("paper"), {}), GPUS["H100"], 4) is None
    assert render.experiment_section(None, 4).lines == []


def test_training_without_bf16_is_on_the_same_gpus_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bf16 = profile("paper")
    params = bf16.model_copy(update={"train": bf16.train.model_copy(update={"bf16": False})})
    assert machine.requirements(params, [], True, None).processes == 8
    known, h100 = sizes(params), GPUS["H100"]

    def hours_of(params: Params) -> float:
        (step,) = (step for step in planned(params, h100, 8).steps if step.name == "train")
        assert step.busy == 8
        return step.hours

    assert hours_of(params) == pytest.approx(hours_of(bf16) * 989 / 67)
    cost = costs.training_cost(Workspace(params, {}), known[params.train.base], h100)
    assert cost is not None
    assert "GPU h" in render.training_section(params, cost).lines[1]
    assert render.total_section(params, [], [cost]).lines[0].endswith("GPU h of training.")
    rows = render_requirements.memory_section(params, [], known, h100, trains=True).lines
    assert "for 32,768 tokens" in rows[-1]  # of a GPU, not of this machine
    assert "does not fit" in str(
        render_requirements.memory_section(params, [], known, GPUS["RTX 4090"], trains=True).blocks
    )


def all_but_the_policy(params: Params) -> list[str]:
    """Return the stages that an experiment with the same pairs finds up to date."""
    names = [
        f"{kind}@{name}" for kind in ("generate", "verify", "judge") for name in params.generators
    ]
    names += [f"evaluate@{name}" for name in params.evaluation.models if name != "policy"]
    return [*names, *(f"fetch@{name}" for name in params.models), "problems", "certify"]


@pytest.mark.parametrize("row", rows("one-gpu"), ids=lambda row: row[0])
def test_one_gpu_takes_the_hours_of_the_table_and_all_fits(
    row: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params, gpu, known = profile("gpu"), GPUS[row[0]], sizes(profile("gpu"))
    first, experiment = numbers(row[2:4])
    assert gpu.gib == numbers([row[1]])[0]
    assert planned(params, gpu, 1).wall == pytest.approx(first, rel=0.1)
    later = planned(params, gpu, 1, *all_but_the_policy(params))
    assert later.wall == pytest.approx(experiment, rel=0.1)
    every = experiment_hours(Workspace(params, {}), gpu, 1)
    assert every is not None
    assert every.trainings == 123
    assert every.wall == pytest.approx(numbers([row[4]])[0], rel=0.1)
    lines = render_requirements.memory_section(params, known, known, gpu, trains=True)
    assert lines.blocks == []
    full = params.train.model_copy(update={"lora": None})
    base = known[params.train.base]
    assert base is not None
    assert resources.training_fit(full, base, gpu).fits == (row[5] == "yes")
