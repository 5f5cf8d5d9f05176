"""Work shared out to actors on a Ray cluster; what a lost one had in hand goes to the others.

Plain actors, and not Ray Data with its vLLM processor: there replies come back a block at a time,
and what a killed run keeps is Ray's checkpoint of blocks, beside our store. Here every answer comes
back by itself as it is finished, so that the store has it before the next one is looked at, and a
lost node costs what it had in hand.
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

from delta.core.errors import IncompleteError, InputError

LOG = logging.getLogger(__name__)
Address = Literal["local", "auto"]
OBJECTS_BYTES = 256 * 2**20  # of a cluster of our own: what passes through is small
STARTS = 3
MOST_LOSSES = 4  # workers lost with the same item in hand before it counts as their death
MAX_SHARED_FAILURES = (
    2  # of those, so many may have been another item's fault; then in small company
)
SPLIT_FACTOR = 16
POLL_S = 60.0  # between looks at whether the cluster still has room for anybody


def check_installed(key: str) -> None:
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            f"params.yaml: {key} = 'ray': Ray is not installed; run `make setup WITH=cluster`"
        )


def join(address: Address, **settings: Any) -> None:
    """Be a driver of a Ray cluster, once a process: the one that $RAY_ADDRESS names or that runs on
    this machine (auto), or one of our own on this machine that ends with this process (local).
    """
    import ray

    if ray.is_initialized():
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == "local":
        settings = {"include_dashboard": False, "object_store_memory": OBJECTS_BYTES} | settings
    ended = signal.getsignal(signal.SIGTERM)
    try:
        _init(address, settings)
    except ConnectionError as error:
        raise InputError(
            "no Ray cluster was found; start one (`ray start --head`) and run this on one of its "
            "nodes, or name it in $RAY_ADDRESS"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ended)  # Ray puts its own in its place


def _init(address: Address, settings: dict[str, Any]) -> None:
    """Ray gives a node of our own 30 s to start, whatever else a machine has to do."""
    import ray

    for left in range(STARTS - 1, -1, -1):
        try:
            ray.init(address=address, **settings)
            return
        except ConnectionError:
            raise
        except Exception:
            if address != "local" or not left:
                raise
            ray.shutdown()


def num_workers_that_fit(needs: dict[str, int]) -> int:
    """How many workers that need so much, {"CPU": 1, "GPU": 2}, the cluster's nodes hold at once.

    InputError where none of them holds one: Ray would wait for such a node forever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = {name: need for name, need in needs.items() if need}
    held = sum(min(int(n.get(name, 0) // need) for name, need in wanted.items()) for n in nodes)
    if not held:
        there = [{name: node.get(name, 0) for name in ("CPU", "GPU")} for node in nodes]
        raise InputError(f"no node of the Ray cluster has {wanted}; it has {there}")
    return held


class WorkerDied(NamedTuple):
    """No answer came, and why."""

    reason: str


WORKER_DIED = WorkerDied(f"{MOST_LOSSES} workers died while they had it in hand")


@dataclass
class _Worker:
    actor: Any
    calls: list[Any]  # what it was called for and has not answered; the first is `ready`
    in_hand: dict[int, Any] = field(default_factory=dict)  # number → item
    ready: bool = False
    alone: bool = False  # in small company, to find out which item kills workers


class _Queue:
    """Items that wait, in pieces that stay together."""

    def __init__(self, pieces: Iterable[list[Any]]) -> None:
        self._fresh = iter(pieces)
        self._num_fresh = 0
        self._again: deque[dict[int, Any]] = deque()  # before what is fresh
        self._suspects: deque[dict[int, Any]] = deque()
        self._losses: Counter[int] = Counter()

    def __bool__(self) -> bool:
        if not self._again and (piece := next(self._fresh, None)):
            self._again.append(dict(enumerate(piece, self._num_fresh)))
            self._num_fresh += len(piece)
        return bool(self._again or self._suspects)

    def take(self) -> dict[int, Any] | None:
        """The next piece that may be answered beside others."""
        return self._again.popleft() if self and self._again else None

    def take_suspects(self) -> dict[int, Any]:
        """The next piece that has to have a worker for itself."""
        return self._suspects.popleft() if self._suspects else {}

    def put_back(self, lost: dict[int, Any]) -> list[int]:
        """What a worker had in hand when it was lost. The numbers of those that are given up.

        Most losses are the machine's fault, so all of them go on as before. Those that were there
        again wait to the end and are tried in small company, at last each alone: one that kills
        its worker every time takes no others with it.
        """
        self._losses.update(lost.keys())
        for losses in range(1, MOST_LOSSES):
            numbers = [number for number in lost if self._losses[number] == losses]
            few = 1 if losses == MOST_LOSSES - 1 else max(1, len(lost) // SPLIT_FACTOR)
            waiting = self._again if losses < MAX_SHARED_FAILURES else self._suspects
            for start in range(0, len(numbers), few):
                waiting.append({n: lost[n] for n in numbers[start : start + few]})
        return [number for number in lost if self._losses[number] >= MOST_LOSSES]


class RayActorPool:
    """Workers, at most `most` and as many as the cluster has room for. They are kept between runs,
    since each may have loaded a model.

    A worker is an actor of the class `kind` with `ready()`, called once, and `step(new)`: it takes
    what is new, (number, item) each, works until something of all that it was given is finished,
    and returns that as (number, answer) each; nothing where nothing is left.
    """

    def __init__(
        self, kind: type, arguments: tuple[Any, ...], needs: dict[str, int], most: int | None
    ) -> None:
        self._kind = kind
        self._arguments = arguments
        self._needs = needs
        self.num_workers = (
            num_workers_that_fit(needs) if most is None else min(num_workers_that_fit(needs), most)
        )
        self._workers: list[_Worker] = []
        # Their processors are wanted by others as soon as nobody has a use for this crew.
        weakref.finalize(self, _dismiss, self._workers)

    def run(self, pieces: Iterable[list[Any]], window: int) -> Iterator[tuple[int, Any]]:
        """(number, answer or Lost) for every item, counted from 0, in the order of finishing.

        A worker has at most a piece more than `window` items in hand. Raises what is an InputError
        in a worker, and IncompleteError where workers are lost again and again without an answer.
        """
        queue = _Queue(pieces)
        losses = 0  # since anything was answered
        try:
            while queue or any(worker.in_hand for worker in self._workers):
                self._hire()
                for worker in self._workers:
                    _feed(worker, queue, window)
                worker, answers = self._next()
                if isinstance(answers, str):
                    losses += 1
                    self._workers.remove(worker)
                    answered = [(number, WORKER_DIED) for number in queue.put_back(worker.in_hand)]
                    self._check(losses, answers)
                else:
                    answered = answers
                    for number, _ in answered:
                        del worker.in_hand[number]
                losses = 0 if answered else losses
                yield from answered
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        _dismiss(self._workers)

    def _hire(self) -> None:
        import ray

        actors = ray.remote(self._kind).options(
            num_cpus=self._needs.get("CPU", 0),
            num_gpus=self._needs.get("GPU", 0),
            max_restarts=0,  # we start another, which is told what the lost one had in hand
        )
        while len(self._workers) < self.num_workers:
            actor = actors.remote(*self._arguments)
            self._workers.append(_Worker(actor, [actor.ready.remote()]))

    def _next(self) -> tuple[_Worker, list[tuple[int, Any]] | str]:
        """The worker whose oldest call has ended, and its answers, or why it is lost."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        # A worker answers its calls in order.
        oldest = {worker.calls[0]: worker for worker in self._workers if worker.calls}
        while not (ended := ray.wait(list(oldest), num_returns=1, timeout=POLL_S)[0]):
            num_workers_that_fit(self._needs)  # nodes may have gone for good
        worker = oldest[ended[0]]
        worker.calls.pop(0)
        try:
            answers = ray.get(ended[0]) or []
        except RayError as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, InputError):
                raise error.cause from None
            # Through its traceback it would keep this crew alive: a frame of Ray's has it too.
            error.__traceback__ = None
            LOG.warning("a worker is lost: %s", str(error))
            ray.kill(worker.actor)  # it may only be out of reach
            return worker, _reason(error)
        worker.ready = True
        return worker, answers

    def _check(self, losses: int, reason: str) -> None:
        if losses > MOST_LOSSES + self.num_workers:  # all of them may have been on one node
            raise IncompleteError(
                f"{losses} Ray workers were lost in a row and nothing was answered; the last: "
                f"{reason}. What was answered before is kept; the same command goes on"
            )


def _reason(error: Exception) -> str:
    """What a worker raised, without the traceback that Ray puts before it; or how it died."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {cause}"


def _dismiss(workers: list[_Worker]) -> None:
    """At once, whatever they have in hand."""
    import ray

    for worker in workers:
        ray.kill(worker.actor)
    workers.clear()


def _feed(worker: _Worker, queue: _Queue, window: int) -> None:
    """Two calls at a time, so that a worker goes on while its last answers are looked at."""
    while worker.ready and len(worker.calls) < 2:
        new: dict[int, Any] = {}
        worker.alone = worker.alone and bool(worker.in_hand)
        while not worker.alone and len(worker.in_hand) + len(new) < window:
            piece = queue.take()
            if piece is None:
                break
            new |= piece
        if not new and not worker.in_hand:
            new = queue.take_suspects()
            worker.alone = bool(new)
        if not new and not worker.in_hand:
            return
        worker.calls.append(worker.actor.step.remote(list(new.items())))
        worker.in_hand |= new
