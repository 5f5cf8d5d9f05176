"""A model folder's fingerprint: the identity of its weights, tokenizer and chat template.

For a model that only a server has, the folder has its name at that server in place of weights; for
a solver, its name.
"""

import hashlib
import json
from pathlib import Path

from delta.core import permissions
from delta.core.digests import sha256_of
from delta.core.errors import InputError

FINGERPRINT_FILE = "fingerprint.json"
# These three stand in place of weights.
RECORDING_FILE = "recording.parquet"  # a recording of traces
# A model that only a server has. The keys of cached replies depend on this name and the content.
SERVED_MODEL_FILE = "served.json"
SOLVER_FILE = "solver.json"  # a solver of delta.solver, which computes its traces
NO_WEIGHTS_FILES = (RECORDING_FILE, SERVED_MODEL_FILE, SOLVER_FILE)


def compute_fingerprint(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of all files except FINGERPRINT_FILE."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != FINGERPRINT_FILE
    )
    lines = [f"{name} {sha256_of(folder / name)}" for name in names]
    content = "\n".join(lines).encode(errors="surrogateescape")  # a name need not be UTF-8
    return hashlib.sha256(content).hexdigest()


def write_fingerprint(folder: Path, source: str) -> str:
    """Write the folder's source and fingerprint into it; return the fingerprint.

    All files get the permissions of the folder, so that everyone who may read it may read them.
    """
    fingerprint = compute_fingerprint(folder)
    content = {"source": source, "fingerprint": fingerprint}
    (folder / FINGERPRINT_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    permissions.inherit_below(folder)
    return fingerprint


def read_fingerprint(folder: Path) -> str:
    """Return the fingerprint in FINGERPRINT_FILE, without reading the weights.

    Raises InputError where `fetch` or `train` did not write the folder, or weights are missing.
    """
    path = folder / FINGERPRINT_FILE
    try:
        fingerprint: str = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: missing or damaged; rebuild with `dvc repro`") from error
    check_complete(folder)
    return fingerprint


def check_complete(folder: Path) -> None:
    """Raise InputError where configuration, tokenizer, or a shard of the weights is missing."""
    if any((folder / name).is_file() for name in NO_WEIGHTS_FILES):
        return
    index = folder / "model.safetensors.index.json"
    shards = _shards(index) if index.is_file() else ["model.safetensors"]
    for name in ("config.json", "tokenizer_config.json", *shards):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; the model folder is incomplete")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise InputError(f"{folder}: holds neither tokenizer.json nor tokenizer.model")


def write_served_model_name(folder: Path, name: str) -> None:
    """Write the name that a server knows the model by, in place of weights."""
    _write_name(folder / SERVED_MODEL_FILE, "served", name)


def write_solver_name(folder: Path, name: str) -> None:
    """Write the name of a solver, in place of weights."""
    _write_name(folder / SOLVER_FILE, "solver", name)


def _write_name(path: Path, key: str, name: str) -> None:
    content = json.dumps({key: name}, ensure_ascii=False)
    path.write_text(content + "\n", encoding="utf-8")


def read_served_model_name(folder: Path) -> str | None:
    """Return the name that a server knows the model by; None where the weights are here."""
    path = folder / SERVED_MODEL_FILE
    if not path.is_file():
        return None
    name: str = json.loads(path.read_text(encoding="utf-8"))["served"]
    return name


def _shards(index: Path) -> list[str]:
    """Return the names of the weight files. Raises InputError for names in other folders."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        are_in_folder = all(Path(name).name == name for name in names)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index}: damaged; it names no weight files") from error
    if not are_in_folder:
        raise InputError(f"{index}: names files in other folders; expected files beside it")
    return names
