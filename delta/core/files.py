"""Write files and folders atomically: complete, or not at all."""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delta.core.errors import InputError
from delta.core.types import Counts


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; move the file to `path` if the block succeeds.

    A reader sees the old file or the new one, never a part of it. Missing parent folders are made.
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
    """Yield an empty folder next to `path`; replace `path` by it if the block succeeds.

    Where `path` is a link, the link is replaced and its target is left alone.
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
    """Remove a link at `path`, so that a stage cannot write outside the workspace."""
    if path.is_symlink():
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_counts(path: Path, counts: Counts, *keys: str) -> None:
    """Write `counts` as JSON under nested `keys`, such as a stage and its item."""
    nested = counts
    for key in reversed(keys):
        nested = {key: nested}
    write_text(path, json.dumps(nested, indent=2) + "\n")


def round4(value: float | None) -> float | None:
    """Return the number as JSON files hold it: four decimals, and no -0.0, NaN or infinity (None).

    None stays None.
    """
    return None if value is None or not math.isfinite(value) else round(float(value), 4) + 0.0


def read_json(path: Path, *keys: str) -> Any:
    """Return the value under nested `keys` in the JSON file of a stage.

    Raises InputError where the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            content = content[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: missing or damaged; rebuild with `dvc repro`") from error
    return content
