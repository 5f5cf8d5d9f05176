"""vLLM: start, batches, throughput against a bare LLM.generate, float32, and the judge's grammar.

Every group starts one engine. The files in the folder that all groups share carry a number from
one to the next.
"""

import gc
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from bench.gpu_checks import models
from bench.gpu_checks.check import Details, Measurement, Setting, SkippedError
from bench.gpu_checks.data_sheet import UNKNOWN, data_sheet, peak_tflops
from delta.core import fingerprint, params
from delta.inference.config import SamplingParams, ServingParams, VllmParams
from delta.inference.engine import build_request
from delta.inference.generate import SampledParams, generate_traces, trace_requests
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply, Request
from delta.inference.vllm_engine import VllmEngine, sampling_params
from delta.plan import model_sizes, speeds

MODEL = "1b"
SAMPLES = 4
GREEDY_PROMPTS, GREEDY_TOKENS = 8, 16
SCHEMA = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "why": {"type": "string", "maxLength": 20},
    },
    "required": ["score", "why"],
    "additionalProperties": False,
}


def generate(setting: Setting) -> Iterator[Measurement]:
    """Yield the start of an engine, its batches, and the tokens a second of stage generate."""
    start = time.perf_counter()
    engine = _engine(setting, _model(setting), _dtype(setting))
    llm_engine = engine.load()
    details: Details = {"backends": _backends(llm_engine), "dtype": engine.serving.dtype}
    yield Measurement("engine_start", time.perf_counter() - start, details)
    scheduler = llm_engine.vllm_config.scheduler_config
    details = {"max_num_seqs": scheduler.max_num_seqs}
    yield Measurement("batched_tokens", scheduler.max_num_batched_tokens, details)
    requests, warm = _requests(setting, engine)
    list(engine.generate(warm))
    start = time.perf_counter()
    with ReplyCache(setting.folder / "replies") as cache:
        ask = cache.cached(engine.generate, max_failed=0.0)
        traces = pl.concat(generate_traces(MODEL, requests, ask, engine.chat_format))
    seconds = time.perf_counter() - start
    tokens = int(traces["completion_tokens"].sum())
    _rate_file(setting).write_text(json.dumps([tokens, seconds]))
    replies = traces.select("prompt_tokens", "completion_tokens").rows()
    yield _against_plan("writing_against_plan", setting, engine, replies, seconds)
    yield _reading(setting, engine)


def _against_plan(
    check: str,
    setting: Setting,
    engine: VllmEngine,
    replies: list[tuple[int, int]],
    seconds: float,
) -> Measurement:
    """Compare the tokens a second of replies (tokens of prompt, of reply) with `make plan`'s."""
    size = model_sizes.size_of_folder(engine.folder, engine.serving.dtype)
    assert size is not None
    prompt, written = (statistics.fmean(numbers) for numbers in zip(*replies, strict=True))
    sheet = data_sheet(setting)
    if sheet is None:
        rates = speeds.cpu_rates(size)
    else:
        lengths = speeds.Lengths(prompt, written, SAMPLES)
        rates = speeds.gpu_rates(engine.serving, size, engine.settings, sheet, lengths)
    tokens = len(replies) * written
    details = {"replies": len(replies), "tokens": tokens, "seconds": seconds}
    details |= {"tokens_a_second": tokens / seconds, "planned": rates.writing}
    details |= {"known_data_sheet": sheet is not None}
    return Measurement(check, tokens / seconds / rates.writing, details)


def _reading(setting: Setting, engine: VllmEngine) -> Measurement:
    """Measure prompts without a common beginning, each with a reply of one token."""
    size = setting.sized(2_000, 100)  # characters, of which each is a token
    texts = [f"{number:04d} " * (size // 5) for number in range(setting.sized(256, 8))]
    one = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=1, seed=0)
    requests = [build_request(one, engine, MODEL, text, 0) for text in texts]
    start = time.perf_counter()
    tokens = sum(
        reply.prompt_tokens for _, reply in engine.generate(requests) if isinstance(reply, Reply)
    )
    seconds = time.perf_counter() - start
    details = {"tokens": tokens, "seconds": seconds, "tokens_a_second": tokens / seconds}
    peak = peak_tflops(setting)
    if peak is None:
        return Measurement("reading_share_of_peak", None, details, UNKNOWN)
    size = model_sizes.size_of_folder(engine.folder, engine.serving.dtype)
    assert size is not None
    share = 2 * size.active * tokens / seconds / peak / 1e12
    return Measurement("reading_share_of_peak", share, details)


def llm_generate(setting: Setting) -> Iterator[Measurement]:
    """Yield how fast stage generate was against one bare LLM.generate of the same requests."""
    require_vllm()
    if not _rate_file(setting).exists():
        raise SkippedError("writing_against_plan gave no number")
    our_tokens, our_seconds = json.loads(_rate_file(setting).read_text())
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM

    engine = _engine(setting, _model(setting), _dtype(setting))
    requests, warm = _requests(setting, engine)
    options: dict[str, Any] = {}
    if not engine.settings.enable_chunked_prefill:
        options["max_num_batched_tokens"] = 2_048
    serving = engine.serving.model_dump(exclude={"chat_format", "server"})
    settings = engine.settings.model_dump(exclude_none=True)
    llm = LLM(model=str(engine.folder), **(settings | serving | options))

    def ask(batch: list[Request]) -> list[Any]:
        tokens = engine.tokenize_prompts(batch)
        prompts = [{"prompt_token_ids": tokens[request.prompt]} for request in batch]
        return list(llm.generate(prompts, [*map(sampling_params, batch)], use_tqdm=False))

    ask(warm)
    start = time.perf_counter()
    outputs = ask([request for _, request in requests])
    seconds = time.perf_counter() - start
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    ratio = our_tokens / our_seconds / (tokens / seconds)
    scheduler = llm.llm_engine.vllm_config.scheduler_config
    details = {
        "tokens": tokens,
        "seconds": seconds,
        "batched_tokens": scheduler.max_num_batched_tokens,
    }
    yield Measurement("generate_against_llm", ratio, details)


def float32(setting: Setting) -> Iterator[Measurement]:
    """Yield whether a float32 engine writes what Transformers does, and its tokens a second."""
    folder = _model(setting)
    engine = _engine(setting, folder, "float32", enforce_eager=True)
    texts = [f"What is {n} times {n + 1}?" for n in range(GREEDY_PROMPTS)]
    prompts = [engine.render(engine.chat_format.messages(text)) for text in texts]
    expected = _greedy(setting, engine, prompts)  # before the engine takes the GPU's memory
    llm_engine = engine.load()
    written: dict[str, list[int]] = {}
    step = llm_engine.step

    def recording_step() -> Any:
        outputs = step()
        written.update({out.request_id: list(out.outputs[0].token_ids) for out in outputs})
        return outputs

    llm_engine.step = recording_step
    greedy = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=GREEDY_TOKENS, seed=0)
    requests = [build_request(greedy, engine, MODEL, prompt, 0) for prompt in prompts]
    list(engine.generate(requests))
    requests_timed, _ = _requests(setting, engine)
    start = time.perf_counter()
    replies = dict(engine.generate([request for _, request in requests_timed]))
    seconds = time.perf_counter() - start
    lengths = [reply[2:4] for reply in replies.values() if isinstance(reply, Reply)]
    equal = [written[r.key()] == tokens for r, tokens in zip(requests, expected, strict=True)]
    details = {"backends": _backends(llm_engine), "prompts": len(prompts), "tokens": GREEDY_TOKENS}
    yield Measurement("float32_serving", sum(equal) / len(equal), details)
    yield _against_plan("float32_writing_against_plan", setting, engine, lengths, seconds)


def judge_grammar(setting: Setting) -> Iterator[Measurement]:
    """Yield the share of a tiny gpt-oss's ended replies whose last channel is JSON of the schema.

    Its weights are random, so the format comes from the grammar alone.
    """
    from tests.helpers.tiny_model_families import write_tokenizer
    from tests.helpers.tiny_models import write_weights

    require_vllm()
    folder = setting.folder / "gpt-oss"
    size = write_tokenizer(folder, "gpt-oss")
    model = write_weights(folder, "GptOss", size, eos=6, hidden=64, seed=0)
    engine = _engine(setting, folder, _dtype(setting), enforce_eager=True, chat_format="gpt-oss")
    sampling = SamplingParams(
        temperature=1.0, top_p=1.0, max_tokens=setting.sized(600, 400), seed=1
    )
    prompt = engine.render(engine.chat_format.messages("Rate it."))
    requests = [
        replace(
            build_request(sampling, engine, model, prompt, sample),
            schema=json.dumps(SCHEMA),
            channels=True,
        )
        for sample in range(setting.sized(64, 8))
    ]
    valid, ended, reasoned = 0, 0, 0
    for _, reply in engine.generate(requests):
        if isinstance(reply, Reply) and reply.finish_reason == "stop":
            span = engine.chat_format.split(reply.text, prompt)
            ended += 1
            valid += _is_valid(reply.text[span.answer_start or 0 :])
            reasoned += span.reasoning_end > span.reasoning_start
    details: Details = {"backends": _backends(engine.load())}
    details |= {"replies": len(requests), "ended": ended, "reasoned": reasoned}
    yield Measurement("judge_grammar", valid / ended if ended else 0.0, details)


def require_vllm() -> None:
    """Raise SkippedError where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise SkippedError("vllm is not installed")


def _is_valid(answer: str) -> bool:
    try:
        # Random weights write control characters into strings, which xgrammar lets through.
        values = json.loads(answer, strict=False)
    except ValueError:
        return False
    return list(values) == ["score", "why"] and values["score"] in (1, 2, 3, 4, 5)


def _rate_file(setting: Setting) -> Path:
    return setting.folder / "generate.json"


def _dtype(setting: Setting) -> str:
    return "bfloat16" if setting.device == "cuda" else "float32"


def _model(setting: Setting) -> Path:
    """Return the folder of the model that the engines have; the first group writes it.

    Raises SkippedError without vLLM.
    """
    require_vllm()
    folder = setting.folder / MODEL
    if not (folder / fingerprint.FINGERPRINT_FILE).exists():
        # As large as the byte tokenizer, so that every token has a text.
        shape = setting.sized(models.LLAMA_1B, models.TINY) | {"vocab_size": 259}
        models.write_model(folder, shape, setting.sized(16, 2))
    return folder


def _engine(
    setting: Setting, folder: Path, dtype: str, chat_format: str = "plain", **changes: Any
) -> VllmEngine:
    """Return the project's engine in the settings of its profile for this machine."""
    on_gpu = setting.device == "cuda"
    values = params.read_all(models.PROFILE if on_gpu else models.CPU_PROFILE)
    vllm = values["engine"]["vllm"] | changes
    if not on_gpu:
        vllm["kv_cache_memory_bytes"] = 2**27
    serving = values["serving"]["policy"] | {
        "chat_format": chat_format,
        "dtype": dtype,
        "max_model_len": setting.sized(4_096, 1_024),
        "tensor_parallel_size": 1,
    }
    settings = params.validate("engine.vllm", VllmParams, vllm)
    return VllmEngine(settings, params.validate("serving", ServingParams, serving), folder)


def _requests(
    setting: Setting, engine: VllmEngine
) -> tuple[list[tuple[tuple[str, int], Request]], list[Request]]:
    """Return the requests that are timed, and one that warms the engine up."""
    sampled = SampledParams(
        model=MODEL,
        examples=0,
        samples=SAMPLES,
        temperature=0.7,
        top_p=1.0,
        max_tokens=setting.sized(512, 32),
        seed=1,
    )
    number = setting.sized(512, 8)
    texts = [f"What is {n} times {n + 7}?" for n in range(number)]
    problems = pl.DataFrame(
        [{"problem_id": f"p{n}", "prompt": text, "history": []} for n, text in enumerate(texts)]
    )
    revision = fingerprint.read_fingerprint(engine.folder)
    requests = list(trace_requests(sampled, engine, revision, problems))
    prompt = engine.render([{"role": "user", "content": "Hello."}])
    return requests, [replace(requests[0][1], prompt=prompt, max_tokens=8)]


def _backends(llm_engine: Any) -> list[str]:
    """Return the names of the attention backends that the engine's layers have."""
    layers = llm_engine.vllm_config.compilation_config.static_forward_context.values()
    backends = (layer.get_attn_backend() for layer in layers if hasattr(layer, "get_attn_backend"))
    return sorted({backend.get_name() for backend in backends})


def _greedy(setting: Setting, engine: VllmEngine, prompts: list[str]) -> list[list[int]]:
    """Return the tokens that Transformers writes after each prompt in float32."""
    import torch

    from delta.training import model_io

    model = model_io.load(engine.folder, "float32").to(setting.device)
    replies = []
    for prompt in prompts:
        tokens = engine.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        ids = tokens["input_ids"].to(model.device)
        with torch.no_grad():
            output = model.generate(ids, do_sample=False, max_new_tokens=GREEDY_TOKENS)
        replies.append(output[0, ids.shape[1] :].tolist())
    del model
    gc.collect()
    if setting.device == "cuda":
        torch.cuda.empty_cache()
    return replies
