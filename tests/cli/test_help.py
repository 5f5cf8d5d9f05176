"""Every command and every stage prints its usage with --help."""

import subprocess
import sys

import pytest

from delta.__main__ import COMMANDS
from tests.helpers.import_closure import ROOT

STAGES = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py"))


def run(*words: str) -> str:
    """Return the standard output of `python -m WORDS`; it must succeed and print no error."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_help_lists_every_command() -> None:
    usage = run("delta", "--help")
    assert usage.startswith("usage: python -m delta COMMAND [--help]\n")
    for command, summary in COMMANDS.items():
        assert f"{command} " in usage
        assert summary in usage


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    usage = run("delta", command, "--help")
    assert usage.startswith(f"usage: python -m delta {command} [-h]")
    assert len(usage.split()) > 5


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_help(stage: str) -> None:
    usage = run(f"stages.{stage}", "--help")
    assert usage.startswith(f"usage: python -m stages.{stage} [-h]")
    assert len(usage.split()) > 3
