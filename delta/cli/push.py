"""Push all outputs to a DVC remote, also after a push that was killed.

A `dvc push` that is killed while it lists the remote leaves a partial index. The next push trusts
it, pushes only some files and reports success (DVC issue 10977 looks the same). This command drops
the index first.
"""

import argparse
import subprocess

from dvc.repo import Repo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Every other option goes to `dvc push`, for example --remote NAME."
    parser.set_defaults(others=[])


def main(options: argparse.Namespace) -> int:
    with Repo() as repo:
        repo.drop_data_index()
    return subprocess.run(["dvc", "push", *options.others], check=False).returncode
