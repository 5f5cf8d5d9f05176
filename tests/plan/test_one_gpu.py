"""profiles/gpu.yaml fits the GPUs that it names, and its comments on sizes are right."""

import math
import re
from pathlib import Path

import pytest

from delta.check import check
from delta.core.params import read_all
from delta.experiments.grid import expand_grid
from delta.inference.config import ServingParams
from delta.plan import model_sizes
from delta.plan.model_sizes import GIB
from delta.plan.pending import max_questions
from delta.plan.resources import serving_fit, training_fit
from delta.plan.speeds import Gpu
from tests.helpers.import_closure import ROOT

FILE = ROOT / "profiles/gpu.yaml"
TEXT = FILE.read_text(encoding="utf-8")
PROFILE = check(FILE)
LEAST = 22.5  # GiB of an NVIDIA L4 or A10G, which are sold as 24 GB


@pytest.fixture(autouse=True)
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def gpu(gib: float) -> Gpu:
    return Gpu(gib, tflops=165)


@pytest.mark.parametrize("gib", [LEAST, 48, 80])
def test_every_model_and_the_training_fit_on_one_gpu(gib: float) -> None:
    sizes = model_sizes.sizes(PROFILE)
    assert len(sizes) == 7 + 1  # and the policy
    for name, size in sizes.items():
        serving = PROFILE.serving[name]
        assert size is not None
        assert isinstance(serving, ServingParams)
        assert serving.tensor_parallel_size == 1
        assert serving_fit(serving, size, gpu(gib), PROFILE.engine.vllm).fits, name
    base = sizes[PROFILE.train.base]
    assert base is not None
    assert training_fit(PROFILE.train, base, gpu(gib)).fits


def test_all_weights_are_trained_on_48_gb_and_in_8_bits_on_24() -> None:
    base = model_sizes.sizes(PROFILE)[PROFILE.train.base]
    assert base is not None
    whole = PROFILE.train.model_copy(update={"lora": None})
    assert not training_fit(whole, base, gpu(LEAST)).fits
    assert training_fit(whole, base, gpu(48)).fits
    packed = whole.model_copy(update={"optim": "adamw_8bit"})
    assert training_fit(packed, base, gpu(LEAST)).fits


def test_the_comments_on_weights_are_the_plans() -> None:
    entries = re.findall(r"^  (\S+):.*\n    chat_format.*\n    dtype.*?([\d.]+) GiB", TEXT, re.M)
    sizes = model_sizes.sizes(PROFILE)
    assert len(entries) == 7
    for name, gib in entries:
        size = sizes[name]
        assert size is not None
        assert f"{size.weights / GIB:.1f}" == gib, name


def half_width(answers: int) -> str:
    """Return that of the 95% interval of 50%, in points."""
    return f"{100 * 1.96 * math.sqrt(0.25 / answers):.1f}"


def test_the_comments_on_benchmarks_are_half_widths_of_their_sizes() -> None:
    pattern = (
        r"^  (\S+):\n    group.*\n    samples.*# ([\d,]+) questions: ± ([\d.]+)(?: to ([\d.]+))?"
    )
    comments = re.findall(pattern, TEXT, re.M)
    assert [name for name, *_ in comments] == list(PROFILE.benchmarks)
    for name, questions, narrow, wide in comments:
        n, samples = max_questions(PROFILE.benchmarks[name]), PROFILE.benchmarks[name].samples
        assert n is not None
        assert int(questions.replace(",", "")) == n
        assert narrow == half_width(n * samples), name
        assert (wide or narrow) == half_width(n), name


def test_the_numbers_of_the_docs_are_those_of_the_profile() -> None:
    page = (ROOT / "docs/one-gpu.md").read_text(encoding="utf-8")
    train, content = PROFILE.train, read_all(FILE)
    keys = {
        spec.key
        for name, experiment in PROFILE.experiments.items()
        for spec in expand_grid(content, name, experiment)
    }
    base = model_sizes.sizes(PROFILE)[train.base]
    assert base is not None
    for text in (
        f"| OpenR1-Math-220k | {PROFILE.problems.sample:,} |",
        f"| {PROFILE.judge.llm.votes} votes on one trace",
        f"at most {train.dpo.max_steps} steps of {train.gradient_accumulation_steps} pairs",
        f"| {len(keys)} trainings, each with all benchmarks |",
        f"in float32 take {4 * base.parameters / GIB:.1f} GiB",
        f"10 bytes a weight, {10 * base.parameters / GIB:.1f} GiB",
        f"16 bytes a weight, {16 * base.parameters / GIB:.0f} GiB",
    ):
        assert text in page, text


def test_the_hours_on_the_page_are_those_of_the_table() -> None:
    table = (ROOT / "docs/gpu-hours.md").read_text(encoding="utf-8")
    page = (ROOT / "docs/one-gpu.md").read_text(encoding="utf-8")
    first = dict(re.findall(r"^\| ([\w ]+) \| \d+ \| ([\d.]+) \|", table, re.M))
    assert len(first) == 5
    every = [
        float(hours) for hours in re.findall(r"^\| .* \| ([\d.]+) \| (?:yes|no) \|", table, re.M)
    ]
    assert f"all 123 in {min(every):.0f} to {max(every):.0f};" in page
    for name, hours in first.items():
        assert re.search(rf"\b{hours} (hours )?on an {name}\b", page), name
