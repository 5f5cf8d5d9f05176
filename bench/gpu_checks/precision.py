"""Measure what rounding does to log-probabilities in other batches, and to small updates."""

import itertools
import statistics
from collections.abc import Iterator
from typing import Any

import torch

from bench.gpu_checks import models
from bench.gpu_checks.check import Measurement, Setting
from delta.inference.reply_cache import ReplyCache
from delta.training import model_io, padding_free, reference_logps, weight_changes
from delta.training.dataset import to_trl_columns
from delta.training.logps import TokenSequence, completion_logps
from delta.training.trl_adapter import add_fused_lm_head

SEQUENCES = 32
TOGETHER = 4
PAIRS = 16
LOGIT_SD = 4.0  # as a trained model's; those of random weights are nearly equal
LEARNING_RATE = 5e-8  # the paper's


def batch_noise(setting: Setting) -> Iterator[Measurement]:
    """Yield by how many nats a sequence's log-probability depends on what is beside it."""
    shape = setting.sized(models.LLAMA_8B | {"vocab_size": 32_000}, models.TINY)
    model = models.random_model(shape, setting.sized(8, 2), setting.device)
    models.spread_logits(model, LOGIT_SD)
    add_fused_lm_head(model)
    padding_free.enable_padding_free(model)
    longest, shortest = setting.sized((700, 400), (70, 40))
    rows = models.pairs(SEQUENCES, longest, shape["vocab_size"], shortest)
    sequences = [(tuple(row["prompt_ids"]), tuple(row["chosen_ids"])) for row in rows]
    for check, bf16 in (("batch_noise_bfloat16", True), ("batch_noise_float32", False)):
        alone = _logps(model, sequences, 1, bf16)
        together = _logps(model, sequences, TOGETHER, bf16)
        differences = [a - b for a, b in zip(alone, together, strict=True)]
        details = {
            "mean": statistics.fmean(differences),
            "sd": statistics.stdev(differences),
            "sequences": SEQUENCES,
            "together": TOGETHER,
            "tokens": [shortest, longest],
        }
        yield Measurement(check, max(map(abs, differences)), details)


def _logps(model: Any, sequences: list[TokenSequence], size: int, bf16: bool) -> list[float]:
    """Return the log-probability of each completion, `size` sequences in a forward pass."""
    starts = range(0, len(sequences), size)
    batches = (completion_logps(model, sequences[n : n + size], bf16) for n in starts)
    return list(itertools.chain.from_iterable(batches))


def first_margin(setting: Setting) -> Iterator[Measurement]:
    """Yield the spread of the margin of pairs before the first update, in nats."""
    from delta.training import first_margin as margins

    shape = setting.sized(models.LLAMA_8B | {"vocab_size": 32_000}, models.TINY)
    base = setting.folder / "first-margin"
    longest, shortest = setting.sized((700, 400), (70, 40))
    params = models.train_params(setting, per_device_train_batch_size=2, max_length=longest)
    rows = models.pairs(PAIRS, longest, shape["vocab_size"], shortest)
    layers = setting.sized(4, 2)
    fingerprint = models.write_model(base, shape, layers, setting.device, LOGIT_SD)
    with ReplyCache(setting.folder / "first-margin-logps") as cache:
        rows = to_trl_columns(params, rows)
        reference_logps.add_reference(params, rows, base, fingerprint, cache, models.no_progress)
    params = params.model_copy(update={"gradient_accumulation_steps": PAIRS // 2})
    model = model_io.load(base, params.dtype)
    trainer = models.trainer(params, model, rows, setting.folder, max_steps=1)
    trainer.train()
    margin = margins.find(trainer.state.log_history)[margins.KEY]
    yield Measurement("first_margin", margin["sd"], margin | {"tokens": [shortest, longest]})


def update(setting: Setting) -> Iterator[Measurement]:
    """Yield the shares of an update at the paper's rate that float32 and bfloat16 weights keep."""
    shape = setting.sized(models.LLAMA_1B, models.TINY)
    model = models.random_model(shape, 2, setting.device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())  # as every base that is stored in bfloat16
    folders = setting.folder / "before", setting.folder / "after"
    model.save_pretrained(folders[0])
    steps = setting.sized(24, 8)
    params = models.train_params(
        setting,
        dpo={"learning_rate": LEARNING_RATE},
        max_length=setting.sized(512, 64),
        lr_scheduler_type="constant_with_warmup",
    )
    rows = models.pairs(2 * steps, params.max_length, shape["vocab_size"])
    trainer = models.trainer(params, model, rows, setting.folder, max_steps=steps)
    trainer.train()
    trainer.model.save_pretrained(folders[1])
    changes = weight_changes.compare(*folders)
    details = {"steps": steps, "learning_rate": LEARNING_RATE, **changes}
    yield Measurement("update_in_float32", changes["weights_changed"]["float32"], details)
    yield Measurement("update_in_bfloat16", changes["update_served"]["bfloat16"])
