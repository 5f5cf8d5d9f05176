"""Write the selected pairs as a Hugging Face dataset with its card, or the policy's model card."""

import argparse
from pathlib import Path

from delta import check
from delta.check import Params
from delta.core import files, params, paths, tables
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.paths import POLICY
from delta.core.schemas import PROBLEM, SELECTED, TRACE
from delta.evaluation.config import baselines
from delta.export import card, dataset, provenance

DATASET_FOLDER = "export"
POLICY_FOLDER = "export-policy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = f"default: {DATASET_FOLDER}, or {POLICY_FOLDER} with --policy"
    parser.add_argument("folder", nargs="?", type=Path, help=default)
    parser.add_argument("--policy", action="store_true", help="write the policy's model card")


def log_name(_options: argparse.Namespace) -> str:
    return "export"


def main(console: Console, options: argparse.Namespace) -> None:
    folder = options.folder or Path(POLICY_FOLDER if options.policy else DATASET_FOLDER)
    if options.policy:
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
    facts = provenance.collect_facts(all_params, params.PARAMS_FILE)
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
    facts = provenance.collect_facts(all_params, params.PARAMS_FILE)
    scores, base_scores = (files.read_json(paths.score(model), model) for model in (POLICY, base))
    text = card.model_card(facts, scores, base_scores)
    files.write_text(folder / "README.md", text)
    console.print(f"export: {folder / 'README.md'}: scores on {len(scores)} benchmarks")
    push = card.PUSH_POLICY.format(model=paths.model(POLICY), folder=folder)
    console.print(f"export: nothing was uploaded; to do it: {push}")
