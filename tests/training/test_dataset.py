"""Each method gets its columns of the same pairs; no problem is both trained on and held out."""

from typing import Any

import polars as pl
import pytest

from delta.core import tables
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM
from delta.training.dataset import join_texts, split_held_out, to_trl_columns
from tests.helpers.character_tokenizer import trace_columns
from tests.helpers.tiny_models import train_params


def rows_of_problems(problems: int) -> list[dict[str, Any]]:
    """Return two pairs for each problem."""
    return [
        {
            "pair_id": f"pair {number}",
            "problem_id": f"problem {number // 2}",
            "prompt_ids": [1, 2],
            "chosen_ids": [100 + number, 3],
            "rejected_ids": [200 + number, 4],
        }
        for number in range(2 * problems)
    ]


RULE = {"held_out": 0.25, "eval_steps": 1, "patience": 1, "min_improvement": 0.0}
STOPS_EARLY: dict[str, Any] = {
    "early_stopping": RULE,
    "lr_scheduler_type": "constant_with_warmup",
}


def test_no_problem_is_both_trained_on_and_held_out() -> None:
    rows = rows_of_problems(8)
    train, held_out = split_held_out(train_params(**STOPS_EARLY), rows)
    assert (len(train), len(held_out)) == (12, 4)
    assert not {row["problem_id"] for row in train} & {row["problem_id"] for row in held_out}
    assert split_held_out(train_params(**STOPS_EARLY), rows[::-1])[1] == held_out[::-1]
    assert split_held_out(train_params(**STOPS_EARLY, seed=8), rows)[1] != held_out
    assert split_held_out(train_params(), rows) == (rows, [])


def test_holding_out_the_only_problem_is_refused() -> None:
    with pytest.raises(InputError, match="none is left to train on"):
        split_held_out(train_params(**STOPS_EARLY), rows_of_problems(1))


def test_kto_reads_both_sides_of_every_pair_in_a_seeded_order() -> None:
    rows = rows_of_problems(8)
    singles = to_trl_columns(train_params(method="kto"), rows)
    assert sorted((row["completion_ids"][0], row["label"]) for row in singles) == [
        *((100 + number, True) for number in range(16)),
        *((200 + number, False) for number in range(16)),
    ]
    first = [row["label"] for row in singles[:16]]
    assert 4 < sum(first) < 12  # neither side comes first
    assert to_trl_columns(train_params(method="kto"), rows[::-1])[0] == singles[0]
    assert to_trl_columns(train_params(method="kto", seed=8), rows) != singles


def completions(singles: list[dict[str, Any]], column: str) -> list[int]:
    return [row[column][0] for row in singles]


@pytest.mark.parametrize("processes", [1, 2])
def test_mismatched_completions_come_from_the_same_step(processes: int) -> None:
    params = train_params(method="kto", per_device_train_batch_size=2, num_processes=processes)
    singles = to_trl_columns(params, rows_of_problems(4))
    matched = completions(singles, "completion_ids")
    mismatched = completions(singles, "KL_completion_ids")
    size = 4 * processes
    for start in range(0, len(singles), size):
        step = matched[start : start + size]
        assert mismatched[start : start + size] == [step[-1], *step[:-1]]


def test_a_pair_alone_in_the_last_step_is_not_compared_with_itself() -> None:
    params = train_params(method="kto", per_device_train_batch_size=3)
    singles = to_trl_columns(params, rows_of_problems(2))
    assert len(singles) == 6 + 2
    assert all(row["completion_ids"] != row["KL_completion_ids"] for row in singles)


def test_a_completion_that_two_pairs_share_is_not_compared_with_itself() -> None:
    shared = [row | {"chosen_ids": [7, 7]} for row in rows_of_problems(8)]
    singles = to_trl_columns(train_params(method="kto", per_device_train_batch_size=8), shared)
    assert [row["completion_ids"] for row in singles].count([7, 7]) == 16
    assert all(row["completion_ids"] != row["KL_completion_ids"] for row in singles)


def test_a_mismatched_completion_is_cut_to_fit_after_its_prompt() -> None:
    singles = to_trl_columns(train_params(method="kto", max_length=3), rows_of_problems(1))
    assert [len(row["KL_completion_ids"]) for row in singles] == [1] * 4


def test_sft_trains_on_the_chosen_side_and_not_on_the_prompt() -> None:
    assert to_trl_columns(train_params(method="sft"), rows_of_problems(1))[1] == {
        "input_ids": [1, 2, 101, 3],
        "labels": [-100, -100, 101, 3],
    }


SPLIT = (0, 4, 5)


def problem_table(*problems: tuple[str, str]) -> pl.DataFrame:
    """Return a problem table of (problem_id, prompt)."""
    rows = [{"problem_id": name, "prompt": prompt, "history": []} for name, prompt in problems]
    return tables.frame_of(rows, PROBLEM)


def join(**changes: Any) -> pl.DataFrame:
    """Join two pairs with their texts."""
    table = pl.DataFrame(
        {
            "pair_id": ["y", "x"],
            "problem_id": ["p.1", "p.0"],
            "chosen_id": ["c1", "c0"],
            "rejected_id": ["r1", "r0"],
        }
    )
    problems = problem_table(("p.0", "zero?"), ("p.1", "one?"))
    traces = pl.DataFrame(
        {
            "trace_id": ["c0", "r0", "c1", "r1"],
            "text": ["chosen 0", "rejected 0", "chosen 1", "rejected 1"],
            "finish_reason": ["stop", "length", "stop", "stop"],
            "reasoning_start": [0, 0, 0, 0],
            "reasoning_end": [4, 4, 4, 4],
            "answer_start": [5, None, 5, 5],
        }
    )
    return join_texts(table, changes.get("problems", problems), changes.get("traces", traces))


def test_pairs_are_joined_with_their_texts_in_their_order() -> None:
    assert join().rows() == [
        (
            "y",
            "p.1",
            "one?",
            [],
            trace_columns("chosen 1", "stop", SPLIT),
            trace_columns("rejected 1", "stop", SPLIT),
        ),
        (
            "x",
            "p.0",
            "zero?",
            [],
            trace_columns("chosen 0", "stop", SPLIT),
            trace_columns("rejected 0", "length", (0, 4, None)),
        ),
    ]


def test_a_pair_whose_text_is_missing_is_named() -> None:
    incomplete = pl.DataFrame([{"trace_id": "c1", **trace_columns("chosen 1", "stop")}])
    with pytest.raises(InputError, match="pair 'y': its problem or a trace is missing"):
        join(traces=incomplete)
    with pytest.raises(InputError, match="pair 'x': its problem or a trace is missing"):
        join(problems=problem_table(("p.1", "one?")))
