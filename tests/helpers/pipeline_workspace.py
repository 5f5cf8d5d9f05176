"""A workspace of the smoke profile with a tiny model and a server of the tests as its engine."""

from pathlib import Path
from typing import Any

from delta.core import fingerprint
from tests.helpers.fake_server import FakeServer
from tests.helpers.import_closure import ROOT
from tests.helpers.workspace import DvcWorkspace

CONCURRENCY = 4
LIMITS = {"concurrency": CONCURRENCY, "timeout_s": 600, "max_retries": 9}  # of a server
GENERATORS = ("zero-shot", "one-shot", "three-shot")


def use_server(content: dict[str, Any], url: str, *models: str, key: str | None = None) -> None:
    """Let a vLLM server at `url` serve `models`, whose weights are here."""
    for name in models:
        content["serving"][name]["server"] = {"revision": "unnamed", "accepts": "vllm"}
    server = {"base_urls": [url], "key": key, "models": dict.fromkeys(models)}
    content["engine"]["servers"] = {"loopback": server | LIMITS}


def configure(space: DvcWorkspace, url: str, model: Path, key: str | None = None) -> None:
    """Let the server at `url` answer everything. `key` is the environment variable of its key."""

    def change(content: dict[str, Any]) -> None:
        source = {"path": str(model), "sha256": fingerprint.compute_fingerprint(model)}
        content["models"] = {"tiny": {"folder": source}}
        content["serving"]["tiny"] = content["serving"].pop("smollm2-135m")
        use_server(content, url, "tiny", "policy", key=key)
        for generator in content["generators"].values():
            generator["model"] = "tiny"
        content["judge"]["rater"] = "llm"
        content["judge"]["llm"]["model"] = "tiny"
        content["judge"]["second_judge"]["llm"]["model"] = "tiny"
        content["judge"]["second_judge"]["surprisal"]["model"] = "tiny"
        content["verify"]["llm"]["model"] = "tiny"
        content["train"] |= {"base": "tiny", "max_length": 512}
        for name in GENERATORS:
            content["evaluation"]["models"][name]["model"] = "tiny"

    space.edit(change)
    space.commit()


def create_workspace(
    folder: Path, server: FakeServer, model: Path, key: str | None = None
) -> DvcWorkspace:
    space = DvcWorkspace(folder, ROOT / "profiles/smoke.yaml")
    configure(space, server.url, model, key)
    return space
