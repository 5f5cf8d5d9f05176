"""The interface of engines, which answer requests, and the choice of one for a model."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from delta.core import fingerprint
from delta.core.schemas import Message
from delta.inference.chat_formats import ChatFormat, ReasoningSpan
from delta.inference.config import EngineParams, SamplingParams, Serving, ServingParams
from delta.inference.types import Reply, Request, RequestResult


class Engine(Protocol):
    """Answers requests by one model."""

    name: str  # kind, version and number format: part of every request's key
    chat_format: ChatFormat

    def render(self, messages: list[Message]) -> str:
        """Return the prompt that a request for these messages has."""

    def num_tokens(self, text: str) -> int | None:
        """Return how many tokens the text has, or None where only a server knows."""

    def generate(self, requests: Iterable[Request]) -> Iterator[RequestResult]:
        """Yield each request with its reply or failure, in the order in which they finish."""


def open_engine(settings: EngineParams, serving: Serving, folder: Path) -> Engine:
    """Return the engine for the model in `folder`. Weights are loaded at the first request."""
    if serving.server is not None:
        from delta.inference.openai_engine import OpenAIEngine

        server = settings.servers[settings.server_of(folder.name)]
        model = fingerprint.read_served_model_name(folder) or folder.name
        return OpenAIEngine(server, serving, model)
    assert isinstance(serving, ServingParams)  # WeightlessServingParams have a server
    if settings.kind == "ray":
        from delta.inference.ray_engine import RayEngine

        return RayEngine(settings.vllm, serving, folder, settings.ray)
    from delta.inference.vllm_engine import VllmEngine

    return VllmEngine(settings.vllm, serving, folder)


def build_request(
    params: SamplingParams, engine: Engine, model: str, prompt: str, sample: int
) -> Request:
    """Return the request for reply `sample` (0-based) to a rendered prompt of a model.

    `model` is the model's fingerprint.
    """
    return Request(
        model=model,
        engine=engine.name,
        prompt=prompt,
        stop=tuple(engine.chat_format.stop),
        keep_special_tokens=engine.chat_format.keep_special_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        max_tokens=params.max_tokens,
        seed=params.seed,
        sample=sample,
    )


def read_reply(reply: Reply, chat_format: ChatFormat, prompt: str) -> tuple[str, ReasoningSpan]:
    """Return the whole text, and where its reasoning and answer are.

    Reasoning that a server has separated from the text is put back. It gets the format's markers
    or, if the format has none, a blank line after it. The answer to a judge's prompt is then its
    JSON alone.
    """
    if reply.reasoning is None:
        return reply.text, chat_format.split(reply.text, prompt)
    answer = reply.text if reply.text.strip() else None
    if chat_format.begins is not None:
        text = chat_format.write(reply.reasoning, answer)
        return text, chat_format.split(text, prompt)
    reasoning = reply.reasoning.strip()
    if answer is None:
        return reasoning, ReasoningSpan(0, len(reasoning), None)
    before = f"{reasoning}\n\n" if reasoning else ""
    return before + answer, ReasoningSpan(0, len(reasoning), len(before))
