"""Read the pairs of each source of `certify.sources`: planted faults, PRMBench, users' tables."""

import random
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from delta.certificate.changes import CHANGES, RUBRIC_ORDER
from delta.certificate.config import CertifyParams, PlantedSource, PrmBenchSource, TableSource
from delta.certificate.pairs import FaultPair, first_per_fault
from delta.core.errors import InputError
from delta.core.shuffle import shuffle_key
from delta.core.types import Row
from delta.data.arithmetic import generate_problems
from delta.data.rows import read_rows
from delta.data.steps import read_steps
from delta.judging.rubric import DIMENSIONS
from delta.prompts import trace_text
from delta.solver.faults import DIMENSION_OF, FAULTS
from delta.solver.solve import places, plant, worked_solution

# The dimension of the rubric (appendix A.1) to whose triggers each class of PRMBench belongs.
# `confidence` and `deception` are errors of any kind, so they have no dimension.
PRMBENCH_DIMENSIONS = {
    "circular": "strategy_coherence",  # circular logic
    "confidence": None,
    "counterfactual": "factuality",  # hallucinated data
    "deception": None,
    "domain_inconsistency": "strategy_coherence",  # incorrect theorem
    "missing_condition": "factuality",  # ignored explicit constraints
    "redundency": "signal_to_noise",  # circular work; spelt so in the dataset
    "step_contradiction": "step_coherence",  # invalid transformations
}
PRMBENCH_COLUMNS = ["original_question", "original_process", "modified_process", "classification"]
TABLE_COLUMNS = ["statement", "clean", "faulty", "fault"]
_STEP_NUMBER = re.compile(r"^\d+\.\s+")  # some rows number their steps, and others do not


def read_pairs(params: CertifyParams, problems: pl.DataFrame) -> dict[str, list[FaultPair]]:
    """Return at most `params.pairs` pairs of each fault, by source.

    `problems` are PROBLEM rows. Raises InputError where a source cannot be read.
    """
    pairs = {}
    for name, source in params.sources.items():
        found = _pairs(f"certify.sources.{name}", source, problems, params.seed)
        pairs[name] = first_per_fault(found, params.pairs, params.seed)
    return pairs


def _pairs(
    key: str,
    source: PlantedSource | PrmBenchSource | TableSource,
    problems: pl.DataFrame,
    seed: int,
) -> Iterator[FaultPair]:
    match source:
        case PlantedSource(arithmetic=None):
            for row in problems.iter_rows(named=True):
                yield from planted_pairs(trace_text.problem_text(row), row["metadata"], seed)
        case PlantedSource(arithmetic=arithmetic):
            assert arithmetic is not None
            for row in generate_problems(f"{key}.arithmetic", arithmetic, arithmetic.problems):
                yield from planted_pairs(row["statement"], row["metadata"], seed)
        case PrmBenchSource(data=data):
            for number, row in enumerate(read_rows(f"{key}.data", data, PRMBENCH_COLUMNS)):
                yield prmbench_pair(f"{key}: row {number}", row)
        case TableSource(data=data):
            for number, row in enumerate(read_rows(f"{key}.data", data)):
                yield table_pair(f"{key}: row {number}", row)


def max_traces(params: CertifyParams) -> int | None:
    """Return how many traces a model that rates is shown at most; None where a table decides it.

    For each pair its faulty trace and its clean one (planted faults share theirs), and for each
    problem the changes that must not matter.
    """
    number = 0
    for source in params.sources.values():
        match source:
            case PlantedSource():
                kinds = len(FAULTS) + 1
            case PrmBenchSource():
                kinds = 2 * len(PRMBENCH_DIMENSIONS)
            case TableSource():
                return None
        number += (kinds + len(CHANGES) + 1) * params.pairs
    return number


def planted_pairs(statement: str, metadata: str, seed: int) -> Iterator[FaultPair]:
    """Yield a pair for each fault that the problem has a place for; none without known steps."""
    steps = read_steps(metadata)
    if steps is None:
        return
    clean = worked_solution(steps)
    for fault in FAULTS:
        if places(steps, fault):
            rng = random.Random(shuffle_key(seed, statement, fault))
            faulty = plant(steps, fault, rng).text
            yield FaultPair(statement, fault, DIMENSION_OF[fault], statement, clean, faulty)


def prmbench_pair(key: str, row: Row) -> FaultPair:
    """Return the pair of a row of PRMBench. Raises InputError where it is not as published."""
    statement, fault = (_text(key, row, name) for name in ("original_question", "classification"))
    if fault not in PRMBENCH_DIMENSIONS:
        expected = ", ".join(PRMBENCH_DIMENSIONS)
        raise InputError(f"{key}: classification = {fault!r}; expected one of {expected}")
    clean, faulty = (_steps(key, row, name) for name in ("original_process", "modified_process"))
    return FaultPair(statement, fault, PRMBENCH_DIMENSIONS[fault], statement, clean, faulty)


def _steps(key: str, row: Row, column: str) -> str:
    """Return the steps as a trace, a line each, without their numbers."""
    steps = row[column]
    if not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
        raise InputError(f"{key}: {column} is {type(steps).__name__}; expected a list of texts")
    return "\n".join(_STEP_NUMBER.sub("", step.strip()) for step in steps)


def table_pair(key: str, row: Row) -> FaultPair:
    """Return the pair of a user's row. Raises InputError where a column is missing or no text."""
    statement, clean, faulty, fault = (_text(key, row, name) for name in TABLE_COLUMNS)
    dimension = row.get("dimension")
    if dimension is not None and dimension not in DIMENSIONS:
        expected = ", ".join(DIMENSIONS)
        raise InputError(f"{key}: dimension = {dimension!r}; expected null or one of {expected}")
    if fault in CHANGES or fault == RUBRIC_ORDER:
        raise InputError(f"{key}: fault = {fault!r} is the name of a change that must not matter")
    return FaultPair(statement, fault, dimension, statement, clean, faulty)


def _text(key: str, row: Row, column: str) -> str:
    value: Any = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{key}: {column} = {value!r}; expected a text")
    return value
