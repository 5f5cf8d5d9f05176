"""Training rows keep reasoning and ends of turns; cut and dropped sides are counted."""

from typing import Any

import polars as pl
import pytest

from delta.core import tables
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM
from delta.inference import chat_formats
from delta.training.config import TrainParams
from delta.training.dataset import join_texts, split_held_out, to_trl_columns, tokenize_pairs
from tests.helpers.tiny_models import train_params

END = 0
STATEMENT = "1 + 1 = ?"
REASONED = "<think>one and one</think> It is 2."
INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
PROMPT = f"[user]{INSTRUCTION}\n\n{STATEMENT}[assistant]"


class CharacterTokenizer:
    """A tokenizer with one token per character; its template drops reasoning from answers."""

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

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [chr(token) for token in ids]


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


def trace(text: str, finish: str, split: tuple[int, int, int | None] = (0, 0, 0)) -> dict[str, Any]:
    names = ("reasoning_start", "reasoning_end", "answer_start")
    return {"text": text, "finish_reason": finish, **dict(zip(names, split, strict=True))}


def pairs(*rows: tuple[str, str, str], statement: str = STATEMENT) -> pl.DataFrame:
    """Return the table of join_texts. Rows: chosen, rejected, "finish reason/finish reason"."""
    return pl.DataFrame(
        [
            {
                "pair_id": f"pair {number}",
                "problem_id": f"problem {number}",
                "prompt": f"{INSTRUCTION}\n\n{statement}",
                "history": [],
                "chosen": trace(chosen, finish.split("/")[0]),
                "rejected": trace(rejected, finish.split("/")[1]),
            }
            for number, (chosen, rejected, finish) in enumerate(rows)
        ]
    )


def text_of(ids: list[int]) -> str:
    return CharacterTokenizer().decode(ids).replace(chr(END), "<end>")


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
    both = pl.concat([pairs(("a", "b", "stop/stop"), statement="1" * 20), pairs(*LONG[3:4])])
    rows, counts = tokenize(raw_params(len(PROMPT) + 6, truncation), both, CharacterTokenizer())
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
    split = trace(S1, "stop", S1_SPLIT)
    assert completion_text(split, "nemotron") == "<think>\none and one\n</think>\n\nIt is 2.<end>"
    assert completion_text(split, "s1") == S1 + "<end>"
    assert completion_text(split, "plain") == "one and one\n\nIt is 2.<end>"
    assert completion_text(split, "nemotron", markers="raw") == S1 + "<end>"


def test_a_trace_cut_in_its_reasoning_is_not_closed() -> None:
    cut = trace(S1[:25], "length", (18, 25, None))
    assert completion_text(cut, "nemotron") == "<think>\none and"
    assert completion_text({**cut, "finish_reason": "stop"}, "nemotron") == "<think>\none and"


@pytest.mark.parametrize("text", ["<think></think>It is 2.", "<think>\n\n</think>\n\nIt is 2."])
def test_empty_reasoning_keeps_its_markers(text: str) -> None:
    split = chat_formats.load("think").split(text)
    empty = trace(text, "stop", (split.reasoning_start, split.reasoning_end, split.answer_start))
    assert completion_text(empty, "nemotron") == "<think>\n\n</think>\n\nIt is 2.<end>"
    assert completion_text(empty, "nemotron", opened=True) == "\n</think>\n\nIt is 2.<end>"
    assert completion_text(empty, "plain") == "It is 2.<end>"
    assert completion_text(empty, "nemotron", markers="raw") == text + "<end>"


def test_a_marker_written_by_the_template_is_not_repeated() -> None:
    assert completion_text(trace(S1, "stop", S1_SPLIT), "nemotron", opened=True) == (
        "one and one\n</think>\n\nIt is 2.<end>"
    )
    without = trace("It is 2.", "stop")
    assert completion_text(without, "nemotron") == "It is 2.<end>"
    assert completion_text(without, "nemotron", opened=True) == "</think>\n\nIt is 2.<end>"


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


def test_no_problem_is_both_trained_on_and_held_out() -> None:
    rows = rows_of_problems(8)
    train, held_out = split_held_out(train_params(early_stopping=RULE), rows)
    assert (len(train), len(held_out)) == (12, 4)
    assert not {row["problem_id"] for row in train} & {row["problem_id"] for row in held_out}
    assert split_held_out(train_params(early_stopping=RULE), rows[::-1])[1] == held_out[::-1]
    assert split_held_out(train_params(early_stopping=RULE, seed=8), rows)[1] != held_out
    assert split_held_out(train_params(), rows) == (rows, [])


def test_holding_out_the_only_problem_is_refused() -> None:
    with pytest.raises(InputError, match="none is left to train on"):
        split_held_out(train_params(early_stopping=RULE), rows_of_problems(1))


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
    params = train_params(method="kto", per_device_train_batch_size=4, num_processes=processes)
    singles = to_trl_columns(params, rows_of_problems(4))
    matched = completions(singles, "completion_ids")
    mismatched = completions(singles, "KL_completion_ids")
    size = 4 * processes
    for start in range(0, len(singles), size):
        step = matched[start : start + size]
        assert mismatched[start : start + size] == [step[-1], *step[:-1]]


def test_a_single_row_in_the_last_step_is_not_compared_with_itself() -> None:
    singles = to_trl_columns(
        train_params(method="kto", per_device_train_batch_size=3),
        rows_of_problems(1) + rows_of_problems(2)[2:],
    )
    last = to_trl_columns(
        train_params(method="kto", per_device_train_batch_size=7), rows_of_problems(2)
    )
    assert all(row["completion_ids"] != row["KL_completion_ids"] for row in [*singles, *last])


def test_a_completion_that_two_pairs_share_is_not_compared_with_itself() -> None:
    shared = [row | {"chosen_ids": [7, 7]} for row in rows_of_problems(8)]
    singles = to_trl_columns(train_params(method="kto", per_device_train_batch_size=16), shared)
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
    """Join three pairs, two of them selected, with their texts."""
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


def test_only_selected_pairs_are_joined_with_their_texts_in_rank_order() -> None:
    assert join().rows() == [
        (
            "y",
            "p.1",
            "one?",
            [],
            trace("chosen 1", "stop", SPLIT),
            trace("rejected 1", "stop", SPLIT),
        ),
        (
            "x",
            "p.0",
            "zero?",
            [],
            trace("chosen 0", "stop", SPLIT),
            trace("rejected 0", "length", (0, 4, None)),
        ),
    ]


def test_a_pair_whose_text_is_missing_is_named() -> None:
    incomplete = pl.DataFrame([{"trace_id": "c1", **trace("chosen 1", "stop")}])
    with pytest.raises(InputError, match="pair 'y': its problem or a trace is missing"):
        join(traces=incomplete)
    with pytest.raises(InputError, match="pair 'x': its problem or a trace is missing"):
        join(problems=problem_table(("p.1", "one?")))
