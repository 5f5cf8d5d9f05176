"""Data Designer: one LLM text column over a seed table of prompts."""

import json
from pathlib import Path

import data_designer.config as dd
from data_designer.interface import DataDesigner

from bench import peers


def ask(url: str, prompts: list[str], folder: Path) -> list[str]:
    folder.mkdir()
    seeds = folder / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts))
    provider = dd.ModelProvider(name="local", endpoint=url, api_key="none")
    sampling = dd.ChatCompletionInferenceParams(
        max_parallel_requests=peers.CONCURRENCY, **peers.SAMPLING
    )
    model = dd.ModelConfig(
        alias="m",
        model="m",
        provider="local",
        inference_parameters=sampling,
        skip_health_check=True,
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(seeds)))
    builder.add_column(dd.LLMTextColumnConfig(name="text", model_alias="m", prompt="{{ prompt }}"))
    designer = DataDesigner(artifact_path=folder, model_providers=[provider])
    table = designer.create(builder, num_records=len(prompts)).load_dataset()
    texts = dict(zip(table["prompt"], table["text"], strict=True))
    return [texts[prompt] for prompt in prompts]


if __name__ == "__main__":
    peers.measure(ask)
