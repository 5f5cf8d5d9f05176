"""Estimate what a run writes, on which file systems, and whether it fits there."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from delta.core import paths
from delta.plan.assumptions import CHARACTERS
from delta.plan.costs import Cost
from delta.plan.model_sizes import BYTES, GIB, Sizes
from delta.plan.requests import Workspace
from delta.plan.resources import checkpoint_bytes, models_to_fetch

HERE = Path()
HUB, DVC = "$HF_HOME", "`cache.dir` of DVC"  # what moves a cache to another file system


class Written(NamedTuple):
    """Something that a run writes, once into each folder."""

    what: str
    copy: float  # bytes
    folders: Sequence[Path] = (HERE,)

    @property
    def bytes(self) -> float:
        """Return the bytes of all copies."""
        return self.copy * len(self.folders)

    def __str__(self) -> str:
        copies = len(self.folders)
        return self.what if copies == 1 else f"{self.what}, {copies} copies"


class FileSystem(NamedTuple):
    """A file system that a run writes to."""

    folder: Path  # the first of the folders on it
    needed: float  # bytes
    free: int  # bytes


def hub_cache() -> Path:
    """Return the folder that the hub library downloads to."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def dvc_folders() -> list[Path]:
    """Return the folders that hold an output: DVC's cache, and the project unless it has a link."""
    cache, types = _dvc_cache()
    linked = "symlink" in types or ("hardlink" in types and _device(cache) == _device(HERE))
    return [cache] if linked else [HERE, cache]


def _dvc_cache() -> tuple[Path, list[str]]:
    """Return DVC's cache and the types of links that it tries before it copies."""
    from dvc.config import Config

    config = Config(".dvc" if Path(".dvc").is_dir() else None)["cache"]
    types: list[str] = config.get("type") or []
    before = types.index("copy") if "copy" in types else len(types)
    return Path(config.get("dir") or ".dvc/cache"), types[:before]


def written(
    workspace: Workspace, requests: Sequence[Cost], sizes: Sizes, training: bool
) -> Iterator[Written]:
    """Yield what will be written. Models of unknown size are left out."""
    params, outputs = workspace.params, dvc_folders()
    for name in models_to_fetch(workspace):
        size = sizes[name]
        if size is not None and not paths.model(name).is_dir():
            hub = [] if params.models[name].hub is None else [hub_cache()]
            yield Written(f"weights of {name}", size.on_disk, [*outputs, *hub])
    for name in params.sft_models:
        size = sizes[name]
        if size is not None and not workspace.settled(f"sft@{name}"):
            yield Written(f"weights of {name}", size.parameters * BYTES["float32"], outputs)
    replies = sum(cost.tokens.written for cost in requests if cost.tokens)
    yield Written("replies, in the cache and in tables", replies * CHARACTERS.value * 2)
    base = sizes[params.train.base]
    if training and base is not None:
        yield Written("checkpoints while it trains", checkpoint_bytes(params.train, base))
        yield Written("the policy", base.parameters * BYTES[params.train.dtype], outputs)


def file_systems(rows: Iterable[Written]) -> list[FileSystem]:
    """Return the project's file system, then the others that something is written to."""
    needed: dict[int, float] = {_device(HERE): 0.0}
    first = {_device(HERE): HERE}
    for row in rows:
        for folder in row.folders:
            device = _device(folder)
            needed[device] = needed.get(device, 0.0) + row.copy
            first.setdefault(device, folder)
    return [
        FileSystem(folder, needed[device], shutil.disk_usage(_existing(folder)).free)
        for device, folder in first.items()
    ]


def shortages(rows: Iterable[Written]) -> list[str]:
    """Return a line with its remedy for each file system that is too small."""
    caches = {DVC: _device(_dvc_cache()[0]), HUB: _device(hub_cache())}
    lines = []
    for folder, needed, free in file_systems(rows):
        if needed > free:
            what = "disk" if folder == HERE else f"disk of {folder}"
            remedy = "a larger disk"
            if movable := [key for key, device in caches.items() if device == _device(folder)]:
                remedy += f", or {' and '.join(movable)} on another"
            lines.append(
                f"{what}: {free / GIB:,.0f} GiB free; expected {needed / GIB:,.0f} GiB; {remedy}"
            )
    return lines


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    """Return the folder, or where it will be created the closest that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
