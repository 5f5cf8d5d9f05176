"""However vLLM ends a request, in this process or in a replica, it costs only that request.

The engine here is scripted, since the real one breaks off no request when asked to; what it takes
and gives has the shape of vLLM's LLMEngine.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from delta.core.errors import IncompleteError
from delta.inference import vllm_engine
from delta.inference.ray_engine import VllmActor
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Failure, Reply, Request
from delta.inference.vllm_engine import MAX_ATTEMPTS, VllmEngine
from tests.helpers.engine_settings import SERVING, VLLM

ALWAYS = 99
Ends = dict[str, tuple[str | None, int]]  # prompt → (how it ends, how often before it succeeds)


class ScriptedEngine:
    """Ends one request per step, as `ends` says."""

    def __init__(self, ends: Ends, prompts: dict[str, str]) -> None:
        self.ends = ends
        self.prompts = prompts  # request id → prompt
        self.added: Counter[str] = Counter()
        self.waiting: list[str] = []

    def add_request(self, request_id: str, prompt: dict[str, list[int]], _: Any) -> None:
        assert prompt["prompt_token_ids"] == [7]
        name = self.prompts[request_id]
        if name == "rejected":
            raise ValueError("Failed to convert the grammar\nfrom JSON schema")
        self.added[name] += 1
        self.waiting.append(request_id)

    def step(self) -> list[Any]:
        request_id = self.waiting.pop(0)
        name = self.prompts[request_id]
        end, times = self.ends.get(name, (None, 0))
        broken = self.added[name] <= times
        choice = SimpleNamespace(
            text="half" if broken else f"re: {name}",
            finish_reason=end if broken else "stop",
            token_ids=[1, 2],
        )
        return [
            SimpleNamespace(request_id="another's", finished=False),
            SimpleNamespace(
                request_id=request_id, finished=True, outputs=[choice], prompt_token_ids=[7]
            ),
        ]


def make_requests(*names: str) -> list[Request]:
    return [Request("model", "engine", name, 0.7, 1.0, 16, 1, 0) for name in names]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Ends, list[Request]], VllmEngine]:
    def make(ends: Ends, requests: list[Request]) -> VllmEngine:
        engine = VllmEngine(VLLM, SERVING, Path("models/toy"))
        engine._engine = ScriptedEngine(
            ends, {request.key(): request.prompt for request in requests}
        )
        engine.tokenizer = lambda *_, **__: {"input_ids": [7]}
        return engine

    monkeypatch.setattr(vllm_engine, "sampling_params", lambda _: None)
    return make


@pytest.mark.parametrize("end", ["abort", "error", "repetition", None])
def test_an_abort_by_vllm_ends_only_that_request(
    scripted: Callable[..., VllmEngine], end: str | None
) -> None:
    requests = make_requests("a", "once", "b", "never", "c")
    engine = scripted({"once": (end, 1), "never": (end, ALWAYS)}, requests)
    answers = {request.prompt: reply for request, reply in engine.generate(requests)}
    assert {name: reply.text for name, reply in answers.items() if isinstance(reply, Reply)} == {
        name: f"re: {name}" for name in ("a", "b", "c", "once")
    }
    assert answers["never"] == Failure(
        f"finish_reason {end or 'null'}, after {MAX_ATTEMPTS} attempts",
        f"finish_reason {end or 'null'}",
    )
    assert engine._engine.added == {"a": 1, "b": 1, "c": 1, "once": 2, "never": MAX_ATTEMPTS}
    again = {request.prompt: reply for request, reply in engine.generate(make_requests("never"))}
    assert isinstance(again["never"], Failure)
    assert engine._engine.added["never"] == 2 * MAX_ATTEMPTS


@pytest.mark.parametrize("names", [("rejected",), ("rejected", "a", "b"), ("a", "b", "rejected")])
def test_a_request_that_vllm_rejects_fails_alone(
    scripted: Callable[..., VllmEngine], names: tuple[str, ...]
) -> None:
    requests = make_requests(*names)
    engine = scripted({}, requests)
    answers = {request.prompt: reply for request, reply in engine.generate(requests)}
    message = "rejected: Failed to convert the grammar from JSON schema"
    assert answers.pop("rejected") == Failure(message, "rejected")
    assert sorted(answers) == [name for name in ("a", "b") if name in names]
    assert all(isinstance(reply, Reply) for reply in answers.values())


def test_failures_are_counted_and_bounded_and_requested_again_by_the_next_run(
    scripted: Callable[..., VllmEngine], tmp_path: Path
) -> None:
    requests = make_requests("a", "b", "never")
    engine = scripted({"never": ("error", ALWAYS)}, requests)
    with ReplyCache(tmp_path) as cache:
        replies = dict(cache.cached(engine.generate, max_failed=0.5)(requests))
        assert replies[requests[2]] == Reply("", "failed", 0, 0)
        assert cache.failures() == {"finish_reason error": 1}
        assert len(cache) == 2
    with (
        ReplyCache(tmp_path) as cache,
        pytest.raises(IncompleteError, match="1 of 3 requests failed"),
    ):
        list(cache.cached(engine.generate, max_failed=0.0)(requests))
    well = scripted({}, requests)
    with ReplyCache(tmp_path) as cache:
        list(cache.cached(well.generate, max_failed=0.0)(requests))
    assert well._engine.added == {"never": 1}


def test_a_replica_returns_failures_and_goes_on(
    scripted: Callable[..., VllmEngine],
) -> None:
    requests = make_requests("rejected", "a", "never")
    replica = VllmActor(VLLM, SERVING, Path("models/toy"), "name", "model")
    replica.engine = scripted({"never": ("abort", ALWAYS)}, requests)
    new = [(number, (request, [7])) for number, request in enumerate(requests)]
    answers: dict[int, Reply | Failure] = {}
    while more := replica.step(new):
        answers |= dict(more)
        new = []
    kinds = [
        reply.kind if isinstance(reply, Failure) else reply.text
        for _, reply in sorted(answers.items())
    ]
    assert kinds == ["rejected", "re: a", "finish_reason abort"]
