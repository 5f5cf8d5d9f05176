"""The pairs of a run to look at: a folder of files that any browser opens, without a server."""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from delta.core.errors import InputError
from delta.core.files import atomic_folder
from delta.core.schemas import SIDES
from delta.core.types import Counts, Row
from delta.report.pair_viewer import page

# Characters of traces in a file: about 200 kB packed, so that a pair opens at once.
FILE_CHARACTERS = 500_000
LONGEST = 500_000  # of one text: a browser draws so many in a second, and millions never
BATCH = 256  # traces in memory at once
OF_A_PROBLEM = ("problem_id", "statement", "history", "gold_answer", "source")
OF_A_VERDICT = ("outcome", "extracted", "reason", "decided_by")
OF_A_RATING = ("dimension", "votes", "refused", "justification", "deductions")
OF_A_PAIR = ("pair_id", "rank", "selected", "why", "chosen_outcome", "rejected_outcome", "score")


class Run(NamedTuple):
    """What the page says of the run above the pairs."""

    recipe: str
    chosen: str  # generators
    rejected: str
    mode: str  # of the selector
    by: str


class _Place(NamedTuple):
    """Where a trace lies."""

    file: int
    number: int
    characters: int


def write(
    folder: Path,
    run: Run,
    selected: pl.DataFrame,
    problems: pl.DataFrame,
    traces: Iterable[pl.LazyFrame],
    verdicts: pl.DataFrame,
    ratings: pl.DataFrame,
) -> Counts:
    """The page of all pairs, selected or not, in the place of what `folder` held.

    Each trace of a pair is read, packed and forgotten in turn: memory does not grow with the text.
    Raises InputError where a problem or a trace of a pair is missing.
    """
    ids = pl.concat([selected[f"{side}_id"] for side in SIDES]).unique()
    found = _with_text(ids, traces, _by_trace(verdicts, ids), _by_trace(ratings, ids))
    with atomic_folder(folder) as part:
        (part / "data").mkdir()
        places = _write_traces(part, found)
        index = _index(run, selected, problems, places)
        _write_packed(part, "index", index)
        (part / "index.html").write_text(page.html(), encoding="utf-8")
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        "pairs": selected.height,
        "selected": int(selected["selected"].sum()),
        "traces": len(places),
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
    }


def _by_trace(rows: pl.DataFrame, ids: pl.Series) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows.filter(pl.col("trace_id").is_in(ids.implode())).iter_rows(named=True):
        found[row["trace_id"]].append(row)
    return found


def _with_text(
    ids: pl.Series,
    traces: Iterable[pl.LazyFrame],
    verdicts: dict[str, list[Row]],
    ratings: dict[str, list[Row]],
) -> Iterator[tuple[str, Row]]:
    """Each trace of a pair as the page shows it, in the order of its file."""
    for scanned in traces:
        wanted = scanned.filter(pl.col("trace_id").is_in(ids.implode()))
        for batch in wanted.collect_batches(chunk_size=BATCH, engine="streaming"):
            for trace in batch.iter_rows(named=True):
                name = trace["trace_id"]
                verdict = verdicts[name][0] if name in verdicts else None
                yield (
                    name,
                    {
                        "parts": parts(trace),
                        "finish_reason": trace["finish_reason"],
                        "completion_tokens": trace["completion_tokens"],
                        "verdict": verdict and {key: verdict[key] for key in OF_A_VERDICT},
                        "ratings": [
                            {key: rating[key] for key in OF_A_RATING} for rating in ratings[name]
                        ],
                    },
                )


def parts(trace: Row) -> list[tuple[str, str]]:
    """The text cut into markers, reasoning and answer; put together again it is the whole text."""
    text, start, end = trace["text"], trace["reasoning_start"], trace["reasoning_end"]
    answer = len(text) if trace["answer_start"] is None else trace["answer_start"]
    cut = [
        ("marker", text[:start]),
        ("reasoning", text[start:end]),
        ("marker", text[end:answer]),
        ("answer", text[answer:]),
    ]
    return [(kind, piece) for kind, piece in cut if piece]


def _write_traces(folder: Path, found: Iterable[tuple[str, Row]]) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    waiting: list[Row] = []
    file = held = 0
    for name, trace in found:
        characters = sum(len(piece) for _, piece in trace["parts"])
        places[name] = _Place(file, len(waiting), characters)
        waiting.append(_shortened(trace))
        held += min(characters, LONGEST)
        if held >= FILE_CHARACTERS:
            _write_packed(folder, str(file), waiting)
            waiting, held, file = [], 0, file + 1
    if waiting:
        _write_packed(folder, str(file), waiting)
    return places


def _shortened(value: Any) -> Any:
    """The same with the middle of every text left out that is longer than a page can show."""
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(inner) for inner in value]
    if not isinstance(value, str) or len(value) <= LONGEST:
        return value
    half = LONGEST // 2
    note = (
        f"[{len(value) - LONGEST:,} characters are left out here: this page shows {LONGEST:,} of a "
        "text, its table in data/ has all]"
    )
    return f"{value[:half]}\n\n{note}\n\n{value[-half:]}"


def _write_packed(folder: Path, name: str, content: Any) -> None:
    """A script that hands over base64: nothing in a text can end it or be run by it."""
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    packed = base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()
    path = folder / "data" / f"{name}.js"
    path.write_text(f'receive("{name}","{packed}");\n', encoding="utf-8")


def _index(
    run: Run, selected: pl.DataFrame, problems: pl.DataFrame, places: dict[str, _Place]
) -> Row:
    """What the list shows and searches: all pairs, every problem once."""
    names = [name for name in selected.columns if name.startswith("delta_")]
    ordered = selected.sort("rank", "pair_id", nulls_last=True)
    used = problems.join(selected.select("problem_id").unique(), on="problem_id", how="semi")
    numbers = {problem: number for number, problem in enumerate(used["problem_id"])}
    columns: dict[str, list[Any]] = {name: ordered[name].to_list() for name in OF_A_PAIR}
    columns["deltas"] = [list(row) for row in ordered.select(names).iter_rows()]
    if not names:
        columns["deltas"] = [[] for _ in range(ordered.height)]
    for lost in sorted(set(ordered["problem_id"]) - set(numbers)):
        raise InputError(f"problem {lost!r} of a pair is missing; rebuild with `dvc repro`")
    columns["problem"] = [numbers[problem] for problem in ordered["problem_id"]]
    for side in SIDES:
        for lost in sorted(set(ordered[f"{side}_id"]) - set(places)):
            raise InputError(f"trace {lost!r} of a pair is missing; rebuild with `dvc repro`")
        found = [places[name] for name in ordered[f"{side}_id"]]
        columns[f"{side}_at"] = [[place.file, place.number] for place in found]
        columns[f"{side}_length"] = [place.characters for place in found]
    return {
        "about": _about(run, ordered, [name.removeprefix("delta_") for name in names]),
        "problems": _shortened(used.select(*OF_A_PROBLEM).to_dicts()),
        "columns": columns,
    }


def _about(run: Run, pairs: pl.DataFrame, dimensions: list[str]) -> Row:
    chosen = int(pairs["selected"].sum())
    return {
        "title": f"Pairs: {run.recipe}",
        "summary": f"{chosen:,} of {pairs.height:,} pairs are selected: {run.mode} by {run.by}.",
        "chosen": run.chosen,
        "rejected": run.rejected,
        "by": run.by,
        "dimensions": dimensions,
    }
