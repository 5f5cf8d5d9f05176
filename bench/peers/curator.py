"""curator: an LLM with the OpenAI backend, without its limits on requests and tokens."""

from pathlib import Path
from typing import Any

import litellm.litellm_core_utils.default_encoding  # noqa: F401 - points tiktoken at litellm's own files
from bespokelabs import curator
from datasets import Dataset

from bench import peers

UNLIMITED = 1_000_000_000  # a minute


class PromptLLM(curator.LLM):
    def prompt(self, input: Any) -> Any:
        return input["prompt"]

    def parse(self, input: Any, response: Any) -> Any:
        return {"number": input["number"], "text": response}


def ask(url: str, prompts: list[str], folder: Path) -> list[str]:
    model = PromptLLM(
        model_name="m",
        backend="openai",
        generation_params=peers.SAMPLING,
        backend_params={
            "base_url": url,
            "api_key": "none",
            "max_requests_per_minute": UNLIMITED,
            "max_tokens_per_minute": UNLIMITED,
            "max_concurrent_requests": peers.CONCURRENCY,
        },
    )
    rows = Dataset.from_list([{"number": n, "prompt": text} for n, text in enumerate(prompts)])
    replies = model(rows, working_dir=str(folder)).dataset
    return [row["text"] for row in sorted(replies, key=lambda row: row["number"])]


if __name__ == "__main__":
    peers.measure(ask)
