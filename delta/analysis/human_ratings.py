"""Ratings by people, read from the sheets of rating_sheet, as rows like a judge's."""

import csv
import hashlib
import io
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from delta.core.digests import Digest, check_digest
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import RATING
from delta.core.tables import frame_of
from delta.core.types import Counts
from delta.judging.rubric import DIMENSIONS, HIGHEST, LOWEST

ID, TRACE_ID, TEXT_SHA256 = "sheet_id", "trace_id", "text_sha256"
SCORES = {str(score): score for score in range(LOWEST, HIGHEST + 1)}
MAX_CELL = 100_000_000  # characters of a cell; Python's own limit is below the longest traces

Line = tuple[int, dict[str, str]]  # row of the file (1 is the header), and its cells by column


class FileParams(StrictModel):
    path: str
    # So that DVC sees a change of the file, which is none of its dependencies.
    sha256: Digest  # null: the error message tells it


class HumanParams(StrictModel):
    key: FileParams
    sheets: Annotated[list[FileParams], Field(min_length=1)]  # one for each person


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_ratings(params: HumanParams) -> tuple[list[pl.DataFrame], dict[str, str]]:
    """For each person a table of schemas.RATING, judge being the file's name; an empty cell
    is a vote that was refused. And the hash of each trace's text when the sheet was made.

    Raises InputError, with file, row and column, for whatever is no rating.
    """
    key = _read("analysis.human.key", params.key, (ID, TRACE_ID, TEXT_SHA256))
    trace_of = {cells[ID]: cells[TRACE_ID] for _, cells in key}
    tables = [
        _rated(
            Path(sheet.path),
            _read(f"analysis.human.sheets.{number}", sheet, (ID, *DIMENSIONS)),
            trace_of,
        )
        for number, sheet in enumerate(params.sheets)
    ]
    return tables, {cells[TRACE_ID]: cells[TEXT_SHA256] for _, cells in key}


def drop_changed_texts(
    people: list[pl.DataFrame], hashes: dict[str, str], texts: dict[str, str]
) -> tuple[list[pl.DataFrame], Counts]:
    """Only ratings of traces whose text is still that which the person read; and counts."""
    same = [trace for trace, known in hashes.items() if text_sha256(texts.get(trace, "")) == known]
    kept = [table.filter(pl.col("trace_id").is_in(same)) for table in people]
    before, after = (sum(table["trace_id"].n_unique() for table in all_) for all_ in (people, kept))
    return kept, {"people": len(people), "sheet_rows": before, "of_other_texts": before - after}


def _read(name: str, file: FileParams, columns: tuple[str, ...]) -> list[Line]:
    path = Path(file.path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); see analysis.human") from None
    digest = hashlib.sha256(content).hexdigest()
    check_digest(f"{name}.sha256", file.sha256, str(path), digest)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save it as CSV in UTF-8") from None
    return _lines(path, text, columns)


def _lines(path: Path, text: str, columns: tuple[str, ...]) -> list[Line]:
    csv.field_size_limit(MAX_CELL)
    try:
        header, *content = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}: not CSV with a first row of names: {error}") from None
    for column in columns:
        if header.count(column) != 1:
            raise InputError(
                f"{path}: row 1 has column {column!r} {header.count(column)} times, allowed: once; "
                f"it has {', '.join(header)}"
            )
    lines: list[Line] = []
    rows: dict[str, int] = {}
    for row, cells in enumerate(content, 2):
        if not any(cells):
            continue  # spreadsheets leave empty rows at the end
        own = dict(zip_longest(header, cells[: len(header)], fillvalue=""))
        if own[ID] in rows:
            other = rows[own[ID]]
            raise InputError(
                f"{path}: row {row}, column {ID}: {own[ID]!r} stands in row {other} too; keep one"
            )
        rows[own[ID]] = row
        lines.append((row, own))
    return lines


def _rated(path: Path, lines: list[Line], trace_of: dict[str, str]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for row, cells in lines:
        if cells[ID] not in trace_of:
            raise InputError(
                f"{path}: row {row}, column {ID}: {cells[ID]!r} is not known; "
                "allowed: those of analysis.human.key"
            )
        for dimension in DIMENSIONS:
            score = _score(path, row, dimension, cells[dimension])
            rows.append(
                {
                    "trace_id": trace_of[cells[ID]],
                    "judge": path.name,
                    "dimension": dimension,
                    "votes": [] if score is None else [score],
                    "refused": int(score is None),
                    "justification": None,
                    "deductions": [],
                }
            )
    return frame_of(rows, RATING)


def _score(path: Path, row: int, dimension: str, cell: str) -> int | None:
    if not cell.strip():
        return None
    if cell.strip() not in SCORES:
        raise InputError(
            f"{path}: row {row}, column {dimension}: {cell!r}, "
            f"allowed: a whole number from {LOWEST} to {HIGHEST}, or nothing where not rated"
        )
    return SCORES[cell.strip()]
