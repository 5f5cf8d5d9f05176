"""docs/your-data.md, run literally: from three lines of a file to a policy and its page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from delta.check import check
from delta.core import fingerprint
from tests.helpers.example_pairs import viewer_data
from tests.helpers.fake_server import FakeServer
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import use_server
from tests.helpers.tiny_models import write_model
from tests.helpers.workspace import DvcWorkspace

PROFILE = ROOT / "profiles" / "own.yaml"
PAGE = (ROOT / "docs/your-data.md").read_text()
TEXTS, CHATS, COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)


def rows_in(script: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in script.split("\n") if line.startswith("{")]


def test_the_profile_is_valid_but_for_the_digest_of_a_file() -> None:
    params = check(PROFILE)
    data = params.problems.sources["pairs"].table
    assert data is not None
    assert data.data.file is not None
    assert data.data.file.sha256 == "0" * 64
    assert PROFILE.read_text().count("0" * 64) == 1


def test_the_page_names_parameters_that_exist() -> None:
    params = check(PROFILE)
    assert params.pairing.use_table_pairs
    for named in (
        "pairing.use_table_pairs: false",
        "`per_problem`",
        "instruction: boxed",
        "`gold_answer`",
    ):
        assert named in PAGE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def workspace(folder: Path, model: Path, server: FakeServer) -> DvcWorkspace:
    """Return a clone with the laptop's parameters, whose profile for own data has a tiny model."""
    space = DvcWorkspace(folder, ROOT / "params.yaml")
    profile = yaml.safe_load(PROFILE.read_text())
    (name,) = [name for name, source in profile["models"].items() if "recording" not in source]
    source = {"path": str(model), "sha256": fingerprint.compute_fingerprint(model)}
    profile["models"][name] = {"folder": source}
    for entry in profile["serving"].values():
        entry["max_model_len"] = 1024
    use_server(profile, server.url, name, "policy")
    (space.folder / "profiles").mkdir()
    (space.folder / "profiles" / "own.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    return space


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("script", [TEXTS, CHATS], ids=["texts", "chats"])
def test_three_lines_become_a_policy_and_a_page(
    tmp_path: Path, model: Path, server: FakeServer, script: str
) -> None:
    space = workspace(tmp_path / "space", model, server)
    space.run("bash", "-e", "-c", script + COMMANDS)
    given = rows_in(script)
    train = json.loads((space.folder / "data/counts/train.json").read_text())["train"]
    assert (train["pairs_in"], train["pairs_kept"], train["dropped"]) == (3, 3, {})
    assert train["weights_changed"]["float32"] > 0.5
    assert fingerprint.read_fingerprint(space.folder / "data/models/policy")
    pairs = pl.read_parquet(space.folder / "export/preference/train-*.parquet").to_dicts()
    exported = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in pairs]
    for row in map(as_messages, given):
        assert row in exported
    page = viewer_data(space.folder / "report", "index")
    conversations = [
        [*problem["history"], {"role": "user", "content": problem["statement"]}]
        for problem in page["problems"]
    ]
    assert all(as_messages(row)["prompt"] in conversations for row in given)
    assert len(page["columns"]["pair_id"]) == 3
    verified = json.loads((space.folder / "data/counts/verify/chosen.json").read_text())
    assert verified["verify"]["chosen"]["no_gold"] == 3


def as_messages(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row in the form that is exported."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {
        name: value if isinstance(value, list) else [{"role": roles[name], "content": value}]
        for name, value in row.items()
    }
