"""Two people, one Git remote and one bucket: what one has made, the other has without a GPU.

The bucket is on a real S3 server on loopback (moto's), reached by way of dvc-s3.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.fake_server import Server
from tests.helpers.pipeline_workspace import fresh
from tests.helpers.reference_run import ReferenceRun, digests
from tests.helpers.workspace import Workspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BUCKET = "traces"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Shared(NamedTuple):
    """The first person's clone, and where the others get it from. No server answers any more."""

    first: Workspace
    remote: Path  # a bare Git repository
    endpoint: str


def bucket_at(endpoint: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket=BUCKET)


@contextmanager
def bucket_server(env: dict[str, str]) -> Iterator[str]:
    """A server with a bucket, in a process of its own: what it imports breaks vLLM in this one.

    vLLM looks at every value of every loaded module, and Flask's proxies raise when looked at.
    """
    server = subprocess.Popen(
        ["moto_server", "--host", "127.0.0.1", "--port", "0"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        endpoint = next(
            line.split(" on ")[1].strip() for line in server.stdout if " on http" in line
        )
        # Read on, or the server stops at a full pipe.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        bucket_at(endpoint)
        yield endpoint
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with bucket_server(dict(os.environ)) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, reference_run: ReferenceRun, s3: str
) -> Shared:
    folder = tmp_path_factory.mktemp("shared")
    remote = folder / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(remote)], check=True)
    first = reference_run.copy(folder / "first")
    first.env |= KEYS
    first.git("remote", "add", "origin", str(remote))
    first.dvc("remote", "add", "--default", "bucket", f"s3://{BUCKET}/delta")
    first.dvc("remote", "modify", "bucket", "endpointurl", s3)
    first.commit()
    first.dvc("exp", "run", "--name", "smaller", "-S", "selector.k=4", "select")
    first.git("checkout", "--quiet", "--force", "main")
    first.dvc("checkout", "--quiet")
    first.git("push", "--quiet", "origin", "main")
    first.dvc("push")
    return Shared(first, remote, s3)


def cloned(shared: Shared, folder: Path) -> Workspace:
    subprocess.run(["git", "clone", "--quiet", str(shared.remote), str(folder)], check=True)
    return Workspace.at(folder, shared.first.env)


def test_a_clone_pulls_everything_and_runs_nothing(shared: Shared, tmp_path: Path) -> None:
    second = cloned(shared, tmp_path / "second")
    assert "policy.easy.score" in second.dvc("metrics", "show")  # before any data is here
    second.dvc("plots", "show", "-o", "plots")
    pictures = list((second.folder / "metrics/plots").iterdir())
    assert (second.folder / "plots/index.html").read_text().count("<img") == len(pictures) > 0
    assert stages_run(second.dvc("repro", "--pull")) == []
    second.dvc("pull")
    assert digests(second) == digests(shared.first)


def test_without_an_engine_a_collaborator_selects_anew(shared: Shared, tmp_path: Path) -> None:
    second = cloned(shared, tmp_path / "second")
    second.dvc("pull", "judge", "pair", "select")
    second.set("selector.k", 4)
    assert stages_run(second.dvc("repro", "--pull", "select")) == ["select"]
    assert '"selected": 4' in (second.folder / "data/counts/select.json").read_text()


def test_with_the_store_answers_are_graded_anew_without_an_engine(
    shared: Shared, tmp_path: Path
) -> None:
    """The server is gone: a request would fail. The store is a folder that both can reach."""
    second = cloned(shared, tmp_path / "second")
    second.env["DELTA_STORE"] = str(shared.first.folder / ".dvc/replies")
    second.dvc("pull")
    second.set("grading.timeout_s", 11)
    ran = stages_run(second.dvc("repro"))
    assert "evaluate@policy" in ran
    assert "train" not in ran
    assert not [one for one in ran if one.startswith(("generate", "judge"))]


def test_experiments_travel_by_git_and_bucket(shared: Shared, tmp_path: Path) -> None:
    shared.first.dvc("exp", "push", "origin", "smaller")
    second = cloned(shared, tmp_path / "second")
    second.dvc("exp", "pull", "origin", "smaller")
    assert "smaller" in second.dvc("exp", "list", "--all-commits")
    second.dvc("exp", "apply", "smaller")
    assert '"selected": 4' in (second.folder / "data/counts/select.json").read_text()


def test_a_missing_bucket_is_an_error_and_loses_nothing(shared: Shared) -> None:
    first = shared.first
    before = digests(first)
    first.dvc("remote", "add", "gone", "s3://no-such-bucket/delta")
    first.dvc("remote", "modify", "gone", "endpointurl", shared.endpoint)
    output = first.dvc("push", "--remote", "gone", ok=False)
    assert "no-such-bucket" in output or "NoSuchBucket" in output or "does not exist" in output
    assert digests(first) == before
    assert "up to date" in first.dvc("status")


def test_a_push_that_is_killed_is_finished_by_the_next(shared: Shared, tmp_path: Path) -> None:
    first = shared.first
    first.dvc("remote", "add", "again", f"s3://{BUCKET}/again")
    first.dvc("remote", "modify", "again", "endpointurl", shared.endpoint)
    for seconds in (1.5, 2.5, 3.5):
        process = subprocess.Popen(
            ["dvc", "push", "--remote", "again"],
            cwd=first.folder,
            env=first.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    first.run("python", "-m", "delta", "push", "--remote", "again")
    second = cloned(shared, tmp_path / "second")
    second.dvc("remote", "add", "again", f"s3://{BUCKET}/again")
    second.dvc("remote", "modify", "again", "endpointurl", shared.endpoint)
    second.dvc("pull", "--remote", "again")
    assert digests(second) == digests(first)


def test_wrong_credentials_are_said_and_lose_nothing(shared: Shared) -> None:
    """A server that checks them: after the bucket is made, moto wants keys that it has given."""
    first = shared.first
    with bucket_server(first.env | {"INITIAL_NO_AUTH_ACTION_COUNT": "1"}) as address:
        first.dvc("remote", "add", "locked", f"s3://{BUCKET}/delta")
        first.dvc("remote", "modify", "locked", "endpointurl", address)
        output = first.dvc("push", "--remote", "locked", ok=False)
        assert "403" in output
        assert "Forbidden" in output
        assert "up to date" in first.dvc("status")


def test_two_clones_may_write_to_one_store_at_once(
    reference_run: ReferenceRun, tmp_path: Path
) -> None:
    """Both want the same replies: the second waits and finds them."""
    with Server(delay_s=0.02) as server:
        spaces = [fresh(tmp_path / name, server, reference_run.model) for name in ("one", "two")]
        running = [
            subprocess.Popen(
                ["dvc", "repro", "generate"],
                cwd=space.folder,
                env=space.env | {"DELTA_STORE": str(tmp_path / "store")},
                stdout=subprocess.DEVNULL,
            )
            for space in spaces
        ]
        assert [process.wait(600) for process in running] == [0, 0]
        assert set(server.asked.values()) == {1}
    assert digests(spaces[0]) == digests(spaces[1])
