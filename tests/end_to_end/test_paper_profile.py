"""`dvc repro` runs the paper's whole graph: every generator, judge, pair set, method, benchmark.

The models are tiny and random, the data sets a few rows of the same schema, and a server on
loopback answers in each family's chat format. What a GPU node adds is in test_vllm_engine.py.
"""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
import yaml

from delta.check import check
from tests.helpers.fake_server import FakeServer
from tests.helpers.import_closure import ROOT
from tests.helpers.paper_workspace import EVALUATED, PROBLEMS, SELECTED, create_paper_workspace
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
PROFILE = check(ROOT / "profiles/paper.yaml")
SAMPLED = ("s1-3b", "s1-7b", "s1-14b", "s1-32b", "nemotron-4b", "nemotron-8b", "nemotron-49b")
KEPT = PROBLEMS - 4


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DvcWorkspace]:
    with FakeServer() as server:
        space = create_paper_workspace(tmp_path_factory.mktemp("paper"), server)
        space.output = space.dvc("repro")
        yield space


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
    ran = stages_run(space.output)
    models, benchmarks = len(PROFILE.models), len(PROFILE.benchmarks)
    assert benchmarks == 12
    assert set(SAMPLED) == set(PROFILE.generators) - {"deepseek-r1"}
    assert len(ran) == len(set(ran)) == models + benchmarks + 1 + 3 * 8 + 4 + len(EVALUATED) + 3


def test_problems_traces_verdicts_and_ratings_add_up(space: DvcWorkspace) -> None:
    problems = metrics(space, "problems")["problems"]
    assert problems["drawn"] == PROBLEMS + 1
    assert problems["drawn"] == problems["kept"] + sum(problems["dropped"].values())
    assert problems["kept"] == table(space, "problems").height == KEPT
    for name in SAMPLED:
        traces, verdicts = table(space, f"traces/{name}"), table(space, f"verdicts/{name}")
        assert traces.height == verdicts.height == 8 * KEPT
        cut = traces.filter(pl.col("answer_start").is_null())
        assert cut.height == traces.filter(pl.col("finish_reason") == "length").height > 0
        assert set(verdicts["outcome"].unique()) >= {"correct", "incorrect"}
        ratings = table(space, f"ratings/{name}")
        assert ratings.height == 5 * KEPT  # one drawn trace a problem, five dimensions
        assert ratings["judge"].unique().to_list() == ["gpt-oss-120b"]
        assert (ratings["votes"].list.len() + ratings["refused"]).to_list() == [5] * ratings.height
    traces = table(space, "traces/deepseek-r1")
    assert traces.height == 2 * KEPT
    decided = table(space, "verdicts/deepseek-r1")
    assert decided["decided_by"].unique().to_list() == ["source"]
    assert decided.filter(pl.col("outcome") == "correct").height == KEPT


def test_a_trace_keeps_its_familys_markers(space: DvcWorkspace) -> None:
    for name, marker in (("s1-3b", "<|im_start|>think"), ("nemotron-8b", "<think>")):
        assert table(space, f"traces/{name}")["text"].str.starts_with(marker).all()


def test_generator_pairs_are_ranked_and_cut_and_the_policy_is_trained(space: DvcWorkspace) -> None:
    dropped = metrics(space, "pair")["pair"]["dropped"]
    assert table(space, "pairs").height == KEPT - dropped.get("equal texts", 0)
    assert set(dropped) <= {"equal texts"}
    selected = table(space, "selected")
    assert selected["selected"].sum() == SELECTED
    assert selected["recipe"].unique().to_list() == ["s1-32b > s1-3b"]
    train = metrics(space, "train")["train"]
    assert train["pairs_in"] == SELECTED
    assert train["options"]["beta"] == 0.2
    assert train["options"]["dtype"] == "float32"
    assert (space.folder / "data/models/policy/model.safetensors").is_file()


def test_every_model_has_a_score_on_every_benchmark_with_exactly_its_samples(
    space: DvcWorkspace,
) -> None:
    for model in EVALUATED:
        for name, benchmark in PROFILE.benchmarks.items():
            score = metrics(space, f"evaluate/{model}")[model][name]
            answers = table(space, f"answers/{model}/{name}")
            assert score["samples"] == benchmark.samples
            assert answers.height == score["n"] * benchmark.samples
            assert score["low"] <= score["value"] <= score["high"]
    assert metrics(space, "evaluate/policy")["policy"]["livecodebench"]["sandbox"]


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
        "seed": 6,
    }
