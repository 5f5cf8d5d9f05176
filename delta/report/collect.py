"""What the report is made of, read together: results, scores, deltas, and where they are from."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delta.core import paths, tables
from delta.core.files import read_json
from delta.core.git import git
from delta.core.schemas import ANSWER
from delta.core.types import Row
from delta.experiments import grid, results
from delta.experiments.grid import ExperimentParams
from delta.report import scores
from delta.report.context import Cell, ModelScores, Provenance, ReportContext

STRENGTH = ("easy", "hard")  # the groups whose mean orders the off-the-shelf models
FIGURE_4 = "figure-4"
EXAMINED = {  # title on the page → file under data/analysis
    "Agreement among the judge's votes": "consistency",
    "Agreement with others": "agreement",
    "Ratings against correctness": "auc",
    "How reliable a delta is, by number of votes": "reliability",
    "Where the variance lies": "variance",
    "Delta against length": "length",
    "The cut: ties, and how stable the set is": "cuts",
}


def world(
    content: dict[str, Any],
    declared: dict[str, ExperimentParams],
    base: str,
    scores: scores.Scores,
) -> ReportContext:
    """`content` is params.yaml; `scores` those of every evaluated model."""
    groups = {name: one["group"] for name, one in content["benchmarks"].items()}
    figure_4 = declared[FIGURE_4].always if FIGURE_4 in declared else {}
    pairing = content["pairing"]
    return ReportContext(
        experiments={name: _runs(content, name, one) for name, one in declared.items()},
        models=_models(scores, groups),
        base=base,
        chosen=str(figure_4.get("pairing.chosen", pairing["chosen"])),
        rejected=str(figure_4.get("pairing.rejected", pairing["rejected"])),
        groups=groups,
        deltas=_rows("delta_matrix"),
        overlaps=_rows("overlap"),
        examined={title: _rows(name) for title, name in EXAMINED.items()},
        provenance=_provenance(content, scores[base]),
    )


def _runs(content: dict[str, Any], name: str, experiment: ExperimentParams) -> list[Cell]:
    found = grid.cells(content, name, experiment)
    return [Cell(cell.at, results.read(cell.key)) for cell in found]


def _models(scores: scores.Scores, groups: dict[str, str]) -> dict[str, ModelScores]:
    """Off the shelf, in the order of their mean score on math."""
    found = {}
    for name in scores.keys() - {paths.POLICY}:
        rows = {
            one: tables.read(paths.answers(name, one), ANSWER, ["question_id", "outcome"])
            for one in scores[name]
        }
        answers = {one: results.answered(frame) for one, frame in rows.items()}
        found[name] = ModelScores(scores[name], answers)

    def strength(name: str) -> tuple[float, str]:
        values = [score["value"] for one, score in scores[name].items() if groups[one] in STRENGTH]
        return sum(values) / max(1, len(values)), name

    return {name: found[name] for name in sorted(found, key=strength)}


def _rows(name: str) -> list[Row]:
    rows: list[Row] = read_json(paths.analysis(name))
    return rows


def _provenance(content: dict[str, Any], scores: dict[str, dict[str, Any]]) -> Provenance:
    revisions = {
        f"model {name}": _source(model, content["serving"][name])
        for name, model in content["models"].items()
    }
    revisions |= {
        f"benchmark {name}": str(score["benchmark_version"]) for name, score in scores.items()
    }
    counts: dict[str, int | str] = {}
    for stage, keys in {
        "problems": ("drawn", "kept"),
        "pair": ("pairs", "recipe"),
        "select": ("pairs", "selected"),
    }.items():
        found = read_json(paths.counts(stage), stage)
        counts |= {f"{stage}: {key}": found[key] for key in keys}
    examined = read_json(paths.counts("analyze"), "analyze")
    for key in ("traces", "votes", "votes_refused"):
        counts[f"analyze: {key}"] = examined[key]
    return Provenance(
        profile=content["profile"],
        commit=git("rev-parse", "--short", "HEAD").strip() or "unknown",
        changed=bool(git("status", "--porcelain", "--untracked-files=no")),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        revisions=revisions,
        counts=counts,
    )


def _source(model: dict[str, Any], serving: dict[str, Any]) -> str:
    """Where a model is from, less what only this machine knows."""
    (kind, source), *_ = ((kind, one) for kind, one in model.items() if one is not None)
    if kind == "hub":
        return f"{source['repository']}@{source['revision']}"
    if kind == "wheel":
        return f"{source['package']} {source['member']}"
    if kind == "folder":
        return f"{Path(source['path']).name} {source['sha256'][:12]}"
    if kind == "served":
        return f"{source}, served: {serving['endpoint']['revision']}"
    return f"recorded traces of {source['source']}"
