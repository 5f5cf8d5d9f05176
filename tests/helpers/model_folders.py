"""Write a folder with the files of a model, and fetch it."""

import hashlib
from pathlib import Path

import pytest

from delta.core.errors import InputError
from delta.data.fetch import ModelFolder, ModelParams, fetch

FILES = {
    "config.json": '{"model_type": "toy"}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "model.safetensors": "not really",
}
# SHA-256 of "name sha256-of-content" for each of FILES, in order of name, joined by line ends.
FINGERPRINT = hashlib.sha256(
    "\n".join(
        f"{name} {hashlib.sha256(FILES[name].encode()).hexdigest()}" for name in sorted(FILES)
    ).encode()
).hexdigest()
ZEROS = "0" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_model_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    for name, content in FILES.items():
        (path / name).write_text(content)
    return path


def folder_params(path: Path, sha256: str) -> ModelParams:
    return ModelParams(folder=ModelFolder(path=str(path), sha256=sha256))


def fetch_toy(params: ModelParams, target: Path) -> str:
    return fetch("toy", params, target, lambda _: None)


def fetch_error(params: ModelParams, target: Path) -> str:
    with pytest.raises(InputError) as caught:
        fetch_toy(params, target)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def list_files(folder: Path) -> list[str]:
    """Return the relative paths of all files and folders below."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
