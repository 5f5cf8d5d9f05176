"""The real engine and the real model: vLLM on the CPU with SmolLM2, from wheel to guided JSON."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.check import check
from delta.core import fingerprint
from delta.core.params import load_section
from delta.data.fetch import ModelParams, fetch
from delta.inference.config import ServingParams
from delta.inference.generate import SampledParams, generate_traces, trace_requests
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Failure, Reply, Request
from delta.inference.vllm_engine import VllmEngine
from delta.judging import rubric
from delta.judging.judge import JudgeInput, build_requests, judge_by_llm
from tests.helpers.import_closure import ROOT
from tests.helpers.smoke_engine import SMOKE, open_engine, some_requests
from tests.helpers.tiny_model_families import FAMILIES, write_model_family

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ASKING = """
import sys
from pathlib import Path
from typing import Any
from tests.helpers.smoke_engine import open_engine, some_requests
model = Path(sys.argv[1])
engine = open_engine(model)
requests = some_requests(engine, model, max_tokens=1)
requests += some_requests(engine, model, max_tokens=1500)
for _ in engine.generate(requests):
    print("answered", flush=True)
"""
# As on GPUs that share a model: two processes, here on the CPU.
SHARED = ASKING.replace(
    "requests =",
    """
engine.serving = engine.serving.model_copy(update={"tensor_parallel_size": 2})
requests =""",
    1,
)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "smollm2-135m"
    fetch("smollm2-135m", load_section("models.smollm2-135m", ModelParams), folder, print)
    return folder


@pytest.fixture(scope="session")
def engine(model: Path) -> VllmEngine:
    return open_engine(model)


def texts_of(engine: VllmEngine, requests: list[Request]) -> dict[str, str]:
    replies = dict(engine.generate(requests))
    return {
        request.key(): reply.text for request, reply in replies.items() if isinstance(reply, Reply)
    }


def test_the_model_of_the_wheel_has_its_weights_its_template_and_a_fingerprint(
    model: Path,
) -> None:
    assert len(fingerprint.read_fingerprint(model)) == 64
    assert (model / "model.safetensors").stat().st_size > 200_000_000
    assert "<|im_start|>" in (model / "chat_template.jinja").read_text()


def test_samples_differ_and_a_rerun_in_another_order_gives_the_same_replies(
    engine: VllmEngine, model: Path
) -> None:
    requests = some_requests(engine, model)
    first = texts_of(engine, requests)
    again = texts_of(engine, list(reversed(requests))[:4])
    assert len(set(first.values())) > 1
    assert again == {key: first[key] for key in again}


def test_a_reply_at_its_limit_ends_in_length_and_a_greedy_one_ignores_the_seed(
    engine: VllmEngine, model: Path
) -> None:
    ((_, short),) = engine.generate(some_requests(engine, model, max_tokens=2)[:1])
    assert isinstance(short, Reply)
    assert (short.finish_reason, short.completion_tokens) == ("length", 2)
    greedy = texts_of(engine, some_requests(engine, model, temperature=0.0))
    assert len(set(greedy.values())) == 1


def test_a_schema_without_a_grammar_fails_its_own_request(engine: VllmEngine, model: Path) -> None:
    plain, other = some_requests(engine, model)[:2]
    unknown = replace(other, schema='{"type": "array", "uniqueItems": true}')
    replies = dict(engine.generate([unknown, plain]))
    assert isinstance(replies[plain], Reply)
    rejected = replies[unknown]
    assert isinstance(rejected, Failure)
    assert rejected.kind == "rejected"
    assert "grammar" in rejected.reason


def test_every_vote_that_a_guided_judge_has_accepted_is_valid_against_the_schema(
    engine: VllmEngine, model: Path, tmp_path: Path
) -> None:
    judge = check(SMOKE).judge
    llm = judge.llm.model_copy(update={"max_tokens": 1200, "votes": 3, "max_attempts": 1})
    rated = [JudgeInput("t1", "What is 1 + 2?", "1 + 2 = 3.")]
    requests = list(build_requests(llm, engine, fingerprint.read_fingerprint(model), rated))
    with ReplyCache(tmp_path / "cache") as cache:
        generate = cache.cached(engine.generate, max_failed=0.0)
        ratings, counts = judge_by_llm(llm, 1.0, rated, requests, generate, engine.chat_format)
        replies = [cache.get(request.key()) for _, request in requests]
    accepted = [reply for reply in replies if reply and rubric.parse_votes(reply["text"])]
    assert len(accepted) >= 1, replies
    assert counts["votes"] + counts["refused"] == 3
    assert ratings.height == 5
    for votes in ratings["votes"].to_list():
        assert all(vote in (1, 2, 3, 4, 5) for vote in votes)
    assert json.dumps(rubric.schema()) == requests[0][1].schema


def processes_with(mark: str) -> list[str]:
    """Return the ids of processes with `mark` in their environment, which children inherit."""
    pids = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if mark.encode() in environment.read_bytes():
                pids.append(environment.parent.name)
    return pids


def left_after_kill(script: str, model: Path, how: signal.Signals, processes: int) -> list[str]:
    """Kill an engine that is answering and return the processes that it leaves behind."""
    mark = str(uuid.uuid4())
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(model)],
        cwd=ROOT,
        env={**os.environ, "MARK": mark, "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert b"answered\n" in iter(process.stdout.readline, b"")
        assert str(process.pid) in processes_with(mark)
        assert len(processes_with(mark)) >= processes
        process.send_signal(how)
        assert process.wait(60) == -how
    finally:
        process.kill()
    time.sleep(3)  # what sees its parent gone has ended by then
    until = time.monotonic() + 60 * (processes > 1)
    while processes_with(mark) and time.monotonic() < until:
        time.sleep(0.5)
    return processes_with(mark)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_engine_leaves_no_process_behind(model: Path, how: signal.Signals) -> None:
    assert left_after_kill(ASKING, model, how, processes=1) == []


def test_the_processes_that_share_a_model_answer_and_end_with_the_engine(tmp_path: Path) -> None:
    write_model_family(tmp_path / "smollm2-135m", "plain")
    assert left_after_kill(SHARED, tmp_path / "smollm2-135m", signal.SIGKILL, processes=3) == []


@pytest.mark.parametrize("family", ["s1", "nemotron"])
def test_a_family_uses_its_chat_format_and_its_markers_come_back(
    family: str, tmp_path: Path
) -> None:
    params = check(SMOKE)
    folder = tmp_path / family
    write_model_family(folder, family)
    serving = params.serving["smollm2-135m"].model_copy(
        update={"chat_format": FAMILIES[family].chat_format, "max_model_len": 1024}
    )
    assert isinstance(serving, ServingParams)
    engine = VllmEngine(params.engine.vllm, serving, folder)
    generator = params.generators["zero-shot"].model_copy(update={"max_tokens": 200, "samples": 4})
    assert isinstance(generator, SampledParams)
    problems = pl.DataFrame({"problem_id": ["p.0"], "prompt": ["What is 1 + 1?"], "history": [[]]})
    requests = list(
        trace_requests(generator, engine, fingerprint.read_fingerprint(folder), problems)
    )
    with ReplyCache(tmp_path / "cache") as cache:
        generate = cache.cached(engine.generate, max_failed=0.0)
        traces = pl.concat(generate_traces(family, requests, generate, engine.chat_format))
    assert traces.height == 4
    # A random model writes any token: special ones are in the text where they are markers.
    kept = traces["text"].str.contains_any(list(FAMILIES[family].special[:-1]))
    assert kept.any() == engine.chat_format.keep_special_tokens
    assert not traces["text"].str.contains(FAMILIES[family].special[-1], literal=True).any()


class H100:
    """What vLLM asks of its platform before it chooses the size of a step."""

    def get_device_total_memory(self) -> int:
        return 79 * 2**30

    def get_device_name(self) -> str:
        return "NVIDIA H100 80GB HBM3"

    def __getattr__(self, name: str) -> Any:
        return lambda: False  # is_tpu, is_cpu


@pytest.mark.parametrize(("chunked", "tokens"), [(True, 16_384), (False, 4_096)])
def test_a_step_on_an_h100_has_16384_tokens_unless_whole_prompts_must_fit_into_it(
    chunked: bool, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm import LLMEngine
    from vllm.engine import arg_utils

    started: list[tuple[Any, Any]] = []
    monkeypatch.setattr(LLMEngine, "from_engine_args", lambda *given: started.append(given))
    write_model_family(tmp_path / "tiny", "plain")
    params = check(SMOKE)
    serving = params.serving["smollm2-135m"].model_copy(update={"max_model_len": 4_096})
    assert isinstance(serving, ServingParams)
    vllm = params.engine.vllm.model_copy(update={"enable_chunked_prefill": chunked})
    VllmEngine(vllm, serving, tmp_path / "tiny").load()
    ((args, context),) = started
    monkeypatch.setattr(arg_utils, "current_platform", H100())
    defaults, _ = arg_utils.EngineArgs.get_batch_defaults(1)
    assert (args.max_num_batched_tokens or defaults[context]) == tokens
    assert args.max_num_seqs == 16
