"""The whole pipeline is killed at any moment, runs with a backward clock, and runs twice at once.

Its outputs are compared byte for byte with those of an undisturbed run. All runs use servers on
loopback that give equal replies to equal requests.
"""

import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.fake_server import FakeServer
from tests.helpers.pipeline_workspace import CONCURRENCY, create_workspace
from tests.helpers.reference_run import ReferenceRun, digests
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
LONG = {"generate", "verify", "judge", "train", "evaluate"}
# Seconds until a kill. DVC takes three seconds to find that all stages are done. A stage that was
# also killed last time gets longer, so that a slow machine reaches the stages after it.
SHORTEST_S, LONGER_S = 3.0, 12.0

# Python imports this first: every call returns a time one minute before the last one.
CLOCK = """
import itertools, time
_true, _back = time.time, itertools.count(0, 60)
time.time = lambda: _true() - next(_back)
time.time_ns = lambda: int(time.time() * 1e9)
"""


def start(space: DvcWorkspace, name: str, *targets: str) -> "subprocess.Popen[bytes]":
    """Start the pipeline as `make repro` does, but with all that DVC prints."""
    command = f"python -m delta repair-dvc && exec dvc repro {' '.join(targets)}"
    with (space.folder.parent / f"{space.folder.name}-{name}.out").open("w") as out:
        return subprocess.Popen(
            ["sh", "-c", command],
            cwd=space.folder,
            env=space.env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def read_output(space: DvcWorkspace, name: str) -> str:
    return (space.folder.parent / f"{space.folder.name}-{name}.out").read_text()


def killed_after(space: DvcWorkspace, seconds: float) -> str | None:
    """Kill `dvc repro` and its children; return the stage that ran, or None if all had ended."""
    process = start(space, "killed")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        ran = stages_run(read_output(space, "killed"))
        return ran[-1].partition("@")[0] if ran else "none"
    assert process.returncode == 0, read_output(space, "killed") + space.logs()
    return None


@pytest.mark.parametrize("kills", [15, pytest.param(100, marks=pytest.mark.nightly)])
def test_kills_at_any_moment_do_not_change_the_outputs(
    kills: int, reference_run: ReferenceRun, tmp_path: Path
) -> None:
    chance = random.Random(kills)
    killed: Counter[str] = Counter()
    rounds = 0
    while killed.total() < kills:
        rounds += 1
        with FakeServer(delay_s=0.05) as server:
            space = create_workspace(tmp_path / f"killed-{rounds}", server, reference_run.model)
            kills_here, in_a_row, last = 0, 1, ""
            while killed.total() < kills:
                longest = SHORTEST_S + in_a_row * LONGER_S
                stage = killed_after(space, chance.uniform(SHORTEST_S, longest))
                if stage is None:
                    break
                in_a_row = in_a_row + 1 if stage == last else 1
                last = stage
                killed[stage] += 1
                kills_here += 1
            assert start(space, "whole").wait(600) == 0, read_output(space, "whole")
            assert set(server.requests) == reference_run.requests
            resent = sum(times - 1 for times in server.requests.values())
            # Per kill: requests in flight, and replies that had arrived and were not yet cached.
            assert resent <= kills_here * 2 * CONCURRENCY
        assert digests(space) == reference_run.files
    print(f"{killed.total()} kills in {rounds} runs: {dict(killed)}")  # noqa: T201 - for the nightly log
    if kills >= 100:
        assert set(killed) >= LONG


def test_a_clock_that_runs_backwards_changes_nothing(
    reference_run: ReferenceRun, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    with FakeServer() as server:
        space = create_workspace(tmp_path / "space", server, reference_run.model)
        space.env["PYTHONPATH"] = str(tmp_path)
        space.dvc("repro", "evaluate@policy")
        assert set(server.requests.values()) == {1}
        files = digests(space)
        assert "data/counts/evaluate/policy.json" in files
        assert files.items() <= reference_run.files.items()
        assert stages_run(space.dvc("repro", "evaluate@policy")) == []


def test_two_runs_at_once_send_no_request_twice(
    reference_run: ReferenceRun, tmp_path: Path
) -> None:
    """DVC runs one after the other, or refuses the second with an error."""
    with FakeServer(delay_s=0.02) as server:
        space = create_workspace(tmp_path / "space", server, reference_run.model)
        processes = {name: start(space, name, "pair") for name in ("one", "two")}
        codes = {name: process.wait(600) for name, process in processes.items()}
        assert 0 in codes.values()
        for name in [name for name, code in codes.items() if code]:
            output = read_output(space, name)
            assert "Unable to acquire lock" in output or "is busy" in output
        space.dvc("repro", "pair")
        assert set(server.requests.values()) == {1}
    files = digests(space)
    assert "data/pairs.parquet" in files
    assert files.items() <= reference_run.files.items()
