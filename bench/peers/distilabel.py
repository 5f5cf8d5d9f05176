"""distilabel: a pipeline of one TextGeneration over an OpenAILLM, with its cache."""

from pathlib import Path

from distilabel.models.llms import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps.tasks import TextGeneration

from bench import peers


def ask(url: str, prompts: list[str], folder: Path) -> list[str]:
    sampling = {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 16}
    with Pipeline(name="requests", cache_dir=folder / "cache") as pipeline:
        TextGeneration(
            llm=OpenAILLM(model="m", base_url=url, api_key="none", generation_kwargs=sampling),
            input_batch_size=peers.CONCURRENCY,
        )
    rows = [{"number": number, "instruction": text} for number, text in enumerate(prompts)]
    outputs = pipeline.run(dataset=rows, dataset_batch_size=500)
    train = sorted(outputs["default"]["train"], key=lambda row: row["number"])
    return [row["generation"] for row in train]


if __name__ == "__main__":
    peers.measure(ask)
