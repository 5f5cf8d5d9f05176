"""Push the outputs to a DVC remote, completely even after a push that was killed.

Killed while it lists the remote, `dvc push` leaves a partial list behind. The next push takes it
for the whole, pushes those files only and reports success (DVC issue 10977 reads like it). Here
that list is dropped first.
"""

import argparse
import subprocess
import sys

from dvc.repo import Repo

from delta.cli import command_line


def main() -> int:
    parser = argparse.ArgumentParser(
        prog=sys.argv[0],
        description=__doc__.split("\n\n")[0],
        epilog="Every other option goes to `dvc push`, for example --remote NAME.",
    )
    _, options = parser.parse_known_args()
    with Repo() as repo:
        repo.drop_data_index()
    return subprocess.run(["dvc", "push", *options], check=False).returncode


def start() -> None:
    command_line.run(main)
