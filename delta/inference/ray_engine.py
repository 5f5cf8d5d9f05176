"""vLLM on a Ray cluster: replicas of VllmEngine share the requests."""

import itertools
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from delta.core import fingerprint
from delta.core.errors import InputError
from delta.inference import ray_actors
from delta.inference.config import RayParams, ServingParams, VllmParams
from delta.inference.failures import make_failure
from delta.inference.types import Failure, Reply, Request, RequestResult
from delta.inference.vllm_engine import VllmEngine

# These keep telemetry off, also on a node that was started by hand.
NO_TELEMETRY = {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1"}
Prompt = tuple[Request, list[int]]  # with the token ids of its prompt


class RayEngine(VllmEngine):
    """An engine that renders in this process and answers by replicas.

    Its name is that of VllmEngine, so that both share cached replies.
    """

    def __init__(
        self, settings: VllmParams, serving: ServingParams, folder: Path, ray: RayParams
    ) -> None:
        ray_actors.check_installed("engine.kind")
        super().__init__(settings, serving, folder)
        self.ray = ray
        self._pool: ray_actors.RayActorPool | None = None

    def generate(self, requests: Iterable[Request]) -> Iterator[RequestResult]:
        """Yield each request with its reply or failure, in the order in which they finish.

        Raises InputError where no cluster is found or a prompt is too long, and IncompleteError
        where workers die again and again.
        """
        requests = list(requests)
        tokens = self.tokenize_prompts(requests)
        pool = self._open_pool(requests[0].model)
        fair_share = -(-len(requests) // pool.num_workers)
        prompts = ((request, tokens[request.prompt]) for request in requests)
        answers = pool.map_unordered(self._batches(prompts), window=min(self.window, fair_share))
        for number, answer in answers:
            died = isinstance(answer, ray_actors.WorkerDied)
            yield requests[number], make_failure("worker died", answer.reason) if died else answer

    def _batches(self, prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
        """Yield requests with equal prompts together, so that one replica computes the prefix."""
        for _, equal in itertools.groupby(prompts, lambda prompt: prompt[0].prompt):
            while batch := list(itertools.islice(equal, self.serving.max_num_seqs)):
                yield batch

    def _open_pool(self, model: str) -> ray_actors.RayActorPool:
        """Return the replicas. They are kept as long as this engine."""
        if self._pool is None:
            ray_actors.connect(self.ray.address)
            on_gpu = self.settings.gpu_memory_utilization is not None
            gpus = self.serving.tensor_parallel_size if on_gpu else 0
            arguments = (self.settings, self.serving, self.folder.absolute(), self.name, model)
            self._pool = ray_actors.RayActorPool(
                VllmActor, arguments, {"CPU": self.ray.cpus, "GPU": gpus}, self.ray.replicas
            )
        return self._pool


class VllmActor:
    """A replica on some node, as an actor of delta.inference.ray_actors."""

    def __init__(
        self, settings: VllmParams, serving: ServingParams, folder: Path, name: str, model: str
    ) -> None:
        os.environ.update(NO_TELEMETRY)
        if settings.gpu_memory_utilization is None:
            # Else all replicas on a machine would bind their threads to the same cores.
            os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        self.engine = VllmEngine(settings, serving, folder)
        self.expected = name, model
        self.numbers: dict[Request, int] = {}

    def ready(self) -> None:
        """Load the weights. Raises InputError where this node's vLLM or model is another one."""
        node, (name, model) = f"Ray node {socket.gethostname()}", self.expected
        if self.engine.name != name:
            raise InputError(f"{node} has {self.engine.name}; expected this machine's {name}")
        if not self.engine.folder.is_dir():
            raise InputError(
                f"{node}: {self.engine.folder}: no such folder; the project must lie at the same "
                "path on every node, on a shared file system"
            )
        if fingerprint.read_fingerprint(self.engine.folder) != model:
            raise InputError(f"{node}: {self.engine.folder} holds other weights than here")
        self.engine.load()

    def step(self, new: list[tuple[int, Prompt]]) -> list[tuple[int, Reply | Failure]]:
        """Add requests and run the engine until one is finished. Return the finished, by number."""
        for number, (request, tokens) in new:
            self.numbers[request] = number
            self.engine.add(request, tokens)
        finished: list[RequestResult] = []
        while self.numbers and not finished:
            finished = self.engine.step()
        return [(self.numbers.pop(request), reply) for request, reply in finished]
