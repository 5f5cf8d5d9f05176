"""The plan asks the hub which sources a run may read, or reads its cache."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import pytest

from delta.plan.availability import ExternalSource, ask_hub
from tests.helpers.hub_client import hub_environment, run_client
from tests.helpers.hub_server import ACCEPTED, STRANGER, Hub, serve_hub

COMMIT = "1" * 40
SOURCES = {
    "open": ("model", "own/open", COMMIT, ["config.json"]),
    "gated": ("model", "own/gated", COMMIT, ["config.json"]),
    "unpinned": ("model", "own/open", "unpinned", ["config.json"]),
    "gated unpinned": ("model", "own/gated", "unpinned", ["config.json"]),
    "no revision": ("dataset", "own/rows", "2" * 40, []),
    "no file": ("dataset", "own/rows", COMMIT, ["test.jsonl"]),
    "no repository": ("dataset", "own/none", COMMIT, []),
    "rows": ("dataset", "own/rows", COMMIT, []),
}
# Prints what the plan finds of each source.
CHECK = """
import json, sys
from huggingface_hub.constants import HF_HUB_OFFLINE
from delta.plan import availability

sources = [
    availability.ExternalSource(key, "stage", kind, name, revision, tuple(files))
    for key, (kind, name, revision, files) in json.loads(sys.argv[1]).items()
]
check = availability.check_sources
answers = check(sources, availability.ask_hub, availability.in_cache, HF_HUB_OFFLINE)
print(json.dumps({source.key: list(answer) for source, answer in answers.items()}))
"""
UNPINNED = f"unpinned: the newest is {COMMIT}, and `python -m delta pin` writes it"
TERMS = (
    "it is gated; accept its terms at https://huggingface.co/own/gated and set HF_TOKEN to that "
    "account's token"
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        files = {"config.json": b"{}", "model.safetensors": b"x"}
        hub.add("model", "own/open", COMMIT, files)
        hub.add("model", "own/gated", COMMIT, files).gated = True
        hub.add("dataset", "own/rows", COMMIT, {"train.jsonl": b"{}"})
        yield hub


def check(env: dict[str, str], *keys: str) -> dict[str, list[str]]:
    sources = {key: SOURCES[key] for key in keys or SOURCES}
    (answers,) = run_client(CHECK, json.dumps(sources), env=env)
    found: dict[str, list[str]] = json.loads(answers)
    return found


def test_the_plan_says_of_each_source_whether_it_can_be_read(hub: Hub, tmp_path: Path) -> None:
    answers = check(hub_environment(hub, tmp_path))
    page = "https://huggingface.co/datasets/own"
    private = "or is private and needs HF_TOKEN"
    assert answers == {
        "open": ["found", "on the hub"],
        "gated": ["refused", TERMS],
        "unpinned": ["refused", UNPINNED],
        "gated unpinned": ["refused", TERMS],
        "no revision": ["refused", f"{page}/rows has no such revision, {private}"],
        "no file": ["refused", f"test.jsonl is not in {page}/rows"],
        "no repository": ["refused", f"{page}/none does not exist, {private}"],
        "rows": ["found", "on the hub"],
    }


@pytest.mark.parametrize(("token", "readable"), [(STRANGER, False), (ACCEPTED, True)])
def test_the_account_of_the_token_must_have_accepted_the_terms(
    hub: Hub, tmp_path: Path, token: str, readable: bool
) -> None:
    answers = check(hub_environment(hub, tmp_path, token), "gated", "gated unpinned")
    assert answers["gated"] == (["found", "on the hub"] if readable else ["refused", TERMS])
    assert answers["gated unpinned"] == ["refused", UNPINNED if readable else TERMS]


def test_a_rate_limit_is_no_refusal(hub: Hub, tmp_path: Path) -> None:
    hub.limited["/api/"] = 2
    answers = check(hub_environment(hub, tmp_path), "open", "gated")
    limited = ["not checked", "the hub limits requests; ask again in 1 s"]
    assert answers == {"open": limited, "gated": limited}


def test_without_a_network_only_what_is_unpinned_is_in_the_way(tmp_path: Path) -> None:
    nobody = Hub(url="http://127.0.0.1:1")
    answers = check(hub_environment(nobody, tmp_path), "open", "unpinned", "rows")
    how = "unpinned: `python -m delta pin` writes the newest commit where there is a network"
    no_network = ["not checked", "no network"]
    assert answers == {"open": no_network, "unpinned": ["refused", how], "rows": no_network}
    answers = check(hub_environment(None, tmp_path), "open", "unpinned")
    lacking = ["refused", "HF_HUB_OFFLINE is set, the cache lacks it"]
    assert answers == {"open": lacking, "unpinned": ["refused", how]}


DOWNLOAD = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download

name, revision, *files = sys.argv[1:]
for file in files:
    hf_hub_download(name, file, revision=revision)
if not files:
    snapshot_download(name, revision=revision)
"""


def test_offline_a_model_is_there_when_all_its_weights_are(hub: Hub, tmp_path: Path) -> None:
    online, offline = hub_environment(hub, tmp_path), hub_environment(None, tmp_path)
    run_client(DOWNLOAD, "own/open", COMMIT, env=online)
    assert check(offline, "open") == {"open": ["found", "in the local cache"]}
    (weights,) = tmp_path.glob("hub/models--own--open/snapshots/*/model.safetensors")
    weights.unlink()  # as after an interrupted download
    assert check(offline, "open")["open"][0] == "refused"


def test_a_fault_of_the_code_is_no_missing_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: str) -> Never:
        raise TypeError("HfApi.repo_info() got an unexpected keyword argument 'timeout'")

    monkeypatch.setattr("delta.data.hub.ask", ask)
    source = ExternalSource("models.x.hub", "fetch", "model", "own/x", "a" * 40)
    with pytest.raises(TypeError, match="unexpected keyword argument 'timeout'"):
        ask_hub(source)
