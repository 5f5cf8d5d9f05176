"""In dvc.yaml stages depend on exactly the code that they run; a change reruns only dependents."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.import_closure import ROOT, closure, data_files, prompts_of
from tests.helpers.stage_outputs import OUTS
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = pytest.mark.timeout(2400)  # DVC starts Python many times
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def deps_of(stage: str) -> set[str]:
    content = GRAPH[stage].get("do", GRAPH[stage])
    return set(content["deps"])


def files_of(stage: str) -> set[str]:
    """Return every file that the stage reads: code, prompts and data files of packages."""
    module = f"stages.{stage}"
    return closure(module) | prompts_of(module) | data_files(module)


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def code_deps(stage: str) -> list[str]:
    return [dep for dep in deps_of(stage) if dep.startswith(("delta/", "stages/"))]


@pytest.mark.parametrize("stage", GRAPH)
def test_a_dep_covers_every_file_that_the_stage_imports_or_reads(stage: str) -> None:
    deps = code_deps(stage)
    assert [file for file in files_of(stage) if not any(covers(dep, file) for dep in deps)] == []


@pytest.mark.parametrize("stage", GRAPH)
def test_a_room_among_the_deps_is_at_least_half_used_and_no_other_code_is_named(stage: str) -> None:
    files = files_of(stage)
    for dep in code_deps(stage):
        if (ROOT / dep).is_file():
            assert dep in files
            continue
        if dep == "delta/core":  # shared by all stages
            continue
        room = {
            str(path.relative_to(ROOT))
            for path in (ROOT / dep).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
        }
        assert 2 * len(room & files) >= len(room), dep


def test_only_training_conversion_and_the_engine_import_torch_or_vllm() -> None:
    heavy = re.compile(r"^\s*(?:import|from) (?:torch|vllm|trl)\b", re.MULTILINE)
    importers = {
        str(path.relative_to(ROOT))
        for folder in ("delta", "stages")
        for path in (ROOT / folder).rglob("*.py")
        if heavy.search(path.read_text())
    }
    assert importers == {
        "delta/inference/token_logps.py",
        "delta/inference/vllm_engine.py",
        "delta/data/fetch.py",
        "delta/training/launch.py",
        "delta/training/padding_free.py",
        "delta/training/policy_measures.py",
        "delta/training/model_io.py",
        "delta/training/reference_logps.py",
        "delta/training/callback.py",
        "delta/training/first_margin.py",
        "delta/training/logps.py",
        "delta/training/weight_changes.py",
        "delta/training/trl_adapter.py",
        "delta/training/trainer.py",
    }


# --- what reruns: DVC itself decides, on the real graph with stand-in stages ---

# A stand-in writes new content in every run, as if every change of an input changed the output.
# Only `problems` and `sft` write their own section: a change of a benchmark does not change their
# rows, and so not what is trained on them. It reads YAML 1.2 as DVC does, and so 2e-05 as a number:
# once edited, the file has that in place of 2.0e-5.
STAND_IN = """
import sys, uuid
from pathlib import Path
from ruamel.yaml import YAML
name, argv = Path(__file__).stem, sys.argv[1:]
outs = {outs}[name]
params = YAML(typ="safe", pure=True).load(Path("params.yaml"))
for out in outs:
    path = Path(out.format(*argv))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = uuid.uuid4().hex
    if name == "problems":
        new = str(params["problems"])
    if name == "sft":
        new = str(params["sft_models"][argv[0]])
    if path.suffix == ".json":
        new = '{{"' + name + "-".join(argv) + '": "' + new + '"}}'
    path.write_text(new)
"""
GENERATORS = ("early-hot", "early", "solver-weak", "solver-fair", "solver-strong")
BENCHMARKS = ("sums", "mixed", "words")
FIRST, EARLY, BASE = "smollm2-135m", "early", "warm"  # each trained from the one before
SOLVER = "solver"


def items_of(stage: str, *items: str) -> set[str]:
    return {f"{stage}@{item}" for item in items}


JUDGED = items_of("judge", *GENERATORS) | {"summary"}
VERIFIED = items_of("verify", *GENERATORS) | JUDGED
GENERATED = items_of("generate", *GENERATORS) | VERIFIED
ON_BASE = items_of("evaluate", EARLY, BASE) | {"summary", "viewer"}
ON_POLICY = items_of("evaluate", "policy") | {"summary", "viewer"}
SFT = items_of("sft", EARLY, BASE)
FROM_TRAIN = {"train", *ON_POLICY, "report"}
FROM_SELECT = {"select", "analyze", *FROM_TRAIN}
FROM_PAIR = {"pair", *FROM_SELECT}


def chain(generator: str) -> set[str]:
    items = {f"{stage}@{generator}" for stage in ("generate", "verify", "judge")}
    return items | {"analyze", "summary", "report"}


ON_WARM = JUDGED | FROM_SELECT | {"certify"}  # base of the policy, and model of a second rater
OF_EARLY = chain("early") | chain("early-hot")  # from the first of sft_models
AT_SERVER = {"chat_format": "plain", "server": {"revision": "another", "accepts": "vllm"}}
RERUNS: list[tuple[str, Any, set[str]]] = [
    (
        "models.smollm2-135m.wheel.sha256",
        "0" * 64,
        items_of("fetch", FIRST) | SFT | OF_EARLY | VERIFIED | ON_BASE | FROM_PAIR | {"certify"},
    ),
    ("sft_models.early.seed", 99, SFT | OF_EARLY | ON_BASE | ON_WARM),
    ("sft_models.warm.seed", 99, {"sft@warm", "evaluate@warm"} | ON_WARM),
    ("serving.policy.max_model_len", 1024, ON_POLICY | {"report"}),
    ("engine.vllm.enforce_eager", False, GENERATED | ON_BASE | FROM_PAIR | {"certify"}),
    ("serving.policy.max_num_seqs", 8, ON_POLICY | {"report"}),
    ("serving.policy", AT_SERVER, ON_POLICY | {"report"}),
    ("engine.servers", {"mine": {"base_urls": ["http://127.0.0.1:1/v1"]}}, set()),
    ("problems.sources.sums.arithmetic.seed", 99, {"problems", "certify"} | GENERATED | FROM_PAIR),
    ("generators.early.temperature", 0.9, chain("early")),
    ("generators.solver-strong.samples", 3, chain("solver-strong") | FROM_PAIR),
    ("grading.timeout_s", 3.0, VERIFIED | FROM_PAIR | ON_BASE),
    ("grading.workers", 9, {"report"}),
    ("verify.recorded", "grade", VERIFIED | FROM_PAIR),
    ("judge.rater", "llm", JUDGED | FROM_SELECT | {"certify"}),
    (
        "judge.budget.early.any",
        1,
        items_of("judge", "early") | {"analyze", "summary", "report"},
    ),
    ("certify.pairs", 9, {"certify", "report"}),
    ("pairing.per_problem", 2, FROM_PAIR),
    ("pairing.seed", 99, JUDGED | FROM_PAIR),
    ("pairing.chosen", "early", FROM_PAIR),
    ("selector.k", 8, FROM_SELECT),
    ("selector.by", "factuality", FROM_SELECT),
    ("analysis.resamples", 9, {"analyze", "report"}),
    ("experiments.table-1", {"always": {"selector.k": 8}, "vary": {}}, {"report"}),
    ("train.dpo.beta", 0.3, FROM_TRAIN),
    ("evaluation.sampling.seed", 99, ON_BASE | ON_POLICY | {"report"}),
    (
        "evaluation.models.early.examples",
        1,
        {"evaluate@early", "summary", "viewer", "report"},
    ),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> DvcWorkspace:
    space = DvcWorkspace(tmp_path_factory.mktemp("graph"), ROOT / "params.yaml")
    for name in OUTS:
        (space.folder / "stages" / f"{name}.py").write_text(STAND_IN.format(outs=OUTS))
    space.replace_checks()
    first = set(stages_run(space.dvc("repro")))
    whole = (
        items_of("fetch", FIRST, SOLVER) | SFT | items_of("questions", *BENCHMARKS) | {"problems"}
    )
    assert first == whole | GENERATED | ON_BASE | FROM_PAIR | {"certify"}
    return space


def affected(space: DvcWorkspace) -> set[str]:
    """Return the stages that DVC calls changed, and all stages that depend on them."""
    from dvc.repo import Repo

    with contextlib.chdir(space.folder), Repo() as repo:
        changed = repo.status()
        graph = repo.index.graph  # an edge leads from a stage to the one that it needs
        needs = {stage.name: {needed.name for needed in graph[stage]} for stage in graph}
    stages = {name.removeprefix("dvc.yaml:") for name in changed}
    while more := {name for name, needed in needs.items() if needed & stages} - stages:
        stages |= more
    return stages


def test_every_section_of_the_params_has_a_row_in_the_table() -> None:
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    assert {key.split(".")[0] for key, _, _ in RERUNS} == sections - {"benchmarks", "profile"}


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value", "expected"), RERUNS, ids=[row[0] for row in RERUNS])
def test_a_change_affects_what_depends_on_it(
    workspace: DvcWorkspace, key: str, value: Any, expected: set[str]
) -> None:
    before = workspace.set(key, value)
    stages = affected(workspace)
    workspace.set(key, before)
    assert stages == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("selector.k", 8, FROM_SELECT),
        # The questions change and the problems do not, so no trace is generated.
        (
            "benchmarks.mixed.source.seed",
            99,
            {"questions@mixed", "problems", "report"} | SFT | ON_BASE | ON_POLICY,
        ),
        pytest.param(
            "benchmarks.words.max_tokens",
            99,
            {"problems", "report"} | SFT | ON_BASE | ON_POLICY,
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_change_reruns_what_depends_on_it_and_undoing_it_reruns_nothing(
    workspace: DvcWorkspace, key: str, value: Any, expected: set[str]
) -> None:
    before = workspace.set(key, value)
    ran = stages_run(workspace.dvc("repro"))
    workspace.set(key, before)
    back = stages_run(workspace.dvc("repro"))
    assert len(ran) == len(set(ran))
    assert set(ran) == expected
    assert back == []


@pytest.mark.slow
def test_the_run_cache_of_dvc_sees_the_number_of_problems(workspace: DvcWorkspace) -> None:
    """DVC's run cache ignores parameters with some names (RESERVED_KEYS of delta.core.params)."""
    before = workspace.set("problems.sources.sums.arithmetic.problems", 9)
    ran = stages_run(workspace.dvc("repro", "problems"))
    workspace.set("problems.sources.sums.arithmetic.problems", before)
    assert ran == ["problems"]
    assert stages_run(workspace.dvc("repro", "problems")) == []


@pytest.mark.slow
def test_an_edit_of_the_room_report_reruns_only_the_report(workspace: DvcWorkspace) -> None:
    path: Path = workspace.folder / "delta/report/figures/__init__.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert affected(workspace) == {"report"}
    workspace.dvc("repro")


@pytest.mark.slow
def test_an_edit_of_check_reruns_nothing(workspace: DvcWorkspace) -> None:
    path: Path = workspace.folder / "delta" / "check.py"
    path.write_text(path.read_text() + "\n# edited\n")
    assert affected(workspace) == set()
