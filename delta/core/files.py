"""Write files and folders whole or not at all."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delta.core.errors import InputError
from delta.core.types import Counts


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a new file's path beside `path`; put that file at `path` when the block ends well.

    A reader sees the old file or the new one, never half of it. Missing parent folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; put it in the place of `path` when the block ends well.

    A link at `path` is removed, not what it leads to.
    """
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        remove_link(path)
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def remove_link(path: Path) -> None:
    """Remove a link at `path`, so that a stage writes into the workspace and nowhere else."""
    if path.is_symlink():
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_counts(path: Path, counts: Counts, *keys: str) -> None:
    """Write `counts` as JSON under nested `keys`: the stage, and its item where it has several."""
    nested = counts
    for key in reversed(keys):
        nested = {key: nested}
    write_text(path, json.dumps(nested, indent=2) + "\n")


def read_json(path: Path, *keys: str) -> Any:
    """Return what the JSON file of a stage holds under nested `keys`.

    Raises InputError where the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            content = content[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: missing or damaged; rebuild with `dvc repro`") from error
    return content
