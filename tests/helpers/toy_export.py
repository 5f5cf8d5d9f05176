"""A dataset exported from toy pairs, with the smoke profile's parameters."""

from pathlib import Path
from typing import Any

import polars as pl

from delta.check import Params
from delta.core.git import GitState
from delta.core.params import read_all, validate
from delta.export import dataset
from delta.export.provenance import CardFacts
from tests.helpers.example_pairs import TOY_PROFILE, ExamplePairs, example_pairs

TEXTS = [("good one", "bad"), ("good two", "worse"), ("good three", "worst")]
PROMPT = "Please reason step by step, and put your final answer within \\boxed{}.\n\nWhat is 0 + 1?"


def toy_params(**changes: Any) -> Params:
    """Return the smoke profile with `changes` for whole sections."""
    return validate("", Params, read_all(TOY_PROFILE) | changes)


def toy_card_facts(**changes: Any) -> CardFacts:
    """Return the facts of the toy run with `changes` for whole sections of the parameters."""
    counts: dict[str, Any] = {
        "problems": {"drawn": 5, "kept": 3, "dropped": {"in_benchmark": 1, "duplicate": 1}},
        "pair": {"recipe": "strong > weak", "pairs": 3, "dropped": {}},
        "select": {
            "pairs": 3,
            "selected": 2,
            "tied_at_cut": 4,
            "tied_and_selected": 1,
            "with_refused_votes": 2,
            "correlation_with_length_difference": {"pearson": 0.25, "spearman": None},
        },
    }
    return CardFacts(
        params=toy_params(**changes),
        params_sha256="a" * 64,
        counts=counts,
        fingerprints={"smollm2-135m": "b" * 64},
        git=GitState("c" * 40, dirty=True, date="2026-11-21"),
        certificate=None,
    )


def export_toy(
    folder: Path, facts: CardFacts | None = None, run: ExamplePairs | None = None
) -> dict[str, int]:
    """Export the pairs of `run` (by default TEXTS, the last not selected) to `folder`."""
    run = run or example_pairs(TEXTS, cut=1)
    return dataset.write_dataset(
        folder, facts or toy_card_facts(), run.selected, run.problems, run.traces
    )


def exported_rows(folder: Path, config: str) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / config / "train-*.parquet").to_dicts()
