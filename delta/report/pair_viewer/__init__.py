"""Write the pair viewer: an HTML page with its data in one folder, for any browser, no server."""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from markupsafe import Markup

from delta.core.errors import InputError
from delta.core.files import atomic_folder
from delta.core.schemas import SIDES, delta_columns
from delta.core.types import Counts, Row
from delta.report import templates

PAGE = Path(__file__).parent / "page"
SCRIPTS = (
    "symbols.js",  # characters of TeX commands
    "mathml.js",
    "maths.js",
    "text.js",
    "data.js",
    "list.js",
    "pair.js",
    "main.js",
)
# Characters of traces per data file: about 200 kB compressed, so a pair opens at once.
FILE_CHARACTERS = 500_000
MAX_CHARACTERS = 500_000  # of a text; a browser draws this in a second, but not millions
BATCH_SIZE = 256  # traces in memory at once
PROBLEM_COLUMNS = ("problem_id", "statement", "history", "gold_answer", "source")
VERDICT_COLUMNS = ("outcome", "extracted", "reason", "decided_by")
RATING_COLUMNS = ("dimension", "votes", "refused", "justification", "deductions")
PAIR_COLUMNS = ("pair_id", "rank", "selected", "why", "chosen_outcome", "rejected_outcome", "score")


class RunSummary(NamedTuple):
    """The facts about the run that the page shows above its pairs."""

    recipe: str
    chosen: str  # generators
    rejected: str
    mode: str  # of the selector
    by: str


class _TraceLocation(NamedTuple):
    file: int
    position: int  # in the file
    characters: int


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
        (part / "data").mkdir()
        locations = _write_traces(part, records)
        _write_data(part, "index", _build_index(run, selected, problems, locations))
        (part / "index.html").write_text(render_page(), encoding="utf-8")
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        "pairs": selected.height,
        "selected": int(selected["selected"].sum()),
        "traces": len(locations),
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
    }


def render_page() -> str:
    """Return the page without its data.

    Its policy allows each of its scripts by hash, and the data files that those load
    (strict-dynamic allows this on file:// too).
    """
    style, *scripts = (
        Markup((PAGE / name).read_text(encoding="utf-8")) for name in ("style.css", *SCRIPTS)
    )
    return templates.load(PAGE).get_template("index.html").render(style=style, scripts=scripts)


def _trace_records(
    ids: pl.Series, traces: Iterable[pl.LazyFrame], verdicts: pl.DataFrame, ratings: pl.DataFrame
) -> Iterator[tuple[str, Row]]:
    """Yield the id of each trace in `ids` and what the page shows of it."""
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
            record = {
                "parts": split_parts(trace),
                "finish_reason": trace["finish_reason"],
                "completion_tokens": trace["completion_tokens"],
                "verdict": verdict_of.get(trace_id),
                "ratings": ratings_of.get(trace_id, []),
            }
            yield trace_id, record


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


def _write_traces(folder: Path, records: Iterable[tuple[str, Row]]) -> dict[str, _TraceLocation]:
    """Write the traces to numbered data files and return where each is."""
    locations: dict[str, _TraceLocation] = {}
    buffer: list[Row] = []
    file = size = 0
    for trace_id, record in records:
        characters = sum(len(part) for _, part in record["parts"])
        locations[trace_id] = _TraceLocation(file, len(buffer), characters)
        buffer.append(_truncate_texts(record))
        size += min(characters, MAX_CHARACTERS)
        if size >= FILE_CHARACTERS:
            _write_data(folder, str(file), buffer)
            buffer, size, file = [], 0, file + 1
    if buffer:
        _write_data(folder, str(file), buffer)
    return locations


def _truncate_texts(value: Any) -> Any:
    """Return the value without the middle of every text that is too long for the page."""
    if isinstance(value, dict):
        return {key: _truncate_texts(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_truncate_texts(inner) for inner in value]
    if not isinstance(value, str) or len(value) <= MAX_CHARACTERS:
        return value
    half = MAX_CHARACTERS // 2
    note = (
        f"[{len(value) - MAX_CHARACTERS:,} characters are left out here: this page shows "
        f"{MAX_CHARACTERS:,} of a text, its table in data/ has all]"
    )
    return f"{value[:half]}\n\n{note}\n\n{value[-half:]}"


def _write_data(folder: Path, name: str, content: Any) -> None:
    """Write `content` as a script with a base64 string: no text can end or enter the script."""
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    packed = base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()
    path = folder / "data" / f"{name}.js"
    path.write_text(f'receive("{name}","{packed}");\n', encoding="utf-8")


def _build_index(
    run: RunSummary,
    selected: pl.DataFrame,
    problems: pl.DataFrame,
    locations: dict[str, _TraceLocation],
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
    about = {
        "title": f"Pairs: {run.recipe}",
        "summary": f"{number:,} of {pairs.height:,} pairs are selected: {run.mode} by {run.by}.",
        "chosen": run.chosen,
        "rejected": run.rejected,
        "by": run.by,
        "dimensions": list(delta_columns(pairs)),
    }
    return {
        "about": about,
        "problems": _truncate_texts(used.select(*PROBLEM_COLUMNS).to_dicts()),
        "columns": columns,
    }


def _check_present(ids: pl.Series, known: dict[str, Any], kind: str) -> None:
    if missing := set(ids) - known.keys():
        raise InputError(f"{kind} {min(missing)!r} of a pair is missing; rebuild with `dvc repro`")
