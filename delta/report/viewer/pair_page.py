"""Write the page of all pairs: HTML with its data in one folder."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from delta.core.errors import InputError
from delta.core.files import atomic_folder
from delta.core.schemas import SIDES, delta_columns
from delta.core.types import Counts, Row
from delta.report.viewer import data_files
from delta.report.viewer.data_files import Location, truncate_texts
from delta.report.viewer.named_steps import find_named_steps
from delta.report.viewer.render import render

BATCH_SIZE = 256  # traces in memory at once
PROBLEM_COLUMNS = ("problem_id", "statement", "history", "gold_answer", "source")
VERDICT_COLUMNS = ("outcome", "extracted", "reason", "decided_by")
RATING_COLUMNS = ("dimension", "votes", "refused", "justification", "deductions")
PAIR_COLUMNS = ("pair_id", "rank", "selected", "why", "chosen_outcome", "rejected_outcome", "score")


class RunSummary(NamedTuple):
    """The facts about the run that the page of pairs shows above them."""

    recipe: str
    chosen: str  # generators
    rejected: str
    mode: str  # of the selector
    by: str


def write(
    folder: Path,
    run: RunSummary,
    selected: pl.DataFrame,
    problems: pl.DataFrame,
    traces: Iterable[pl.LazyFrame],
    verdicts: pl.DataFrame,
    ratings: pl.DataFrame,
) -> Counts:
    """Write the page of all pairs, selected or not, and replace `folder` with it.

    Traces are read and compressed in batches, so memory does not grow with their text. Raises
    InputError where a problem or a trace of a pair is missing; the old folder then stays.
    """
    ids = pl.concat([selected[f"{side}_id"] for side in SIDES]).unique()
    records = _trace_records(ids, traces, verdicts, ratings)
    with atomic_folder(folder) as part:
        locations = data_files.write_records(part, records)
        data_files.write_data(part, "index", _build_index(run, selected, problems, locations))
        (part / "index.html").write_text(render("pairs"), encoding="utf-8")
    return {
        "pairs": selected.height,
        "selected": int(selected["selected"].sum()),
        "traces": len(locations),
        **data_files.size_of(folder),
    }


def _trace_records(
    ids: pl.Series, traces: Iterable[pl.LazyFrame], verdicts: pl.DataFrame, ratings: pl.DataFrame
) -> Iterator[tuple[str, int, Row]]:
    """Yield the id and the length of each trace in `ids`, and what the page shows of it."""
    is_wanted = pl.col("trace_id").is_in(ids.implode())
    verdict_of = dict(
        verdicts.filter(is_wanted).select("trace_id", pl.struct(VERDICT_COLUMNS)).iter_rows()
    )
    ratings_of = dict(
        ratings.filter(is_wanted)
        .group_by("trace_id", maintain_order=True)
        .agg(pl.struct(RATING_COLUMNS).alias("ratings"))
        .iter_rows()
    )
    for frame in traces:
        batches = frame.filter(is_wanted).collect_batches(chunk_size=BATCH_SIZE, engine="streaming")
        for trace in (row for batch in batches for row in batch.iter_rows(named=True)):
            trace_id = trace["trace_id"]
            parts = truncate_texts(split_parts(trace))
            trace_ratings = ratings_of.get(trace_id, [])
            text = "".join(part for _, part in parts)
            record = {
                "parts": parts,
                "named": find_named_steps(text, trace_ratings),
                "finish_reason": trace["finish_reason"],
                "completion_tokens": trace["completion_tokens"],
                "verdict": truncate_texts(verdict_of.get(trace_id)),
                "ratings": truncate_texts(trace_ratings),
            }
            yield trace_id, len(trace["text"]), record


def split_parts(trace: Row) -> list[tuple[str, str]]:
    """Split a trace into markers, reasoning and answer. Joined, they are the whole text."""
    text, start, end = trace["text"], trace["reasoning_start"], trace["reasoning_end"]
    answer = len(text) if trace["answer_start"] is None else trace["answer_start"]
    parts = [
        ("marker", text[:start]),
        ("reasoning", text[start:end]),
        ("marker", text[end:answer]),
        ("answer", text[answer:]),
    ]
    return [(kind, part) for kind, part in parts if part]


def _build_index(
    run: RunSummary,
    selected: pl.DataFrame,
    problems: pl.DataFrame,
    locations: dict[str, Location],
) -> Row:
    """Return the data of the list: all pairs, and every problem once."""
    pairs = selected.sort("rank", "pair_id", nulls_last=True)
    deltas = pairs.select(delta_columns(pairs).values())
    used = problems.join(pairs.select("problem_id").unique(), on="problem_id", how="semi")
    numbers = {problem: number for number, problem in enumerate(used["problem_id"])}
    _check_present(pairs["problem_id"], numbers, "problem")
    columns: dict[str, list[Any]] = {name: pairs[name].to_list() for name in PAIR_COLUMNS}
    columns["deltas"] = [list(row) for row in deltas.iter_rows()] or [[]] * pairs.height
    columns["problem"] = [numbers[problem] for problem in pairs["problem_id"]]
    for side in SIDES:
        _check_present(pairs[f"{side}_id"], locations, "trace")
        of_side = [locations[trace_id] for trace_id in pairs[f"{side}_id"]]
        columns[f"{side}_at"] = [[location.file, location.position] for location in of_side]
        columns[f"{side}_length"] = [location.characters for location in of_side]
    number = int(pairs["selected"].sum())
    rule = f"{run.mode} by {run.by}".replace("_", " ")
    about = {
        "title": f"Pairs: {run.recipe}",
        "summary": f"{number:,} of {pairs.height:,} pairs are selected: {rule}.",
        "chosen": run.chosen,
        "rejected": run.rejected,
        "by": run.by,
        "dimensions": list(delta_columns(pairs)),
    }
    return {
        "about": about,
        "problems": truncate_texts(used.select(*PROBLEM_COLUMNS).to_dicts()),
        "columns": columns,
    }


def _check_present(ids: pl.Series, known: dict[str, Any], kind: str) -> None:
    if missing := set(ids) - known.keys():
        raise InputError(f"{kind} {min(missing)!r} of a pair is missing; rebuild with `dvc repro`")
