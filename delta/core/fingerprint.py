"""A model folder's fingerprint: the identity of its weights, tokenizer and chat template.

The folder of a model that only a server has holds the name that it is asked for by.
"""

import hashlib
import json
from pathlib import Path

from delta.core import permissions
from delta.core.digests import sha256_of
from delta.core.errors import InputError

FINGERPRINT_FILE = "fingerprint.json"
RECORDING = "recording.parquet"  # a model that is a recording of traces has no weights
SERVED = "served.json"  # nor has a model that only a server has


def compute_fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in `folder` but the card itself."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != FINGERPRINT_FILE
    )
    lines = [f"{name} {sha256_of(folder / name)}" for name in names]
    content = "\n".join(lines).encode(errors="surrogateescape")  # a name may be no UTF-8
    return hashlib.sha256(content).hexdigest()


def write_fingerprint(folder: Path, source: str) -> str:
    """Write the card that says where the folder comes from and what it holds; its fingerprint.

    All files get ordinary permissions: whoever may read the folder may read them.
    """
    fingerprint = compute_fingerprint(folder)
    card = {"source": source, "fingerprint": fingerprint}
    (folder / FINGERPRINT_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    permissions.inherit_below(folder)
    return fingerprint


def read_fingerprint(folder: Path) -> str:
    """The fingerprint on the card, without reading the weights again.

    Raises InputError where the folder is not one that `fetch` or `train` wrote, or lacks weights.
    """
    try:
        card = json.loads((folder / FINGERPRINT_FILE).read_text(encoding="utf-8"))
        value: str = card["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{folder / FINGERPRINT_FILE}: missing or damaged; rebuild with `dvc repro`"
        ) from error
    check_complete(folder)
    return value


def check_complete(folder: Path) -> None:
    """InputError where configuration, tokenizer, or a shard of the weights is missing."""
    if (folder / RECORDING).is_file() or (folder / SERVED).is_file():
        return
    shards = ["model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = _shards(index)
    for needed in ("config.json", "tokenizer_config.json", *shards):
        if not (folder / needed).is_file():
            raise InputError(f"{folder / needed}: no such file; the model folder is not whole")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise InputError(f"{folder}: holds neither tokenizer.json nor tokenizer.model")


def write_served(folder: Path, name: str) -> None:
    """Write what stands in for weights: the name that a server knows the model by."""
    content = json.dumps({"served": name}, ensure_ascii=False)
    (folder / SERVED).write_text(content + "\n", encoding="utf-8")


def served_name(folder: Path) -> str | None:
    """Return the name that a server knows the model by; None where the weights are here."""
    path = folder / SERVED
    if not path.is_file():
        return None
    name: str = json.loads(path.read_text(encoding="utf-8"))["served"]
    return name


def _shards(index: Path) -> list[str]:
    """The files that hold the weights; InputError where the index names others than beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        beside = all(Path(name).name == name for name in names)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index}: damaged; it names no files of weights") from error
    if not beside:
        raise InputError(f"{index}: names files in other folders; allowed: files beside it")
    return names
