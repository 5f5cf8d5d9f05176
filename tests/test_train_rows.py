"""What the trainer sees: reasoning survives, ends stand where they are, cuts are counted."""

from typing import Any, Literal

import polars as pl
import pytest

from delta.errors import InputError
from delta.train import TrainParams, texts, tokenized

END = 0
STATEMENT = "1 + 1 = ?"
REASONED = "<think>one and one</think> It is 2."
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
PROMPT = f"[user]{INSTRUCTION}\n\n{STATEMENT}[assistant]"


class Characters:
    """A tokenizer of one token a character, with a template that drops reasoning from answers."""

    eos_token_id = END

    def apply_chat_template(self, conversation: Any, **options: Any) -> str:
        assert not options["tokenize"]
        turns = [
            f"[{turn['role']}]{turn['content'].rpartition('</think>')[2]}" for turn in conversation
        ]
        return "".join(turns) + ("[assistant]" if options["add_generation_prompt"] else "")

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        assert options == {"add_special_tokens": False}
        return {"input_ids": [ord(character) for character in text]}

    def decode(self, token_ids: list[int]) -> str:
        return "".join(chr(token) for token in token_ids)


class Spaced(Characters):
    """A tokenizer that evens out white space, as some do."""

    def decode(self, token_ids: list[int]) -> str:
        return " ".join(super().decode(token_ids).split())


class Forgetful(Characters):
    """A tokenizer that knows no digits."""

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        known = "".join("?" if character.isdigit() else character for character in text)
        return super().__call__(known, **options)


class Thoughtless(Characters):
    """A tokenizer that drops what stands in <think>…</think>."""

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        answer = text.rpartition("</think>")[2]
        return super().__call__(answer, **options)


def params(max_length: int, too_long: Literal["cut", "drop"] = "cut") -> TrainParams:
    return TrainParams(
        base="toy",
        method="dpo",
        learning_rate=1e-5,
        beta=0.1,
        epochs=1,
        batch_size=1,
        accumulation=1,
        warmup_share=0.1,
        max_grad_norm=1.0,
        max_length=max_length,
        too_long=too_long,
        save_every=1,
        log_every=1,
        seed=7,
    )


def pairs(*rows: tuple[str, str, str], statement: str = STATEMENT) -> pl.DataFrame:
    """(chosen, rejected, finish reasons "chosen/rejected") → what `texts` gives."""
    return pl.DataFrame(
        [
            {
                "pair_id": f"pair {number}",
                "statement": statement,
                "chosen": chosen,
                "rejected": rejected,
                "chosen_finish": finish.split("/")[0],
                "rejected_finish": finish.split("/")[1],
            }
            for number, (chosen, rejected, finish) in enumerate(rows)
        ]
    )


def text_of(ids: list[int]) -> str:
    return Characters().decode(ids).replace(chr(END), "<end>")


def test_the_reasoning_is_trained_on_though_the_template_would_drop_it() -> None:
    tokenizer = Characters()
    turn = [{"role": "assistant", "content": REASONED}]
    assert "one and one" not in tokenizer.apply_chat_template(
        turn, tokenize=False, add_generation_prompt=False
    )
    ((row,), counts) = tokenized(params(1_000), pairs((REASONED, "2", "stop/stop")), tokenizer)
    assert text_of(row["prompt_ids"]) == PROMPT
    assert text_of(row["chosen_ids"]) == "<think>one and one</think> It is 2.<end>"
    assert text_of(row["rejected_ids"]) == "2<end>"
    assert counts == {
        "pairs_in": 1,
        "pairs_kept": 1,
        "cut": {"chosen": 0, "rejected": 0},
        "dropped": {},
    }


@pytest.mark.parametrize("tokenizer", [Forgetful(), Thoughtless()])
def test_a_tokenizer_that_loses_text_is_refused(tokenizer: Characters) -> None:
    with pytest.raises(InputError, match="does not survive tokenisation") as caught:
        tokenized(params(1_000), pairs((REASONED, "no", "stop/stop")), tokenizer)
    assert "<think>one and one</think> It is 2." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_message_about_lost_text_is_one_line_whatever_the_text() -> None:
    with pytest.raises(InputError) as caught:
        tokenized(params(1_000), pairs(("first\nthen 2", "no", "stop/stop")), Forgetful())
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_evens_out_white_space_is_not_refused() -> None:
    rows, _ = tokenized(params(1_000), pairs(("1  +\n1", "2", "stop/stop")), Spaced())
    assert text_of(rows[0]["chosen_ids"]) == "1  +\n1<end>"


def test_a_trace_that_was_cut_gets_no_end_of_turn_and_a_finished_one_does() -> None:
    three = pairs(("a", "b", "stop/length"), ("c", "d", "length/stop"), ("e", "f", "length/length"))
    rows, _ = tokenized(params(1_000), three, Characters())
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


def test_cuts_are_counted_for_each_side_and_lose_the_end_of_turn() -> None:
    rows, counts = tokenized(params(len(PROMPT) + 6), pairs(*LONG), Characters())
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
    }


def test_drops_are_counted_by_side_and_add_up() -> None:
    rows, counts = tokenized(params(len(PROMPT) + 6, "drop"), pairs(*LONG), Characters())
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
    }


def test_a_completion_that_just_fits_is_whole() -> None:
    rows, counts = tokenized(params(len(PROMPT) + 9), pairs(*LONG), Characters())
    assert counts["cut"] == {"chosen": 0, "rejected": 0}
    assert text_of(rows[0]["chosen_ids"]) == "12345678<end>"


def test_sides_that_a_cut_makes_equal_are_no_pair() -> None:
    same_start = pairs(("123456 yes", "123456 no", "stop/stop"), ("a", "b", "stop/stop"))
    rows, counts = tokenized(params(len(PROMPT) + 6), same_start, Characters())
    assert [row["pair_id"] for row in rows] == ["pair 1"]
    assert counts["pairs_in"] == counts["pairs_kept"] + sum(counts["dropped"].values()) == 2


@pytest.mark.parametrize("too_long", ["cut", "drop"])
def test_a_prompt_that_fills_max_length_is_dropped_and_counted(
    too_long: Literal["cut", "drop"],
) -> None:
    both = pl.concat([pairs(("a", "b", "stop/stop"), statement="1" * 20), pairs(*LONG[3:4])])
    rows, counts = tokenized(params(len(PROMPT) + 6, too_long), both, Characters())
    assert len(rows) == 1
    assert counts["dropped"] == {"prompt_fills_max_length": 1}
    assert counts["pairs_in"] == 2


def test_no_pair_left_is_an_error_with_the_reasons() -> None:
    with pytest.raises(InputError) as caught:
        tokenized(params(20), pairs(*LONG), Characters())
    assert str(caught.value) == (
        "train.max_length = 20: none of 5 pairs fits ({'prompt_fills_max_length': 5}); raise it, "
        "or set train.too_long to cut"
    )


def joined(**changed: Any) -> pl.DataFrame:
    """Three pairs of which two are selected, joined with their texts."""
    table = pl.DataFrame(
        {
            "pair_id": ["x", "y", "z"],
            "problem_id": ["p.0", "p.1", "p.0"],
            "chosen_id": ["c0", "c1", "c0"],
            "rejected_id": ["r0", "r1", "r1"],
            "rank": [2, 1, 3],
            "selected": [True, True, False],
        }
    )
    problems = pl.DataFrame({"problem_id": ["p.0", "p.1"], "statement": ["zero?", "one?"]})
    traces = pl.DataFrame(
        {
            "trace_id": ["c0", "r0", "c1", "r1"],
            "text": ["chosen 0", "rejected 0", "chosen 1", "rejected 1"],
            "finish_reason": ["stop", "length", "stop", "stop"],
        }
    )
    return texts(table, changed.get("problems", problems), changed.get("traces", traces))


def test_only_selected_pairs_are_joined_with_their_texts_in_rank_order() -> None:
    assert joined().rows() == [
        ("y", "one?", "chosen 1", "rejected 1", "stop", "stop"),
        ("x", "zero?", "chosen 0", "rejected 0", "stop", "length"),
    ]


def test_a_pair_whose_text_is_missing_is_named() -> None:
    lost = pl.DataFrame({"trace_id": ["c1"], "text": ["chosen 1"], "finish_reason": ["stop"]})
    with pytest.raises(InputError, match="pair 'y': its problem or a trace is missing"):
        joined(traces=lost)
    with pytest.raises(InputError, match="pair 'x': its problem or a trace is missing"):
        joined(problems=pl.DataFrame({"problem_id": ["p.1"], "statement": ["one?"]}))
