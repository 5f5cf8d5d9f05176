"""Run batches without padding: one row of real tokens, attention within each sequence.

TRL 1.16 pads a batch of pairs to its longest trace, and padding costs as much as real tokens.
Here the model removes the padding and puts the log-probabilities back in their places. So the loss
of every trainer, and the reference, is the same up to rounding.

Private names of Transformers 5.19 that are used here:

- `integrations.sdpa_attention.sdpa_attention_forward` computes each sequence, as in the original.
- `_attn_implementation`, `_supports_attention_backend` and `_is_stateful` say whether attention can
  be replaced. There are no public properties for them.
- `model.forward` is replaced, as `add_fused_lm_head` does, because trainers call the model itself.

All can go when DPOTrainer and KTOTrainer have a working `padding_free`, as SFTTrainer has, that
also runs on CPUs.
"""

import functools
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION = "sdpa_in_each_sequence"


def _attend(
    module: Any,
    query: torch.Tensor,  # 1 x heads x tokens x width, as are key and value
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: None,
    *,
    lengths: list[int],
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Compute causal attention, one sequence after the other.

    Transformers would mask packed sequences by a matrix of all tokens by all tokens. In long rows
    that is more work than padding, and it prevents flash attention on a GPU.
    """
    sequences = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = [sdpa_attention_forward(module, *qkv, None, **options)[0] for qkv in sequences]
    return torch.cat(outputs, dim=1), None


def enable_padding_free(model: Any) -> bool:
    """Make `model` run every batch padding-free. Requires TRL's fused LM head.

    Return False, and change nothing, if the architecture is unsupported. Supported are models whose
    tokens interact only by causal attention over all earlier tokens: convolutions and recurrent
    states would leak from one sequence into the next, and windows need a mask.
    """
    config = model.config.get_text_config()
    layer_types = set(getattr(config, "layer_types", None) or ["full_attention"])
    if (
        config._attn_implementation != "sdpa"
        or not model._supports_attention_backend
        or model._is_stateful
        or layer_types != {"full_attention"}
        or getattr(config, "sliding_window", None) is not None
    ):
        return False
    AttentionInterface.register(ATTENTION, _attend)  # without a mask function: no mask is built
    model.set_attn_implementation(ATTENTION)
    padded_forward = model.forward

    @functools.wraps(padded_forward)
    def forward(
        *,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        **options: Any,
    ) -> Any:
        is_real = attention_mask.bool()
        lengths = is_real.sum(dim=1).tolist()
        is_first = is_real & (is_real.cumsum(dim=1) == 1)  # no token before it predicts it
        positions = torch.cat([torch.arange(length, device=is_real.device) for length in lengths])
        outputs = padded_forward(
            input_ids=input_ids[is_real][None],
            labels=labels.masked_fill(is_first, -100)[is_real][None],
            position_ids=positions[None],
            lengths=lengths,
            **options,
        )
        for name, values in outputs.items():
            if values.dim():  # a value for each token but the first, which no token predicts
                row = torch.cat([values.new_zeros(1), values[0]])
                padded = values.new_zeros(is_real.shape).masked_scatter(is_real, row)
                outputs[name] = padded[:, 1:]
        return outputs

    model.forward = forward
    return True
