"""Make a sheet on which people rate traces: blind, shuffled, balanced over generators.

It shows what the judge sees: no gold answer, no verdict, no generator, no rating.
"""

import csv
import io
from collections.abc import Sequence

import polars as pl

from delta.analysis.human_ratings import ID, TEXT_SHA256, TRACE_ID, text_sha256
from delta.core.errors import InputError
from delta.core.shuffle import shuffle_key
from delta.core.types import Row
from delta.judging.rubric import DIMENSIONS
from delta.prompts import trace_text

# A spreadsheet runs a cell that begins with one of these as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (ID, "problem", "trace", *DIMENSIONS, "comment")
KEY_COLUMNS = (ID, TRACE_ID, TEXT_SHA256)

Cells = dict[str, str]


def draw_traces(rated: pl.DataFrame, number: int, seed: int) -> list[str]:
    """Return `number` trace_ids of `rated` (trace_id, generator), shuffled.

    The generators' numbers differ by one at most. Raises InputError where a generator has too few.
    """
    by_generator = dict(rated.group_by("generator").agg("trace_id").iter_rows())
    if not by_generator:
        raise InputError("no trace is rated; people rate the traces that a judge has rated")
    maximum = len(by_generator) * min(len(traces) for traces in by_generator.values())
    if number > maximum:
        raise InputError(f"N = {number}: equally many by each generator; expected 1 to {maximum}")
    names = sorted(by_generator, key=lambda name: shuffle_key(seed, "first", name))
    drawn = []
    for index, name in enumerate(names):
        size = (number - index - 1) // len(names) + 1  # the first generators take the remainder
        drawn += sorted(by_generator[name], key=lambda id_: shuffle_key(seed, "draw", id_))[:size]
    return sorted(drawn, key=lambda id_: shuffle_key(seed, "shuffle", id_))


def sheet_and_key_rows(traces: Sequence[Row], seed: int) -> tuple[list[Cells], list[Cells]]:
    """Return the rows of the sheet and of its key. `traces` have their problems' columns too."""
    sheet, key = [], []
    for trace in traces:
        # A letter comes first, since a spreadsheet would read 45e1 as a number.
        row_id = "t" + shuffle_key(seed, "sheet", trace["trace_id"])[:11]
        texts = {"problem": trace_text.problem_text(trace), "trace": trace_text.trace_text(trace)}
        empty = dict.fromkeys((*DIMENSIONS, "comment"), "")
        sheet.append({ID: row_id, **{k: escape_formula(v) for k, v in texts.items()}, **empty})
        sha256 = text_sha256(trace["text"])
        key.append({ID: row_id, TRACE_ID: trace["trace_id"], TEXT_SHA256: sha256})
    return sheet, key


def escape_formula(cell: str) -> str:
    """Put an apostrophe before a formula. Only ids and scores are read back."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def to_csv(columns: tuple[str, ...], rows: list[Cells]) -> str:
    """Return the rows as CSV with a first line of `columns`, which must name every cell."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
