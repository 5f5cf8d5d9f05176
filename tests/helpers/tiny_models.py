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
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|pad|>", "<|im_start|>", "<|im_end|>", *alphabet]
    model = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return fingerprint.write_fingerprint(folder, "tiny")


def train_params(**changes: Any) -> TrainParams:
    """Return the smallest valid `train` section with `changes`; dictionaries are merged."""
    own = {"learning_rate": 1e-2, "num_train_epochs": 1}
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
        "save_steps": 2,
        "logging_steps": 1,
        "seed": 7,
    }
    for name, value in changes.items():
        old = values[name]
        values[name] = old | value if isinstance(old, dict) else value
    return TrainParams.model_validate(values)
