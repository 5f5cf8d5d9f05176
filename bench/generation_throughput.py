"""Measure tokens per second of stage generate against one large `vllm.LLM.generate`.

    make bench NAME=generation_throughput
    python -m bench.generation_throughput 8    # 8 problems instead of 96

SmolLM2 of the laptop profile answers products after three worked examples, four samples each. Our
side is the step itself: a window of requests, each reply in the cache as it finishes, the table.
The other side passes all prompts to vLLM at once, already tokenized, with equal seeds, sampling and
engine settings. Stage evaluate uses the same engine and cache. Each side loads in its own process;
the clock starts after loading and one warm-up reply.
"""

import os
import re
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bench import results
from delta.check import check
from delta.core import fingerprint, paths
from delta.data.fetch import fetch
from delta.inference.config import ServingParams
from delta.inference.generate import SampledParams, generate_traces, trace_requests
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Request
from delta.inference.vllm_engine import BATCHED_TOKENS, VllmEngine, sampling_params
from delta.judging.judge import JudgeInput, build_requests
from delta.prompts.prompt_files import with_instruction

MODEL = "smollm2-135m"
GENERATOR = SampledParams(
    model=MODEL, examples=3, samples=4, temperature=0.7, top_p=1.0, max_tokens=48, seed=3
)
PROBLEMS = 96
RATED = 8  # traces, for the votes
TURNS = 3
CACHE = Path(".bench/models")
PARAMS = check()
TraceRequests = list[tuple[tuple[str, int], Request]]


class Measurement(NamedTuple):
    seconds: float
    texts: list[str]
    tokens: int  # of all replies
    prompts: Counter[str]  # tokens of all prompts, and how many of them the cache held
    votes: Counter[str]  # the same of the votes on some traces; ours only
    config: str  # vLLM's own words for its settings


def model() -> Path:
    """Return the folder of the weights; fetch them where the pipeline has not."""
    for folder in (paths.model(MODEL), CACHE / MODEL):
        if (folder / "model.safetensors").exists():
            return folder
    fetch(MODEL, PARAMS.models[MODEL], CACHE / MODEL, print)
    return CACHE / MODEL


def problems(number: int) -> pl.DataFrame:
    factors = [(11 + n % 80, 12 + n // 80) for n in range(number)]
    statements = [(f"p.{a}.{b}", f"What is {a} times {b}?") for a, b in factors]
    return pl.DataFrame(
        [
            {"problem_id": name, "statement": text, "prompt": with_instruction(text), "history": []}
            for name, text in statements
        ]
    )


def prepare(number: int) -> tuple[VllmEngine, TraceRequests, Request]:
    """Return the engine, every request, and one request that shares no prompt with them."""
    folder = model()
    serving = PARAMS.serving[MODEL]
    assert isinstance(serving, ServingParams)
    engine = VllmEngine(PARAMS.engine.vllm, serving, folder)
    revision = fingerprint.read_fingerprint(folder)
    requests = list(trace_requests(GENERATOR, engine, revision, problems(number)))
    warm = replace(requests[0][1], prompt=engine.render([{"role": "user", "content": "Hello."}]))
    return engine, requests, warm


def count(prompts: Counter[str], finished: Any) -> None:
    prompts["all"] += len(finished.prompt_token_ids)
    prompts["cached"] += finished.num_cached_tokens or 0


def ours(number: int) -> Measurement:
    engine, requests, warm = prepare(number)
    list(engine.generate([warm]))
    llm_engine = engine.load()
    prompts: Counter[str] = Counter()
    step = llm_engine.step

    def counting_step() -> Any:
        outputs = step()
        for output in outputs:
            if output.finished:
                count(prompts, output)
        return outputs

    llm_engine.step = counting_step
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ReplyCache(Path(folder)) as cache:
        generate = cache.cached(engine.generate, max_failed=0.0)
        traces = pl.concat(generate_traces("three-shot", requests, generate, engine.chat_format))
    seconds = time.perf_counter() - start
    texts = traces["text"].to_list()
    trace_prompts = prompts.copy()
    prompts.clear()
    list(engine.generate(vote for vote in votes(engine, number, texts)))
    tokens = int(traces["completion_tokens"].sum())
    config = str(llm_engine.vllm_config)
    return Measurement(seconds, texts, tokens, trace_prompts, prompts, config)


def votes(engine: VllmEngine, number: int, texts: list[str]) -> list[Request]:
    """Return the judge's requests on the first samples, each limited to one token."""
    statements = problems(number)["statement"].to_list()
    examples = list(zip(statements, texts[:: GENERATOR.samples], strict=True))[:RATED]
    inputs = [JudgeInput(str(place), *pair) for place, pair in enumerate(examples)]
    revision = fingerprint.read_fingerprint(engine.folder)
    requests = build_requests(PARAMS.judge.llm, engine, revision, inputs)
    return [replace(request, max_tokens=1) for _, request in requests]


def theirs(number: int, prefix_caching: bool = True) -> Measurement:
    engine, keyed_requests, warm = prepare(number)
    requests = [request for _, request in keyed_requests]
    tokens = engine.tokenize_prompts([warm, *requests])
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM

    settings, serving = engine.settings, engine.serving
    assert settings.kv_cache_memory_bytes is not None
    assert not settings.enable_chunked_prefill
    llm = LLM(
        model=str(engine.folder),
        dtype=serving.dtype,
        max_model_len=serving.max_model_len,
        max_num_seqs=serving.max_num_seqs,
        kv_cache_memory_bytes=settings.kv_cache_memory_bytes,
        enforce_eager=settings.enforce_eager,
        enable_chunked_prefill=False,
        max_num_batched_tokens=max(BATCHED_TOKENS, serving.max_model_len),
        block_size=settings.block_size,
        enable_prefix_caching=prefix_caching,
        structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
    )

    def ask(batch: list[Request]) -> list[Any]:
        texts = [{"prompt_token_ids": tokens[request.prompt]} for request in batch]
        sampling = [sampling_params(request) for request in batch]
        return list(llm.generate(texts, sampling, use_tqdm=False))

    ask([warm])
    start = time.perf_counter()
    outputs = ask(requests)
    seconds = time.perf_counter() - start
    prompts: Counter[str] = Counter()
    for output in outputs:
        count(prompts, output)
    texts = [output.outputs[0].text for output in outputs]
    completion = sum(len(output.outputs[0].token_ids) for output in outputs)
    config = str(llm.llm_engine.vllm_config)
    return Measurement(seconds, texts, completion, prompts, Counter(), config)


def uncached(number: int) -> Measurement:
    return theirs(number, prefix_caching=False)


OURS, SINGLE_CALL, UNCACHED = "ours", "one LLM.generate", "one LLM.generate, no prefix caching"
WAYS = {OURS: ours, SINGLE_CALL: theirs, UNCACHED: uncached}


def settings(measurement: Measurement) -> str:
    return re.sub(r"instance_id='[^']*'", "", measurement.config)


def share(prompts: Counter[str]) -> str:
    return f"{prompts['cached']:,} of {prompts['all']:,} ({prompts['cached'] / prompts['all']:.0%})"


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("problems", type=int, nargs="?", default=PROBLEMS)
    number = parser.parse_args().problems
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    model()
    runs: dict[str, list[Measurement]] = {name: [] for name in WAYS}
    for turn in range(TURNS):
        # Once without caching: it takes many times as long.
        for name in [OURS, SINGLE_CALL] if turn else WAYS:
            runs[name].append(results.in_fresh_process(WAYS[name], number))
            assert runs[name][-1].texts == runs[OURS][0].texts, name
    assert settings(runs[OURS][0]) == settings(runs[SINGLE_CALL][0])
    rows = [
        [
            name,
            " ".join(f"{run.tokens / run.seconds:.0f}" for run in turns),
            share(turns[0].prompts),
        ]
        for name, turns in runs.items()
    ]
    seconds = {name: [run.seconds for run in turns] for name, turns in runs.items()}
    ratio = results.ratio(seconds[SINGLE_CALL], seconds[OURS])
    gain = results.ratio(seconds[UNCACHED], seconds[SINGLE_CALL][:1])
    first = runs[OURS][0]
    text = results.table(["way", f"tokens/s in {TURNS} turns", "prompt tokens cached"], rows)
    results.record(
        "generation_throughput",
        "make bench NAME=generation_throughput",
        f"{number} problems, {GENERATOR.samples} samples each, {first.tokens:,} tokens; equal "
        f"texts and engine settings asserted.\n\n{text}\n\nours / one `LLM.generate`: "
        f"**{ratio}** (target: at least 0.97); with prefix caching it is "
        f"{gain.value:.1f} × as fast. Of {PARAMS.judge.llm.votes_per_trace} votes each on "
        f"{min(RATED, number)} traces, prompt tokens cached: {share(first.votes)}.",
    )


if __name__ == "__main__":
    main()
