"""dvc.yaml: every stage names the code it runs, and a change reruns what depends on it, no more."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.closure import ROOT, closure
from tests.workspace import Workspace, stages_run

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PROMPT_FILE = re.compile(r"(?:text|template)\(\"([\w.]+)\"\)")


def deps_of(stage: str) -> set[str]:
    content = GRAPH[stage].get("do", GRAPH[stage])
    return set(content["deps"])


@pytest.mark.parametrize("stage", GRAPH)
def test_code_among_the_deps_is_the_import_closure_of_the_stage(stage: str) -> None:
    code = {dep for dep in deps_of(stage) if dep.endswith(".py")}
    assert code == closure(f"stages.{stage}")


@pytest.mark.parametrize("stage", GRAPH)
def test_every_prompt_that_a_stages_own_step_reads_is_among_its_deps(stage: str) -> None:
    step = (ROOT / "delta" / f"{stage}.py").read_text()
    named = set(PROMPT_FILE.findall(step))
    if "prompts.conversation" in step:
        named |= {"instruction.txt"}
    if "prompts.worked_examples" in step or stage == "generate":
        named |= {"worked_examples.yaml"}
    assert {f"delta/prompts/{name}" for name in named} == {
        dep for dep in deps_of(stage) if dep.startswith("delta/prompts/") and dep[-3:] != ".py"
    }


def test_only_the_trainer_the_reference_pass_the_engine_and_conversion_import_torch_or_vllm() -> (
    None
):
    heavy = re.compile(r"^\s*(?:import|from) (?:torch|vllm|trl)\b", re.MULTILINE)
    found = {
        str(path.relative_to(ROOT))
        for folder in ("delta", "stages")
        for path in (ROOT / folder).rglob("*.py")
        if heavy.search(path.read_text())
    }
    assert found == {
        "delta/engines/offline.py",
        "delta/fetch.py",
        "delta/reference.py",
        "delta/trainer.py",
    }


# --- what reruns, checked against DVC itself on the real graph with stand-in commands ---

# Every run of a stand-in writes something new, as if each change of an input changed the output.
# `problems` alone writes what its own section says: a benchmark's change leaves its rows alone.
STAND_IN = """
import sys, uuid
from pathlib import Path
import yaml
name, argv = Path(__file__).stem, sys.argv[1:]
outs = {outs}[name]
for out in outs:
    path = Path(out.format(*argv))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = uuid.uuid4().hex
    if name == "problems":
        new = str(yaml.safe_load(Path("params.yaml").read_text())["problems"])
    if path.suffix == ".json":
        new = '{{"' + name + "-".join(argv) + '": "' + new + '"}}'
    path.write_text(new)
"""
OUTS = {
    "check": [],
    "fetch": ["data/models/{}"],
    "problems": ["data/problems.parquet", "metrics/problems.json"],
    "generate": ["data/traces/{}.parquet", "metrics/generate/{}.json"],
    "verify": ["data/verdicts/{}.parquet", "metrics/verify/{}.json"],
    "judge": ["data/ratings/{}.parquet", "metrics/judge/{}.json"],
    "pair": ["data/pairs.parquet", "metrics/pair.json"],
    "select": ["data/selected.parquet", "metrics/select.json"],
    "train": ["data/models/policy", "metrics/train.json", "metrics/training.tsv"],
    "evaluate": ["data/answers/{}-{}.parquet", "metrics/evaluate/{}-{}.json"],
    "report": [
        "report/scores.md",
        "metrics/gains.json",
        "metrics/plots/accuracy.json",
        "metrics/plots/deltas.json",
    ],
}
GENERATORS = ("zero-shot", "one-shot", "three-shot")
BENCHMARKS = ("products", "long-sums", "gcd")
BASE = "smollm2-135m"


def of(stage: str, *items: str) -> set[str]:
    return {f"{stage}@{item}" for item in items}


GENERATED = of("generate", *GENERATORS) | of("verify", *GENERATORS) | of("judge", *GENERATORS)
ON_BASE = of("evaluate", *(f"{BASE}-{name}" for name in BENCHMARKS))
ON_POLICY = of("evaluate", *(f"policy-{name}" for name in BENCHMARKS))
FROM_TRAIN = {"train", *ON_POLICY, "report"}
FROM_SELECT = {"select", *FROM_TRAIN}
FROM_PAIR = {"pair", *FROM_SELECT}


def chain(generator: str) -> set[str]:
    return {f"{stage}@{generator}" for stage in ("generate", "verify", "judge")}


RERUNS: list[tuple[str, Any, set[str]]] = [
    (
        "models.smollm2-135m.wheel.sha256",
        "0" * 64,
        of("fetch", BASE) | GENERATED | ON_BASE | FROM_PAIR,
    ),
    ("engine.vllm.max_num_seqs", 8, GENERATED | ON_BASE | FROM_PAIR),
    ("problems.tasks.sums.seed", 99, {"problems"} | GENERATED | FROM_PAIR),
    ("generators.one-shot.temperature", 0.9, chain("one-shot")),
    ("generators.three-shot.samples", 3, chain("three-shot") | FROM_PAIR),
    ("verify.limit_s", 3.0, of("verify", *GENERATORS) | ON_BASE | ON_POLICY | {"report"}),
    ("judge.rater", "llm", of("judge", *GENERATORS) | FROM_SELECT),
    ("pairing.seed", 99, FROM_PAIR),
    ("pairing.chosen", "one-shot", FROM_PAIR),
    ("selector.k", 8, FROM_SELECT),
    ("selector.dimension", "factuality", FROM_SELECT),
    ("train.beta", 0.3, FROM_TRAIN),
    ("evaluation.sampling.seed", 99, ON_BASE | ON_POLICY | {"report"}),
    ("evaluation.models", ["policy", BASE], {"report"}),
    (
        "benchmarks.gcd.seed",
        99,
        {"problems", f"evaluate@{BASE}-gcd", "evaluate@policy-gcd", "report"},
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    space = Workspace(tmp_path_factory.mktemp("graph"), ROOT / "params.yaml")
    for name in OUTS:
        (space.folder / "stages" / f"{name}.py").write_text(STAND_IN.format(outs=OUTS))
    first = stages_run(space.dvc("repro"))
    assert set(first) == of("fetch", BASE) | {"problems"} | GENERATED | ON_BASE | FROM_PAIR
    return space


def test_every_section_of_the_params_has_a_row_in_the_table() -> None:
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    assert {key.split(".")[0] for key, _, _ in RERUNS} == sections


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value", "expected"), RERUNS, ids=[row[0] for row in RERUNS])
def test_a_change_reruns_what_depends_on_it_and_going_back_reruns_nothing(
    workspace: Workspace, key: str, value: Any, expected: set[str]
) -> None:
    before = workspace.set(key, value)
    ran = stages_run(workspace.dvc("repro"))
    workspace.set(key, before)
    back = stages_run(workspace.dvc("repro"))
    assert len(ran) == len(set(ran))
    assert set(ran) == expected
    assert back == []


@pytest.mark.slow
def test_an_edit_of_the_reports_code_reruns_the_report_alone(workspace: Workspace) -> None:
    path: Path = workspace.folder / "delta" / "figures.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert stages_run(workspace.dvc("repro")) == ["report"]


@pytest.mark.slow
def test_an_edit_of_the_whole_file_check_reruns_nothing(workspace: Workspace) -> None:
    path: Path = workspace.folder / "delta" / "check.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert stages_run(workspace.dvc("repro")) == []
