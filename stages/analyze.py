"""Analyze the ratings and the deltas, and write the tables to data/analysis/."""

import json

import polars as pl

from delta.analysis import human_ratings
from delta.analysis.analyze import Inputs, analyze
from delta.analysis.config import AnalysisParams
from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts, write_text
from delta.core.schemas import RATING, SELECTED, TRACE, VERDICT
from delta.judging.rubric import MEAN

VOTES = [name for name in RATING.columns if name not in ("justification", "deductions")]


def main(console: Console) -> None:
    settings = params.load_section("analysis", AnalysisParams)
    names = list(params.get("generators"))
    ids = ["trace_id", "problem_id", "generator"]
    human, rating_counts = read_human_ratings(settings, names)
    inputs = Inputs(
        pl.concat(tables.read(paths.traces(name), TRACE, ids) for name in names),
        pl.concat(tables.read(paths.verdicts(name), VERDICT) for name in names),
        pl.concat(tables.read(paths.ratings(name), RATING, VOTES) for name in names),
        pl.concat(tables.read(paths.second_ratings(name), RATING, VOTES) for name in names),
        tables.read(paths.SELECTED, SELECTED),
        human,
    )
    console.status(f"{inputs.ratings.height} ratings of {len(names)} generators")
    rows, counts = analyze(settings, params.get("selector.seed"), inputs)
    for name, content in rows.items():
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        write_text(paths.analysis(name), text)
    write_counts(paths.counts("analyze"), counts | rating_counts, "analyze")
    text = f"{counts['pairs_with_all_deltas']} of {counts['pairs']} pairs with all deltas"
    if (area := counts["dimensions"][MEAN]["auc"]) is not None:
        text += f"; the mean vote tells right from wrong with an AUC of {area:.2f}"
    console.finish(text)


def read_human_ratings(
    settings: AnalysisParams, names: list[str]
) -> tuple[list[pl.DataFrame], dict[str, int]]:
    if settings.human is None:
        return [], {}
    ratings, hashes = human_ratings.read_ratings(settings.human)
    texts: dict[str, str] = {}
    for name in names:
        rows = tables.scan(paths.traces(name), TRACE).select("trace_id", "text")
        rated = rows.filter(pl.col("trace_id").is_in(list(hashes)))
        texts |= dict(rated.collect(engine="streaming").iter_rows())
    return human_ratings.drop_changed_texts(ratings, hashes, texts)


if __name__ == "__main__":
    run(main)
