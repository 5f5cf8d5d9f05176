"""Models that are trained here on worked solutions: their parameters and their rows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.core.tables import frame_of
from delta.data import arithmetic
from delta.data.arithmetic import ArithmeticParams
from delta.inference import chat_formats
from delta.prompts import prompt_files
from delta.training import model_io, sft_models
from delta.training.sft_models import SftModelParams

SUMS = {
    "kind": "expression",
    "seed": 3,
    "problems": 6,
    "options": {"terms": 3, "operators": "+", "lowest": 1, "highest": 9},
}
KEY = "sft_models.warm"


def model(**changes: Any) -> SftModelParams:
    values: dict[str, Any] = {
        "base": "tiny",
        "problems": {"sums": {"arithmetic": SUMS}},
        "learning_rate": 2.0e-5,
        "max_steps": 12,
        "max_length": 600,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "optim": "adamw_torch",
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 2,
        "max_grad_norm": 1.0,
        "bf16": False,
        "seed": 7,
    }
    return SftModelParams.model_validate(values | changes)


def statements(number: int = 6) -> list[str]:
    rows = arithmetic.generate_problems("", ArithmeticParams.model_validate(SUMS), number)
    return [row["statement"] for row in rows]


def questions(*texts: str) -> dict[str, pl.DataFrame]:
    rows = [
        {"question_id": f"easy/{number}", "statement": text, "prompt": text, "history": []}
        | {"gold_answer": "1", "grader": "math", "metadata": "{}"}
        for number, text in enumerate(texts)
    ]
    return {"easy": frame_of(rows, QUESTION)}


def problems(**changes: Any) -> pl.DataFrame:
    return sft_models.training_problems(KEY, model(**changes), None, questions())[0]


def mistakes(**models: SftModelParams) -> Iterator[str]:
    return sft_models.mistakes(models, ["tiny"])


def test_the_options_are_those_of_training_by_sft() -> None:
    train = model().train_params()
    assert (train.method, train.base, train.sft.learning_rate) == ("sft", "tiny", 2.0e-5)
    assert (train.sft.max_steps, train.sft.num_train_epochs) == (12, None)
    assert (train.max_length, train.warmup_steps, train.dtype) == (600, 2, "float32")
    assert not train.truncation


def test_a_row_is_the_prompt_that_evaluation_asks_and_the_worked_solution(base: Path) -> None:
    chat_format, tokenizer = chat_formats.load("plain"), model_io.load_tokenizer(base)
    frame = problems()
    row, *others = sft_models.solution_rows(KEY, model(), chat_format, tokenizer, frame)
    asked = prompt_files.with_instruction(statements()[0])
    prompt = chat_format.render(tokenizer, chat_format.messages(asked))
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert len(others) == 5
    assert row["input_ids"][: len(ids)] == ids
    assert row["labels"] == [-100] * len(ids) + row["input_ids"][len(ids) :]
    numbers = [int(number) for number in re.findall(r"\d+", statements()[0])]
    a, b, c = numbers
    assert tokenizer.decode(row["input_ids"][len(ids) :]) == (
        f"{a} + {b} = {a + b}\n{a + b} + {c} = {a + b + c}\n\\boxed{{{a + b + c}}}<|im_end|>"
    )


def test_a_problem_that_a_benchmark_asks_is_dropped_and_counted() -> None:
    asked = questions(statements()[2])
    kept, counts = sft_models.training_problems(KEY, model(), None, asked)
    assert kept["statement"].to_list() == [*statements()[:2], *statements()[3:]]
    assert counts["dropped"] == {"in_benchmark": 1}
    assert (counts["drawn"], counts["kept"]) == (6, 5)


def test_where_benchmarks_ask_all_problems_the_message_names_the_model() -> None:
    asked = questions(*statements())
    with pytest.raises(InputError, match=r"^sft_models\.warm\.problems: 0 of 6 problems remain"):
        sft_models.training_problems(KEY, model(), None, asked)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"max_length": 20},
            r"max_length = 20: the longest prompt with its solution has \d+ tokens; expected",
        ),
        (
            {"per_device_train_batch_size": 7},
            "per_device_train_batch_size = 7: there are only 6 problems; expected 1 to 6",
        ),
    ],
)
def test_rows_that_are_too_long_or_too_few_are_refused(
    changes: dict[str, Any], message: str, base: Path
) -> None:
    chat_format, tokenizer = chat_formats.load("plain"), model_io.load_tokenizer(base)
    with pytest.raises(InputError, match=rf"^sft_models\.warm\.{message}"):
        sft_models.solution_rows(KEY, model(**changes), chat_format, tokenizer, problems())


def test_a_chain_of_models_begins_with_one_that_is_fetched() -> None:
    early, warm = model(), model(base="early")
    assert list(mistakes(early=early, warm=warm)) == []
    assert sft_models.base_of("warm", {"early": early, "warm": warm}) == "tiny"
    assert sft_models.base_of("tiny", {}) == "tiny"


TASK = {"task": {"task": "chain_sum", "seed": 1, "problems": 4, "options": {}}}


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            {"warm": model(base="other")},
            "sft_models.warm.base = 'other': it has no weights here; expected one of tiny, warm",
        ),
        (
            {"early": model(base="warm"), "warm": model(base="early")},
            "sft_models.early.base: early → warm → early is a circle; expected it to begin with "
            "one of `models`",
        ),
        (
            {"warm": model(problems={"sums": TASK})},
            "sft_models.warm.problems.sums.task: its problems have no worked solutions; expected "
            "arithmetic",
        ),
        (
            {"warm": model(warmup_steps=12)},
            "sft_models.warm.warmup_steps = 12: sft_models.warm.max_steps is 12, and the learning "
            "rate is not reached before; expected fewer",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(models: dict[str, SftModelParams], message: str) -> None:
    assert next(mistakes(**models)) == message
