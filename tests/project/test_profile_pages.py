"""The changes to a profile that its page names pass the check of all parameters."""

import re
from typing import Any

import pytest
import yaml

from delta.check import Params, check, check_content
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.experiments.grid import Changes, expand_grid, with_changes
from delta.inference.config import ServingParams
from delta.inference.generate import SampledParams
from delta.plan import model_sizes
from delta.plan.resources import serving_fit
from delta.plan.speeds import Gpu
from tests.helpers.import_closure import ROOT

PAGES = {
    name: (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    for name, page in (("paper", "paper-recipe"), ("gpu", "one-gpu"))
}
OPTION = re.compile(r"-S ([\w.-]+)=([^\s`]+)")


def changed(profile: str, changes: Changes) -> Params:
    """Return the checked parameters of the profile after the changes."""
    content = read_all(ROOT / f"profiles/{profile}.yaml")
    return check_content(with_changes(content, changes, profile), profile)


def options(text: str) -> Changes:
    """Return the values of all `-S key=value`, read as YAML, which takes 5e-7 for text."""
    found = OPTION.findall(text)
    return {key: float(v) if "e-" in v else yaml.safe_load(v) for key, v in found}


def experiments(profile: str) -> list[Changes]:
    """Return the changes of each `dvc exp run` of the page."""
    page = PAGES[profile].replace("\\\n", " ")
    return [options(line) for line in page.split("\n") if line.startswith("dvc exp run")]


def test_every_experiment_of_the_papers_page_passes_the_check() -> None:
    assert experiments("paper") == [{"selector.by": "factuality", "selector.k": 1000}]
    for changes in experiments("paper"):
        changed("paper", changes)


def test_a_change_that_the_profile_refuses_is_noticed() -> None:
    with pytest.raises(InputError, match=r"judge\.budget\.nemotron-4b"):
        changed("paper", FOUR)


FOUR: Changes = {
    "pairing.chosen": "nemotron-4b",
    "pairing.rejected": "nemotron-4b",
    "pairing.chosen_outcome": "correct",
    "pairing.rejected_outcome": "incorrect",
    "pairing.four_way": True,
    "pairing.problems": 3500,
    "selector.mode": "all",
    "selector.k": None,
}


def test_the_papers_page_counts_the_trainings_of_each_figure() -> None:
    content = read_all(ROOT / "profiles/paper.yaml")
    for name, experiment in check(ROOT / "profiles/paper.yaml").experiments.items():
        if name.startswith("figure-") and experiment.vary:
            runs = len(expand_grid(content, name, experiment))
            line = rf"^make experiment NAME={name} .*: {runs}( trainings)?$"
            assert re.search(line, PAGES["paper"], re.MULTILINE), name


def test_the_papers_page_names_the_gated_sources_and_the_order_of_the_first_commands() -> None:
    page = PAGES["paper"]
    gated = [
        line.split(":")[0].strip()
        for line in (ROOT / "profiles/paper.yaml").read_text(encoding="utf-8").split("\n")
        if re.search(r"; gated\b", line)
    ]
    assert len(gated) == 2
    assert all(f"(`{name}`)" in page for name in gated)
    first = ["make setup ACCELERATOR=gpu", "source .venv/bin/activate", "cp profiles/paper.yaml"]
    places = [
        page.index(f"\n{command}")
        for command in (*first, "export HF_TOKEN", "python -m delta pin", "make plan", "make repro")
    ]
    assert places == sorted(places)


def dotted(section: Any, path: str = "") -> Changes:
    """Return the values below a section by their dotted keys."""
    if not isinstance(section, dict):
        return {path[1:]: section}
    return {
        key: v for name in section for key, v in dotted(section[name], f"{path}.{name}").items()
    }


def test_every_change_for_a_gpu_passes_the_check() -> None:
    rows = [options(line) for line in PAGES["gpu"].split("\n") if "`-S " in line]
    assert [len(row) for row in rows] == [5, 4]
    for row in rows:
        assert changed("gpu", row).train.lora is None


def test_the_keys_for_models_that_reason_pass_the_check_and_fit_24_gb() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["gpu"], re.DOTALL)
    params = changed("gpu", dotted(yaml.safe_load(block)))
    reasoning = [name for name in params.serving if name.startswith("qwen3-")]
    assert len(reasoning) == 3
    sizes = model_sizes.sizes(params)
    for name in (*reasoning, params.judge.llm.model):
        serving, size = params.serving[name], sizes[name]
        assert isinstance(serving, ServingParams)
        assert size is not None
        assert serving_fit(serving, size, Gpu(22.5, tflops=165), params.engine.vllm).fits, name
    for name in reasoning:
        assert params.serving[name].chat_format == "qwen3"
        generator = params.generators[name]
        assert isinstance(generator, SampledParams)
        # the judge's prompt: a trace of that length, the rubric and the problem
        judge = params.judge.llm
        room = params.serving[judge.model].max_model_len - judge.max_tokens - generator.max_tokens
        assert room >= 4096
