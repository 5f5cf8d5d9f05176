"""Which files of a model folder are copied: no pickles, no unrequested code, no outside links."""

import os
from pathlib import Path

import pytest

from delta.core import fingerprint
from delta.core.errors import InputError
from delta.data.fetch import ModelFolder, ModelParams
from tests.helpers.model_folders import (
    COMMIT,
    FILES,
    FINGERPRINT,
    ZEROS,
    fetch_error,
    fetch_toy,
    folder_params,
    list_files,
    write_model_folder,
)

OTHER_FILES = {
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


def add_other_files(folder: Path) -> Path:
    for name, content in OTHER_FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_only_weights_settings_and_tokenizer_are_copied(tmp_path: Path) -> None:
    source, target = (
        add_other_files(write_model_folder(tmp_path / "source")),
        tmp_path / "models" / "toy",
    )
    os.mkfifo(source / "pipe.json")
    fetch_toy(folder_params(source, FINGERPRINT), target)
    assert list_files(target) == sorted([*FILES, fingerprint.FINGERPRINT_FILE])


def test_a_file_name_that_is_not_utf_8_changes_the_fingerprint(tmp_path: Path) -> None:
    source, target = write_model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    (source / os.fsdecode(b"\xff.json")).write_text("{}")
    digest = (
        fetch_error(folder_params(source, ZEROS), target).partition(" has ")[2].partition(";")[0]
    )
    assert digest != FINGERPRINT
    fetch_toy(folder_params(source, digest), target)
    assert os.fsdecode(b"\xff.json") in list_files(target)


def test_code_is_copied_only_on_request(tmp_path: Path) -> None:
    source, target = (
        add_other_files(write_model_folder(tmp_path / "source")),
        tmp_path / "models" / "toy",
    )
    params = ModelParams(folder=ModelFolder(path=str(source), sha256=ZEROS, code=True))
    digest = fetch_error(params, target).partition(" has ")[2].partition(";")[0]
    assert digest != FINGERPRINT
    params = ModelParams(folder=ModelFolder(path=str(source), sha256=digest, code=True))
    fetch_toy(params, target)
    assert list_files(target) == sorted([*FILES, fingerprint.FINGERPRINT_FILE, "modeling_toy.py"])


@pytest.mark.parametrize("leads", ["outside.json", "/etc/hostname", "source/tokenizer_config.json"])
def test_a_link_that_leads_out_of_a_model_folder_is_refused(tmp_path: Path, leads: str) -> None:
    source, target = write_model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    (tmp_path / "outside.json").write_text("secret")
    (source / "tokenizer_config.json").unlink()
    (source / "tokenizer_config.json").symlink_to(tmp_path / leads)
    message = fetch_error(folder_params(source, FINGERPRINT), target)
    assert f"{source}/tokenizer_config.json is a link that leads out of the folder" in message
    assert list_files(tmp_path / "models") == []


def test_a_snapshot_in_the_hub_cache_may_be_named_as_a_folder(tmp_path: Path) -> None:
    snapshot = write_model_folder(tmp_path / "models--maker--toy/snapshots" / COMMIT)
    blobs = tmp_path / "models--maker--toy/blobs"
    blobs.mkdir()
    for number, name in enumerate(FILES):
        (snapshot / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    target = tmp_path / "models" / "toy"
    fetch_toy(folder_params(snapshot, FINGERPRINT), target)
    assert not any(path.is_symlink() for path in target.iterdir())
    for victim in ("victim.txt", "models--maker--toy/victim.txt", "models--maker--toy/refs/main"):
        (tmp_path / victim).parent.mkdir(exist_ok=True)
        (tmp_path / victim).write_text("secret")
        (snapshot / "merges.txt").symlink_to(tmp_path / victim)
        assert "leads out of the folder" in fetch_error(
            folder_params(snapshot, FINGERPRINT), target
        )
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
def test_an_index_of_weights_may_only_name_files_beside_it(
    tmp_path: Path, index: str, message: str
) -> None:
    source = write_model_folder(tmp_path / "source")
    (source / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=message):
        fingerprint.check_complete(source)


def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path: Path) -> None:
    source, target = write_model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    mine = write_model_folder(tmp_path / "mine")
    target.parent.mkdir()
    target.symlink_to(mine)
    fetch_toy(folder_params(source, FINGERPRINT), target)
    assert list_files(mine) == sorted(FILES)
    assert not target.is_symlink()
