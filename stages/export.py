"""The selected pairs as a data set: `python -m stages.export [FOLDER]`, by default export/."""

import sys
from pathlib import Path

from delta import check, export, outputs, params, tables
from delta.console import Console, run
from delta.errors import InputError
from delta.export import card, origin
from delta.records import PROBLEM, SELECTED, TRACE

DEFAULT = "export"


def main(console: Console, argv: list[str]) -> None:
    if len(argv) > 1:
        raise InputError(f"{' '.join(argv)}: allowed: one folder")
    folder = Path(*argv or [DEFAULT])
    export.check_target(folder)
    everything = check.check()
    pairing = everything.pairing
    selected = tables.read(outputs.SELECTED, SELECTED)
    problems = tables.read(outputs.PROBLEMS, PROBLEM, ["problem_id", "prompt", "history"])
    names = dict.fromkeys([pairing.chosen, pairing.rejected])  # may be the same generator
    traces = [tables.scan(outputs.traces(name), TRACE) for name in names]
    made = origin.made(everything, params.PARAMS_FILE)
    counted = made.metrics["select"]["selected"]
    if counted != (found := int(selected["selected"].sum())):
        raise InputError(
            f"{outputs.METRICS / 'select.json'}: counts {counted} selected pairs, "
            f"{outputs.SELECTED} holds {found}; rebuild with `dvc repro`"
        )
    rows = export.write(folder, made, selected, problems, traces)
    console.say(f"export: {folder}: " + ", ".join(f"{n} rows {name}" for name, n in rows.items()))
    used = origin.ingredients(everything)
    if unknown := [one.name for one in used if one.licence == origin.UNKNOWN]:
        console.say(
            f"export: the licence of {', '.join(unknown)} is not known here; check it before you "
            "publish"
        )
    console.say(f"export: nothing was uploaded; to do it: {card.PUSH.format(folder=folder)}")


if __name__ == "__main__":
    # The log is named after the arguments, and a folder may have slashes in its name.
    folders, sys.argv[1:] = sys.argv[1:], []
    run(lambda console, _: main(console, folders))
