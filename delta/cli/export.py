"""The selected pairs as a data set: `python -m delta export [FOLDER]`, by default export/."""

from pathlib import Path

from delta import check, export
from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, SELECTED, TRACE
from delta.export import card, provenance

DEFAULT = "export"


def main(console: Console, argv: list[str]) -> None:
    if len(argv) > 1:
        raise InputError(f"{' '.join(argv)}: allowed: one folder")
    folder = Path(*argv or [DEFAULT])
    export.check_target(folder)
    everything = check.check()
    pairing = everything.pairing
    selected = tables.read(paths.SELECTED, SELECTED)
    problems = tables.read(paths.PROBLEMS, PROBLEM, ["problem_id", "prompt", "history"])
    names = dict.fromkeys([pairing.chosen, pairing.rejected])  # may be the same generator
    traces = [tables.scan(paths.traces(name), TRACE) for name in names]
    made = provenance.collect_provenance(everything, params.PARAMS_FILE)
    counted = made.metrics["select"]["selected"]
    if counted != (found := int(selected["selected"].sum())):
        raise InputError(
            f"{paths.METRICS / 'select.json'}: counts {counted} selected pairs, "
            f"{paths.SELECTED} holds {found}; rebuild with `dvc repro`"
        )
    rows = export.write_dataset(folder, made, selected, problems, traces)
    console.print(f"export: {folder}: " + ", ".join(f"{n} rows {name}" for name, n in rows.items()))
    used = provenance.sources_of(everything)
    if unknown := [one.name for one in used if one.licence == provenance.UNKNOWN]:
        console.print(
            f"export: the licence of {', '.join(unknown)} is not known here; check it before you "
            "publish"
        )
    console.print(f"export: nothing was uploaded; to do it: {card.PUSH.format(folder=folder)}")


def start() -> None:
    # The log is named after the arguments, and a folder may have slashes in its name.
    run(main, "export", log_name="export")
