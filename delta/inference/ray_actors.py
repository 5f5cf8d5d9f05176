"""A pool of actors on a Ray cluster. If a worker dies, only its in-flight items are retried.

Ray Data with its vLLM processor returns replies by the block, and resumes from checkpoints of
blocks. Here each answer is returned as it finishes, so that the reply cache has it at once. Ray's
own restarts and retries repeat a call. They would neither give a dead worker's items to the others
nor find out which item kills its workers.
"""

import importlib.util
import logging
import os
import signal
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from delta.core.errors import RESUME, IncompleteError, InputError

LOG = logging.getLogger(__name__)
Address = Literal["local", "auto"]
OBJECT_STORE_BYTES = 256 * 2**20  # of our own cluster, through which little data passes
MAX_STARTS = 3
MAX_FAILURES = 4  # worker deaths with the same item in flight, before the item is given up
# After so many deaths an item is retried in isolation, since a batch-mate may have caused them.
MAX_SHARED_FAILURES = 2
SPLIT_FACTOR = 16
POLL_S = 60.0  # between checks that the cluster still has room for a worker


def check_installed(key: str) -> None:
    """Raise InputError, which names the parameter `key`, unless Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            f"params.yaml: {key} = 'ray': Ray is not installed; run `make setup WITH=cluster`"
        )


def connect(address: Address, **settings: Any) -> None:
    """Connect this process to a Ray cluster, once.

    auto: the cluster that $RAY_ADDRESS names or that runs on this machine. local: a cluster of our
    own, which ends with this process. Raises InputError where there is none.
    """
    import ray

    if ray.is_initialized():
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == "local":
        ours = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        settings = ours | settings
    handler = signal.getsignal(signal.SIGTERM)
    for attempt in range(1, MAX_STARTS + 1):
        try:
            ray.init(address=address, **settings)
            break
        except ConnectionError as error:
            raise InputError(
                "no Ray cluster was found; start one (`ray start --head`) and run this on one of "
                "its nodes, or name it in $RAY_ADDRESS"
            ) from error
        except Exception:
            # Ray gives a local node 30 s to start, which a busy machine may exceed.
            if address != "local" or attempt == MAX_STARTS:
                raise
            ray.shutdown()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray replaces it


def cluster_capacity(resources: dict[str, int]) -> int:
    """Return how many workers with these resources, {"CPU": 1, "GPU": 2}, fit the cluster's nodes.

    Raises InputError where none fits: Ray would wait for such a node forever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needed = {name: number for name, number in resources.items() if number}
    capacity = sum(
        min(int(node.get(name, 0) // number) for name, number in needed.items()) for node in nodes
    )
    if not capacity:
        existing = [{name: node.get(name, 0) for name in ("CPU", "GPU")} for node in nodes]
        raise InputError(f"no node of the Ray cluster has {needed}; it has {existing}")
    return capacity


class WorkerDied(NamedTuple):
    """An item without an answer, and why."""

    reason: str


WORKER_DIED = WorkerDied(f"{MAX_FAILURES} workers died while it was in flight")


@dataclass
class _Worker:
    actor: Any
    calls: list[Any]  # unfinished, in order; the first is `ready`
    in_flight: dict[int, Any] = field(default_factory=dict)  # number -> item
    ready: bool = False
    isolated: bool = False  # works on quarantined items, to find out which one kills workers


class _Queue:
    """The waiting items, in batches that stay together."""

    def __init__(self, batches: Iterable[list[Any]]) -> None:
        self._new = iter(batches)
        self._num_new = 0
        self._next: deque[dict[int, Any]] = deque()  # retries come before new batches
        self._quarantine: deque[dict[int, Any]] = deque()
        self._failures: Counter[int] = Counter()

    def read_ahead(self) -> bool:
        """Read the next new batch if no other is waiting; return whether any batch is."""
        if not self._next and (batch := next(self._new, None)):
            self._next.append(dict(enumerate(batch, self._num_new)))
            self._num_new += len(batch)
        return bool(self._next or self._quarantine)

    def take(self) -> dict[int, Any]:
        """Return the next batch that may share a worker; {} if there is none."""
        self.read_ahead()
        return self._next.popleft() if self._next else {}

    def take_quarantined(self) -> dict[int, Any]:
        """Return the next batch that needs a worker for itself; {} if there is none."""
        return self._quarantine.popleft() if self._quarantine else {}

    def put_back(self, items: dict[int, Any]) -> list[int]:
        """Queue a dead worker's items again. Return the numbers of those that are given up.

        The machine causes most deaths, so after the first death items are queued as before. After
        another one they wait until the end and are retried in small batches, and at last one by
        one, so that an item that always kills its worker affects no others.
        """
        self._failures.update(items.keys())
        for failures in range(1, MAX_FAILURES):
            numbers = [number for number in items if self._failures[number] == failures]
            is_last = failures == MAX_FAILURES - 1
            size = 1 if is_last else max(1, len(items) // SPLIT_FACTOR)
            waiting = self._next if failures < MAX_SHARED_FAILURES else self._quarantine
            for start in range(0, len(numbers), size):
                batch = numbers[start : start + size]
                waiting.append({number: items[number] for number in batch})
        return [number for number in items if self._failures[number] >= MAX_FAILURES]


class RayActorPool:
    """At most `max_workers` actors, and no more than the cluster has room for.

    `actor_class` has `ready()`, called once, and `step(new)`. A step takes new items as a list of
    (number, item). It works until one of the actor's items is finished, and returns a list of
    (number, answer), empty if no items are left. Workers are kept between calls of
    `map_unordered`, since each may have loaded a model.
    """

    def __init__(
        self,
        actor_class: type,
        arguments: tuple[Any, ...],
        resources: dict[str, int],
        max_workers: int | None,
    ) -> None:
        self._actor_class = actor_class
        self._arguments = arguments
        self._resources = resources
        capacity = cluster_capacity(resources)
        self.num_workers = capacity if max_workers is None else min(capacity, max_workers)
        self._workers: list[_Worker] = []
        # This frees the processors as soon as nothing refers to this pool.
        weakref.finalize(self, _kill_all, self._workers)

    def map_unordered(self, batches: Iterable[list[Any]], window: int) -> Iterator[tuple[int, Any]]:
        """Yield (number, answer or WorkerDied) for every item as it finishes, counted from 0.

        A worker has at most `window` items and one batch in flight. Raises a worker's InputError,
        and IncompleteError where workers die again and again without an answer.
        """
        queue = _Queue(batches)
        deaths = 0  # since the last answer
        try:
            while queue.read_ahead() or any(worker.in_flight for worker in self._workers):
                self._start_workers()
                for worker in self._workers:
                    _submit(worker, queue, window)
                worker, answers = self._wait()
                if isinstance(answers, WorkerDied):
                    deaths += 1
                    self._workers.remove(worker)
                    given_up = queue.put_back(worker.in_flight)
                    if deaths > MAX_FAILURES + self.num_workers:  # more than all of one node
                        raise IncompleteError(
                            f"{deaths} Ray workers died in a row without an answer; the last: "
                            f"{answers.reason}. {RESUME}"
                        )
                    answers = [(number, WORKER_DIED) for number in given_up]
                else:
                    for number, _ in answers:
                        del worker.in_flight[number]
                deaths = 0 if answers else deaths
                yield from answers
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill all workers. A later `map_unordered` starts new ones."""
        _kill_all(self._workers)

    def _start_workers(self) -> None:
        import ray

        actors = ray.remote(self._actor_class).options(
            num_cpus=self._resources.get("CPU", 0),
            num_gpus=self._resources.get("GPU", 0),
            max_restarts=0,
        )
        while len(self._workers) < self.num_workers:
            actor = actors.remote(*self._arguments)
            self._workers.append(_Worker(actor, [actor.ready.remote()]))

    def _wait(self) -> tuple[_Worker, list[tuple[int, Any]] | WorkerDied]:
        """Return a worker whose oldest call has ended, and its answers, or how it died."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        # A worker answers its calls in order.
        oldest = {worker.calls[0]: worker for worker in self._workers if worker.calls}
        while not (ended := ray.wait(list(oldest), num_returns=1, timeout=POLL_S)[0]):
            cluster_capacity(self._resources)  # raises where the nodes are gone for good
        worker = oldest[ended[0]]
        worker.calls.pop(0)
        try:
            answers = ray.get(ended[0]) or []
        except RayError as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, InputError):
                raise error.cause from None
            # A frame of Ray's keeps the error, and its traceback would keep this pool alive.
            error.__traceback__ = None
            LOG.warning("a worker died: %s", str(error))
            ray.kill(worker.actor)  # it may live and only be out of reach
            # The cause comes without the traceback that Ray puts before it.
            cause = getattr(error, "cause", None) or error
            return worker, WorkerDied(f"{type(cause).__name__}: {cause}")
        worker.ready = True
        return worker, answers


def _kill_all(workers: list[_Worker]) -> None:
    import ray

    for worker in workers:
        ray.kill(worker.actor)
    workers.clear()


def _submit(worker: _Worker, queue: _Queue, window: int) -> None:
    """Keep two calls queued, so that a worker is busy while its last answers are read."""
    while worker.ready and len(worker.calls) < 2:
        new: dict[int, Any] = {}
        worker.isolated = worker.isolated and bool(worker.in_flight)
        while not worker.isolated and len(worker.in_flight) + len(new) < window:
            batch = queue.take()
            if not batch:
                break
            new |= batch
        if not new and not worker.in_flight:
            new = queue.take_quarantined()
            worker.isolated = bool(new)
        if not new and not worker.in_flight:
            return
        worker.calls.append(worker.actor.step.remote(list(new.items())))
        worker.in_flight |= new
