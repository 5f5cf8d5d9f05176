"""`dvc repro` and `dvc exp` with a tiny model and a server on loopback that counts its requests.

tests/inference/test_vllm_engine.py and test_laptop.py use the real engine.
"""

import csv
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from delta.core import digests
from tests.helpers.fake_server import FakeServer
from tests.helpers.pipeline_workspace import CONCURRENCY, GENERATORS, create_workspace
from tests.helpers.tiny_models import write_model
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def start(space: DvcWorkspace) -> "subprocess.Popen[bytes]":
    with (space.folder / "killed.out").open("w") as out:
        return subprocess.Popen(
            ["dvc", "repro"],
            cwd=space.folder,
            env=space.env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def kill_when(
    space: DvcWorkspace, process: "subprocess.Popen[bytes]", is_due: Callable[[], bool]
) -> None:
    """Kill dvc and all its children as soon as `is_due()`; fail if dvc ends before."""
    until = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < until and not is_due():
        time.sleep(0.01)
    assert process.poll() is None, (space.folder / "killed.out").read_text() + space.logs()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_within(space: DvcWorkspace, server: FakeServer, stage: str) -> None:
    """Start `dvc repro`; kill it and its children when the server has answered `stage` twice."""
    before = server.num_answered

    def is_due() -> bool:
        nonlocal before
        ran = stages_run((space.folder / "killed.out").read_text())
        if not (ran and ran[-1].startswith(f"{stage}@")):
            before = server.num_answered
        return server.num_answered >= before + 2

    kill_when(space, start(space), is_due)


@pytest.fixture(scope="module")
def killed_run(
    tmp_path_factory: pytest.TempPathFactory, server: FakeServer
) -> tuple[DvcWorkspace, int]:
    """Return a complete run that was killed three times, and how many requests were resent."""
    model = tmp_path_factory.mktemp("tiny")
    write_model(model)
    space = create_workspace(tmp_path_factory.mktemp("space"), server, model)
    server.delay_s = 0.2
    for stage in ("generate", "judge", "evaluate"):
        kill_within(space, server, stage)
    server.delay_s = 0.0
    space.dvc("repro")
    space.commit()
    return space, sum(times - 1 for times in server.requests.values())


@pytest.fixture(scope="module")
def space(killed_run: tuple[DvcWorkspace, int]) -> DvcWorkspace:
    """Return the workspace of that run. Every test restores its parameters and outputs."""
    return killed_run[0]


def test_kills_in_generate_judge_and_evaluate_resend_only_requests_in_flight(
    killed_run: tuple[DvcWorkspace, int],
) -> None:
    space, repeated = killed_run
    # Per kill: requests in flight, and replies that had arrived and were not yet cached.
    assert repeated <= 3 * 2 * CONCURRENCY
    problems = pl.read_parquet(space.folder / "data/problems.parquet")
    for name in GENERATORS:
        traces = pl.read_parquet(space.folder / f"data/traces/{name}.parquet")
        ratings = pl.read_parquet(space.folder / f"data/ratings/{name}.parquet")
        assert traces.height == traces["trace_id"].n_unique() == 2 * problems.height
        assert ratings.height == 5 * traces.height
        assert ratings["votes"].list.len().to_list() == [2] * ratings.height


def test_training_resumes_from_the_last_complete_checkpoint_after_a_kill(
    space: DvcWorkspace,
) -> None:
    epochs = space.set("train.dpo.num_train_epochs", 30)

    def is_due() -> bool:
        marks = (space.folder / ".dvc/replies").glob(
            "train-*/run/checkpoints/checkpoint-*/COMPLETE"
        )
        return any(int(mark.parent.name.rpartition("-")[2]) >= 5 for mark in marks)

    kill_when(space, start(space), is_due)
    output = space.dvc("repro")
    resumed = re.search(r"train: resuming from checkpoint-(\d+)", output)
    assert resumed is not None, output
    assert int(resumed.group(1)) >= 5
    lines = (space.folder / "data/training.tsv").read_text().strip().split("\n")
    assert [line.split("\t")[0] for line in lines[1:]] == [str(step) for step in range(1, 91)]
    assert not any((space.folder / ".dvc/replies").glob("train-*/run"))
    space.set("train.dpo.num_train_epochs", epochs)
    assert stages_run(space.dvc("repro")) == []


def test_a_second_run_runs_no_stage_and_sends_no_request(
    space: DvcWorkspace, server: FakeServer
) -> None:
    before = server.requests.total()
    assert stages_run(space.dvc("repro")) == []
    assert server.requests.total() == before


def test_another_k_reruns_what_depends_on_it_and_its_numbers_are_compared(
    space: DvcWorkspace, server: FakeServer
) -> None:
    before = server.requests.total()
    output = space.dvc("exp", "run", "--name", "small-k", "-S", "selector.k=4")
    assert sorted(stages_run(output)) == sorted(
        ["select", "train", "analyze", "evaluate@policy", "summary", "viewer", "report"]
    )
    assert server.requests.total() - before == 6 + 4 * 2 + 3  # the policy's answers, nothing else
    assert "selector.k" in space.dvc("params", "diff", "HEAD")
    diff = json.loads(space.dvc("metrics", "diff", "HEAD", "--json"))
    (changes,) = diff.values()
    assert len(changes) <= 20
    assert changes["selection.pairs"] == {"old": 6, "new": 4, "diff": -2}
    (header, *rows) = csv.reader(space.dvc("exp", "show", "--csv", "--no-pager").splitlines())
    assert "small-k" in {row[0] for row in rows}
    metrics = header[header.index("parent") + 1 : header.index("profile")]
    assert {name.split(".")[0] for name in metrics} == {"policy", "judge", "selection", "training"}
    assert "policy.easy.score" in metrics
    assert len(metrics) <= 25
    assert not [
        name for name in metrics if "/" in name
    ]  # columns of files come after the parameters
    assert stages_run(space.dvc("exp", "run", "-S", "selector.k=6")) == []  # the run cache


def policy_replies(space: DvcWorkspace) -> list[Path]:
    return list((space.folder / ".dvc/replies").glob("evaluate-policy-*"))


def test_queued_experiments_share_the_reply_cache_and_the_cache_of_dvc(
    space: DvcWorkspace, server: FakeServer
) -> None:
    before = server.requests.total()
    folders = set(policy_replies(space))
    for beta in (0.3, 0.4):
        space.dvc("exp", "run", "--queue", "--name", f"beta-{beta}", "-S", f"train.dpo.beta={beta}")
    space.dvc("queue", "start", "--jobs", "1")
    until = time.monotonic() + 600
    while "Running" in (status := space.dvc("queue", "status")) or "Queued" in status:
        assert time.monotonic() < until, status
        if "0 active, 0 idle" in status and "Queued" in status:
            # A worker of DVC's that looks while nothing is queued ends, also between two tasks.
            space.dvc("queue", "start", "--jobs", "1")
        time.sleep(2)
    assert status.count("Success") >= 2, status + space.dvc("queue", "logs", "beta-0.3")
    assert server.requests.total() - before == 2 * (6 + 4 * 2 + 3)
    assert len(set(policy_replies(space)) - folders) == 2  # one for each policy
    table = space.dvc("exp", "show", "--no-pager", "--csv", "--only-changed", "--drop", "/")
    assert "beta-0.3" in table
    assert "beta-0.4" in table
    space.dvc("plots", "diff", "HEAD", "beta-0.3", "-o", "plots")
    assert "beta-0.3" in (space.folder / "plots/index.html").read_text()


def test_bad_input_stops_before_any_stage_does_work_and_harms_nothing(
    space: DvcWorkspace, server: FakeServer
) -> None:
    policy = space.folder / "data/models/policy/model.safetensors"
    before, digest = server.requests.total(), digests.sha256_of(policy)
    for key, value, message in (
        ("train.dpo.learning_rate", "5e-8", "write 5e-8 without quotes"),
        ("selector.k", 99, "expected 1 to 16"),
        ("judge.max_refused", 1.5, "less than or equal to 1"),
    ):
        good = space.set(key, value)
        output = space.dvc("repro", ok=False)
        space.set(key, good)
        assert key in output
        assert message in output
        assert "Traceback" not in output
    assert server.requests.total() == before
    assert stages_run(space.dvc("repro")) == []  # what DVC had cleared away is in its cache
    assert digests.sha256_of(policy) == digest


def test_a_truncated_table_is_one_line_and_dvc_repro_restores_it(space: DvcWorkspace) -> None:
    path = space.folder / "data/pairs.parquet"
    path.write_bytes(path.read_bytes()[:100])
    output = space.run("python", "-m", "stages.select", ok=False)
    assert len(output.strip().split("\n")) == 1
    assert "data/pairs.parquet: cannot be read as Parquet" in output
    space.dvc("repro")
    assert pl.read_parquet(path).height > 6
