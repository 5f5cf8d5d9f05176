"""A base that cannot be prompted or trained is refused before anything is generated."""

import json
from pathlib import Path
from typing import Any

import pytest

from delta.check import check_content
from delta.cli.check import digest
from delta.core import fingerprint
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.data.fetch import ModelFolder, ModelParams, fetch
from delta.data.model_files import check_tokenizer, max_positions
from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_model_families import write_tokenizer


def write_base(folder: Path, **changes: Any) -> Path:
    """Write the model files that the check reads; it needs no weights."""
    size = write_tokenizer(folder, "plain")
    config = {"model_type": "llama", "vocab_size": size, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def edit_tokenizer(folder: Path, **changes: Any) -> None:
    path = folder / "tokenizer_config.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def tokenizer_error(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_tokenizer("models.toy", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_model_is_accepted(tmp_path: Path) -> None:
    check_tokenizer("models.toy", write_base(tmp_path))


def test_a_base_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = write_base(tmp_path)
    edit_tokenizer(folder, chat_template=None)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    assert tokenizer_error(folder).startswith(
        "models.toy: has no chat template, which every prompt here"
    )


def test_a_tokenizer_without_an_end_of_sequence_token_is_refused(tmp_path: Path) -> None:
    folder = write_base(tmp_path)
    edit_tokenizer(folder, eos_token=None)
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    assert "its tokenizer has no end-of-sequence token" in tokenizer_error(folder)


@pytest.mark.parametrize("special", [False, True])
def test_a_token_without_an_embedding_is_refused_unless_no_text_gives_it(
    tmp_path: Path, special: bool
) -> None:
    from transformers import AutoTokenizer

    folder = write_base(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    size = len(tokenizer)
    tokenizer.add_tokens(["<new>"], special_tokens=special)
    tokenizer.save_pretrained(folder)
    if special:
        check_tokenizer("models.toy", folder)
    else:
        assert tokenizer_error(folder) == (
            f"models.toy: its tokenizer has {size + 1} tokens and the model {size} embeddings, "
            "none for '<new>'; expected an embedding for each, as `resize_token_embeddings` of "
            "transformers makes them"
        )


def test_an_end_of_turn_without_an_embedding_is_refused(tmp_path: Path) -> None:
    folder = write_base(tmp_path, vocab_size=2)  # <|pad|> and <|im_start|>
    assert "none for '<|im_end|>'" in tokenizer_error(folder)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
CONFIGS: list[tuple[dict[str, Any], int | None]] = [
    ({"max_position_embeddings": 64}, 64),
    ({"n_positions": 32}, 32),
    ({"text_config": {"max_position_embeddings": 16}}, 16),
    ({"max_position_embeddings": 64, "rope_scaling": None}, 64),
    ({"max_position_embeddings": 64, "rope_scaling": YARN}, 256),
    ({"max_position_embeddings": 64, "rope_parameters": {"rope_type": "linear", "factor": 2}}, 128),
    ({"max_position_embeddings": 64, "rope_parameters": {"rope_type": "default"}}, 64),
    ({"max_position_embeddings": 128, "rope_scaling": {"type": "llama3", "factor": 8}}, 128),
    ({"hidden_size": 4}, None),
]


@pytest.mark.parametrize(("config", "limit"), CONFIGS)
def test_the_longest_input_of_a_model(
    tmp_path: Path, config: dict[str, Any], limit: int | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert max_positions(tmp_path) == limit


def params_with_base(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the smoke profile with this folder as its only model, served by vLLM."""
    content = read_all(ROOT / "profiles" / "smoke.yaml")
    (name,) = content["models"]
    content["models"][name] = {"folder": {"path": str(folder), "sha256": "a" * 64}}
    for entry in content["serving"].values():
        entry["max_model_len"] = 64
    for section in (*content["generators"].values(), *content["benchmarks"].values()):
        section["max_tokens"] = 32
    content["train"]["max_length"] = 64
    for key, value in changes.items():
        section, _, last = key.replace("__", ".").rpartition(".")
        place: Any = content
        for part in section.split("."):
            place = place[part]
        place[last] = value
    return content


def test_more_tokens_than_the_base_has_positions_are_refused_by_check(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base")
    check_content(params_with_base(folder), "params.yaml")
    longer = write_base(tmp_path / "longer", rope_scaling=YARN)
    check_content(params_with_base(longer, train__max_length=256), "params.yaml")
    for key in ("train__max_length", "serving__policy__max_model_len"):
        with pytest.raises(InputError) as caught:
            check_content(params_with_base(folder, **{key: 65}), "params.yaml")
        assert str(caught.value) == (
            f"params.yaml: {key.replace('__', '.')} = 65: smollm2-135m reads 64 tokens; "
            "expected up to 64"
        )


def test_the_check_runs_again_once_a_model_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = digest()
    write_base(tmp_path / "data" / "models" / "toy")
    assert digest() != before


def test_fetch_refuses_a_bad_tokenizer_and_leaves_nothing(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base")
    edit_tokenizer(folder, eos_token=None)
    (folder / "model.safetensors").write_text("no weights are read")
    source = ModelFolder(path=str(folder), sha256=fingerprint.compute_fingerprint(folder))
    with pytest.raises(InputError, match=r"models\.toy: its tokenizer has no end-of-sequence"):
        fetch("toy", ModelParams(folder=source), tmp_path / "models" / "toy", lambda _: None)
    assert list((tmp_path / "models").iterdir()) == []
