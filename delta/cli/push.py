"""Push all outputs to a DVC remote, also after a push that was killed.

A `dvc push` that is killed while it lists the remote leaves a partial index. The next push trusts
it, pushes only some files and reports success (DVC issue 10977 looks the same). This command drops
the index first.
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
