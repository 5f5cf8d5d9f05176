"""vLLM on a Ray cluster: engines as in this process, to which requests go as they have room."""

import itertools
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from delta.core import fingerprint
from delta.core.errors import InputError
from delta.core.schemas import Message
from delta.inference import ray_actors
from delta.inference.engine import RaySettings, ServingParams, VllmSettings
from delta.inference.failures import failure
from delta.inference.types import Failure, Reply, Request
from delta.inference.vllm_engine import Answer, VllmEngine

# What a node that was started otherwise may lack: nothing is ever reported.
SILENT = {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1"}
NewRequest = tuple[int, tuple[Request, list[int]]]  # number, request, token ids of its prompt


class RayEngine:
    """Engines of the same name as in this process, so that the store has one reply for both."""

    def __init__(
        self, settings: VllmSettings, serving: ServingParams, folder: Path, ray: RaySettings
    ) -> None:
        ray_actors.check_installed("engine.kind")
        self.ray = ray
        self._here = VllmEngine(settings, serving, folder)  # renders and counts; loads no weights
        self.name = self._here.name
        self.chat_format = self._here.chat_format
        self._crew: ray_actors.RayActorPool | None = None

    def render(self, messages: list[Message]) -> str:
        return self._here.render(messages)

    def num_tokens(self, text: str) -> int | None:
        return self._here.num_tokens(text)

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        asked = list(requests)
        tokens = self._here.tokens(asked)
        crew = self._hired(asked[0].model)
        window = min(self._here.window, -(-len(asked) // crew.num_workers))  # a fair share of few
        given = ((request, tokens[request.prompt]) for request in asked)
        for number, answer in crew.run(self._together(given), window):
            lost = isinstance(answer, ray_actors.WorkerDied)
            yield asked[number], failure("worker died", answer.reason) if lost else answer

    def _together(
        self, given: Iterable[tuple[Request, list[int]]]
    ) -> Iterator[list[tuple[Request, list[int]]]]:
        """Samples of a problem and votes on a trace share a prompt: one replica reads it once."""
        for _, equal in itertools.groupby(given, lambda one: one[0].prompt):
            while piece := list(itertools.islice(equal, self._here.settings.max_num_seqs)):
                yield piece

    def _hired(self, model: str) -> ray_actors.RayActorPool:
        """The replicas; they stay for the next requests, until this object is gone."""
        if self._crew is None:
            ray_actors.join(self.ray.address)
            here = self._here
            on_gpu = here.settings.gpu_memory_utilization is not None
            needs = {
                "CPU": self.ray.cpus,
                "GPU": here.serving.tensor_parallel_size if on_gpu else 0,
            }
            given = (here.settings, here.serving, here.folder.absolute(), self.name, model)
            self._crew = ray_actors.RayActorPool(VllmActor, given, needs, self.ray.replicas)
        return self._crew


class VllmActor:
    """One engine on some node, as an actor (delta.inference.ray_actors)."""

    def __init__(
        self, settings: VllmSettings, serving: ServingParams, folder: Path, name: str, model: str
    ) -> None:
        os.environ.update(SILENT)
        if settings.gpu_memory_utilization is None:
            # Every replica of a machine would bind its threads to the same first cores.
            os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        self.engine = VllmEngine(settings, serving, folder)
        self.expected = name, model
        self.numbers: dict[Request, int] = {}

    def ready(self) -> None:
        node, (name, model) = f"Ray node {socket.gethostname()}", self.expected
        if self.engine.name != name:
            raise InputError(f"{node} has {self.engine.name}, this machine {name}; allowed: equal")
        if not self.engine.folder.is_dir():
            raise InputError(
                f"{node}: {self.engine.folder}: no such folder; the project must lie at the same "
                "path on every node, on a file system that they share"
            )
        if fingerprint.read_fingerprint(self.engine.folder) != model:
            raise InputError(f"{node}: {self.engine.folder} holds other weights than here")
        self.engine.load()

    def step(self, new: list[NewRequest]) -> list[tuple[int, Reply | Failure]]:
        for number, (request, tokens) in new:
            self.numbers[request] = number
            self.engine.add(request, tokens)
        finished: list[Answer] = []
        while self.numbers and not finished:
            finished = self.engine.step()
        return [(self.numbers.pop(request), reply) for request, reply in finished]
