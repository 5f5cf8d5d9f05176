"""The question on the first screen is chosen by a fixed rule, and its texts are shortened."""

import polars as pl
import pytest

from delta.core.schemas import ANSWER
from delta.core.tables import frame_of
from delta.report.example import JUDGED, MAX_CHARACTERS, AnswerKey, choose, shorten

# (outcome, extracted, finish reason): right, boxed and wrong, finished without a box, cut
ANSWERS = {
    "r": ("correct", "4", "stop"),
    "b": ("incorrect", "5", "stop"),
    "f": ("incorrect", None, "stop"),
    "c": ("incorrect", None, "length"),
}


def answers(benchmark: str, letters: str) -> pl.DataFrame:
    rows = [
        {"question_id": f"{benchmark}.{number}", "sample": 0}
        | dict(zip(("outcome", "extracted", "finish_reason"), ANSWERS[letter], strict=True))
        for number, letter in enumerate(letters)
    ]
    return frame_of(rows, ANSWER).select(JUDGED)


def chosen(benchmarks: dict[str, tuple[str, str]]) -> AnswerKey | None:
    """Return the choice. A benchmark has a letter for each answer of the base and the policy."""
    return choose(
        benchmarks,
        lambda name: tuple(answers(name, letters) for letters in benchmarks[name]),  # type: ignore[arg-type,return-value]
    )


def test_the_first_question_that_became_right_is_chosen_also_after_weaker_ones() -> None:
    assert chosen({"a": ("ccrc", "brcr")}) == AnswerKey("right", "a", "a.1", 0)
    assert chosen({"a": ("cc", "bf"), "b": ("rc", "rr")}) == AnswerKey("right", "b", "b.1", 0)


def test_without_one_the_form_counts_then_the_end_then_the_first_question() -> None:
    assert chosen({"a": ("cf", "fb"), "b": ("f", "b")}) == AnswerKey("form", "a", "a.1", 0)
    assert chosen({"a": ("rc", "cf")}) == AnswerKey("finished", "a", "a.1", 0)
    assert chosen({"a": ("rb", "cf")}) == AnswerKey("unchanged", "a", "a.0", 0)
    assert chosen({"a": ("", "")}) is None
    assert chosen({}) is None


def test_a_long_text_loses_its_middle_and_keeps_its_end() -> None:
    text = shorten("a" * 1000 + " so 42")
    assert len(text) < MAX_CHARACTERS + 10
    assert " […] " in text
    assert text.endswith("so 42")
    assert shorten("short") == "short"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a[U+202E]b"),
        ("\0", "[U+0000]"),
        ("one\u2028two", "one[U+2028]two"),
        ("  two\n\tlines ", "two\n\tlines"),
    ],
)
def test_hidden_characters_are_named(text: str, shown: str) -> None:
    assert shorten(text) == shown
