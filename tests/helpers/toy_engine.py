"""An engine without a model."""

from collections.abc import Callable, Iterable, Iterator

from delta.core.schemas import Message
from delta.inference import chat_formats
from delta.inference.types import Reply, Request, canonical_json


class ToyEngine:
    """Render messages as one JSON line, and reply to each request by `answers`."""

    name = "toy"

    def __init__(
        self,
        answers: Callable[[Request], Reply | str],
        chat_format: str = "plain",
        tokens: bool = True,
    ) -> None:
        self.answers = answers
        self.chat_format = chat_formats.load(chat_format)
        self.tokens = tokens
        self.requested: list[tuple[int, int]] = []  # (sample, attempt)

    def render(self, messages: list[Message]) -> str:
        return canonical_json(messages)

    def num_tokens(self, text: str) -> int | None:
        return len(text.split()) if self.tokens else None

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        for request in reversed(list(requests)):  # engines reply in any order
            self.requested.append((request.sample, request.attempt))
            answer = self.answers(request)
            yield request, answer if isinstance(answer, Reply) else Reply(answer, "stop", 10, 20)
