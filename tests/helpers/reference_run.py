"""One undisturbed run of the whole pipeline, shared by all tests that compare with it."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers.fake_server import FakeServer
from tests.helpers.pipeline_workspace import create_workspace
from tests.helpers.tiny_models import write_model
from tests.helpers.workspace import DvcWorkspace

OUTPUTS = ("data/*.parquet", "data/*/*.parquet", "data/*/*/*.parquet", "data/models/policy/*")
COUNTS = ("data/counts/**/*.json", "data/analysis/*.json", "data/*.tsv", "metrics/summary.json")

KEY_VARIABLE = "OPENAI_API_KEY"  # sent to the server
# Set during the run; test_security.py looks for them in every file that the run leaves behind.
SECRETS = {
    KEY_VARIABLE: "sk-a-key-that-nobody-may-see",
    "HF_TOKEN": "hf_a_token_that_nobody_may_see",
    "AWS_SECRET_ACCESS_KEY": "an-aws-secret-that-nobody-may-see",
    "WANDB_API_KEY": "a-wandb-key-that-nobody-may-see",
}


@dataclass
class ReferenceRun:
    """The run's workspace, its base model, its outputs and its requests."""

    space: DvcWorkspace
    model: Path
    files: dict[str, str]  # path → SHA-256
    requests: set[str]

    def copy(self, folder: Path) -> DvcWorkspace:
        """Copy the workspace of the finished run. Its server no longer runs."""
        shutil.copytree(self.space.folder, folder, symlinks=True)
        return DvcWorkspace.at(folder, self.space.env)


def digests(space: DvcWorkspace) -> dict[str, str]:
    """Return the SHA-256 of tables, weights, counts and metrics by path."""
    hashes = {}
    for pattern in (*OUTPUTS, *COUNTS):
        for path in space.folder.glob(pattern):
            name = str(path.relative_to(space.folder))
            hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


@pytest.fixture(scope="session")
def reference_run(tmp_path_factory: pytest.TempPathFactory) -> ReferenceRun:
    """Run the pipeline in the first test process; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, model, requests = (
        shared / "reference" / name for name in ("space", "model", "requests.json")
    )
    with FileLock(shared / "reference.lock"):
        if not requests.exists():
            write_model(model)
            with FakeServer() as server:
                space = create_workspace(folder, server, model, KEY_VARIABLE)
                space.env |= SECRETS
                space.dvc("repro")
                space.commit()
            requests.write_text(json.dumps(sorted(server.requests)))
        key = {KEY_VARIABLE: SECRETS[KEY_VARIABLE]}
        space = DvcWorkspace.at(folder, DvcWorkspace.environment() | key)
    return ReferenceRun(space, model, digests(space), set(json.loads(requests.read_text())))
