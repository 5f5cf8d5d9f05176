"""Collect the report's inputs: results of experiments, scores, deltas and provenance."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delta.core import paths
from delta.core.files import read_json
from delta.core.git import read_git_state
from delta.experiments import grid, results
from delta.experiments.grid import ExperimentParams
from delta.report.context import ModelScores, Provenance, ReportContext, Run
from delta.report.scores import Scores

MATH_GROUPS = ("easy", "hard")  # the groups whose mean orders the off-the-shelf models
FIGURE_4 = "figure-4"
ANALYSIS_TABLES = {  # title on the page → table of data/analysis
    "Agreement among the judge's votes": "inter_rater",
    "Agreement with others": "judge_agreement",
    "Ratings against correctness": "correctness_auc",
    "Reliability of a delta by number of votes": "reliability",
    "Variance components": "variance_components",
    "Delta against length": "length_correlation",
    "Ties at the cut, and stability of the top-k set": "topk_stability",
}
COUNTS = {  # stage → the counts that the page shows
    "problems": ("drawn", "kept"),
    "pair": ("pairs", "recipe"),
    "select": ("pairs", "selected"),
    "analyze": ("traces", "votes", "votes_refused"),
}


def build_context(
    params: dict[str, Any], experiments: dict[str, ExperimentParams], base: str, scores: Scores
) -> ReportContext:
    """Return the context of this workspace.

    `params` is all of params.yaml, and `scores` has every evaluated model. Raises InputError if a
    result or a table is missing or damaged.
    """
    groups = {name: benchmark["group"] for name, benchmark in params["benchmarks"].items()}
    figure_4 = experiments[FIGURE_4].always if FIGURE_4 in experiments else {}
    pairing = params["pairing"]
    return ReportContext(
        experiments={
            name: [
                Run(spec.axes, results.read(spec.key))
                for spec in grid.expand_grid(params, name, experiment)
            ]
            for name, experiment in experiments.items()
        },
        models=_read_models(scores, groups),
        base=base,
        chosen=str(figure_4.get("pairing.chosen", pairing["chosen"])),
        rejected=str(figure_4.get("pairing.rejected", pairing["rejected"])),
        groups=groups,
        deltas=read_json(paths.analysis("delta_matrix")),
        overlaps=read_json(paths.analysis("topk_overlap")),
        analysis={
            title: read_json(paths.analysis(name)) for title, name in ANALYSIS_TABLES.items()
        },
        provenance=_provenance(params, scores[base]),
    )


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


def _provenance(params: dict[str, Any], base_scores: dict[str, dict[str, Any]]) -> Provenance:
    revisions = {
        f"model {name}": model_source(model, params["serving"][name])
        for name, model in params["models"].items()
    }
    revisions |= {
        f"benchmark {name}": str(score["benchmark_version"]) for name, score in base_scores.items()
    }
    counts: dict[str, int | str] = {}
    for stage, keys in COUNTS.items():
        stage_counts = read_json(paths.counts(stage), stage)
        counts |= {f"{stage}: {key}": stage_counts[key] for key in keys}
    state = read_git_state()
    return Provenance(
        profile=params["profile"],
        commit=state.commit[:7] if state.commit else "unknown",
        uncommitted_changes=state.dirty,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        revisions=revisions,
        counts=counts,
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
    return f"recorded traces of {source['source']}"
