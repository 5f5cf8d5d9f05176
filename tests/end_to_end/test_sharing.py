"""Two people share outputs by a Git remote and a bucket; the second needs no GPU.

The bucket is on an S3 server on loopback (moto), used through dvc-s3.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.helpers.fake_server import FakeServer
from tests.helpers.pipeline_workspace import create_workspace
from tests.helpers.reference_run import ReferenceRun, digests
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BUCKET = "traces"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Shared(NamedTuple):
    """The first clone, its Git remote and its bucket. The model server has stopped."""

    first: DvcWorkspace
    remote: Path  # a bare Git repository
    endpoint: str


def s3_client(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def num_objects(client: Any, prefix: str) -> int:
    """Return the number of objects in the bucket below `prefix`, at most 1,000."""
    return int(client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"])


@contextmanager
def bucket_server(env: dict[str, str]) -> Iterator[str]:
    """Run an S3 server with a bucket in another process, because its imports break vLLM.

    vLLM inspects every value of every loaded module, and Flask's proxies raise when inspected.
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
        # Keep reading, because a full pipe would stop the server.
        threading.Thread(target=server.stdout.read, daemon=True).start()
        s3_client(endpoint).create_bucket(Bucket=BUCKET)
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


def cloned(shared: Shared, folder: Path) -> DvcWorkspace:
    subprocess.run(["git", "clone", "--quiet", str(shared.remote), str(folder)], check=True)
    return DvcWorkspace.at(folder, shared.first.env)


def test_a_clone_pulls_everything_and_runs_nothing(shared: Shared, tmp_path: Path) -> None:
    second = cloned(shared, tmp_path / "second")
    assert "policy.easy.score" in second.dvc("metrics", "show")  # before any data is here
    second.dvc("plots", "show", "-o", "plots")
    pictures = list((second.folder / "metrics/plots").iterdir())
    assert (second.folder / "plots/index.html").read_text().count("<img") == len(pictures) > 0
    assert stages_run(second.dvc("repro", "--pull")) == []
    second.dvc("pull")
    assert digests(second) == digests(shared.first)


def test_a_collaborator_without_an_engine_changes_the_selection(
    shared: Shared, tmp_path: Path
) -> None:
    second = cloned(shared, tmp_path / "second")
    second.dvc("pull", "judge", "pair", "select")
    second.set("selector.k", 4)
    assert stages_run(second.dvc("repro", "--pull", "select")) == ["select"]
    assert '"selected": 4' in (second.folder / "data/counts/select.json").read_text()


def test_a_collaborator_with_the_reply_cache_grades_again_without_an_engine(
    shared: Shared, tmp_path: Path
) -> None:
    """The server has stopped, so a request would fail. Both clones can read the reply cache."""
    second = cloned(shared, tmp_path / "second")
    second.env["DELTA_REPLY_CACHE"] = str(shared.first.folder / ".dvc/replies")
    second.dvc("pull")
    second.set("grading.timeout_s", 11)
    ran = stages_run(second.dvc("repro"))
    assert "evaluate@policy" in ran
    assert "train" not in ran
    assert not [stage for stage in ran if stage.startswith(("generate", "judge"))]


def test_an_experiment_is_pushed_and_pulled(shared: Shared, tmp_path: Path) -> None:
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


def test_the_next_push_completes_a_killed_one(shared: Shared, tmp_path: Path) -> None:
    first = shared.first
    first.dvc("remote", "add", "again", f"s3://{BUCKET}/again")
    first.dvc("remote", "modify", "again", "endpointurl", shared.endpoint)
    client = s3_client(shared.endpoint)
    for least in (1, 20):  # objects in the bucket, so that some are there and others are not
        process = subprocess.Popen(
            ["dvc", "push", "--remote", "again"],
            cwd=first.folder,
            env=first.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and num_objects(client, "again/") < least:
            time.sleep(0.01)
        assert process.poll() is None, "the push ended before its kill"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    first.run("python", "-m", "delta", "push", "--remote", "again")
    second = cloned(shared, tmp_path / "second")
    second.dvc("remote", "add", "again", f"s3://{BUCKET}/again")
    second.dvc("remote", "modify", "again", "endpointurl", shared.endpoint)
    second.dvc("pull", "--remote", "again")
    assert digests(second) == digests(first)


def test_wrong_credentials_are_an_error_and_lose_nothing(shared: Shared) -> None:
    """After the bucket is created, moto accepts only keys that it has issued."""
    first = shared.first
    with bucket_server(first.env | {"INITIAL_NO_AUTH_ACTION_COUNT": "1"}) as address:
        first.dvc("remote", "add", "locked", f"s3://{BUCKET}/delta")
        first.dvc("remote", "modify", "locked", "endpointurl", address)
        output = first.dvc("push", "--remote", "locked", ok=False)
        assert "403" in output
        assert "Forbidden" in output
        assert "up to date" in first.dvc("status")


def test_two_clones_write_to_one_reply_cache_at_once(
    reference_run: ReferenceRun, tmp_path: Path
) -> None:
    """Both need the same replies, so the second waits and finds them."""
    with FakeServer(delay_s=0.02) as server:
        spaces = [
            create_workspace(tmp_path / name, server, reference_run.model)
            for name in ("one", "two")
        ]
        running = [
            subprocess.Popen(
                ["dvc", "repro", "generate"],
                cwd=space.folder,
                env=space.env | {"DELTA_REPLY_CACHE": str(tmp_path / "replies")},
                stdout=subprocess.DEVNULL,
            )
            for space in spaces
        ]
        assert [process.wait(600) for process in running] == [0, 0]
        assert set(server.requests.values()) == {1}
    assert digests(spaces[0]) == digests(spaces[1])
