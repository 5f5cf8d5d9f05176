"""One undisturbed run of the whole pipeline, made once for all the tests that compare with it."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers.fake_server import Server
from tests.helpers.pipeline_workspace import fresh
from tests.helpers.tiny_models import write_model
from tests.helpers.workspace import Workspace

OUTPUTS = ("data/*.parquet", "data/*/*.parquet", "data/*/*/*.parquet", "data/models/policy/*")
COUNTED = ("data/counts/**/*.json", "data/analysis/*.json", "data/*.tsv", "metrics/summary.json")

KEY_VARIABLE = "OPENAI_API_KEY"  # sent to the server
# In the environment of the run; test_security.py looks for them in all that it leaves behind.
SECRETS = {
    KEY_VARIABLE: "sk-a-key-that-nobody-may-see",
    "HF_TOKEN": "hf_a_token_that_nobody_may_see",
    "AWS_SECRET_ACCESS_KEY": "an-aws-secret-that-nobody-may-see",
    "WANDB_API_KEY": "a-wandb-key-that-nobody-may-see",
}


@dataclass
class Calm:
    """What the run made, what it asked, and the model that was trained."""

    space: Workspace
    model: Path
    files: dict[str, str]
    asked: set[str]

    def copy(self, folder: Path) -> Workspace:
        """A workspace as it is after the run; the server that answered is gone."""
        shutil.copytree(self.space.folder, folder, symlinks=True)
        return Workspace.at(folder, self.space.env)


def digests(space: Workspace) -> dict[str, str]:
    """Tables, weights, metrics: path → SHA-256."""
    found = {}
    for pattern in (*OUTPUTS, *COUNTED):
        for path in space.folder.glob(pattern):
            name = str(path.relative_to(space.folder))
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """Of several workers the first makes it, the others wait for it."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, model, asked = base / "calm/space", base / "calm/model", base / "calm/asked.json"
    with FileLock(base / "calm.lock"):
        if not asked.exists():
            write_model(model)
            with Server() as server:
                space = fresh(folder, server, model, KEY_VARIABLE)
                space.env |= SECRETS
                space.dvc("repro")
                space.commit()
            asked.write_text(json.dumps(sorted(server.asked)))
        key = {KEY_VARIABLE: SECRETS[KEY_VARIABLE]}
        space = Workspace.at(folder, Workspace.environment() | key)
    return Calm(space, model, digests(space), set(json.loads(asked.read_text())))
