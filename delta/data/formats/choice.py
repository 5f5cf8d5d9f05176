"""Multiple choice: lettered options, and the letter in a box (paper, section 3.1.2, appendix)."""

import re
from collections import defaultdict
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.shuffle import shuffle_key
from delta.core.types import Row
from delta.data.formats.question import Question, RowError, pick_columns, required_text
from delta.data.rows import read_rows
from delta.data.sources import DataSource
from delta.prompts import prompt_files

LETTERS = "ABCDEFGHIJ"
PADDING = "N/A"  # fills the lists of some copies of MMLU-Pro up to ten
COT_START = re.compile(r"^\s*(?:A:\s*)?(?:Let's think step by step\.\s*)?")
COT_END = re.compile(r"\s*The answer is \(?[A-J]\)?\.?\s*$")

Shots = dict[str, list[str]]  # category → its worked examples, rendered


class MmluProSource(StrictModel):
    """MMLU-Pro, with or without worked examples before each question."""

    format: Literal["mmlu-pro"]
    data: DataSource
    shots: Annotated[int, Field(ge=0, le=5)]  # worked examples of the question's own category
    examples: DataSource | None  # where they come from: the validation split

    @field_validator("examples")
    @classmethod
    def _only_with_shots(cls, examples: DataSource | None, info: ValidationInfo) -> Any:
        if (examples is not None) != (info.data.get("shots", 0) > 0):
            raise ValueError("expected a source exactly where shots are more than 0")
        return examples


class GpqaSource(StrictModel):
    """GPQA, whose options have no order of their own."""

    format: Literal["gpqa"]
    data: DataSource
    seed: Annotated[int, Field(ge=0)]  # of the order of each question's options


def choice_prompt(question: str, options: list[str], shots: list[str]) -> str:
    """Return the user turn. `shots` are rendered examples; `options` get the letters from A on."""
    question_and_options = f"{question}\n\n{list_options(options)}"
    if shots:
        question_and_options = f"Question: {question_and_options}"  # as in the worked examples
    return "\n\n".join([prompt_files.text("benchmarks/choice.txt"), *shots, question_and_options])


def list_options(options: list[str]) -> str:
    """Return one line for each option: "A. text"."""
    lettered = zip(LETTERS, options, strict=False)
    return "\n".join(f"{letter}. {option}" for letter, option in lettered)


def check_options(value: Any, column: str) -> list[str]:
    """Return 2 to 10 options without blanks around them. Raises RowError for any other value."""
    options = value if isinstance(value, list) else []
    are_texts = all(isinstance(option, str) and option.strip() for option in options)
    if not are_texts or not 2 <= len(options) <= len(LETTERS):
        raise RowError(column, value, f"a list of 2 to {len(LETTERS)} texts")
    return [option.strip() for option in options]


def gold_letter(value: Any, column: str, options: list[str]) -> str:
    """Return the letter of the right option. Raises RowError where there is no such option."""
    letters = LETTERS[: len(options)]
    if not isinstance(value, str) or len(value.strip()) != 1 or value.strip() not in letters:
        raise RowError(column, value, f"a letter from {letters[0]} to {letters[-1]}")
    return value.strip()


def mmlu_pro_question(shots: Shots, row: Row) -> Question:
    """Return the row's question. Its `answer_index` is not read: it is wrong in question 3983."""
    question, options = required_text(row, "question"), _mmlu_pro_options(row)
    category = required_text(row, "category")
    if shots and category not in shots:
        raise RowError("category", category, f"one of `examples`: {', '.join(sorted(shots))}")
    prompt = choice_prompt(question, options, shots.get(category, []))
    gold = gold_letter(row.get("answer"), "answer", options)
    metadata = pick_columns(row, "question_id", "category", "src")
    return Question(question, prompt, gold, "choice", metadata)


def _mmlu_pro_options(row: Row) -> list[str]:
    options = row.get("options")
    if isinstance(options, list):
        options = list(options)
        while options and options[-1] == PADDING:  # only at the end, where no letter changes
            options.pop()
    return check_options(options, "options")


def mmlu_pro_shots(key: str, source: MmluProSource) -> Shots:
    """Return the first `shots` examples of each category.

    Raises InputError where a category has fewer.
    """
    if source.examples is None:
        return {}
    shots: Shots = defaultdict(list)
    for number, row in enumerate(read_rows(f"{key}.examples", source.examples)):
        try:
            shots[required_text(row, "category")].append(_render_shot(row))
        except RowError as error:
            raise InputError(f"{key}.examples: row {number}: {error}") from None
    for category, examples in shots.items():
        if len(examples) < source.shots:
            raise InputError(
                f"{key}.shots = {source.shots}: `examples` has {len(examples)} of category "
                f"{category!r}; expected 0 to {len(examples)}"
            )
    return {category: examples[: source.shots] for category, examples in shots.items()}


def _render_shot(row: Row) -> str:
    """Return the worked solution, ending in a box as our prompt asks."""
    options = _mmlu_pro_options(row)
    reasoning = COT_END.sub("", COT_START.sub("", required_text(row, "cot_content")))
    letter = gold_letter(row.get("answer"), "answer", options)
    return (
        f"Question: {required_text(row, 'question')}\n\n{list_options(options)}\n\n"
        f"Answer: {reasoning} The answer is \\boxed{{{letter}}}."
    )


def gpqa_question(source: GpqaSource, row: Row) -> Question:
    """Return the row's question with shuffled options. Raises RowError for an empty column."""
    question = required_text(row, "Question")
    columns = ["Correct Answer", *(f"Incorrect Answer {number}" for number in (1, 2, 3))]
    answers = [required_text(row, column) for column in columns]
    # The key is the question's text, so the order does not depend on the benchmark's other rows.
    order = sorted(range(4), key=lambda index: shuffle_key(source.seed, question, str(index)))
    prompt = choice_prompt(question, [answers[index] for index in order], [])
    metadata = pick_columns(row, "Record ID", "High-level domain", "Subdomain")
    return Question(question, prompt, LETTERS[order.index(0)], "choice", metadata)
