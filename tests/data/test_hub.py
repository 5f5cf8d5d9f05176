"""Models and datasets come from a hub that answers as the real one, and then from its cache."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.helpers.hub_client import hub_environment, run_client
from tests.helpers.hub_server import ACCEPTED, LARGE, STRANGER, Hub, serve_hub
from tests.helpers.import_closure import ROOT
from tests.helpers.model_folders import FILES

FIRST, SECOND, ABSENT = "1" * 40, "2" * 40, "f" * 40
SHARDS = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
INDEX = {"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}
MODEL = {
    **{name: FILES[name].encode() for name in FILES if not name.endswith(".safetensors")},
    "model.safetensors.index.json": json.dumps(INDEX).encode(),
    SHARDS[0]: b"a" * 1000,
    SHARDS[1]: b"b" * 1001,
    "README.md": b"a card",
    "pytorch_model.bin": b"pickled",
    "original/model.safetensors": b"again",
}
FETCHED = [name for name in MODEL if "/" not in name]
HUB_MODEL = {"repository": "own/sharded", "revision": FIRST, "code": False}

# Each argument is one source. Prints one line for each: the result or the error.
START = """
import json, sys, time
import huggingface_hub.constants

time.sleep = lambda seconds: None  # the hub asks to wait
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 100  # not 10 MiB: what a break does not lose
"""
FETCH = f"""{START}
from pathlib import Path
from delta.core.errors import InputError
from delta.core.params import validate
from delta.data import model_files
from delta.data.fetch import ModelParams, fetch

model_files.check_tokenizer = lambda key, folder: None  # imports Transformers, for seconds
for number, text in enumerate(sys.argv[2:]):
    params = validate("models.toy", ModelParams, dict(hub=json.loads(text)))
    try:
        print(fetch("toy", params, Path(sys.argv[1], str(number)), print))
    except InputError as error:
        print(error)
"""
ROWS = f"""{START}
from delta.core.errors import InputError
from delta.core.params import validate
from delta.data.rows import read_rows
from delta.data.sources import DataSource

for text in sys.argv[1:]:
    source = validate("data", DataSource, json.loads(text))
    try:
        print(json.dumps(list(read_rows("data", source, ["q"]))))
    except InputError as error:
        print(error)
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.add("model", "own/sharded", FIRST, MODEL)
        yield hub


def fetch_all(env: dict[str, str], folder: Path, *sources: dict[str, Any]) -> list[str]:
    return run_client(FETCH, str(folder), *map(json.dumps, sources), env=env)


def rows_of(env: dict[str, str], *sources: dict[str, Any]) -> list[str]:
    return run_client(ROWS, *map(json.dumps, sources), env=env)


def parquet(*values: str) -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"q": values, "unused": values}).write_parquet(file)
    return file.getvalue()


def test_a_sharded_model_is_fetched_from_the_hub_and_then_from_its_cache(
    hub: Hub, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (fingerprint,) = fetch_all(hub_environment(hub, home, ACCEPTED), tmp_path / "a", HUB_MODEL)
    names = [path.name for path in sorted((tmp_path / "a/0").iterdir())]
    wanted = [name for name in FETCHED if name not in ("README.md", "pytorch_model.bin")]
    assert names == sorted([*wanted, "fingerprint.json"])
    assert all((tmp_path / "a/0" / name).read_bytes() == MODEL[name] for name in wanted)
    assert {name: hub.downloads(name) for name in MODEL if name not in wanted} == {
        "README.md": [],
        "pytorch_model.bin": [],
        "original/model.safetensors": [],
    }
    # The token goes to the hub and never to the CDN.
    assert {request.token for request in hub.requests if request.host == "hub"} == {ACCEPTED}
    cdn = [request for request in hub.requests if request.host == "cdn"]
    assert [request.token for request in cdn] == [None, None]
    assert all(request.path.endswith(LARGE) for request in cdn)
    asked = len(hub.requests)
    assert fetch_all(hub_environment(None, home), tmp_path / "b", HUB_MODEL) == [fingerprint]
    assert len(hub.requests) == asked


def test_a_download_that_breaks_at_half_goes_on_from_there(hub: Hub, tmp_path: Path) -> None:
    hub.broken[SHARDS[0]] = 1
    fetch_all(hub_environment(hub, tmp_path / "home"), tmp_path, HUB_MODEL)
    assert hub.downloads(SHARDS[0]) == [None, "bytes=500-"]
    assert (tmp_path / "0" / SHARDS[0]).read_bytes() == MODEL[SHARDS[0]]


def test_after_a_kill_only_unfinished_files_are_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    hub.stalled.add(SHARDS[1])
    env = hub_environment(hub, tmp_path / "home")
    command = [sys.executable, "-c", FETCH, str(tmp_path), json.dumps(HUB_MODEL)]
    process = subprocess.Popen(command, cwd=ROOT, env=env)
    cache = tmp_path / "home/hub/models--own--sharded"
    for _ in range(600):
        is_there = (cache / "snapshots" / FIRST / SHARDS[0]).exists()
        unfinished = len(list((cache / "blobs").glob("*.incomplete")))
        if hub.downloads(SHARDS[1]) and is_there and unfinished == 1:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    hub.stalled.clear()
    assert not (tmp_path / "0").exists()
    (offline,) = fetch_all(hub_environment(None, tmp_path / "home"), tmp_path, HUB_MODEL)
    assert "HF_HUB_OFFLINE is set and the cache is incomplete" in offline
    (part,) = (cache / "blobs").glob("*.incomplete")
    os.utime(part, (0, 0))
    young = part.with_name("of-another-process.incomplete")
    young.touch()
    fetch_all(env, tmp_path, HUB_MODEL)
    assert hub.downloads(SHARDS[0]) == [None]
    assert hub.downloads(SHARDS[1]) == [None, None]  # huggingface_hub keeps no part of a file
    assert (tmp_path / "0" / SHARDS[1]).read_bytes() == MODEL[SHARDS[1]]
    assert list((cache / "blobs").glob("*.incomplete")) == [young]


def test_rate_limits_are_waited_for(hub: Hub, tmp_path: Path) -> None:
    hub.limited.update({"/tree/": 2, SHARDS[0]: 2})
    fetch_all(hub_environment(hub, tmp_path / "home"), tmp_path, HUB_MODEL)
    assert (tmp_path / "0" / SHARDS[0]).exists()
    hub.add("dataset", "own/rows", FIRST, {"train.parquet": parquet("x")})
    hub.limited["/api/datasets/own/rows"] = 4  # of which the library waits for none
    source = {"hub": dataset(FIRST)}
    assert rows_of(hub_environment(hub, tmp_path / "home"), source) == ['[{"q": "x"}]']
    assert hub.limited["/api/datasets/own/rows"] == 0


def dataset(revision: str, repository: str = "own/rows") -> dict[str, Any]:
    return {"repository": repository, "config": None, "split": "train", "revision": revision}


def test_each_refusal_of_a_model_is_one_line_that_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    hub.add("model", "own/gated", FIRST, MODEL).gated = True
    hub.add("model", "own/weightless", FIRST, {"config.json": b"{}"})
    sources = [
        HUB_MODEL | change
        for change in (
            {"repository": "own/gated"},
            {"repository": "own/none"},
            {"revision": ABSENT},
            {"revision": "unpinned"},
            {"repository": "own/weightless"},
        )
    ]
    gated, none, absent, unpinned, weightless = fetch_all(
        hub_environment(hub, tmp_path / "home"), tmp_path, *sources
    )
    no_token = f"models.toy.hub = own/gated at {FIRST}: not downloaded: it is gated; accept its "
    no_token += "terms at https://huggingface.co/own/gated and set HF_TOKEN to that account's token"
    assert gated == no_token
    page = "https://huggingface.co/own"
    assert none.endswith(f"{page}/none does not exist, or is private and needs HF_TOKEN")
    assert absent.endswith(f"{page}/sharded has no such revision, or is private and needs HF_TOKEN")
    assert unpinned == (
        "models.toy.hub.revision = 'unpinned'; expected a commit of own/sharded (40 hex digits): "
        f"the newest is {FIRST}, and `python -m delta pin` writes it"
    )
    assert weightless.endswith("no such file; the model folder is incomplete")
    stranger, *_ = fetch_all(hub_environment(hub, tmp_path, STRANGER), tmp_path, sources[0])
    assert stranger == no_token
    (offline,) = fetch_all(hub_environment(None, tmp_path), tmp_path, sources[3])
    assert offline.endswith(
        "`python -m delta pin` writes the newest commit where there is a network"
    )
    accepted = fetch_all(hub_environment(hub, tmp_path, ACCEPTED), tmp_path / "b", sources[0])
    assert (tmp_path / "b/0" / SHARDS[0]).exists(), accepted


def test_rows_come_from_all_shards_of_the_commit_also_offline(hub: Hub, tmp_path: Path) -> None:
    """Offline, `datasets` itself would take the newest commit in its cache."""
    for commit, values in ((FIRST, "ab"), (SECOND, "cd")):
        shards = {
            f"data/train-0000{number}-of-00002.parquet": parquet(value, f"{value}{value}")
            for number, value in enumerate(values)
        }
        hub.add("dataset", "own/rows", commit, shards | {"README.md": b"a card"})
    sources = [{"hub": dataset(commit)} for commit in (FIRST, SECOND)]
    online = rows_of(hub_environment(hub, tmp_path), *sources)
    assert online == [
        '[{"q": "a"}, {"q": "aa"}, {"q": "b"}, {"q": "bb"}]',
        '[{"q": "c"}, {"q": "cc"}, {"q": "d"}, {"q": "dd"}]',
    ]
    asked = len(hub.requests)
    *offline, absent = rows_of(hub_environment(None, tmp_path), *sources, {"hub": dataset(ABSENT)})
    assert (offline, len(hub.requests)) == (online, asked)
    assert absent == (
        f"data.hub = own/rows train at {ABSENT}: not downloaded: HF_HUB_OFFLINE is set and the "
        "cache is incomplete; where there is a network, run this stage and copy the cache of "
        "`datasets` (HF_DATASETS_CACHE) here, or name a local copy as `file`"
    )


def test_files_that_datasets_cannot_load_are_downloaded_one_by_one(
    hub: Hub, tmp_path: Path
) -> None:
    files = {f"test{n}.jsonl": json.dumps({"q": n, "more": "x" * 400}).encode() for n in (1, 2)}
    hub.add("dataset", "own/rows", FIRST, files)
    names = sorted(files)
    source = {"files": {"repository": "own/rows", "revision": FIRST, "files": names}}
    lacking = {"files": source["files"] | {"files": ["test3.jsonl"]}}
    hub.broken["test2.jsonl"] = 1
    rows, missing = rows_of(hub_environment(hub, tmp_path), source, lacking)
    assert rows == '[{"q": 1}, {"q": 2}]'
    assert missing.endswith(
        "https://huggingface.co/datasets/own/rows has no such file at this commit"
    )
    assert hub.downloads("test2.jsonl") == [None, "bytes=200-"]  # of 424, in chunks of 100
    assert rows_of(hub_environment(None, tmp_path), source) == [rows]


def test_each_refusal_of_a_dataset_is_one_line_that_says_what_to_do(
    hub: Hub, tmp_path: Path
) -> None:
    hub.add("dataset", "own/gated", FIRST, {"train.parquet": parquet("x")}).gated = True
    hub.add("dataset", "own/rows", FIRST, {"train.parquet": parquet("x")})
    sources = [
        {"hub": dataset(FIRST, "own/gated")},
        {"hub": dataset(FIRST, "own/none")},
        {"hub": dataset(ABSENT)},
        {"hub": dataset("unpinned")},
        {"hub": dataset(FIRST) | {"split": "validation"}},
    ]
    gated, none, absent, unpinned, split = rows_of(hub_environment(hub, tmp_path), *sources)
    page = "https://huggingface.co/datasets/own"
    terms = (
        f"it is gated; accept its terms at {page}/gated and set HF_TOKEN to that account's token"
    )
    assert gated.endswith(terms)
    assert none.endswith(f"{page}/none has no such revision, or is private and needs HF_TOKEN")
    assert absent.endswith(f"{page}/rows has no such revision, or is private and needs HF_TOKEN")
    assert f"the newest is {FIRST}, and `python -m delta pin` writes it" in unpinned
    assert "validation" in split
    stranger, accepted = (
        rows_of(hub_environment(hub, tmp_path, token), sources[0]) for token in (STRANGER, ACCEPTED)
    )
    assert stranger[0].endswith(terms)
    assert accepted == ['[{"q": "x"}]']
