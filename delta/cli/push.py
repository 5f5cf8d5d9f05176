"""`make push`: hand on what was made, through `dvc push`, whole even after a push that was killed.

Killed while it lists what there is, `dvc push` leaves half a list behind; the next one takes it for
the whole, pushes those files only and says that all is well (DVC issue 10977 reads like it). Here
that list is made anew.
"""

import subprocess
import sys

from dvc.repo import Repo

from delta.cli import exit


def main(options: list[str]) -> int:
    """`options` go to `dvc push`, for example --remote NAME."""
    with Repo() as repo:
        repo.drop_data_index()
    return subprocess.run(["dvc", "push", *options], check=False).returncode


def start() -> None:
    exit.run(lambda: main(sys.argv[1:]))
