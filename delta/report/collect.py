"""Collect the report's inputs: results of experiments, scores, deltas and provenance."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delta.certificate.read import read_certificates
from delta.core import paths, tables
from delta.core.files import read_json
from delta.core.git import read_git_state
from delta.core.schemas import SELECTED
from delta.experiments import grid, results
from delta.experiments.compare import compare
from delta.experiments.grid import ExperimentParams, RunSpec
from delta.experiments.origin import made_here
from delta.report.context import (
    TIES,
    ChangedAnswers,
    ModelScores,
    Provenance,
    ReportContext,
    Run,
    WorkspaceRun,
)
from delta.report.example import read_example
from delta.report.generators import read_generators, weak_pair
from delta.report.scores import Scores
from delta.report.this_run import read_summary
from delta.report.training_facts import training_settings

MATH_GROUPS = ("easy", "hard")  # the groups whose mean orders the off-the-shelf models
FIGURE_2, FIGURE_4 = "figure-2", "figure-4"
ANALYSIS_TABLES = {  # title on the page → table of data/analysis
    "Agreement among the judge's votes": "inter_rater",
    "Agreement with others": "judge_agreement",
    "Deltas by people, with the judge's votes corrected": "human_deltas",
    "Ratings against correctness": "correctness_auc",
    "Reliability of a delta by number of votes": "reliability",
    "Variance components": "variance_components",
    "Delta against length": "length_correlation",
    TIES: "topk_stability",
}
COUNTS = {  # stage → the counts that the page shows, and what they count
    "problems": {"drawn": "problems drawn", "kept": "problems kept"},
    "pair": {"recipe": "recipe of the pairs", "pairs": "pairs"},
    "select": {"selected": "pairs selected"},
    "analyze": {"traces": "traces", "votes": "votes", "votes_refused": "votes refused"},
}


def build_context(
    params: dict[str, Any], experiments: dict[str, ExperimentParams], base: str, scores: Scores
) -> ReportContext:
    """Return the context of this workspace.

    `params` is all of params.yaml, and `scores` has every evaluated model. Raises InputError if a
    result or a table is missing or damaged.
    """
    groups = {name: benchmark["group"] for name, benchmark in params["benchmarks"].items()}
    pairing = params["pairing"]
    of_figure_2, of_figure_4 = (
        experiments[name].always if name in experiments else {} for name in (FIGURE_2, FIGURE_4)
    )
    models = _read_models(scores, groups)
    return ReportContext(
        this_run=_read_this_run(params, models[base], base),
        experiments={
            name: read_runs(params, grid.expand_grid(params, name, experiment))
            for name, experiment in experiments.items()
        },
        models=models,
        base=base,
        chosen=str(of_figure_4.get("pairing.chosen", pairing["chosen"])),
        rejected=str(of_figure_2.get("pairing.rejected", pairing["rejected"])),
        groups=groups,
        deltas=read_json(paths.analysis("delta_matrix")),
        overlaps=read_json(paths.analysis("topk_overlap")),
        analysis={
            title: read_json(paths.analysis(name)) for title, name in ANALYSIS_TABLES.items()
        },
        provenance=_provenance(params, scores[base]),
        certificates=read_certificates(),
        seed_axes={name: grid.seed_axes(experiment) for name, experiment in experiments.items()},
        generators=read_generators(params["generators"]),
        base_model=params["train"]["base"],
        weak_pair=weak_pair(experiments),
    )


def read_runs(params: dict[str, Any], specs: list[RunSpec]) -> list[Run]:
    """Return the runs of an experiment with their results. `params` is all of params.yaml."""
    runs = []
    for spec in specs:
        changed = grid.with_changes(params, spec.changes, f"experiments.{spec.experiment}")
        result = results.read(spec.key)
        pairs = result.counts["select"].get("pairs_sha256") if result else None
        policy = f"{grid.training_key(changed)} {pairs}" if pairs else None
        runs.append(Run(spec.axes, result, training_settings(changed), policy))
    return runs


def _read_models(scores: Scores, groups: dict[str, str]) -> dict[str, ModelScores]:
    """Return the off-the-shelf models, sorted by their mean score on math."""

    def math_score(name: str) -> tuple[float, str]:
        values = [
            score["value"]
            for benchmark, score in scores[name].items()
            if groups[benchmark] in MATH_GROUPS
        ]
        return sum(values) / max(1, len(values)), name

    names = sorted(scores.keys() - {paths.POLICY}, key=math_score)
    return {
        name: ModelScores(scores[name], results.read_answers(name, scores[name])) for name in names
    }


def _read_this_run(params: dict[str, Any], base_model: ModelScores, base: str) -> WorkspaceRun:
    benchmarks = list(params["benchmarks"])
    comparisons = compare(results.read_answers(paths.POLICY, benchmarks), base_model.answers)
    return WorkspaceRun(
        summary=read_summary(),
        changed={
            row.benchmark: ChangedAnswers(len(row.only_ours), len(row.only_theirs))
            for row in comparisons
        },
        example=read_example(base, benchmarks),
        selector=params["selector"],
        selection=read_json(paths.counts("select"), "select"),
        training=results.add_deltas(
            read_json(paths.counts("train"), "train"), tables.read(paths.SELECTED, SELECTED)
        ),
        training_settings=training_settings(params),
    )


def _provenance(params: dict[str, Any], base_scores: dict[str, dict[str, Any]]) -> Provenance:
    revisions = {
        f"model {name}": model_source(model, params["serving"][name])
        for name, model in params["models"].items()
    }
    revisions |= {
        f"model {name}": f"{model['base']}; {sft_recipe(model)}"
        for name, model in params["sft_models"].items()
    }
    revisions |= {
        f"benchmark {name}": str(score["benchmark_version"]) for name, score in base_scores.items()
    }
    counts: dict[str, int | str] = {}
    for stage, labels in COUNTS.items():
        stage_counts = read_json(paths.counts(stage), stage)
        counts |= {label: stage_counts[key] for key, label in labels.items()}
    state = read_git_state()
    return Provenance(
        profile=params["profile"],
        commit=state.commit[:8] if state.commit else "unknown",
        uncommitted_changes=state.dirty,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        revisions=revisions,
        counts=counts,
        made_here=made_here(),
    )


def sft_recipe(model: dict[str, Any]) -> str:
    """Return how a model of `sft_models` is trained, in a few words."""
    batch = model["per_device_train_batch_size"] * model["gradient_accumulation_steps"]
    problems = ", ".join(model["problems"])
    return (
        f"SFT on worked solutions ({problems}): {model['max_steps']} steps of {batch}, learning "
        f"rate {model['learning_rate']:g}"
    )


def model_source(model: dict[str, Any], serving: dict[str, Any]) -> str:
    """Return where a model comes from, without paths of this machine."""
    (kind, source), *_ = ((kind, value) for kind, value in model.items() if value is not None)
    if kind == "hub":
        return f"{source['repository']}@{source['revision']}"
    if kind == "wheel":
        return f"{source['package']} {source['member']}"
    if kind == "folder":
        return f"{Path(source['path']).name} {source['sha256'][:12]}"
    if kind == "served_model_name":
        return f"{source} at a server: {serving['server']['revision']}"
    if kind == "solver":
        return f"solver, {source}"
    return f"recorded traces of {source['source']}"
