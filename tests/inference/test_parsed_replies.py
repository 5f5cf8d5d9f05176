"""Replies that do not parse are requested again, up to a number of attempts."""

from collections.abc import Iterable, Iterator

from delta.inference import chat_formats
from delta.inference.parsed_replies import ParseFailure, generate_parsed
from delta.inference.types import Reply, Request


def request(prompt: str) -> Request:
    return Request("weights", "toy", prompt, 0.0, 1.0, 99, 4, 0)


def parse(_reply: Reply, answer: str | None) -> int | ParseFailure:
    return int(answer) if answer and answer.isdigit() else ParseFailure("no number")


def test_only_replies_that_do_not_parse_are_requested_again() -> None:
    batches: list[list[tuple[str, int]]] = []

    def generate(requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        batch = list(requests)
        batches.append([(each.prompt, each.attempt) for each in batch])
        for each in reversed(batch):  # engines reply in any order
            text = "7" if each.prompt == "x" or each.attempt == 1 else "seven"
            yield each, Reply("?" if each.prompt == "z" else text, "stop", 1, 1)

    requests = [(key, request(key[0])) for key in ("x", "y", "y again", "z")]
    parsed = generate_parsed(requests, generate, chat_formats.load("plain"), parse, 3)
    values, failures, attempts = parsed
    assert values == {"x": 7, "y": 7, "y again": 7}
    assert failures == {"no number": 5}  # one for each y, three for z
    assert attempts == 3
    assert batches == [
        [("x", 0), ("y", 0), ("y", 0), ("z", 0)],
        [("y", 1), ("y", 1), ("z", 1)],
        [("z", 2)],
    ]
