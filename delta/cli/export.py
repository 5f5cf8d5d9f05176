"""usage: python -m delta export [FOLDER]
       python -m delta export --policy [FOLDER]

Write the selected pairs as a Hugging Face dataset with its card (by default in export/), or the
policy's model card (by default in export-policy/).
"""

from pathlib import Path

from delta import check
from delta.check import Params
from delta.core import files, params, paths, tables
from delta.core.console import Console, run
from delta.core.errors import InputError
from delta.core.paths import POLICY
from delta.core.schemas import PROBLEM, SELECTED, TRACE
from delta.evaluation.config import baselines
from delta.export import card, dataset, provenance

DATASET_FOLDER = "export"
POLICY_FOLDER = "export-policy"


def main(console: Console, argv: list[str]) -> None:
    is_policy = argv[:1] == ["--policy"]
    names = argv[is_policy:]
    if len(names) > 1 or any(name.startswith("-") for name in names):
        raise InputError(f"{' '.join(argv)}: expected [--policy] and one folder")
    folder = Path(*names or [POLICY_FOLDER if is_policy else DATASET_FOLDER])
    if is_policy:
        export_policy_card(console, folder)
    else:
        dataset.check_target(folder)
        export_dataset(console, folder, check.check())


def export_dataset(console: Console, folder: Path, all_params: Params) -> None:
    pairing = all_params.pairing
    selected = tables.read(paths.SELECTED, SELECTED)
    problems = tables.read(paths.PROBLEMS, PROBLEM, ["problem_id", "prompt", "history"])
    names = dict.fromkeys([pairing.chosen, pairing.rejected])  # may be the same generator
    traces = [tables.scan(paths.traces(name), TRACE) for name in names]
    facts = provenance.collect_provenance(all_params, params.PARAMS_FILE)
    counted, num_selected = facts.counts["select"]["selected"], int(selected["selected"].sum())
    if counted != num_selected:
        raise InputError(
            f"{paths.counts('select')}: counts {counted} selected pairs, "
            f"{paths.SELECTED} holds {num_selected}; rebuild with `dvc repro`"
        )
    rows = dataset.write_dataset(folder, facts, selected, problems, traces)
    console.print(f"export: {folder}: " + ", ".join(f"{n} rows {name}" for name, n in rows.items()))
    sources = provenance.sources_of(facts)
    if unknown := [source.name for source in sources if source.licence == provenance.UNKNOWN]:
        console.print(
            f"export: the licence of {', '.join(unknown)} is not known here; check it before you "
            "publish"
        )
    push = card.PUSH_DATASET.format(folder=folder)
    console.print(f"export: nothing was uploaded; to do it: {push}")


def export_policy_card(console: Console, folder: Path) -> None:
    all_params = check.check()
    base = baselines(all_params.evaluation.models, all_params.train.base)[0]
    facts = provenance.collect_provenance(all_params, params.PARAMS_FILE)
    scores = provenance.read_scores(POLICY)
    text = card.model_card(facts, scores, provenance.read_scores(base))
    files.write_text(folder / "README.md", text)
    console.print(f"export: {folder / 'README.md'}: scores on {len(scores)} benchmarks")
    push = card.PUSH_POLICY.format(model=paths.model(POLICY), folder=folder)
    console.print(f"export: nothing was uploaded; to do it: {push}")


def start() -> None:
    # The log is named after the arguments, and a folder may have slashes in its name.
    run(main, "export", log_name="export")
