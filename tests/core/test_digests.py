"""With `sha256: null` an error message names the digest to set and its key."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from delta.analysis import human_ratings
from delta.core import params
from delta.core.errors import InputError
from delta.data import fetch
from delta.data.rows import read_rows
from delta.data.sources import DataSource

CONTENT = '{"q": "a"}\n'
SHA256 = hashlib.sha256(CONTENT.encode()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text(CONTENT)
    return str(path)


def missing_digest_message(key: str, what: str, digest: str) -> str:
    return f"{key} = null: {what} has {digest}; if that is the right file, set sha256 to it"


def test_a_data_file_without_a_digest_is_an_error_with_its_digest(file: str) -> None:
    content: dict[str, Any] = {"file": {"path": file, "sha256": None}}
    data = params.validate("problems.sources.mine.table.data", DataSource, content)
    with pytest.raises(InputError) as caught:
        list(read_rows("mine", data))
    assert str(caught.value) == missing_digest_message("mine.file.sha256", file, SHA256)
    content["file"]["sha256"] = SHA256
    assert list(read_rows("mine", DataSource.model_validate(content))) == [{"q": "a"}]


def test_a_rating_sheet_without_a_digest_is_an_error_with_its_digest(file: str) -> None:
    sheet = {"path": file, "sha256": None}
    people = human_ratings.HumanParams.model_validate({"key": sheet, "sheets": [sheet]})
    with pytest.raises(InputError) as caught:
        human_ratings.read_ratings(people)
    assert str(caught.value) == missing_digest_message("analysis.human.key.sha256", file, SHA256)


def test_a_model_folder_without_a_digest_is_an_error_with_its_digest(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    model = fetch.ModelParams.model_validate({"folder": {"path": str(folder), "sha256": None}})
    message = rf"^models\.mine\.folder\.sha256 = null: {folder} has [0-9a-f]{{64}}; if that is"
    with pytest.raises(InputError, match=message):
        fetch.fetch("mine", model, tmp_path / "target", print)


def test_a_value_that_is_neither_digest_nor_null_is_refused(file: str) -> None:
    for wrong in ("", "abc", SHA256.upper(), 5, f"{SHA256}\n"):
        with pytest.raises(ValueError, match="sha256"):
            DataSource.model_validate({"file": {"path": file, "sha256": wrong}})
