"""No padding: a batch as one row of real tokens, attention within each sequence.

A batch of pairs is padded to its longest trace, and what stands there costs as much as real tokens.
TRL 1.16 has no way around it for DPO and KTO. Here the model itself takes the padding out and puts
the log-probabilities back in their places, so every trainer's loss, and the reference's, is the
same to rounding.
"""

import functools
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION = "sdpa_in_each_sequence"


def _attend(
    module: Any,
    query: torch.Tensor,  # 1 × heads × tokens × width, as key and value
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: None,
    *,
    lengths: list[int],
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention, one sequence after the other.

    transformers would mask a row of packed sequences by a matrix of all tokens by all: more work
    than padding where the row is long, and on a GPU no flash attention.
    """
    sequences = zip(*(one.split(lengths, dim=2) for one in (query, key, value)), strict=True)
    seen = [sdpa_attention_forward(module, *each, None, **options)[0] for each in sequences]
    return torch.cat(seen, dim=1), None


AttentionInterface.register(ATTENTION, _attend)  # without a mask function: no mask is made


def enable_padding_free(model: Any) -> bool:
    """From every batch that `model`, which has TRL's fused head, is given; whether it can be done.

    Attention must be all that looks at other tokens, and at all before: convolutions and recurrent
    states would run on from one sequence into the next, windows need a mask.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if (
        config._attn_implementation != "sdpa"
        or not model._supports_attention_backend
        or model._is_stateful
        or kinds != {"full_attention"}
        or getattr(config, "sliding_window", None) is not None
    ):
        return False
    model.set_attn_implementation(ATTENTION)
    fused = model.forward

    @functools.wraps(fused)
    def forward(
        *,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        **others: Any,
    ) -> Any:
        real = attention_mask.bool()
        lengths = real.sum(dim=1).tolist()
        first = real & (real.cumsum(dim=1) == 1)  # predicted by nothing before it
        places = torch.cat([torch.arange(length, device=real.device) for length in lengths])
        found = fused(
            input_ids=input_ids[real][None],
            labels=labels.masked_fill(first, -100)[real][None],
            position_ids=places[None],
            lengths=lengths,
            **others,
        )
        for name, each in found.items():
            if each.dim():  # one for each token but the row's first, which nothing predicts
                row = torch.cat([each.new_zeros(1), each[0]])
                found[name] = each.new_zeros(real.shape).masked_scatter(real, row)[:, 1:]
        return found

    model.forward = forward
    return True
