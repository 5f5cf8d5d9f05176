"""Build the rows of the page's certificates: verdicts by dimension, falls by fault."""

from typing import Any

from delta.core.types import Counts, Row

DIFFERENCES = {  # of a dimension's certificate → column on the page
    "above_changes": "than for changes that must not matter",
    "above_other_faults": "than for faults of other dimensions",
    "above_other_dimensions": "than other dimensions do",
}


def verdict_rows(certificate: Counts) -> list[Row]:
    """Return a row for each dimension: its verdict, and how much further it falls, in points."""
    rows = []
    for dimension, row in certificate["dimensions"].items():
        falls = {label: bounds(row.get(name)) for name, label in DIFFERENCES.items()}
        first = {name: row.get(name) for name in ("verdict", "reason", "pairs", "source")}
        rows.append({"dimension": dimension} | first | {"falls": falls})
    return rows


def matrix_rows(certificate: Counts) -> list[Row]:
    """Return a row for each fault and change of each source, with a cell for each dimension."""
    rows: dict[tuple[str, str], Row] = {}
    for cell in certificate["matrix"]:
        name = cell["name"]
        row = rows.setdefault(
            (cell["source"], name),
            {"source": cell["source"], "name": name, "kind": cell["kind"], "cells": {}},
        )
        is_own = cell["own_dimension"] == cell["dimension"]
        row["cells"][cell["dimension"]] = {
            "text": bounds(cell),
            "own": is_own,
            "without_vote": cell["without_vote"],
        }
        row["pairs"] = max(row.get("pairs", 0), cell["pairs"] + cell["without_vote"])
    return list(rows.values())


def noise_and_length_rows(certificate: Counts) -> list[Row]:
    """Return a row for each source and dimension: the noise of a delta and the length bias."""
    slopes = {(row["source"], row["dimension"]): row for row in certificate["length"]}
    rows = []
    for noise in certificate["noise"]:
        length = slopes[noise["source"], noise["dimension"]]
        rows.append(noise | {"bias": length["bias"], "slope": bounds(length)})
    return rows


def bounds(row: dict[str, Any] | None) -> str | None:
    """Return "1.20 [0.80, 1.60]", without bounds where there are none; None for no value."""
    if row is None or row["value"] is None:
        return None
    text = f"{row['value']:.2f}"
    if row["low"] is not None:
        text += f" [{row['low']:.2f}, {row['high']:.2f}]"
    return text.replace("-", "−")
