"""The whole pipeline, disturbed: killed at any moment, its clock turned back, run twice at once.

Each time what comes out is compared, byte for byte, with an undisturbed run. All of them ask
servers on loopback that answer alike.
"""

import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.fake_server import Server
from tests.helpers.pipeline_workspace import CONCURRENCY, fresh
from tests.helpers.reference_run import ReferenceRun, digests
from tests.helpers.workspace import Workspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
LONG = {"generate", "verify", "judge", "train", "evaluate"}
# Until a kill: a start of DVC that finds all stages done takes three seconds. A stage that was
# killed last time too gets longer, or a slow machine would never come to those after it.
SHORTEST_S, LONGER_S = 3.0, 12.0

# Where Python finds it first: every look at the clock is a minute before the last.
CLOCK = """
import itertools, time
_true, _back = time.time, itertools.count(0, 60)
time.time = lambda: _true() - next(_back)
time.time_ns = lambda: int(time.time() * 1e9)
"""


def start(space: Workspace, name: str, *targets: str) -> "subprocess.Popen[bytes]":
    """As `make repro` does it."""
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


def said(space: Workspace, name: str) -> str:
    return (space.folder.parent / f"{space.folder.name}-{name}.out").read_text()


def killed_after(space: Workspace, seconds: float) -> str | None:
    """The stage in which `dvc repro` and all its children were killed; None where it had ended."""
    process = start(space, "killed")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        ran = stages_run(said(space, "killed"))
        return ran[-1].partition("@")[0] if ran else "none"
    assert process.returncode == 0, said(space, "killed") + space.logs()
    return None


@pytest.mark.parametrize("kills", [15, pytest.param(100, marks=pytest.mark.nightly)])
def test_killed_at_any_moment_the_outputs_are_those_of_an_undisturbed_run(
    kills: int, reference_run: ReferenceRun, tmp_path: Path
) -> None:
    chance = random.Random(kills)
    hit: Counter[str] = Counter()
    rounds = 0
    while hit.total() < kills:
        rounds += 1
        with Server(delay_s=0.05) as server:
            space = fresh(tmp_path / f"killed-{rounds}", server, reference_run.model)
            here, in_a_row, last = 0, 1, ""
            while hit.total() < kills:
                longest = SHORTEST_S + in_a_row * LONGER_S
                stage = killed_after(space, chance.uniform(SHORTEST_S, longest))
                if stage is None:
                    break
                in_a_row = in_a_row + 1 if stage == last else 1
                last = stage
                hit[stage] += 1
                here += 1
            assert start(space, "whole").wait(600) == 0, said(space, "whole")
            assert set(server.asked) == reference_run.asked
            again = sum(times - 1 for times in server.asked.values())
            # What was in flight at a kill, and what had arrived and was not yet kept.
            assert again <= here * 2 * CONCURRENCY
        assert digests(space) == reference_run.files
    print(f"{hit.total()} kills in {rounds} runs: {dict(hit)}")  # noqa: T201 - for the nightly log
    if kills >= 100:
        assert set(hit) >= LONG


def test_a_clock_that_runs_backwards_changes_nothing(
    reference_run: ReferenceRun, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    with Server() as server:
        space = fresh(tmp_path / "space", server, reference_run.model)
        space.env["PYTHONPATH"] = str(tmp_path)
        space.dvc("repro", "evaluate@policy")
        assert set(server.asked.values()) == {1}
        files = digests(space)
        assert "data/counts/evaluate/policy.json" in files
        assert files.items() <= reference_run.files.items()
        assert stages_run(space.dvc("repro", "evaluate@policy")) == []


def test_two_at_once_ask_nothing_twice_and_end_in_the_same_files(
    reference_run: ReferenceRun, tmp_path: Path
) -> None:
    """DVC lets one of two that want the same stage go first, or refuses the second with a word."""
    with Server(delay_s=0.02) as server:
        space = fresh(tmp_path / "space", server, reference_run.model)
        both = {name: start(space, name, "pair") for name in ("one", "two")}
        codes = {name: process.wait(600) for name, process in both.items()}
        assert 0 in codes.values()
        for name in [name for name, code in codes.items() if code]:
            output = said(space, name)
            assert "Unable to acquire lock" in output or "is busy" in output
        space.dvc("repro", "pair")
        assert set(server.asked.values()) == {1}
    files = digests(space)
    assert "data/pairs.parquet" in files
    assert files.items() <= reference_run.files.items()
