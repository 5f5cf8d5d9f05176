"""Multiple choice: options as letters, the letter in a box (paper, section 3.1.2 and appendix)."""

import re
from collections import defaultdict
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from delta import prompts
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.shuffle import shuffle_key
from delta.core.types import Row
from delta.data import sources
from delta.data.formats import Question, RowError, pick_columns, text
from delta.data.sources import DataSource

LETTERS = "ABCDEFGHIJ"
PADDING = "N/A"  # fills the lists of some copies of MMLU-Pro up to ten
OPENING = re.compile(r"^\s*(?:A:\s*)?(?:Let's think step by step\.\s*)?")
CLOSING = re.compile(r"\s*The answer is \(?[A-J]\)?\.?\s*$")

Shots = dict[str, list[str]]  # of each category its worked examples, rendered


class MmluProSource(StrictModel):
    format: Literal["mmlu-pro"]
    data: DataSource
    shots: Annotated[int, Field(ge=0, le=5)]  # worked examples of the question's own category
    examples: DataSource | None  # where they come from: the validation split

    @field_validator("examples")
    @classmethod
    def _both(cls, examples: DataSource | None, others: ValidationInfo) -> DataSource | None:
        if (examples is not None) != (others.data.get("shots", 0) > 0):
            raise ValueError("allowed: a source exactly where shots are more than 0")
        return examples


class GpqaSource(StrictModel):
    format: Literal["gpqa"]
    data: DataSource
    seed: Annotated[int, Field(ge=0)]  # of the order of the options, question by question


def choice_prompt(question: str, options: list[str], shots: list[str]) -> str:
    asked = f"{question}\n\n{list_options(options)}"
    if shots:
        asked = f"Question: {asked}"  # told apart as the worked ones are
    return "\n\n".join([prompts.text("choice.txt"), *shots, asked])


def list_options(options: list[str]) -> str:
    return "\n".join(
        f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)
    )


def check_options(value: Any, column: str) -> list[str]:
    options = value if isinstance(value, list) else []
    usable = all(isinstance(option, str) and option.strip() for option in options)
    if not usable or not 2 <= len(options) <= len(LETTERS):
        raise RowError(column, value, f"a list of 2 to {len(LETTERS)} texts")
    return [option.strip() for option in options]


def gold_letter(value: Any, column: str, options: list[str]) -> str:
    """The gold letter. The option that it names must be there."""
    allowed = LETTERS[: len(options)]
    if not isinstance(value, str) or len(value.strip()) != 1 or value.strip() not in allowed:
        raise RowError(column, value, f"a letter from {allowed[0]} to {allowed[-1]}")
    return value.strip()


def mmlu_pro_question(shots: Shots, row: Row) -> Question:
    """`answer` is right where `answer_index` is not (question 3983), so only it is read."""
    question, options = text(row, "question"), _mmlu_pro_options(row)
    metadata = pick_columns(row, "question_id", "category", "src")
    category = text(row, "category")
    if shots and category not in shots:
        raise RowError(
            "category", category, f"a category of `examples`: {', '.join(sorted(shots))}"
        )
    return Question(
        question,
        choice_prompt(question, options, shots.get(category, [])),
        gold_letter(row.get("answer"), "answer", options),
        "choice",
        metadata,
    )


def _mmlu_pro_options(row: Row) -> list[str]:
    options = row.get("options")
    if isinstance(options, list):
        options = list(options)
        # Only from the end: a letter must go on naming the same option.
        while options and options[-1] == PADDING:
            options.pop()
    return check_options(options, "options")


def mmlu_pro_shots(key: str, source: MmluProSource) -> Shots:
    """The first `shots` examples of each category. InputError where a category has not so many."""
    if source.examples is None:
        return {}
    shots: Shots = defaultdict(list)
    for number, row in enumerate(sources.read_rows(f"{key}.examples", source.examples)):
        try:
            shots[text(row, "category")].append(_shot(row))
        except RowError as error:
            raise InputError(f"{key}.examples: row {number}: {error}") from None
    for category, rendered in shots.items():
        if len(rendered) < source.shots:
            raise InputError(
                f"{key}.shots = {source.shots}: `examples` has {len(rendered)} of category "
                f"{category!r}; allowed: 0 to {len(rendered)}"
            )
    return {category: rendered[: source.shots] for category, rendered in shots.items()}


def _shot(row: Row) -> str:
    """The worked solution as it stands there, but ended as our prompt asks for it."""
    options = _mmlu_pro_options(row)
    reasoning = CLOSING.sub("", OPENING.sub("", text(row, "cot_content")))
    right = gold_letter(row.get("answer"), "answer", options)
    return (
        f"Question: {text(row, 'question')}\n\n{list_options(options)}\n\n"
        f"Answer: {reasoning} The answer is \\boxed{{{right}}}."
    )


def gpqa_question(source: GpqaSource, row: Row) -> Question:
    question = text(row, "Question")
    answers = [text(row, "Correct Answer")]
    answers += [text(row, f"Incorrect Answer {number}") for number in (1, 2, 3)]
    # By the question's text: the order holds in a larger, smaller or reordered set.
    order = sorted(range(4), key=lambda place: shuffle_key(source.seed, question, str(place)))
    options = [answers[place] for place in order]
    metadata = pick_columns(row, "Record ID", "High-level domain", "Subdomain")
    gold = LETTERS[order.index(0)]
    return Question(question, choice_prompt(question, options, []), gold, "choice", metadata)
