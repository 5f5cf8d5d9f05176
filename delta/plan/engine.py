"""Prompts as vLLM's stages render them, by the tokenizer alone: no torch, no weights."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from delta.core.schemas import Message
from delta.inference.engine import Engine
from delta.inference.types import Reply, Request


class Renderer:
    """An engine that answers nothing."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.name = engine.name
        self.chat_format = engine.chat_format
        self.folder = folder
        self._tokenizer: Any = None

    @property
    def tokenizer(self) -> Any:
        if self._tokenizer is None:
            # AutoTokenizer renders the same but imports torch, which takes ten seconds.
            from transformers import PreTrainedTokenizerFast

            self._tokenizer = PreTrainedTokenizerFast.from_pretrained(self.folder)
        return self._tokenizer

    def render(self, messages: list[Message]) -> str:
        return self.chat_format.render(self.tokenizer, messages)

    def num_tokens(self, text: str) -> int | None:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        raise NotImplementedError("a plan asks nobody")
