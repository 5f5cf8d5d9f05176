"""Tokenised pairs keep reasoning and ends of turns; cut and dropped sides are counted."""

from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.inference import chat_formats
from delta.training.config import TrainParams
from delta.training.dataset import tokenize_pairs
from tests.helpers.character_tokenizer import CharacterTokenizer, text_of, trace_columns
from tests.helpers.tiny_models import train_params

STATEMENT = "1 + 1 = ?"
REASONED = "<think>one and one</think> It is 2."
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
PROMPT = f"[user]{INSTRUCTION}\n\n{STATEMENT}[assistant]"


class SpaceCollapsingTokenizer(CharacterTokenizer):
    """A tokenizer that collapses white space, as some do."""

    def decode(self, token_ids: list[int]) -> str:
        return " ".join(super().decode(token_ids).split())


class DigitDroppingTokenizer(CharacterTokenizer):
    """A tokenizer that reads every digit as a question mark."""

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        known = "".join("?" if character.isdigit() else character for character in text)
        return super().__call__(known, **options)


class ReasoningDroppingTokenizer(CharacterTokenizer):
    """A tokenizer that drops everything in <think>...</think>."""

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        answer = text.rpartition("</think>")[2]
        return super().__call__(answer, **options)


def raw_params(max_length: int, truncation: bool = True, **changes: Any) -> TrainParams:
    return train_params(
        max_length=max_length, truncation=truncation, reasoning_markers="raw", **changes
    )


def tokenize(params: TrainParams, pairs: pl.DataFrame, tokenizer: CharacterTokenizer) -> Any:
    return tokenize_pairs(params, chat_formats.load("plain"), pairs, tokenizer)


def pairs(*rows: tuple[str, str, str], statement: str = STATEMENT) -> pl.DataFrame:
    """Return the table of join_texts. Rows: chosen, rejected, "finish reason/finish reason"."""
    return pl.DataFrame(
        [
            {
                "pair_id": f"pair {number}",
                "problem_id": f"problem {number}",
                "prompt": f"{INSTRUCTION}\n\n{statement}",
                "history": [],
                "chosen": trace_columns(chosen, finish.split("/")[0]),
                "rejected": trace_columns(rejected, finish.split("/")[1]),
            }
            for number, (chosen, rejected, finish) in enumerate(rows)
        ]
    )


def test_reasoning_that_the_template_would_drop_is_trained_on() -> None:
    tokenizer = CharacterTokenizer()
    turn = [{"role": "assistant", "content": REASONED}]
    assert "one and one" not in tokenizer.apply_chat_template(
        turn, tokenize=False, add_generation_prompt=False
    )
    ((row,), counts) = tokenize(raw_params(1_000), pairs((REASONED, "2", "stop/stop")), tokenizer)
    assert text_of(row["prompt_ids"]) == PROMPT
    assert text_of(row["chosen_ids"]) == "<think>one and one</think> It is 2.<end>"
    assert text_of(row["rejected_ids"]) == "2<end>"
    assert counts == {
        "pairs_in": 1,
        "pairs_kept": 1,
        "cut": {"chosen": 0, "rejected": 0},
        "dropped": {},
        "longest": len(PROMPT) + 36,
    }


@pytest.mark.parametrize("tokenizer", [DigitDroppingTokenizer(), ReasoningDroppingTokenizer()])
def test_a_trace_that_loses_text_in_tokenisation_is_dropped_and_counted(
    tokenizer: CharacterTokenizer,
) -> None:
    two = pairs((REASONED, "no", "stop/stop"), ("yes", "no", "stop/stop"))
    rows, counts = tokenize(raw_params(1_000), two, tokenizer)
    assert [row["pair_id"] for row in rows] == ["pair 1"]
    assert counts["dropped"] == {"chosen_lost_in_tokenisation": 1}


def test_more_drops_than_max_dropped_are_an_error_with_an_example() -> None:
    two = pairs((REASONED, "no", "stop/stop"), ("yes", "no", "stop/stop"))
    assert len(tokenize(raw_params(1_000, max_dropped=0.5), two, DigitDroppingTokenizer())[0]) == 1
    with pytest.raises(InputError) as caught:
        tokenize(raw_params(1_000, max_dropped=0.4), two, DigitDroppingTokenizer())
    assert str(caught.value) == (
        "train.max_dropped = 0.4: 1 of 2 pairs are dropped ({'chosen_lost_in_tokenisation': 1}; "
        "pair 'pair 0': chosen_lost_in_tokenisation); if they are too long, raise train.max_length "
        "or set train.truncation: true"
    )


def test_an_empty_trace_drops_its_pair() -> None:
    two = pairs(("", "no", "length/stop"), ("yes", "no", "stop/stop"))
    assert tokenize(raw_params(1_000), two, CharacterTokenizer())[1]["dropped"] == {
        "chosen_empty": 1
    }


def test_a_tokenizer_may_collapse_white_space() -> None:
    rows, _ = tokenize(
        raw_params(1_000), pairs(("1  +\n1", "2", "stop/stop")), SpaceCollapsingTokenizer()
    )
    assert text_of(rows[0]["chosen_ids"]) == "1  +\n1<end>"


def test_only_a_finished_trace_gets_an_end_of_turn() -> None:
    three = pairs(("a", "b", "stop/length"), ("c", "d", "length/stop"), ("e", "f", "length/length"))
    rows, _ = tokenize(raw_params(1_000), three, CharacterTokenizer())
    assert [(text_of(row["chosen_ids"]), text_of(row["rejected_ids"])) for row in rows] == [
        ("a<end>", "b"),
        ("c", "d<end>"),
        ("e", "f"),
    ]


LONG = [
    ("12345678", "1234", "stop/stop"),  # with its end: 9 and 5 tokens
    ("1234", "12345678", "stop/stop"),
    ("abcdefgh", "12345678", "stop/stop"),
    ("1234", "5678", "stop/stop"),
    ("12345", "1234567", "length/length"),
]


def test_cut_sides_are_counted_and_lose_their_end_of_turn() -> None:
    rows, counts = tokenize(raw_params(len(PROMPT) + 6), pairs(*LONG), CharacterTokenizer())
    assert [(text_of(row["chosen_ids"]), text_of(row["rejected_ids"])) for row in rows] == [
        ("123456", "1234<end>"),
        ("1234<end>", "123456"),
        ("abcdef", "123456"),
        ("1234<end>", "5678<end>"),
        ("12345", "123456"),
    ]
    assert counts == {
        "pairs_in": 5,
        "pairs_kept": 5,
        "cut": {"chosen": 2, "rejected": 3},
        "dropped": {},
        "longest": len(PROMPT) + 6,
    }


def test_drops_are_counted_by_side_and_add_up() -> None:
    rows, counts = tokenize(
        raw_params(len(PROMPT) + 6, truncation=False), pairs(*LONG), CharacterTokenizer()
    )
    assert [row["pair_id"] for row in rows] == ["pair 3"]
    assert counts == {
        "pairs_in": 5,
        "pairs_kept": 1,
        "cut": {"chosen": 0, "rejected": 0},
        "dropped": {
            "chosen_and_rejected_too_long": 1,
            "chosen_too_long": 1,
            "rejected_too_long": 2,
        },
        "longest": len(PROMPT) + 5,
    }


def test_a_completion_of_exactly_max_length_is_not_cut() -> None:
    rows, counts = tokenize(raw_params(len(PROMPT) + 9), pairs(*LONG), CharacterTokenizer())
    assert counts["cut"] == {"chosen": 0, "rejected": 0}
    assert text_of(rows[0]["chosen_ids"]) == "12345678<end>"


def test_a_pair_whose_sides_are_equal_after_the_cut_is_dropped() -> None:
    same_start = pairs(("123456 yes", "123456 no", "stop/stop"), ("a", "b", "stop/stop"))
    rows, counts = tokenize(raw_params(len(PROMPT) + 6), same_start, CharacterTokenizer())
    assert [row["pair_id"] for row in rows] == ["pair 1"]
    assert counts["pairs_in"] == counts["pairs_kept"] + sum(counts["dropped"].values()) == 2


@pytest.mark.parametrize("truncation", [True, False])
def test_a_prompt_that_fills_max_length_is_dropped_and_counted(
    truncation: bool,
) -> None:
    rows_in = pl.concat([pairs(("a", "b", "stop/stop"), statement="1" * 20), pairs(*LONG[3:4])])
    rows, counts = tokenize(raw_params(len(PROMPT) + 6, truncation), rows_in, CharacterTokenizer())
    assert len(rows) == 1
    assert counts["dropped"] == {"prompt_fills_max_length": 1}
    assert counts["pairs_in"] == 2


def test_dropping_every_pair_is_an_error_with_the_reasons() -> None:
    with pytest.raises(InputError) as caught:
        tokenize(raw_params(20), pairs(*LONG), CharacterTokenizer())
    assert str(caught.value) == (
        "train.max_dropped = 1.0: 5 of 5 pairs are dropped ({'prompt_fills_max_length': 5}; pair "
        "'pair 0': prompt_fills_max_length); if they are too long, raise train.max_length or set "
        "train.truncation: true"
    )


S1 = "<|im_start|>think\none and one\n<|im_start|>answer\nIt is 2."
S1_SPLIT = (18, 29, 49)


def completion_text(
    trace: dict[str, Any], chat_format: str, opened: bool = False, markers: str = "policy"
) -> str:
    """Return the completion of a trace for a policy with this chat format."""

    class ReasoningOpeningTokenizer(CharacterTokenizer):
        def apply_chat_template(self, conversation: Any, **options: Any) -> str:
            return super().apply_chat_template(conversation, **options) + "<think>\n"

    turn = {"prompt": STATEMENT, "history": []}
    pair = {"pair_id": "p", "problem_id": "q", **turn, "chosen": trace}
    other = {"text": "no", "reasoning_start": 0, "reasoning_end": 0, "answer_start": 0}
    frame = pl.DataFrame([pair | {"rejected": trace | other}])
    ((row,), _) = tokenize_pairs(
        train_params(reasoning_markers=markers, max_length=1_000),
        chat_formats.load(chat_format),
        frame,
        ReasoningOpeningTokenizer() if opened else CharacterTokenizer(),
    )
    return text_of(row["chosen_ids"])


def test_a_trace_of_another_family_gets_the_policys_markers() -> None:
    split = trace_columns(S1, "stop", S1_SPLIT)
    assert completion_text(split, "nemotron") == "<think>\none and one\n</think>\n\nIt is 2.<end>"
    assert completion_text(split, "s1") == S1 + "<end>"
    assert completion_text(split, "plain") == "one and one\n\nIt is 2.<end>"
    assert completion_text(split, "nemotron", markers="raw") == S1 + "<end>"


def test_a_trace_cut_in_its_reasoning_is_not_closed() -> None:
    cut = trace_columns(S1[:25], "length", (18, 25, None))
    assert completion_text(cut, "nemotron") == "<think>\none and"
    assert completion_text({**cut, "finish_reason": "stop"}, "nemotron") == "<think>\none and"


@pytest.mark.parametrize("text", ["<think></think>It is 2.", "<think>\n\n</think>\n\nIt is 2."])
def test_empty_reasoning_keeps_its_markers(text: str) -> None:
    split = chat_formats.load("think").split(text)
    empty = trace_columns(
        text, "stop", (split.reasoning_start, split.reasoning_end, split.answer_start)
    )
    assert completion_text(empty, "nemotron") == "<think>\n\n</think>\n\nIt is 2.<end>"
    assert completion_text(empty, "nemotron", opened=True) == "\n</think>\n\nIt is 2.<end>"
    assert completion_text(empty, "plain") == "It is 2.<end>"
    assert completion_text(empty, "nemotron", markers="raw") == text + "<end>"


def test_a_marker_written_by_the_template_is_not_repeated() -> None:
    assert completion_text(trace_columns(S1, "stop", S1_SPLIT), "nemotron", opened=True) == (
        "one and one\n</think>\n\nIt is 2.<end>"
    )
    without = trace_columns("It is 2.", "stop")
    assert completion_text(without, "nemotron") == "It is 2.<end>"
    assert completion_text(without, "nemotron", opened=True) == "</think>\n\nIt is 2.<end>"
