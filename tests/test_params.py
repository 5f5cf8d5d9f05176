"""Bad edits of params.yaml: one line that names the key, the value and what is allowed."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from delta import params
from delta.check import Params, check
from delta.errors import InputError
from delta.judge import JudgeParams

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
CONTENT = yaml.safe_load(TEXT)
REVISION = "0123456789abcdef0123456789abcdef01234567"
SUMS = "    sums:\n      task: chain_sum\n      seed: 12\n      size: 64\n"
ZERO_SHOT = "  zero-shot:\n    model: smollm2-135m\n    examples: 0\n    samples: 2"
FLOATS = [
    "engine.vllm.kv_cache_gib",
    "engine.endpoint.timeout_s",
    "generators.zero-shot.temperature",
    "generators.zero-shot.top_p",
    "verify.limit_s",
    "verify.max_ungradable",
    "judge.llm.temperature",
    "judge.llm.top_p",
    "judge.max_refused",
    "train.learning_rate",
    "train.beta",
    "train.warmup_share",
    "train.max_grad_norm",
    "evaluation.sampling.temperature",
    "evaluation.sampling.top_p",
]

# What stands in the file, what replaces it, and what the message must hold: key, value, allowed.
EDITS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown section": (
        "\nengine:",
        "\nextra: 1\nengine:",
        ("extra is not known", "models, engine, problems"),
    ),
    "misspelt section": ("\njudge:", "\njugde:", ("jugde is not known", "verify, judge, pairing")),
    "misspelt key": ("  k: 48", "  kk: 64", ("selector.kk is not known", "dimension, k, order")),
    "misspelt instead of the right one": (
        f"{ZERO_SHOT}                # paper 3.1: 8 a problem\n    temperature: 0.7",
        f"{ZERO_SHOT}\n    temprature: 0.7",
        ("generators.zero-shot.temprature is not known", "temperature, top_p, max_tokens"),
    ),
    "misspelt key at depth four": (
        SUMS,
        SUMS.replace("size", "sise"),
        ("problems.tasks.sums.sise is not known", "task, seed, size, options"),
    ),
    "misspelt key of the judge": (
        "    votes: 5",
        "    vote: 5",
        ("judge.llm.vote is not known", "model, votes, attempts"),
    ),
    "exponent without a point": (
        "learning_rate: 1.0e-5",
        "learning_rate: 5e-8",
        ("train.learning_rate = '5e-8'", "a string", "write 5.0e-8 without quotes"),
    ),
    "quoted number": (
        "  k: 48",
        "  k: '64'",
        ("selector.k = '64'", "a string", "write 64 without quotes"),
    ),
    "whole number with an exponent": (
        "  k: 48",
        "  k: 1e2",
        ("selector.k = '1e2'", "a string", "write 100 without quotes"),
    ),
    "word for a number": ("  k: 48", "  k: many", ("selector.k = 'many'", "valid integer")),
    "fraction for a whole number": ("  k: 48", "  k: 6.5", ("selector.k = 6.5", "valid integer")),
    "null": ("  k: 48", "  k: null", ("selector.k = None", "valid integer")),
    "true for a number": ("  k: 48", "  k: true", ("selector.k = True", "valid integer")),
    "k 0": ("  k: 48", "  k: 0", ("selector.k = 0", "greater than or equal to 1")),
    "k above all pairs": ("  k: 48", "  k: 129", ("selector.k = 129", "128 pairs", "1 to 128")),
    "batch above k": (
        "  k: 48",
        "  k: 3",
        ("train.batch_size = 4", "selector.k is 3", "allowed: 1 to 3"),
    ),
    "more pairs a problem than samples": (
        "  per_problem: 1",
        "  per_problem: 3",
        ("pairing.per_problem = 3", "generators.three-shot has 2 samples", "1 to 2"),
    ),
    "generator not declared": (
        "  chosen: three-shot",
        "  chosen: ten-shot",
        ("pairing.chosen = 'ten-shot'", "allowed: zero-shot, one-shot, three-shot"),
    ),
    "chosen is rejected": (
        "  chosen: three-shot",
        "  chosen: zero-shot",
        ("pairing", "both 'zero-shot'", "two different generators"),
    ),
    "generator's model not declared": (
        "  zero-shot:\n    model: smollm2-135m",
        "  zero-shot:\n    model: smollm3",
        ("generators.zero-shot.model = 'smollm3'", "allowed: smollm2-135m"),
    ),
    "judge's model not declared": (
        "rater is llm\n    model: smollm2-135m",
        "rater is llm\n    model: gpt-oss",
        ("judge.llm.model = 'gpt-oss'", "allowed: smollm2-135m"),
    ),
    "base not declared": (
        "  base: smollm2-135m",
        "  base: policy",
        ("train.base = 'policy'", "allowed: smollm2-135m"),
    ),
    "evaluated model not declared": (
        "models: [smollm2-135m, policy]",
        "models: [smollm2-135m, polcy]",
        ("evaluation.models = 'polcy'", "allowed: smollm2-135m, policy"),
    ),
    "more worked examples than there are": (
        "    examples: 3",
        "    examples: 4",
        ("generators.three-shot.examples = 4", "0 to 3"),
    ),
    "temperature -1": (
        f"{ZERO_SHOT}                # paper 3.1: 8 a problem\n    temperature: 0.7",
        f"{ZERO_SHOT}\n    temperature: -1",
        ("generators.zero-shot.temperature = -1", "greater than or equal to 0"),
    ),
    "samples 0": (
        ZERO_SHOT,
        ZERO_SHOT.replace("samples: 2", "samples: 0"),
        ("generators.zero-shot.samples = 0", "greater than or equal to 1"),
    ),
    "top_p 0": (
        "    top_p: 1.0                # paper 3.4",
        "    top_p: 0.0",
        ("evaluation.sampling.top_p = 0.0", "greater than 0"),
    ),
    "votes 0": ("    votes: 5", "    votes: 0", ("judge.llm.votes = 0", "or equal to 1")),
    "share above 1": (
        "  max_refused: 0.2",
        "  max_refused: 20",
        ("judge.max_refused = 20", "less than or equal to 1"),
    ),
    "replies that cannot fit": (
        "max_tokens: 64\n    seed: 1\n",
        "max_tokens: 2048\n    seed: 1\n",
        ("generators.zero-shot.max_tokens = 2048", "allowed: 1 to 2047"),
    ),
    "unknown choice": ("  rater: rules", "  rater: rule", ("judge.rater = 'rule'", "'rules' or")),
    "unknown dimension": (
        "  dimension: strategy_coherence",
        "  dimension: coherence",
        ("selector.dimension = 'coherence'", "factuality, strategy_coherence, step_coherence"),
    ),
    "the same key twice": ("  k: 48", "  k: 48\n  k: 65", ("'k'", "twice", "line", "keep one")),
    "the same generator twice": (
        "  one-shot:",
        "  zero-shot:",
        ("'zero-shot'", "twice", "keep one"),
    ),
    "dot in a generator's name": ("  one-shot:", "  one.shot:", ("generators", "one.shot", "_-")),
    "slash in a benchmark's name": ("  gcd:", "  g/cd:", ("benchmarks", "g/cd", "_-")),
    "dot in a task's name": (
        "    sums:",
        "    su.ms:",
        ("problems.tasks.su.ms", "allowed in a name: letters, digits, _ -"),
    ),
    "the policy's name for a model": (
        "  smollm2-135m:  ",
        "  policy:  ",
        ("models.policy", "take another"),
    ),
    "two sources for a model": (
        "    wheel:\n",
        f"    hub: {{repository: a/b, revision: '{REVISION}'}}\n    wheel:\n",
        ("models.smollm2-135m", "['wheel', 'hub']", "one of wheel, hub, folder"),
    ),
    "a branch for a revision": (
        "    wheel:\n",
        "    hub: {repository: a/b, revision: main}\n    wheel:\n",
        ("models.smollm2-135m.hub.revision = 'main'", "^[0-9a-f]{40}$"),
    ),
    "checksum too short": (
        "sha256: b179c952",
        "sha256: b179",
        ("models.smollm2-135m.wheel.sha256 = 'b1793d0e", "^[0-9a-f]{64}$"),
    ),
    "infinity in the file": ("  beta: 0.1 ", "  beta: .inf ", ("train.beta = inf", "finite")),
}
WHOLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "missing section": (TEXT.partition("\nbenchmarks:")[0], ("benchmarks is missing",)),
    "not YAML": (TEXT.replace("models: [", "models: [["), ("not YAML", "line")),
    "empty": ("", ("holds NoneType", "allowed: a mapping of sections")),
    "a list": ("- models\n", ("holds list", "allowed: a mapping of sections")),
    "a key that is a number": ("1: 2\n", ("key 1", "not a string", "quotes")),
}


def refusal(folder: Path, text: str) -> str:
    """The message for `text`, less the file's name before it."""
    file = folder / "params.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        check(file)
    message = str(caught.value)
    assert "\n" not in message
    assert "params.yaml: " in message
    return message.partition("params.yaml: ")[2]


def message_for(dotted: str, value: Any) -> str:
    """The message where `value` stands under the key `dotted`."""
    content = copy.deepcopy(CONTENT)
    *sections, key = dotted.split(".")
    inner = content
    for section in sections:
        inner = inner[section]
    inner[key] = value
    with pytest.raises(InputError) as caught:
        params.checked("", Params, content, Path("params.yaml"))
    return str(caught.value)


def test_the_committed_file_is_accepted() -> None:
    assert list(check(ROOT / "params.yaml").generators) == ["zero-shot", "one-shot", "three-shot"]


@pytest.mark.parametrize("name", EDITS)
def test_a_bad_edit_is_refused_with_key_value_and_what_is_allowed(
    tmp_path: Path, name: str
) -> None:
    old, new, expected = EDITS[name]
    assert TEXT.count(old) == 1, "the edit's anchor is not unique in params.yaml"
    message = refusal(tmp_path, TEXT.replace(old, new))
    assert [part for part in expected if part not in message] == [], message


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_no_params_is_refused(tmp_path: Path, name: str) -> None:
    text, expected = WHOLE[name]
    message = refusal(tmp_path, text)
    assert [part for part in expected if part not in message] == [], message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), True, "0.5", None])
@pytest.mark.parametrize("key", FLOATS)
def test_a_number_is_finite_and_nothing_else(key: str, value: Any) -> None:
    assert message_for(key, value).startswith(f"params.yaml: {key} = {value!r}: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_task_option_is_finite(value: float | None) -> None:
    message = message_for("benchmarks.gcd.options.max_value", value)
    assert message.startswith("params.yaml: benchmarks.gcd.options.max_value")
    assert repr(value) in message


def test_every_float_of_the_file_is_in_the_table_above() -> None:
    def leaves(value: Any, key: str) -> list[str]:
        if isinstance(value, dict):
            return [leaf for name in value for leaf in leaves(value[name], f"{key}.{name}")]
        return [key.removeprefix(".")] if isinstance(value, float) else []

    content = CONTENT | {"generators": {"zero-shot": CONTENT["generators"]["zero-shot"]}}
    assert [leaf for leaf in leaves(content, "") if leaf not in FLOATS] == []


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such file; run from the project's root"):
        check(tmp_path / "none.yaml")


def test_a_stage_asked_for_an_undeclared_item_says_which_there_are() -> None:
    with pytest.raises(InputError, match=r"generators\.five-shot .* zero-shot, one-shot"):
        params.section("generators.five-shot", JudgeParams, ROOT / "params.yaml")


def test_the_command_line_prints_that_one_line_and_fails(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(TEXT.replace("  k: 48", "  k: 0"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stages.check"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr == ("params.yaml: selector.k = 0: should be greater than or equal to 1\n")
