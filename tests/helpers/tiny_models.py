"""Write a model folder like those of `fetch`, with random weights: 0.2 MB, in a second."""

from pathlib import Path
from typing import Any

from delta.core import fingerprint
from delta.training.config import TrainParams

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_model(folder: Path, seed: int = 0) -> str:
    """Write a two-layer Llama and a byte tokenizer; return the folder's fingerprint."""
    special = ("<|im_start|>", "<|im_end|>")
    size = write_byte_tokenizer(folder, special, TEMPLATE)
    return write_weights(folder, "Llama", size, eos=len(special), hidden=32, seed=seed)


def write_byte_tokenizer(folder: Path, special: tuple[str, ...], template: str) -> int:
    """Write a tokenizer of bytes and `special`, whose last token ends a turn; return its size."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<|pad|>", *special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    model = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    model.add_special_tokens(
        [AddedToken(name, special=True) for name in tokens[: 1 + len(special)]]
    )
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model, eos_token=special[-1], pad_token="<|pad|>"
    )
    tokenizer.chat_template = template
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return len(tokens)


def write_weights(
    folder: Path, architecture: str, vocabulary: int, *, eos: int, hidden: int, seed: int
) -> str:
    """Write two layers of random weights beside a tokenizer; return the folder's fingerprint.

    vLLM's CPU attention needs heads of 32, so `hidden` is at least 64 there.
    """
    import torch
    import transformers

    torch.manual_seed(seed)
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16_384,  # the paper profile's longest prompts
        bos_token_id=1,
        eos_token_id=eos,
        pad_token_id=0,
    )
    getattr(transformers, f"{architecture}ForCausalLM")(config).save_pretrained(folder)
    return fingerprint.write_fingerprint(folder, "tiny")


def train_params(**changes: Any) -> TrainParams:
    """Return the smallest valid `train` section with `changes`; dictionaries are merged."""
    own = {"learning_rate": 1e-2, "num_train_epochs": 1, "max_steps": None}
    values: dict[str, Any] = {
        "base": "tiny",
        "method": "dpo",
        "dpo": own | {"beta": 0.5},
        "kto": own | {"beta": 0.5, "desirable_weight": 1.0, "undesirable_weight": 1.0},
        "sft": own,
        "reasoning_markers": "policy",
        "max_length": 256,
        "truncation": True,
        "max_dropped": 1.0,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "optim": "adamw_torch",
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.0,
        "max_grad_norm": 1.0,
        "lora": None,
        "bf16": False,
        "dtype": "float32",
        "gradient_checkpointing": False,
        "num_processes": 1,
        "fsdp": False,
        "early_stopping": None,
        "save_minutes": 0,
        "logging_steps": 1,
        "seed": 7,
    }
    for name, value in changes.items():
        old = values[name]
        values[name] = old | value if isinstance(old, dict) else value
    return TrainParams.model_validate(values)
