"""A sheet for people to rate traces on: blind, shuffled, balanced over generators.

The judge's own view of a trace: no gold answer, no verdict, no generator, no rating.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import polars as pl

from delta.analysis.human_ratings import ID, TEXT_SHA256, TRACE_ID, text_sha256
from delta.core.errors import InputError
from delta.core.shuffle import shuffle_key
from delta.inference import trace_text
from delta.judging.rubric import DIMENSIONS

# A spreadsheet takes a cell that begins so for a formula, and runs it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (ID, "problem", "trace", *DIMENSIONS, "comment")
KEY_COLUMNS = (ID, TRACE_ID, TEXT_SHA256)

Cells = dict[str, str]


def draw_traces(rated: pl.DataFrame, number: int, seed: int) -> list[str]:
    """`number` trace_ids of `rated` (trace_id, generator) in a shuffled order, from each generator
    as many, or one more or less. InputError where one of them has too few."""
    held = dict(rated.group_by("generator").agg("trace_id").iter_rows())
    if not held:
        raise InputError("no trace is rated; people rate the traces that a judge has rated")
    most = len(held) * min(len(own) for own in held.values())
    if number > most:
        raise InputError(f"N = {number}: as many by each generator; allowed: 1 to {most}")
    chosen = []
    for place, name in enumerate(sorted(held, key=lambda one: shuffle_key(seed, "first", one))):
        share = (number - place - 1) // len(held) + 1  # the first ones take what is left over
        chosen += sorted(held[name], key=lambda trace: shuffle_key(seed, "draw", trace))[:share]
    return sorted(chosen, key=lambda trace: shuffle_key(seed, "shuffle", trace))


def sheet_and_key_rows(
    drawn_traces: Sequence[dict[str, Any]], seed: int
) -> tuple[list[Cells], list[Cells]]:
    """The sheet's rows and the key's, of trace rows with their problem's columns."""
    sheet, key = [], []
    for trace in drawn_traces:
        # A letter first: a spreadsheet would read 45e1 as a number.
        own = "t" + shuffle_key(seed, "sheet", trace["trace_id"])[:11]
        empty = dict.fromkeys((*DIMENSIONS, "comment"), "")
        problem, text = (
            escape_formula(trace_text.problem_text(trace)),
            escape_formula(trace_text.trace_text(trace)),
        )
        sheet.append({ID: own, "problem": problem, "trace": text} | empty)
        key.append({ID: own, TRACE_ID: trace["trace_id"], TEXT_SHA256: text_sha256(trace["text"])})
    return sheet, key


def escape_formula(cell: str) -> str:
    """An apostrophe before what a spreadsheet would run; only ids and scores are read back."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def to_csv(columns: tuple[str, ...], lines: list[Cells]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()
