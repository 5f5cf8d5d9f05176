"""Ctrl-C, full and read-only disks and damaged files end with one line and lose nothing."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.fake_server import FakeServer
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import CONCURRENCY, create_workspace
from tests.helpers.tiny_models import write_model
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
SMALL = 3_000  # bytes: enough for the replies to some problems, not to all
RESUME = "Completed replies are kept; run the same command to resume."
FREE_DISK = "Completed replies are kept. Free up disk space or fix permissions, then rerun."


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, server: FakeServer) -> DvcWorkspace:
    """Return a workspace with problems and a model; the next stage sends requests."""
    model = tmp_path_factory.mktemp("tiny")
    write_model(model)
    space = create_workspace(tmp_path_factory.mktemp("faults"), server, model)
    space.dvc("repro", "problems", "fetch@tiny")
    return space


def start(
    space: DvcWorkspace, *command: str, before: Callable[[], None] | None = None
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        cwd=space.folder,
        env=space.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=before,  # noqa: PLW1509 - this process has no other thread that forks
    )


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


def num_requests(space: DvcWorkspace) -> int:
    """Return the number of requests of one generator: two samples of every problem."""
    counts = json.loads((space.folder / "data/counts/problems.json").read_text())
    return int(2 * counts["problems"]["kept"])


def count_requests(server: FakeServer, work: Callable[[], object]) -> int:
    """Return how many requests `work` sends."""
    before = server.requests.total()
    work()
    return server.requests.total() - before


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("zero-shot", ("python", "-m", "stages.generate", "zero-shot")),
        ("one-shot", ("dvc", "repro", "generate@one-shot")),
    ],
)
def test_ctrl_c_ends_within_seconds_and_says_how_to_resume(
    space: DvcWorkspace, server: FakeServer, name: str, command: tuple[str, ...]
) -> None:
    total = num_requests(space)
    server.delay_s, first = 0.5, server.num_answered
    process = start(space, *command)
    while server.num_answered < first + 3 and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    stopped = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - stopped < 10
    assert process.returncode != 0
    assert f"generate-{name}: interrupted. {RESUME}" in output
    assert "Traceback" not in output
    num_kept = server.num_answered - first
    assert 3 <= num_kept < total
    server.delay_s = 0.0
    resent = count_requests(server, lambda: space.run(*command))
    assert total - num_kept <= resent <= total - 3 + CONCURRENCY


def test_a_full_disk_is_one_line_and_cached_replies_are_not_requested_again(
    space: DvcWorkspace, server: FakeServer
) -> None:
    command = ("python", "-m", "stages.generate", "three-shot")

    def fails() -> None:
        output, _ = start(space, *command, before=limit_file_size).communicate(timeout=120)
        assert FREE_DISK in output
        assert "No space left on device" in output
        assert "Traceback" not in output

    first = count_requests(server, fails)
    (folder,) = (space.folder / ".dvc/replies").glob("generate-three-shot-*")
    (file,) = folder.glob("*.log")
    num_kept = file.read_bytes().count(b"\n")
    assert 1 <= num_kept <= first
    assert file.read_bytes().endswith(b"\n")
    assert count_requests(server, lambda: space.run(*command)) == num_requests(space) - num_kept


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_reply_cache_on_a_full_disk_resumes_when_there_is_space(
    space: DvcWorkspace, server: FakeServer, small_disk: Path
) -> None:
    command = ("python", "-m", "stages.generate", "zero-shot")
    env, space.env = space.env, space.env | {"DELTA_REPLY_CACHE": str(small_disk)}
    try:
        output = space.run(*command, ok=False)
        assert f"{small_disk}/generate-zero-shot-" in output
        assert "No space left on device" in output
        assert FREE_DISK in output
        (file,) = small_disk.glob("*/*.log")
        num_kept = file.read_bytes().count(b"\n")
        assert num_kept >= 1
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        assert count_requests(server, lambda: space.run(*command)) == num_requests(space) - num_kept
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        output = space.run("python", "-m", "stages.generate", "one-shot", ok=False)
        assert "Read-only file system" in output
        assert FREE_DISK in output
        assert "Traceback" not in output
    finally:
        space.env = env


def test_a_table_that_does_not_fit_the_disk_keeps_the_old_one(tmp_path: Path) -> None:
    code = f"""
import resource, sys
import polars as pl
from delta.core import tables
from delta.core.schemas import PROBLEM
def rows(number):
    return tables.frame_of(
        [dict.fromkeys(PROBLEM.columns, f"row {{n}}") for n in range(number)], PROBLEM
    )
tables.write("p.parquet", rows(3), PROBLEM)
resource.setrlimit(resource.RLIMIT_FSIZE, ({SMALL}, {SMALL}))
try:
    tables.write("p.parquet", rows(50_000), PROBLEM)
except OSError as error:
    print(error.filename, error.strerror)
print(tables.read("p.parquet", PROBLEM).height)
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert process.stdout.splitlines() == ["p.parquet File too large", "3"]
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_dvc_rebuilds_a_table_with_a_flipped_bit(space: DvcWorkspace, server: FakeServer) -> None:
    space.dvc("repro", "generate@zero-shot")
    table = space.folder / "data/traces/zero-shot.parquet"
    original = table.read_bytes()
    content = bytearray(original)
    content[len(content) // 2] ^= 4
    table.unlink()  # do not write through a link into the cache
    table.write_bytes(content)
    work = lambda: stages_run(space.dvc("repro", "generate@zero-shot"))  # noqa: E731
    assert count_requests(server, work) == 0
    assert hashlib.sha256(table.read_bytes()).digest() == hashlib.sha256(original).digest()
