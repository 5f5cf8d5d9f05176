"""What of a model folder is copied: no pickles, no code unasked, nothing that a link leads to."""

import os
from pathlib import Path

import pytest

from delta.core import fingerprint
from delta.core.errors import InputError
from delta.data.fetch import ModelFolder, ModelParams
from tests.data.test_fetch import (
    COMMIT,
    FILES,
    FINGERPRINT,
    ZEROS,
    below,
    fetched,
    from_folder,
    model_folder,
    refused,
)

OTHERS = {
    "pytorch_model.bin": "pickle",
    "weights.pt": "pickle",
    "weights.pkl": "pickle",
    "training_args.bin": "pickle",
    "consolidated.safetensors": "the weights again",
    "modeling_toy.py": "print('runs')",
    "install.sh": "rm -rf /",
    "README.md": "a card",
    ".hidden": "x",
    "original/model.safetensors": "the weights again",
    "fingerprint.json": "another's",
    "served.json": "of another program",
}


def with_others(folder: Path) -> Path:
    for name, content in OTHERS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_of_a_folder_only_weights_settings_and_tokenizer_are_copied(tmp_path: Path) -> None:
    source, target = with_others(model_folder(tmp_path / "source")), tmp_path / "models" / "toy"
    os.mkfifo(source / "pipe.json")
    fetched(from_folder(source, FINGERPRINT), target)
    assert below(target) == sorted([*FILES, fingerprint.FINGERPRINT_FILE])


def test_a_file_name_that_is_no_utf_8_has_a_part_in_the_fingerprint(tmp_path: Path) -> None:
    source, target = model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    (source / os.fsdecode(b"\xff.json")).write_text("{}")
    told = refused(from_folder(source, ZEROS), target).partition(" has ")[2].partition(";")[0]
    assert told != FINGERPRINT
    fetched(from_folder(source, told), target)
    assert os.fsdecode(b"\xff.json") in below(target)


def test_code_beside_weights_is_copied_where_the_profile_asks_for_it(tmp_path: Path) -> None:
    source, target = with_others(model_folder(tmp_path / "source")), tmp_path / "models" / "toy"
    asked = ModelParams(folder=ModelFolder(path=str(source), sha256=ZEROS, code=True))
    told = refused(asked, target).partition(" has ")[2].partition(";")[0]
    assert told != FINGERPRINT
    asked = ModelParams(folder=ModelFolder(path=str(source), sha256=told, code=True))
    fetched(asked, target)
    assert below(target) == sorted([*FILES, fingerprint.FINGERPRINT_FILE, "modeling_toy.py"])


@pytest.mark.parametrize("leads", ["outside.json", "/etc/hostname", "source/tokenizer_config.json"])
def test_a_link_that_leads_out_of_a_model_folder_is_refused(tmp_path: Path, leads: str) -> None:
    source, target = model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    (tmp_path / "outside.json").write_text("secret")
    (source / "tokenizer_config.json").unlink()
    (source / "tokenizer_config.json").symlink_to(tmp_path / leads)
    message = refused(from_folder(source, FINGERPRINT), target)
    assert f"{source}/tokenizer_config.json is a link that leads out of the folder" in message
    assert below(tmp_path / "models") == []


def test_a_snapshot_in_the_cache_of_the_hub_is_a_folder_of_links(tmp_path: Path) -> None:
    snapshot = model_folder(tmp_path / "models--maker--toy/snapshots" / COMMIT)
    blobs = tmp_path / "models--maker--toy/blobs"
    blobs.mkdir()
    for number, name in enumerate(FILES):
        (snapshot / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    target = tmp_path / "models" / "toy"
    fetched(from_folder(snapshot, FINGERPRINT), target)
    assert not any(path.is_symlink() for path in target.iterdir())
    for victim in ("victim.txt", "models--maker--toy/victim.txt", "models--maker--toy/refs/main"):
        (tmp_path / victim).parent.mkdir(exist_ok=True)
        (tmp_path / victim).write_text("secret")
        (snapshot / "merges.txt").symlink_to(tmp_path / victim)
        assert "leads out of the folder" in refused(from_folder(snapshot, FINGERPRINT), target)
        (snapshot / "merges.txt").unlink()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": {"a": "../../outside.safetensors"}}', "names files in other folders"),
        ('{"weight_map": {"a": "/outside.safetensors"}}', "names files in other folders"),
        ('{"weight_map": {"a": "x/model.safetensors"}}', "names files in other folders"),
        ('{"weight_map": {"a": 1}}', "damaged"),
        ('{"weight_map": []}', "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
        (100_000 * "[", "damaged"),
    ],
)
def test_an_index_of_weights_names_files_beside_it(
    tmp_path: Path, index: str, message: str
) -> None:
    source = model_folder(tmp_path / "source")
    (source / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=message):
        fingerprint.check_complete(source)


def test_a_link_in_the_place_of_a_model_is_replaced_and_not_followed(tmp_path: Path) -> None:
    source, target = model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    mine = model_folder(tmp_path / "mine")
    target.parent.mkdir()
    target.symlink_to(mine)
    fetched(from_folder(source, FINGERPRINT), target)
    assert below(mine) == sorted(FILES)
    assert not target.is_symlink()
