"""A tiny judge for vLLM's CPU engine: GPT-OSS's markers and template, two random Llama layers."""

from pathlib import Path

from delta.core import fingerprint
from tests.helpers.tiny_model_families import FAMILIES, write_tokenizer


def write_judge(folder: Path) -> str:
    """Write the model and return its fingerprint. vLLM's CPU attention needs heads of 32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = write_tokenizer(folder, "gpt-oss")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=len(FAMILIES["gpt-oss"].special),
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return fingerprint.write_fingerprint(folder, "tiny judge")
