"""An engine that answers with the prompt."""

from collections.abc import Iterable, Iterator

from delta.inference.types import Reply, Request


def make_request(prompt: str, sample: int = 0) -> Request:
    return Request("model", "engine", prompt, 0.7, 1.0, 16, 1, sample)


class Echo:
    """An engine that answers with the prompt, and records the prompts."""

    def __init__(self, stop_after: int = 1_000) -> None:
        self.prompts: list[str] = []
        self.stop_after = stop_after

    def __call__(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        for request in requests:
            if len(self.prompts) == self.stop_after:
                raise ConnectionError("the engine died")
            self.prompts.append(request.prompt)
            yield request, Reply(f"re: {request.prompt}", "stop", 1, 2)
