"""Refuse a params.yaml that cannot work. Each stage but `summary` runs this first."""

import argparse
import contextlib
import hashlib
import sys
from pathlib import Path

from delta.cli.command_line import INPUT_ERROR_CODE

# Digests of the states that passed. A run has several: each stage removes its outputs first, and
# one of them is the policy's folder, whose settings are read.
PASSED = Path("logs") / "checked"
MAX_PASSED = 16
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


def main(_options: argparse.Namespace) -> int:
    # Skip a check that has passed: its imports take seconds, and a pipeline has dozens of stages.
    current = digest()
    passed: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        passed = PASSED.read_text(encoding="ascii").split() if PASSED.is_file() else []
    if current in passed:
        return 0
    from delta.check import check
    from delta.core.console import how_to_undo_experiment
    from delta.core.errors import InputError

    try:
        check()
    except InputError as error:
        print(*filter(None, [error, how_to_undo_experiment()]), sep="\n", file=sys.stderr)
        return INPUT_ERROR_CODE
    with contextlib.suppress(OSError):  # the stage itself reports a faulty logs/
        PASSED.parent.mkdir(exist_ok=True)
        PASSED.write_text("\n".join([current, *passed[: MAX_PASSED - 1]]) + "\n")
    return 0
