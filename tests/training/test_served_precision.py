"""A policy is not served in a dtype that rounds its training away, nor unlike its base."""

import copy
from typing import Any

import pytest

from delta.check import check_content
from delta.core.errors import InputError
from tests.helpers.params_file import CONTENT

LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}


def check_with(dtypes: tuple[str, str], rate: float, method: str = "dpo", **train: Any) -> None:
    """Check the committed file with dtypes of base and policy and a learning rate of `method`."""
    content = copy.deepcopy(CONTENT)
    content["serving"]["warm"]["dtype"], content["serving"]["policy"]["dtype"] = dtypes
    content["train"] |= {"method": method, **train}
    content["train"][method]["learning_rate"] = rate
    check_content(content, "params.yaml")


@pytest.mark.parametrize(
    ("dtype", "rate", "train", "bound"),
    [
        ("bfloat16", 5e-8, {}, "1e-05"),
        ("bfloat16", 9e-6, {}, "1e-05"),
        ("float16", 1e-6, {}, "1.25e-06"),
        ("bfloat16", 5e-8, {"method": "sft"}, "1e-05"),
        ("bfloat16", 9e-6, {"lora": LORA}, "1e-05"),  # merged adapters are rounded too
    ],
)
def test_a_dtype_that_rounds_the_update_away_is_refused(
    dtype: str, rate: float, train: dict[str, Any], bound: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_with((dtype, dtype), rate, **train)
    message = str(caught.value)
    method = train.get("method", "dpo")
    adapters = ", also of merged adapters," if "lora" in train else ""
    assert message == (
        f"params.yaml: serving.policy.dtype = '{dtype}': at train.{method}.learning_rate = {rate}"
        f" nearly all of the update{adapters} is rounded away when the policy is loaded; expected "
        f"float32 (from {bound} on it is accepted, and update_served in data/counts/train.json "
        "says what is left)"
    )


@pytest.mark.parametrize(
    ("dtype", "rate", "train"),
    [
        ("float32", 5e-8, {}),
        ("bfloat16", 1e-5, {}),
        ("float16", 2e-6, {}),
        ("bfloat16", 1e-5, {"lora": LORA}),
        ("bfloat16", 1e-5, {"method": "sft"}),  # dpo's own rate is not read
    ],
)
def test_a_dtype_that_keeps_the_update_is_accepted(
    dtype: str, rate: float, train: dict[str, Any]
) -> None:
    check_with((dtype, dtype), rate, **train)


@pytest.mark.parametrize(
    "dtypes", [("bfloat16", "float32"), ("float32", "bfloat16"), ("float16", "bfloat16")]
)
def test_base_and_policy_are_compared_in_one_dtype(dtypes: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        check_with(dtypes, 1e-4)
    assert str(caught.value) == (
        f"params.yaml: serving.policy.dtype = '{dtypes[1]}': serving.warm.dtype is "
        f"'{dtypes[0]}', and evaluation.models compares the two; expected one dtype, so that the "
        "difference is not of rounding"
    )


@pytest.mark.slow
def test_vllm_has_an_attention_for_float32_on_a_gpu() -> None:
    """vLLM takes the first of its list that has the dtype; FlashAttention, its first, has not."""
    import torch
    from vllm.v1.attention.backends.registry import AttentionBackendEnum

    names = ("FLASH_ATTN", "TRITON_ATTN")
    flash, triton = (AttentionBackendEnum[name].get_class() for name in names)
    assert not flash.supports_dtype(torch.float32)
    assert triton.supports_dtype(torch.float32)
    assert triton.supports_head_size(128)  # Nemotron-8B's
