"""Tiny random models that replace the paper's families, each with its own chat format.

The templates are ours. For system, user and assistant turns they render what the families' own
templates render. Like Nemotron's, they drop the reasoning of earlier assistant turns.
"""

from pathlib import Path
from typing import NamedTuple

from tests.helpers.tiny_models import write_byte_tokenizer, write_weights


class Family(NamedTuple):
    chat_format: str  # a name in delta/prompts/chat_formats.yaml
    architecture: str  # in transformers
    special: tuple[str, ...]  # the last one ends a turn
    template: str


CHATML = """{%- if messages[0].role != 'system' -%}
<|im_start|>system
You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}"""

# Earlier turns of the assistant lose their reasoning; the last one gets a span, even an empty one.
QWEN3 = """{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' -}}
{%- if message.role == 'assistant' -%}
{%- set parts = message.content.split('</think>') -%}
{%- if loop.last -%}
{{ '<think>\n' + parts[0].split('<think>')[-1].strip('\n') if parts | length > 1 -}}
{{ '<think>\n' if parts | length == 1 }}{{ '\n</think>\n\n' -}}
{%- endif -%}
{{ parts[-1].lstrip('\n') -}}
{%- else -%}
{{ message.content -}}
{%- endif -%}
{{ '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' -}}
{{ '<think>\n\n</think>\n\n' if enable_thinking is defined and enable_thinking is false -}}
{%- endif -%}"""

HEADERS = """{{ '<|begin_of_text|>' -}}
{%- if messages[0].role != 'system' -%}
{{ '<|start_header_id|>system<|end_header_id|>\n\n<|eot_id|>' -}}
{%- endif -%}
{%- for message in messages -%}
{%- set content = message.content -%}
{%- if message.role == 'assistant' and '</think>' in content -%}
{%- set content = content.split('</think>')[-1].lstrip() -%}
{%- endif -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + content | trim -}}
{{ '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%}"""

DATED_HEADERS = """{{ '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n' -}}
{{ 'Cutting Knowledge Date: December 2023\nToday Date: ' + strftime_now('%d %b %Y') -}}
{{ '\n\n<|eot_id|>' -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim -}}
{{ '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%}"""

CHANNELS = """{{ '<|start|>system<|message|>' -}}
{{ 'You are ChatGPT, a large language model trained by OpenAI.' -}}
{{ '\nKnowledge cutoff: 2024-06\nCurrent date: ' + strftime_now('%Y-%m-%d') -}}
{{ '\n\nReasoning: ' + reasoning_effort | default('medium') -}}
{{ '\n\n# Valid channels: analysis, commentary, final.' -}}
{{ ' Channel must be included for every message.<|end|>' -}}
{%- for message in messages -%}
{{ '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start|>assistant' -}}
{%- endif -%}"""

LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
HARMONY = ("<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|end|>", "<|return|>")
FAMILIES = {
    "plain": Family("plain", "Llama", ("<|im_start|>", "<|im_end|>"), CHATML),
    "plain-no-system": Family("plain-no-system", "Llama", ("<|im_start|>", "<|im_end|>"), CHATML),
    "s1": Family("s1", "Qwen2", ("<|im_start|>", "<|im_end|>"), CHATML),
    "qwen3": Family("qwen3", "Qwen3", ("<|im_start|>", "<|im_end|>"), QWEN3),
    "qwen3-off": Family("qwen3-off", "Qwen3", ("<|im_start|>", "<|im_end|>"), QWEN3),
    "nemotron": Family("nemotron", "Llama", LLAMA3, HEADERS),
    "nemotron-off": Family("nemotron-off", "Llama", LLAMA3, HEADERS),
    "nemotron-v1.5": Family("nemotron-v1.5", "Llama", LLAMA3, HEADERS),
    "gpt-oss": Family("gpt-oss", "Llama", HARMONY, CHANNELS),
    "llama": Family("llama", "Llama", LLAMA3, DATED_HEADERS),
}


def write_tokenizer(folder: Path, family: str) -> int:
    """Write a byte tokenizer with the family's tokens and template; return its size."""
    return write_byte_tokenizer(folder, FAMILIES[family].special, FAMILIES[family].template)


def write_model_family(folder: Path, family: str, seed: int = 0) -> str:
    """Write a two-layer model with random weights; return the folder's fingerprint."""
    size, eos = write_tokenizer(folder, family), len(FAMILIES[family].special)
    return write_weights(folder, FAMILIES[family].architecture, size, eos=eos, hidden=64, seed=seed)
