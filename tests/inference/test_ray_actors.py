"""A real Ray cluster of two workers on this machine, some of which are killed."""

import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delta.check import check
from delta.core import fingerprint
from delta.core.errors import IncompleteError, InputError
from delta.grading import ray_pool
from delta.grading.grade_all import grade_all
from delta.grading.graders import Case
from delta.grading.verdict import Verdict
from delta.inference import ray_actors
from delta.inference.config import RayParams, ServingParams, VllmParams
from delta.inference.ray_actors import MAX_FAILURES, WORKER_DIED, RayActorPool
from delta.inference.ray_engine import Prompt, RayEngine, VllmActor
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Request
from delta.inference.vllm_engine import VllmEngine
from tests.helpers.failing_graders import ON_RAY, killing
from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_model_families import write_model_family

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MARK = "DELTA_TEST_CLUSTER"  # in the environment of all that a driver starts


@pytest.fixture(scope="module", autouse=True)
def two_cpu_cluster() -> Iterator[None]:
    """Start a cluster with two CPUs, whatever the machine has. It ends with this module."""
    import ray

    ray_actors.connect("local", num_cpus=2)
    yield
    ray.shutdown()


# --- the pool ---


class Squares:
    """Answers one item at a time. The items "die" and "input" make it fail."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int | str]] = []

    def ready(self) -> None:
        pass

    def step(self, new: list[tuple[int, int | str]]) -> list[tuple[int, int]]:
        self.waiting += new
        if not self.waiting:
            return []
        number, item = self.waiting.pop(0)
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "input":
            raise InputError("no such folder")
        assert isinstance(item, int)
        return [(number, item * item)]


class DiesAtStart(Squares):
    def ready(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def run(actor_class: type, batches: list[list[Any]], window: int = 4) -> list[tuple[int, Any]]:
    pool = RayActorPool(actor_class, (), {"CPU": 1}, None)
    try:
        return list(pool.map_unordered(batches, window))
    finally:
        pool.close()


def test_an_item_that_kills_its_workers_is_given_up_and_takes_no_other_with_it() -> None:
    answers = run(Squares, [[0, 1, 2], [3, "die", 5], [6], [7, 8, 9]])
    assert sorted(number for number, _ in answers) == list(range(10))
    assert dict(answers) == {n: n * n for n in range(10)} | {4: WORKER_DIED}


def test_a_pool_that_lost_a_worker_frees_its_processors_once_it_is_gone() -> None:
    import ray

    gc.disable()  # it comes sooner or later, and until then nobody else would get a processor
    try:
        pool = RayActorPool(Squares, (), {"CPU": 1}, None)
        assert len(list(pool.map_unordered([[1, 2], ["die", 3], [4]], 4))) == 5
        wait_until(lambda: ray.available_resources().get("CPU", 0) < 2, 60)
        del pool
        wait_until(lambda: ray.available_resources().get("CPU") == 2, 60)
    finally:
        gc.enable()


def test_workers_that_always_die_end_the_run_with_one_line() -> None:
    with pytest.raises(IncompleteError, match=f"{MAX_FAILURES + 3} Ray workers died in a row"):
        run(DiesAtStart, [[1]])


def test_an_input_error_on_a_node_is_raised_as_such() -> None:
    with pytest.raises(InputError, match="no such folder"):
        run(Squares, [[1, 2, "input"]])


def test_resources_that_no_node_has_are_an_error() -> None:
    with pytest.raises(InputError, match=r"no node of the Ray cluster has \{'CPU': 1, 'GPU': 8\}"):
        RayActorPool(Squares, (), {"CPU": 1, "GPU": 8}, None)


# --- vLLM ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_model_family(path, "plain")
    return path


class RecordingActor(VllmActor):
    """A replica that writes which process got which request, and begins with the other one."""

    def ready(self) -> None:
        super().ready()
        folder = self.engine.folder.parent
        (folder / f"ready-{os.getpid()}").touch()
        # On a busy machine one replica would answer everything while the other one loads its model.
        wait_until(lambda: len(list(folder.glob("ready-*"))) >= 2, 600)

    def step(self, new: list[tuple[int, Prompt]]) -> list[tuple[int, Any]]:
        with (self.engine.folder.parent / "assignments").open("a") as file:
            file.writelines(f"{os.getpid()} {request.key()}\n" for _, (request, _) in new)
        return super().step(new)


def assignments(folder: Path) -> list[tuple[int, str]]:
    lines = (folder.parent / "assignments").read_text().splitlines()
    return [(int(pid), key) for pid, _, key in (line.partition(" ") for line in lines)]


def settings() -> tuple[VllmParams, ServingParams]:
    params = check(ROOT / "profiles" / "smoke.yaml")
    vllm = params.engine.vllm.model_copy(update={"kv_cache_memory_bytes": 100 * 2**20})
    changes = {"max_model_len": 512, "max_num_seqs": 4}
    serving = params.serving["smollm2-135m"].model_copy(update=changes)
    assert isinstance(serving, ServingParams)
    return vllm, serving


def make_requests(engine: RayEngine, model: str) -> list[Request]:
    """Return four requests for each of 16 prompts. Long replies are in flight at a kill."""
    requests = []
    for number in range(16):
        prompt = engine.render(engine.chat_format.messages(f"What is {number} + 1?"))
        first = Request(model, engine.name, prompt, 1.0, 1.0, max_tokens=64, seed=1, sample=0)
        requests += [replace(first, sample=sample) for sample in range(4)]
    return requests


def test_a_killed_replica_costs_what_it_had_in_flight_and_no_reply_differs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr("delta.inference.ray_engine.VllmActor", RecordingActor)
    model = fingerprint.read_fingerprint(folder)
    vllm, serving = settings()
    engine = RayEngine(vllm, serving, folder, RayParams(address="local", replicas=2, cpus=1))
    requests = make_requests(engine, model)
    victim, kept_before = 0, set[str]()
    replies = {}
    with ReplyCache(tmp_path / "cache") as cache:
        for request, reply in cache.cached(engine.generate, max_failed=0.0)(requests):
            replies[request] = reply
            workers = {pid for pid, _ in assignments(folder)}
            if not victim and len(replies) >= 12 and len(workers) == 2:
                victim = assignments(folder)[-1][0]
                kept_before = {request.key() for request in replies}
                os.kill(victim, signal.SIGKILL)
    times = Counter(key for _, key in assignments(folder))
    repeated = {key for key, number in times.items() if number > 1}
    assert victim
    assert max(times.values()) == 2
    # A window, one batch more, and the replies that had arrived and were not yet read.
    assert 1 <= len(repeated) <= 2 * serving.max_num_seqs + 4
    assert repeated <= {key for pid, key in assignments(folder) if pid == victim}
    assert not repeated & kept_before
    lines = b"".join(path.read_bytes() for path in (tmp_path / "cache").glob("*.log"))
    assert lines.count(b"\n") == len(requests) == len(replies)
    # The four samples of a prompt went to the same replica at first.
    first = {key: pid for pid, key in reversed(assignments(folder))}
    for start in range(0, len(requests), 4):
        assert len({first[request.key()] for request in requests[start : start + 4]}) == 1
    del engine  # this frees the processors
    wait_until(lambda: ray.available_resources().get("CPU") == 2, 120)
    assert dict(VllmEngine(vllm, serving, folder).generate(requests)) == replies


def test_a_node_with_another_model_or_another_engine_is_named(folder: Path) -> None:
    vllm, serving = settings()
    name, model = VllmEngine(vllm, serving, folder).name, fingerprint.read_fingerprint(folder)
    for node_folder, engine, expected_model, message in (
        (folder / "none", name, model, "no such folder; the project must lie at the same path"),
        (folder, name, "others", f"{folder} holds other weights than here"),
        (folder, "vllm 0.1 float32", model, "expected this machine's vllm 0.1 float32"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            VllmActor(vllm, serving, node_folder, engine, expected_model).ready()


# --- grading ---


def test_a_cluster_gives_the_verdicts_of_this_machine_even_if_a_grader_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "CHUNK_SIZE", 8)
    cases = [
        Case("choice", "ABCDE"[n % 5], f"The answer is ({'ABC'[n % 3]}).", "stop")
        for n in range(30)
    ]
    cases += [Case("math", str(n), rf"\boxed{{{n % 4} + 0}}", "stop") for n in range(10)]
    cases[7] = cases[7]._replace(gold_answer="exit")
    cases[9] = cases[9]._replace(gold_answer="kill", answer=str(tmp_path / "killed"))
    on_ray = list(grade_all(ON_RAY, cases, killing))
    assert (tmp_path / "killed").exists()
    assert on_ray == list(grade_all(ON_RAY.model_copy(update={"backend": "local"}), cases, killing))
    assert on_ray[0] == Verdict("correct", "A", None)
    assert on_ray[7] == Verdict("ungradable", None, "worker died with exit code 7")
    assert sum(verdict.outcome == "correct" for verdict in on_ray) == 10  # 6 choices, 4 numbers


# --- a driver that is killed ---

DRIVER = """
from delta.inference import ray_actors
from delta.grading.grade_all import grade_all
from delta.grading.graders import Case
from tests.helpers.failing_graders import ON_RAY, stuck
ray_actors.connect("local")
list(grade_all(ON_RAY, [Case("choice", "A", "A", "stop")], stuck))
"""


def driver_processes() -> dict[int, str]:
    """Return the processes that the driver has started, by id, with their command lines."""
    processes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}=yes".encode() in (folder / "environ").read_bytes():
                processes[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has ended
    return processes


def wait_until(true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"after {seconds} s: {driver_processes()}"
        time.sleep(0.2)


def test_a_killed_driver_leaves_no_process_behind(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {MARK: "yes"}
    with (tmp_path / "out").open("w") as out:
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER], env=environment, cwd=ROOT, stdout=out, stderr=out
        )
    try:
        wait_until(
            lambda: (
                sum("multiprocessing" in command for command in driver_processes().values()) >= 2
            ),
            120,
        )
        assert len(driver_processes()) >= 5  # driver, Ray's own, an actor, its worker
        driver.kill()
        driver.wait()
        wait_until(lambda: not driver_processes(), 240)  # seconds, but on a busy machine
    finally:
        for pid in driver_processes():
            os.kill(pid, signal.SIGKILL)


def test_without_a_cluster_to_join_one_line_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(address: str) -> None:  # as Ray's own where none runs; here one does
        raise ConnectionError(f"Could not find any running Ray instance ({address})")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", init)
    with pytest.raises(InputError, match="no Ray cluster was found; start one"):
        ray_actors.connect("auto")


def test_without_ray_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"engine\.kind = 'ray': Ray is not installed"):
        ray_actors.check_installed("engine.kind")
