"""`dvc repro` runs a profile's whole graph: every generator, judge, pair set, method, benchmark.

The profiles are the paper's and the one for one GPU; what holds for one family is tested there.

The models are tiny and random, the data sets a few rows of the same schema, and a server on
loopback answers in each family's chat format. What a GPU node adds is in test_vllm_engine.py.
"""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
import yaml

from delta.check import Params, check
from delta.inference import chat_formats
from delta.inference.generate import SampledParams
from tests.helpers.fake_server import FakeServer
from tests.helpers.paper_workspace import PROBLEMS, SELECTED, create_paper_workspace
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
GENERATORS = {
    "paper": {
        *("s1-3b", "s1-7b", "s1-14b", "s1-32b", "nemotron-4b", "nemotron-8b", "nemotron-49b"),
        "deepseek-r1",
    },
    "gpu": {
        *("qwen2_5-0_5b", "qwen2_5-1_5b", "qwen2_5-7b", "qwen3-0_6b", "qwen3-1_7b", "qwen3-4b"),
        "deepseek-r1",
    },
}
KEPT = PROBLEMS - 4
on_paper = pytest.mark.parametrize("space", ["paper"], indirect=True)
on_gpu = pytest.mark.parametrize("space", ["gpu"], indirect=True)


@pytest.fixture(scope="module", params=["paper", "gpu"])
def space(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[DvcWorkspace]:
    with FakeServer() as server:
        folder = tmp_path_factory.mktemp(request.param)
        space = create_paper_workspace(folder, server, request.param)
        space.output = space.dvc("repro")
        yield space


def params_of(space: DvcWorkspace) -> Params:
    return check(space.folder / "params.yaml")


def table(space: DvcWorkspace, name: str) -> pl.DataFrame:
    return pl.read_parquet(space.folder / f"data/{name}.parquet")


def metrics(space: DvcWorkspace, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((space.folder / f"data/counts/{name}.json").read_text())
    return content


def rebuilt(space: DvcWorkspace, **changes: Any) -> list[str]:
    """Set keys of params.yaml ("selector__k" is selector.k), rebuild, and return the stages run."""
    for key, value in changes.items():
        space.set(key.replace("__", "."), value)
    return stages_run(space.dvc("repro"))


def test_every_stage_of_the_graph_ran_once(space: DvcWorkspace) -> None:
    ran, params = stages_run(space.output), params_of(space)
    assert set(params.generators) == GENERATORS[params.profile]
    benchmarks = {"paper": 12, "gpu": 7}[params.profile]
    assert len(params.benchmarks) == benchmarks
    models, generators = len(params.models), len(params.generators)
    evaluated = len(params.evaluation.models)
    assert len(ran) == len(set(ran))
    assert len(ran) == models + benchmarks + 1 + 3 * generators + 5 + evaluated + 3


def test_problems_traces_verdicts_and_ratings_add_up(space: DvcWorkspace) -> None:
    params, problems = params_of(space), metrics(space, "problems")["problems"]
    assert problems["drawn"] == PROBLEMS + 1
    assert problems["drawn"] == problems["kept"] + sum(problems["dropped"].values())
    assert problems["kept"] == table(space, "problems").height == KEPT
    judge = params.judge.llm
    for name in GENERATORS[params.profile] - {"deepseek-r1"}:
        traces, verdicts = table(space, f"traces/{name}"), table(space, f"verdicts/{name}")
        generator = params.generators[name]
        assert isinstance(generator, SampledParams)
        assert traces.height == verdicts.height == generator.samples * KEPT
        is_cut = traces["finish_reason"] == "length"
        assert is_cut.sum() > 0
        if chat_formats.load(params.serving[name].chat_format).begins is not None:
            assert (traces["answer_start"].is_null() == is_cut).all()  # cut while it reasoned
        assert set(verdicts["outcome"].unique()) >= {"correct", "incorrect"}
        ratings = table(space, f"ratings/{name}")
        assert ratings.height == 5 * KEPT  # one drawn trace a problem, five dimensions
        assert ratings["judge"].unique().to_list() == [judge.model]
        votes = ratings["votes"].list.len() + ratings["refused"]
        assert votes.to_list() == [judge.votes] * ratings.height
    traces = table(space, "traces/deepseek-r1")
    assert traces.height == 2 * KEPT
    decided = table(space, "verdicts/deepseek-r1")
    assert decided["decided_by"].unique().to_list() == ["source"]
    assert decided.filter(pl.col("outcome") == "correct").height == KEPT


@on_paper
def test_a_trace_keeps_its_familys_markers(space: DvcWorkspace) -> None:
    for name, marker in (("s1-3b", "<|im_start|>think"), ("nemotron-8b", "<think>")):
        assert table(space, f"traces/{name}")["text"].str.starts_with(marker).all()


def test_generator_pairs_are_ranked_and_cut_and_the_policy_is_trained(space: DvcWorkspace) -> None:
    dropped = metrics(space, "pair")["pair"]["dropped"]
    assert table(space, "pairs").height == KEPT - dropped.get("equal texts", 0)
    assert set(dropped) <= {"equal texts"}
    selected = table(space, "selected")
    assert selected["selected"].sum() == SELECTED
    pairing = params_of(space).pairing
    assert selected["recipe"].unique().to_list() == [f"{pairing.chosen} > {pairing.rejected}"]
    train = metrics(space, "train")["train"]
    assert train["pairs_in"] == SELECTED
    assert train["options"]["beta"] == 0.2
    assert train["options"]["dtype"] == "float32"
    assert ("lora" in train["options"]) == (params_of(space).profile == "gpu")
    assert (space.folder / "data/models/policy/model.safetensors").is_file()


def test_every_model_has_a_score_on_every_benchmark_with_exactly_its_samples(
    space: DvcWorkspace,
) -> None:
    params = params_of(space)
    for model in params.evaluation.models:
        for name, benchmark in params.benchmarks.items():
            score = metrics(space, f"evaluate/{model}")[model][name]
            answers = table(space, f"answers/{model}/{name}")
            assert score["samples"] == benchmark.samples
            assert answers.height == score["n"] * benchmark.samples
            assert score["low"] <= score["value"] <= score["high"]
    assert metrics(space, "evaluate/policy")["policy"]["livecodebench"]["sandbox"]


@on_paper
def test_outcome_verified_pairs_and_kto(space: DvcWorkspace) -> None:
    ran = rebuilt(
        space,
        pairing__chosen="deepseek-r1",
        pairing__rejected="deepseek-r1",
        pairing__chosen_outcome="correct",
        pairing__rejected_outcome="incorrect",
        selector__by="mean",
        train__method="kto",
    )
    assert {stage.partition("@")[0] for stage in ran} == {
        "pair",
        "select",
        "analyze",
        "train",
        "evaluate",
        "summary",
        "viewer",
        "report",
    }
    pairs = table(space, "pairs")
    assert pairs.height == KEPT
    assert pairs["chosen_outcome"].unique().to_list() == ["correct"]
    assert pairs["rejected_outcome"].unique().to_list() == ["incorrect"]
    train = metrics(space, "train")["train"]
    assert train["options"]["beta"] == 0.5
    assert "KTOTrainer" in train["options"]["trainer"]


@on_paper
def test_the_four_combinations_come_from_the_same_problems_and_sft(space: DvcWorkspace) -> None:
    problems = {}
    for chosen, rejected in (("correct", "correct"), ("incorrect", "incorrect")):
        for key, value in {
            "pairing.chosen": "nemotron-4b",
            "pairing.rejected": "nemotron-4b",
            "pairing.chosen_outcome": chosen,
            "pairing.rejected_outcome": rejected,
            "pairing.four_way": True,
            "pairing.problems": 6,
            "judge.budget.nemotron-4b": {"any": 0, "correct": 2, "incorrect": 2},
            "selector.mode": "all",
            "selector.k": None,
            "train.method": "sft",
        }.items():
            space.set(key, value)
        space.dvc("repro", "select")
        pairs = table(space, "pairs")
        assert pairs["chosen_outcome"].unique().to_list() == [chosen]
        problems[chosen] = sorted(pairs["problem_id"])
    assert len(problems["correct"]) == 6
    assert problems["correct"] == problems["incorrect"]
    space.dvc("repro", "train")
    train = metrics(space, "train")["train"]
    assert train["pairs_in"] == 6
    assert "SFTTrainer" in train["options"]["trainer"]


@on_paper
def test_an_experiment_changes_one_key_of_the_papers_profile(space: DvcWorkspace) -> None:
    space.git("checkout", "--", "params.yaml")
    space.dvc("repro", "select")
    space.commit()
    for change in ("selector.mode=random", "selector.mode=length_matched"):
        space.run("dvc", "exp", "run", "-S", change, "select")
        assert table(space, "selected")["selected"].sum() == SELECTED
    changed = yaml.safe_load((space.folder / "params.yaml").read_text())
    assert changed["selector"] == {
        "mode": "length_matched",
        "by": "step_coherence",
        "k": SELECTED,
        "quantile": None,
        "seed": 6,
    }


@on_gpu
def test_kto_trains_adapters_on_the_pairs_of_figure_2(space: DvcWorkspace) -> None:
    changes = params_of(space).experiments["figure-2"]
    for key, value in {
        **changes.always,
        **changes.vary["method"]["kto"],
        **changes.vary["chosen"]["qwen3-4b"],
    }.items():
        space.set(key, value)
    space.dvc("repro", "train")
    train = metrics(space, "train")["train"]
    assert train["pairs_in"] == table(space, "pairs").height > SELECTED
    assert "KTOTrainer" in train["options"]["trainer"]
    assert train["options"]["lora"]["r"] == 64


@on_gpu
def test_both_sides_of_the_four_combinations_have_ratings(space: DvcWorkspace) -> None:
    for key, value in params_of(space).experiments["figure-3"].always.items():
        space.set(key, value)
    sides = []
    for outcome in ("correct", "incorrect"):
        space.set("pairing.chosen_outcome", outcome)
        space.set("pairing.rejected_outcome", outcome)
        space.dvc("repro", "select")
        pairs = table(space, "selected")
        assert pairs.height > KEPT // 2
        sides += [*pairs["chosen_id"], *pairs["rejected_id"]]
    assert set(sides) <= set(table(space, "ratings/qwen3-1_7b")["trace_id"])
