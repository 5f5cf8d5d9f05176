"""Refuse a params.yaml that cannot work. Every stage's command begins with this."""

import argparse
import contextlib
import hashlib
import sys
from pathlib import Path

STAMP = Path("logs") / "checked"
CODE = Path("delta")
MODELS = Path("data") / "models"


def digest() -> str:
    """Return a digest of all that a check reads: params.yaml, code, prompts, model settings."""
    state = hashlib.sha256()
    suffixes = (".py", ".txt", ".yaml")
    code = sorted(path for path in CODE.rglob("*") if path.suffix in suffixes)
    models = sorted(MODELS.glob("*/config.json"))  # a fetched model states its context length
    for path in [Path("params.yaml"), *code, *models]:
        content = path.read_bytes() if path.is_file() else b""
        state.update(f"{path} {len(content)}\n".encode() + content)
    return state.hexdigest()


def main(_options: argparse.Namespace) -> None:
    # Skip a check that has passed: its imports take seconds, and a pipeline has dozens of stages.
    current = digest().encode()
    with contextlib.suppress(OSError):
        if STAMP.is_file() and STAMP.read_bytes() == current:
            return
    from delta.check import check
    from delta.core.console import how_to_undo_experiment
    from delta.core.errors import InputError

    try:
        check()
    except InputError as error:
        sys.exit("\n".join(filter(None, [str(error), how_to_undo_experiment()])))
    with contextlib.suppress(OSError):  # the stage itself reports a faulty logs/
        STAMP.parent.mkdir(exist_ok=True)
        STAMP.write_bytes(current)
