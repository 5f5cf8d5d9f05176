"""datatrove: an InferenceRunner that calls an endpoint, by default without its checkpoints.

With them every reply would be on disk before the next, as ours are; that is several times slower.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.writers import JsonlWriter

from bench import peers


async def rollout(document: Document, generate: Any) -> Any:
    messages = [{"role": "user", "content": document.text}]
    return await generate({"messages": messages, **peers.SAMPLING})


def ask(url: str, prompts: list[str], folder: Path) -> list[str]:
    config = InferenceConfig(
        server_type="endpoint",
        endpoint_url=url.removesuffix("/v1"),
        model_name_or_path="m",
        max_concurrent_generations=peers.CONCURRENCY,
        server_ready_delay_sec=0.01,
    )
    runner = InferenceRunner(rollout, config, JsonlWriter(str(folder / "out")))
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(prompts)]
    LocalPipelineExecutor([documents, runner], logging_dir=str(folder / "logs")).run()
    texts = {}
    for file in (folder / "out").glob("*.jsonl.gz"):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                texts[row["id"]] = row["metadata"]["rollout_results"][0]["text"]
    return [texts[str(number)] for number in range(len(prompts))]


if __name__ == "__main__":
    peers.measure(ask)
