"""Tokens, hours, memory and disk of a plan, computed by hand."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from delta.check import Params
from delta.core import paths
from delta.core.params import read_all, validate
from delta.plan import costs, render_requirements, resources, speeds
from delta.plan.costs import Cost, Tokens
from delta.plan.dvc_state import Stage
from delta.plan.model_sizes import KNOWN_MODELS, SHAPES, Size, size_of_folder, size_of_known, sizes
from delta.plan.requests import RequestGroup, Workspace
from delta.plan.sft_costs import sft_costs
from delta.plan.speeds import Gpu, Lengths, Rates
from delta.training.config import TrainParams
from tests.helpers.import_closure import ROOT
from tests.helpers.plan_workspace import MODEL, params_with, write_weights

H100 = Gpu(gib=80, tflops=989)
EIGHT_B = size_of_known(KNOWN_MODELS["nvidia/Llama-3.1-Nemotron-Nano-8B-v1"], "bfloat16")


def group(to_ask: int, **measured: float) -> RequestGroup:
    total, cached = to_ask + 10, 10
    return RequestGroup("generate", "zero-shot", MODEL, 2, 64, total, cached, "exact", **measured)


def test_tokens_are_those_of_cached_replies_or_assumed() -> None:
    # 10 of 20 replies to 10 prompts: each may have to be read again.
    params = params_with()
    measured = costs.request_tokens(params, group(10, prompt_tokens=30, reply_tokens=20))
    assert measured == Tokens(read=300, sent=300, written=200, at_most=640)
    assumed = costs.request_tokens(params, group(10))
    assert assumed == Tokens(2_000, 2_000, 640, 640)  # 500 tokens, cut at 64


@pytest.mark.parametrize(
    ("chat_format", "tokens"),
    [("s1", 5_000), ("nemotron", 5_000), ("gpt-oss", 1_200), ("llama", 500)],
)
def test_a_reply_is_as_long_as_its_family_makes_it(chat_format: str, tokens: int) -> None:
    params = params_with(lambda p: p["serving"][MODEL].update(chat_format=chat_format))
    assert costs.reply_tokens(params, MODEL, 32_768) == tokens
    assert costs.reply_tokens(params, MODEL, 256) == 256


def test_a_model_trained_on_worked_solutions_replies_as_they_are() -> None:
    assert LAPTOP.train.base == "warm"
    assert [costs.reply_tokens(LAPTOP, name, 160) for name in ("warm", "policy")] == [50, 50]
    assert costs.trace_tokens(LAPTOP, "early") == 50
    assert costs.trace_tokens(LAPTOP, "solver-weak") == 50


def gpu_rates(serving: Any, size: Size, prompt: float, reply: float, each: int = 1) -> Rates:
    return speeds.gpu_rates(serving, size, VLLM, H100, Lengths(prompt, reply, each))


def test_a_step_takes_as_long_as_weights_and_cache_take_to_be_read() -> None:
    """8B on an H100, prompts of 200 and replies of 5,000 tokens: 2,700 in the cache on average.

    0.9 x 80 - 3 GiB less 16.06 GB of weights hold 58.0 GB, 164 sequences of 354 MB. With the
    weights they are read at 0.7 x 3.35 TB/s in 31.6 ms, and a step takes 4 ms besides.
    """
    rates = gpu_rates(serving(1), EIGHT_B, 200, 5_000)
    assert rates.at_once == pytest.approx(164, abs=1)
    assert rates.writing == pytest.approx(164 / 0.0356, rel=0.01)  # 4,600 tokens/s
    assert rates.reading == pytest.approx(0.4 * 989e12 / 16.06e9)  # 24,600


def test_float32_halves_the_sequences_and_reads_prompts_without_tensor_cores() -> None:
    entry = serving(1).model_copy(update={"dtype": "float32"})
    size = size_of_known(KNOWN_MODELS["nvidia/Llama-3.1-Nemotron-Nano-8B-v1"], "float32")
    rates = gpu_rates(entry, size, 200, 5_000)
    # 41.97 GB hold 59 sequences of 708 MB; 74.1 GB are read in 31.6 ms.
    assert rates.at_once == pytest.approx(59.3, abs=0.5)
    assert rates.writing == pytest.approx(59.3 / 0.0356, rel=0.01)  # 1,660 tokens/s
    assert rates.reading == pytest.approx(0.4 * 67e12 / 16.06e9)


def test_votes_of_a_trace_share_its_prompt_in_the_cache() -> None:
    alone = gpu_rates(serving(1), EIGHT_B, 6_000, 1_200)
    shared = gpu_rates(serving(1), EIGHT_B, 6_000, 1_200, each=5)
    # 6,000 + 600 tokens each, and 1,200 + 600
    assert alone.at_once == pytest.approx(67.1, abs=0.1)
    assert shared.at_once / alone.at_once == pytest.approx(6_600 / 1_800)


def test_max_num_seqs_bounds_a_step() -> None:
    entry = serving(1).model_copy(update={"max_num_seqs": 8})
    assert gpu_rates(entry, EIGHT_B, 200, 500).at_once == 8


def trained(**changes: Any) -> TrainParams:
    """Return parameters for 8B at 8,192 tokens as in the paper, on one GPU."""
    wanted = {
        "max_length": 8_192,
        "bf16": True,
        "gradient_checkpointing": True,
        **changes,
    }
    return params_with(lambda p: p["train"].update(wanted)).train


def hours_of_training(train: TrainParams, pairs: int) -> float:
    return costs.training_hours(train, pairs, 20_000, EIGHT_B, 1e15)


def test_a_full_pair_of_8b_takes_1_1_petaflop_and_the_reference_a_quarter_of_that() -> None:
    assert costs.training_tokens(trained(), pairs=1, side=20_000) == 2 * 8_192
    seconds = hours_of_training(trained(), pairs=1) * 3_600
    assert seconds == pytest.approx(1.1 * 1.25, rel=0.01)
    alone = hours_of_training(trained(method="sft"), pairs=2) * 3_600  # two sides
    assert alone == pytest.approx(1.1, rel=0.01)
    kto = hours_of_training(trained(method="kto"), pairs=1) * 3_600  # a mismatched completion too
    assert kto == pytest.approx(1.1 * 1.5, rel=0.01)


def test_steps_do_not_depend_on_the_pairs_and_each_evaluation_reads_the_held_out_ones() -> None:
    rule = {"held_out": 0.1, "eval_steps": 10, "patience": 2, "min_improvement": 0.01}
    method = {"num_train_epochs": None, "max_steps": 20}
    dpo = params_with().train.dpo.model_dump() | method
    train = trained(
        dpo=dpo,
        per_device_train_batch_size=5,
        gradient_accumulation_steps=2,
        lr_scheduler_type="constant_with_warmup",
        early_stopping=rule,
    )
    assert costs.num_evaluations(train, 90) == 4
    # 20 steps of 10 pairs; the reference of 100 and 4 evaluations of 10 take a quarter of that.
    pair = hours_of_training(trained(method="sft"), pairs=2)
    assert hours_of_training(train, 100) == pytest.approx((200 + 25 + 10) * pair)


def test_sft_sees_one_side_of_a_pair_and_the_others_both() -> None:
    assert costs.training_tokens(trained(method="sft"), pairs=10, side=100) == 10 * 100
    assert costs.training_tokens(trained(method="kto"), pairs=10, side=100) == 20 * 100


def test_pairs_are_those_selected_or_k_or_all_possible() -> None:
    assert costs.pairs_to_train(Workspace(params_with(), {})) == (params_with().selector.k, "exact")

    def change(content: dict[str, Any]) -> None:
        content["selector"] |= {"mode": "all", "k": None}
        content["pairing"] |= {"per_problem": 2, "problems": None}

    assert costs.pairs_to_train(Workspace(params_with(change), {})) == (32, "at most")


LAPTOP = validate("", Params, read_all(ROOT / "params.yaml"))


def hours_of(stage: str, name: str, to_ask: int, hours: float | None) -> Cost:
    asked = RequestGroup(stage, name, MODEL, 1, 48, to_ask, 0, "exact")
    return Cost(asked, None, hours, None)


def test_the_wall_time_adds_the_starts_of_engines_and_the_other_stages() -> None:
    requests = [
        hours_of("generate", "zero-shot", 5, 0.5),
        hours_of("evaluate", "policy sums", 5, 0.25),  # one engine for both benchmarks
        hours_of("evaluate", "policy products", 5, 0.25),
        hours_of("evaluate", "zero-shot sums", 0, 0.0),  # all cached: no engine
    ]
    training = costs.TrainingCost(4, "exact", hours=1.0)
    time = costs.wall_time(LAPTOP, 10, requests, [training])
    assert time is not None
    assert (time.engines, time.others) == (2, 8)
    assert time.hours * 3_600 == pytest.approx(2 * 3_600 + 2 * 28 + 8 * 4)


def test_the_wall_time_is_unknown_with_a_part_or_at_a_server() -> None:
    unknown = [hours_of("generate", "zero-shot", 5, None)]
    assert costs.wall_time(LAPTOP, 10, unknown, []) is None
    known = [hours_of("generate", "zero-shot", 5, 0.5)]
    assert costs.wall_time(params_with(), 10, known, []) is None  # its models are at a server
    assert costs.wall_time(LAPTOP, 0, known, []) is None  # DVC did not say what runs


VLLM = params_with().engine.vllm.model_copy(update={"gpu_memory_utilization": 0.9})


def serving(gpus: int) -> Any:
    changes = {"max_model_len": 32_768, "tensor_parallel_size": gpus, "dtype": "bfloat16"}
    changes |= {"max_num_seqs": 256}
    return params_with().serving[MODEL].model_copy(update=changes)


def test_memory_is_weights_and_one_reply_on_the_gpus_that_share_them() -> None:
    size = size_of_known(KNOWN_MODELS["simplescaling/s1.1-32B"], "bfloat16")
    # 65.5 GB are 61.0 GiB, and 32,768 tokens of 256 KiB are 8 GiB; 0.9 x 80 - 3 = 69 GiB.
    assert resources.serving_fit(serving(1), size, H100, VLLM).message == (
        "does not fit: tensor_parallel_size 2 or more"
    )
    fit = resources.serving_fit(serving(2), size, H100, VLLM)
    assert (fit.fits, fit.message) == (True, "fits, 9 full replies at once")
    small = Gpu(gib=6, tflops=100)
    assert (
        resources.serving_fit(serving(2), size, small, VLLM).message == "does not fit: over 16 GPUs"
    )


def test_gpt_oss_is_as_large_as_its_packed_files() -> None:
    size = size_of_known(KNOWN_MODELS["openai/gpt-oss-120b"], "bfloat16")
    assert (size.weights, size.on_disk, size.active) == (65.3e9, 65.3e9, 5.1e9)


LORA = {"r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]}
EIGHT_WAYS = {"num_processes": 8, "fsdp": True}


@pytest.mark.parametrize(
    ("changes", "gib", "words"),
    [
        # 2 x 2 x 8,192 tokens: 47 GiB on each of eight GPUs, 15 of them shards
        (EIGHT_WAYS, 80, "fits: 15.0 and 31.9 for 32,768 tokens"),
        (EIGHT_WAYS, 50, "fits"),
        (EIGHT_WAYS, 40, "does not fit: per_device_train_batch_size: 1"),
        ({}, 80, "does not fit: per_device_train_batch_size: 1, fsdp with num_processes: 2"),
        ({"lora": LORA}, 80, "fits: 30.0 and"),
        ({"lora": LORA}, 24, "does not fit: a smaller model or max_length"),
        ({"per_device_train_batch_size": 1}, 141, "fits: 119.7 and"),
        ({"optim": "adamw_8bit", "per_device_train_batch_size": 1}, 141, "fits: 74.8 and"),
    ],
)
def test_training_fits_with_its_longest_batch_or_says_what_would(
    changes: dict[str, Any], gib: float, words: str
) -> None:
    size = EIGHT_B._replace(shape=SHAPES["nvidia/Llama-3.1-Nemotron-Nano-8B-v1"])
    train = trained(**{"per_device_train_batch_size": 2} | changes)
    fit = resources.training_fit(train, size, Gpu(gib, 989))
    assert fit.message.startswith(words)
    assert fit.fits == fit.message.startswith("fits")


def test_a_model_of_unknown_shape_fits_by_what_it_keeps() -> None:
    fit = resources.training_fit(trained(), EIGHT_B, Gpu(141, 989))
    assert fit == (True, "120 GiB besides activations, whose size is not known")


def test_a_checkpoint_has_fp32_weights_and_two_moments() -> None:
    rule = {"held_out": 0.1, "eval_steps": 2, "patience": 2, "min_improvement": 0.01}
    assert resources.checkpoint_bytes(trained(), EIGHT_B) == pytest.approx(192.72e9)
    assert resources.checkpoint_bytes(
        trained(early_stopping=rule, lr_scheduler_type="constant_with_warmup"), EIGHT_B
    ) == pytest.approx(289.08e9)


def test_weights_are_counted_from_the_headers_of_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_weights(folder, {"a": ("BF16", [10, 4]), "b": ("F32", [7])})
    size = size_of_folder(folder, "float32")
    assert size is not None
    # 2 x 3 layers x 2 heads x 8 numbers, in 4 bytes
    assert (size.parameters, size.weights, size.kv_bytes) == (47, 188, 384)
    shutil.rmtree(folder)
    write_weights(folder, {"packed": ("U8", [10])})
    assert size_of_folder(folder, "bfloat16") is None
    assert size_of_folder(tmp_path / "none", "bfloat16") is None


@pytest.mark.usefixtures("workspace")
def test_an_unknown_model_has_no_size() -> None:
    hub = {"hub": {"repository": "who/knows", "revision": "0" * 40, "code": False}}
    params = params_with(lambda p: p["models"].update({MODEL: hub}))
    shutil.rmtree(paths.model(MODEL))
    unknown = sizes(params)
    assert unknown == {MODEL: None, "policy": None}
    part = render_requirements.memory_section(params, [], unknown, H100, trains=True)
    assert part.not_checked == [f"memory for {MODEL}: its size is known once it is fetched"]


def test_a_model_trained_on_worked_solutions_takes_the_hours_of_its_steps() -> None:
    # warm of the laptop profile: 12 steps of 4 rows with 200 tokens at most, 135M parameters.
    warm = LAPTOP.sft_models["warm"]
    known = sizes(LAPTOP)["warm"]
    assert known is not None
    (cost,) = sft_costs(
        Workspace(LAPTOP, {"sft@early": Stage("sft@early", (), (), data_changed=False)}),
        {"warm": known},
        H100,
    ).values()
    assert warm.max_problems == cost.pairs == 48
    assert cost.tokens == 12 * 4 * (65 + 50)
    flop = 6 * 1.05 * known.parameters * cost.tokens
    assert cost.hours == pytest.approx(flop / 9e10 / 3_600)
