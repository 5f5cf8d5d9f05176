"""Run a command that is not a pipeline stage: `python -m delta COMMAND --help`."""

import sys
from functools import partial

from delta.cli import command_line

COMMANDS = {
    "certify": "Print which dimensions the raters of the last run see.",
    "check": "Check params.yaml. Each stage but `summary` runs this first.",
    "check-golds": "Check that the gold answers of problems or questions can be graded.",
    "compare": "Compare two runs question by question.",
    "experiment": "Run a table, figure or control of the paper as DVC experiments.",
    "export": "Write the selected pairs as a Hugging Face dataset with its card.",
    "pin": "Write the newest commits of unpinned hub sources into params.yaml.",
    "plan": "Print what `make repro` would run, request and cost, without running it.",
    "push": "Push the outputs to a DVC remote, also after a killed push.",
    "rating-sheet": "Write a sheet of traces for people to rate.",
    "repro": "Run the pipeline, only what changed, and say what the run taught.",
    "replies": "Ask the models of a stage for all of its items, with one start of each engine.",
    "repair-dvc": "Repair files of DVC that a kill has truncated.",
    "results": "Print the results of an experiment as a table.",
    "summary": "Print what the last run taught, and its scores.",
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("usage: python -m delta COMMAND [--help]\n")
        for command, summary in COMMANDS.items():
            print(f"  {command:<14}{summary}")
    elif name in COMMANDS:
        command_line.run(partial(command_line.start, name, sys.argv[2:]))
    else:
        sys.exit(f"python -m delta {name}: no such command; expected one of {', '.join(COMMANDS)}")


if __name__ == "__main__":
    main()
