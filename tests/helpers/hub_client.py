"""Run code in a process that asks the stand-in hub, or nobody.

huggingface_hub reads its addresses and switches when it is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.hub_server import Hub
from tests.helpers.import_closure import ROOT


def hub_environment(hub: Hub | None, home: Path, token: str | None = None) -> dict[str, str]:
    """Return the environment of a user with the caches in `home`; offline where `hub` is None."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(ROOT),
    }
    env |= {"HF_HUB_OFFLINE": "1"} if hub is None else {"HF_ENDPOINT": hub.url}
    return env | ({} if token is None else {"HF_TOKEN": token})


def run_client(code: str, *arguments: str, env: dict[str, str], folder: Path = ROOT) -> list[str]:
    """Return the lines that the code prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
