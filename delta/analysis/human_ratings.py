"""Read people's ratings from filled-in sheets of `rating_sheet` into rows like a judge's."""

import csv
import hashlib
import io
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from delta.core.digests import Digest, check_digest
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import RATING
from delta.core.tables import frame_of
from delta.core.types import Counts, Row
from delta.judging.rubric import DIMENSIONS, HIGHEST, LOWEST

ID, TRACE_ID, TEXT_SHA256 = "sheet_id", "trace_id", "text_sha256"
SCORE_OF_CELL = {str(score): score for score in range(LOWEST, HIGHEST + 1)}
MAX_CELL = 100_000_000  # characters; Python's own limit is below the longest traces

SheetRow = tuple[int, dict[str, str]]  # number of the row in the file, and its cells by column


class FileParams(StrictModel):
    """A file of this machine, by its digest."""

    path: str
    sha256: Digest  # so that DVC notices a changed file, which is no dependency of the stage


class HumanParams(StrictModel):
    """People's ratings: the key of the sheet and the filled-in sheets."""

    key: FileParams
    sheets: Annotated[list[FileParams], Field(min_length=1)]  # one for each person


def text_sha256(text: str) -> str:
    """Return the hexadecimal SHA-256 of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_ratings(params: HumanParams) -> tuple[list[pl.DataFrame], dict[str, str]]:
    """Return a schemas.RATING table for each person, and the SHA-256 of each text they rated.

    The judge is the name of the person's file. An empty cell is a refused vote. Raises InputError,
    with file, row and column, for any other cell that is not a rating.
    """
    key = _read_csv("analysis.human.key", params.key, (ID, TRACE_ID, TEXT_SHA256))
    trace_ids = {cells[ID]: cells[TRACE_ID] for _, cells in key}
    tables = []
    for number, sheet in enumerate(params.sheets):
        lines = _read_csv(f"analysis.human.sheets.{number}", sheet, (ID, *DIMENSIONS))
        tables.append(_rating_table(Path(sheet.path), lines, trace_ids))
    return tables, {cells[TRACE_ID]: cells[TEXT_SHA256] for _, cells in key}


def drop_changed_texts(
    people: list[pl.DataFrame], digests: dict[str, str], texts: dict[str, str]
) -> tuple[list[pl.DataFrame], Counts]:
    """Return the ratings of traces whose text has not changed since they were rated, and counts."""
    unchanged = [
        trace for trace, sha256 in digests.items() if text_sha256(texts.get(trace, "")) == sha256
    ]
    kept = [table.filter(pl.col("trace_id").is_in(unchanged)) for table in people]
    before, after = (
        sum(table["trace_id"].n_unique() for table in ratings) for ratings in (people, kept)
    )
    return kept, {"people": len(people), "sheet_rows": before, "of_other_texts": before - after}


def _read_csv(name: str, file: FileParams, columns: tuple[str, ...]) -> list[SheetRow]:
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
    csv.field_size_limit(MAX_CELL)
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}: not CSV with a first row of names: {error}") from None
    for column in columns:
        if header.count(column) != 1:
            raise InputError(
                f"{path}: row 1 has column {column!r} {header.count(column)} times; expected once; "
                f"it has {', '.join(header)}"
            )
    lines: list[SheetRow] = []
    numbers: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        if not any(row):
            continue  # spreadsheets leave empty rows at the end
        cells = dict(zip_longest(header, row[: len(header)], fillvalue=""))
        if cells[ID] in numbers:
            raise InputError(
                f"{path}: row {number}, column {ID}: {cells[ID]!r} is in row {numbers[cells[ID]]} "
                "too; keep one"
            )
        numbers[cells[ID]] = number
        lines.append((number, cells))
    return lines


def _rating_table(path: Path, lines: list[SheetRow], trace_ids: dict[str, str]) -> pl.DataFrame:
    rows: list[Row] = []
    for number, cells in lines:
        if cells[ID] not in trace_ids:
            raise InputError(
                f"{path}: row {number}, column {ID}: {cells[ID]!r} is not known; expected one in "
                "analysis.human.key"
            )
        for dimension in DIMENSIONS:
            cell = cells[dimension].strip()
            if cell and cell not in SCORE_OF_CELL:
                raise InputError(
                    f"{path}: row {number}, column {dimension}: {cells[dimension]!r}; expected a "
                    f"whole number from {LOWEST} to {HIGHEST}, or nothing where not rated"
                )
            row: Row = {"trace_id": trace_ids[cells[ID]], "judge": path.name}
            row |= {"dimension": dimension, "votes": [SCORE_OF_CELL[cell]] if cell else []}
            rows.append(row | {"refused": int(not cell), "deductions": []})
    return frame_of(rows, RATING)
