"""Models with random weights, rows of random tokens and parameters of training for the checks."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.gpu_checks.check import Setting
from delta.core import params
from delta.core.types import Row
from delta.training.config import TrainParams

PROFILE = Path("profiles/paper.yaml")
CPU_PROFILE = Path("profiles/smoke.yaml")
LLAMA_8B = {  # Llama-3.1-8B and Nemotron-8B, whose 32 layers do not fit one GPU in training
    "hidden_size": 4_096,
    "intermediate_size": 14_336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "max_position_embeddings": 8_192,
}
LLAMA_1B = LLAMA_8B | {  # Llama-3.2-1B but for its vocabulary
    "hidden_size": 2_048,
    "intermediate_size": 8_192,
    "vocab_size": 32_000,
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 512,
    "max_position_embeddings": 4_096,
}
LAYERS_8B = 32


def config(shape: dict[str, Any], layers: int) -> Any:
    """Return the configuration of a Llama of this width with so many layers."""
    from transformers import LlamaConfig

    return LlamaConfig(
        **shape, num_hidden_layers=layers, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )


def random_model(shape: dict[str, Any], layers: int, device: str) -> Any:
    """Return a model with random float32 weights on the device."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        return LlamaForCausalLM(config(shape, layers))


def spread_logits(model: Any, deviation: float) -> None:
    """Scale the head so that logits have about this standard deviation."""
    import torch

    deviations = 0.02 * model.config.hidden_size**0.5  # of Transformers' random weights
    with torch.no_grad():
        model.lm_head.weight.mul_(deviation / deviations)


def write_model(
    folder: Path,
    shape: dict[str, Any],
    layers: int,
    device: str = "cpu",
    logit_deviation: float | None = None,
) -> str:
    """Write a model folder with a byte tokenizer; return its fingerprint."""
    from delta.core import fingerprint
    from tests.helpers import tiny_models

    tiny_models.write_byte_tokenizer(folder, ("<|im_start|>", "<|im_end|>"), tiny_models.TEMPLATE)
    model = random_model(shape, layers, device)
    if logit_deviation is not None:
        spread_logits(model, logit_deviation)
    model.save_pretrained(folder)
    return fingerprint.write_fingerprint(folder, "random weights")


def train_params(setting: Setting, **changes: Any) -> TrainParams:
    """Return the paper profile's training by DPO in one process, with changes.

    Dictionaries are merged.
    """
    values: dict[str, Any] = params.read_all(PROFILE)["train"]
    own = {
        "method": "dpo",
        "gradient_accumulation_steps": 1,
        "num_processes": 1,
        "fsdp": False,
        "early_stopping": None,
        "warmup_steps": 0.0,
        "max_length": setting.sized(8_192, 256),
    }
    for name, value in (own | changes).items():
        old = values[name]
        values[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    return params.validate("train", TrainParams, values)


def pairs(number: int, length: int, vocabulary: int, shortest: int = 0) -> list[Row]:
    """Return rows of pairs whose sides have `length` tokens with their prompt.

    With `shortest`, lengths lie between the two, evenly.
    """
    draw = random.Random(0)
    prompt = min(64, (shortest or length) // 4)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(3, vocabulary) for _ in range(count)]

    def side() -> int:
        return draw.randint(shortest, length) if shortest else length

    return [
        {
            "pair_id": f"p{place}",
            "problem_id": f"q{place}",
            "prompt_ids": tokens(prompt),
            "chosen_ids": tokens(side() - prompt),
            "rejected_ids": tokens(side() - prompt),
        }
        for place in range(number)
    ]


def trainer(
    train_params: TrainParams, model: Any, rows: list[Row], folder: Path, **options: Any
) -> Any:
    """Return the project's DPO trainer; `options` change its TRL config. Nothing is saved.

    Rows without reference log-probabilities get invented ones.
    """
    import datasets
    from transformers.trainer_callback import PrinterCallback

    from delta.training import model_io
    from delta.training.dataset import to_trl_columns
    from delta.training.trl_adapter import TRAINERS, trl_config
    from tests.helpers import tiny_models

    special = ("<|im_start|>", "<|im_end|>")
    tiny_models.write_byte_tokenizer(folder / "tokenizer", special, tiny_models.TEMPLATE)
    arguments = trl_config(train_params, folder / "checkpoints")
    arguments.save_strategy = "no"
    for name, value in options.items():
        setattr(arguments, name, value)
    reference = {"ref_chosen_logps": -10.0, "ref_rejected_logps": -10.0}
    has_reference = "ref_chosen_logps" in rows[0]
    columns = (
        rows if has_reference else [row | reference for row in to_trl_columns(train_params, rows)]
    )
    dpo_trainer = TRAINERS["dpo"](
        model=model,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(columns),
        processing_class=model_io.load_tokenizer(folder / "tokenizer"),
    )
    dpo_trainer.remove_callback(PrinterCallback)
    return dpo_trainer


def no_progress(items: Iterable[Any], _total: int) -> Iterator[Any]:
    """Show no progress."""
    return iter(items)
