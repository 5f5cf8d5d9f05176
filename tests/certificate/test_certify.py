"""The certificate of a rater: its tables, votes that are missing, and the stage."""

import math
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from delta.certificate.certify import build_trials, certify
from delta.certificate.changes import RUBRIC_ORDER
from delta.certificate.pairs import FaultPair
from delta.core.schemas import RATING
from delta.core.tables import frame_of
from delta.core.types import Counts, Row
from delta.judging.judge import JudgeInput
from delta.judging.rubric import DIMENSIONS

NUMBER = 20
FAULTS = {"slip": "computational_precision", "filler": "signal_to_noise", "any": None}
Vote = Callable[[JudgeInput, str, bool], list[int]]


def pairs() -> list[FaultPair]:
    """Return pairs of every fault, whose faulty trace names the fault."""
    return [
        FaultPair(f"p{n}", fault, dimension, f"problem {n}", "clean " * (n + 3), f"{fault} {n}")
        for n in range(NUMBER)
        for fault, dimension in FAULTS.items()
    ]


def certificate(vote: Vote, reads_rubric: bool = False) -> Counts:
    """Return the certificate of the rater whose votes are `vote(input, dimension, reversed)`."""

    def rate(inputs: list[JudgeInput], is_reversed: bool) -> pl.DataFrame:
        rows = [
            {
                "trace_id": entry.trace_id,
                "judge": "toy",
                "dimension": dimension,
                "votes": vote(entry, dimension, is_reversed),
                "refused": 0,
                "justification": None,
                "deductions": [],
            }
            for entry in inputs
            for dimension in DIMENSIONS
        ]
        return frame_of(rows, RATING)

    return certify({"toy": pairs()}, rate, reads_rubric, 0.5)


def sharp(entry: JudgeInput, dimension: str, _is_reversed: bool) -> list[int]:
    """Give 5, and 3 where the trace names a fault of the dimension."""
    return [3 if FAULTS.get(entry.trace.split()[0]) == dimension else 5]


def row_of(rows: list[Row], **values: Any) -> Row:
    (row,) = [row for row in rows if all(row[name] == value for name, value in values.items())]
    return row


def test_a_rater_sees_the_dimensions_whose_faults_it_lowers_and_no_other_was_tried() -> None:
    dimensions = certificate(sharp)["dimensions"]
    assert list(dimensions) == list(DIMENSIONS)
    assert {name: row["verdict"] for name, row in dimensions.items()} == {
        "factuality": "cannot tell",
        "strategy_coherence": "cannot tell",
        "step_coherence": "cannot tell",
        "computational_precision": "sees",
        "signal_to_noise": "sees",
    }
    assert dimensions["factuality"]["reason"] == "no pairs have a fault of it"
    assert dimensions["signal_to_noise"]["pairs"] == NUMBER
    assert dimensions["signal_to_noise"]["source"] == "toy"
    assert dimensions["signal_to_noise"]["above_other_faults"]["value"] == 2.0


def test_a_rater_that_gives_all_traces_the_same_score_is_blind() -> None:
    dimensions = certificate(lambda *_: [4])["dimensions"]
    assert dimensions["signal_to_noise"]["verdict"] == "blind"
    assert dimensions["signal_to_noise"]["reason"] == "its own faults do not lower it"


def test_a_general_impression_is_no_sight_of_a_dimension() -> None:
    def halo(entry: JudgeInput, _dimension: str, _is_reversed: bool) -> list[int]:
        return [{"slip": 2, "filler": 1}.get(entry.trace.split()[0], 5)]

    dimensions = certificate(halo)["dimensions"]
    assert dimensions["computational_precision"]["verdict"] == "blind"
    assert (
        dimensions["signal_to_noise"]
        | {
            "verdict": "blind",
            "reason": "its own faults lower the other dimensions as much",
        }
        == dimensions["signal_to_noise"]
    )


def test_the_matrix_has_the_mean_fall_of_each_fault_in_each_dimension() -> None:
    matrix = certificate(sharp)["matrix"]
    slip = {"kind": "fault", "name": "slip"}
    own = row_of(matrix, **slip, dimension="computational_precision")
    assert (own["value"], own["pairs"], own["without_vote"]) == (2.0, NUMBER, 0)
    assert own["own_dimension"] == "computational_precision"
    assert row_of(matrix, **slip, dimension="signal_to_noise")["value"] == 0.0
    change = row_of(matrix, name="wrapped_lines", dimension="signal_to_noise")
    assert (change["kind"], change["value"]) == ("change", 0.0)


def test_a_pair_without_a_vote_is_counted_and_is_no_number() -> None:
    def silent(entry: JudgeInput, dimension: str, is_reversed: bool) -> list[int]:
        return [] if entry.trace == "slip 0" else sharp(entry, dimension, is_reversed)

    result = certificate(silent)
    cell = row_of(result["matrix"], name="slip", dimension="computational_precision")
    assert (cell["pairs"], cell["without_vote"], cell["value"]) == (NUMBER - 1, 1, 2.0)
    assert result["dimensions"]["computational_precision"]["verdict"] == "sees"


def test_a_rater_without_votes_in_a_dimension_cannot_be_told_of_there() -> None:
    def partial(entry: JudgeInput, dimension: str, is_reversed: bool) -> list[int]:
        known = dimension != "signal_to_noise"
        return sharp(entry, dimension, is_reversed) if known else []

    dimensions = certificate(partial)["dimensions"]
    assert dimensions["signal_to_noise"]["verdict"] == "cannot tell"
    assert dimensions["signal_to_noise"]["reason"] == "too few pairs have votes on both sides"
    assert dimensions["computational_precision"]["verdict"] == "sees"


def test_length_is_the_slope_of_clean_traces_per_doubling() -> None:
    def long(entry: JudgeInput, _dimension: str, _is_reversed: bool) -> list[int]:
        return [round(math.log2(len(entry.trace) / 6))]  # 3 to 22 words: 2 to 4

    result = certificate(long)
    row = row_of(result["length"], dimension="factuality")
    assert row["bias"] == "long"
    assert row["low"] < 1.0 < row["high"]
    flat = row_of(certificate(sharp)["length"], dimension="factuality")
    assert (flat["bias"], flat["value"]) == ("none shown", 0.0)


def test_the_noise_of_a_delta_is_that_of_two_means_of_repeated_votes() -> None:
    result = certificate(lambda *_: [3, 4, 5])  # variance 1; of a mean of three 1/3
    noise = row_of(result["noise"], dimension="factuality")
    assert noise["votes"] == round(1.959964 * math.sqrt(2 / 3), 4)
    assert (noise["changes"], noise["floor"]) == (0.0, noise["votes"])
    assert row_of(certificate(sharp)["noise"], dimension="factuality")["votes"] is None


def test_only_a_rater_that_reads_the_rubric_is_asked_in_another_order() -> None:
    asked: list[bool] = []

    def reader(entry: JudgeInput, dimension: str, is_reversed: bool) -> list[int]:
        asked.append(is_reversed)
        return [4] if is_reversed else sharp(entry, dimension, is_reversed)

    matrix = certificate(reader, reads_rubric=True)["matrix"]
    assert row_of(matrix, name=RUBRIC_ORDER, dimension="factuality")["value"] == 1.0
    assert sum(asked) == NUMBER * len(DIMENSIONS)  # the clean traces
    asked.clear()
    certificate(reader)
    assert not any(asked)


def test_equal_texts_are_one_input() -> None:
    trials = build_trials("toy", pairs())
    assert len({(entry.statement, entry.trace) for entry in trials.inputs.values()}) == len(
        trials.inputs
    )
    assert len(trials.clean) == NUMBER
    assert len(trials.pairs) == NUMBER * len(FAULTS)


@pytest.mark.parametrize("reads_rubric", [False, True])
def test_another_run_gives_the_same_certificate(reads_rubric: bool) -> None:
    assert certificate(sharp, reads_rubric) == certificate(sharp, reads_rubric)
