"""From selected pairs to the rows that a trainer sees (paper, section 3.3); no torch here.

Chat templates of reasoning models drop everything up to </think> from assistant turns, so only the
prompt is rendered by the template; the trace and the token that the template writes at the end of
an assistant's turn are appended here, and a guard proves that the reasoning survived tokenisation.
All methods see the same pairs.
"""

from collections import Counter
from typing import Any, Protocol

import polars as pl

from delta.core.errors import InputError
from delta.core.schemas import SIDES
from delta.core.shuffle import shuffle_key
from delta.core.types import Counts, Row
from delta.inference import chat_formats
from delta.prompts import control_tokens
from delta.training.config import TrainParams

TRACE_COLUMNS = ("text", "finish_reason", "reasoning_start", "reasoning_end", "answer_start")

# Which column of a method's rows is the reference log-probability of which completion.
REFERENCES = {
    "dpo": {"ref_chosen_logps": "chosen_ids", "ref_rejected_logps": "rejected_ids"},
    "kto": {"ref_logps": "completion_ids", "ref_KL_logps": "KL_completion_ids"},
    "sft": {},
}


class Tokenizer(Protocol):
    eos_token_id: int

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def decode(self, token_ids: list[int]) -> str: ...
    def convert_ids_to_tokens(self, ids: list[int]) -> Any: ...
    def __call__(self, text: str, **options: Any) -> Any: ...


def join_texts(
    selected: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame
) -> pl.DataFrame:
    """Selected pairs in rank order, with prompt and both traces. Lost text is an error."""
    sides = {
        side: traces.select(
            pl.col("trace_id").alias(f"{side}_id"), pl.struct(TRACE_COLUMNS).alias(side)
        )
        for side in SIDES
    }
    joined = (
        selected.filter("selected")
        .sort("rank", "pair_id")
        .join(problems.select("problem_id", "prompt", "history"), on="problem_id", how="left")
        .join(sides["chosen"], on="chosen_id", how="left")
        .join(sides["rejected"], on="rejected_id", how="left")
        .sort("rank", "pair_id")
    )
    missing = joined.filter(pl.any_horizontal(pl.col("prompt", *SIDES).is_null()))
    if missing.height:
        raise InputError(f"pair {missing['pair_id'][0]!r}: its problem or a trace is missing")
    return joined.select("pair_id", "problem_id", "prompt", "history", *SIDES)


def tokenize_pairs(
    params: TrainParams,
    protocol: chat_formats.ChatFormat,
    pairs: pl.DataFrame,
    tokenizer: Tokenizer,
) -> tuple[list[Row], Counts]:
    """Rows {pair_id, problem_id, prompt_ids, chosen_ids, rejected_ids}; in = kept + dropped.

    Raises InputError where no pair is left or more than `max_dropped` are dropped.
    """
    rows, cut, dropped = [], Counter[str](), Counter[str]()
    example, end = "", protocol.end_of_turn(tokenizer)
    for pair in pairs.iter_rows(named=True):
        row, long = _row(params, protocol, tokenizer, end, pair)
        if isinstance(row, str):
            dropped[row] += 1
            example = example or f"pair {pair['pair_id']!r}: {row}"
        else:
            rows.append(row)
            cut.update(long)
    counts = {
        "pairs_in": pairs.height,
        "pairs_kept": len(rows),
        "cut": {side: cut[side] for side in SIDES},
        "dropped": dict(sorted(dropped.items())),
        "longest": max((_length(row) for row in rows), default=0),
    }
    if dropped and (not rows or dropped.total() > params.max_dropped * pairs.height):
        raise InputError(
            f"train.max_dropped = {params.max_dropped}: {dropped.total()} of {pairs.height} pairs "
            f"are dropped ({counts['dropped']}; {example}); for those too long, raise "
            "train.max_length or set train.too_long to cut"
        )
    return rows, counts


def _row(
    params: TrainParams,
    protocol: chat_formats.ChatFormat,
    tokenizer: Tokenizer,
    end: int,
    pair: Row,
) -> tuple[Row | str, list[str]]:
    """The row, or why there is none; and which sides were cut. `end` is the end of a turn."""
    conversation = protocol.messages(pair["prompt"], history=pair["history"])
    prompt = protocol.render(tokenizer, conversation)
    row = {"pair_id": pair["pair_id"], "problem_id": pair["problem_id"]}
    row["prompt_ids"] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    room = params.max_length - len(row["prompt_ids"])
    if room < 1:
        return "prompt_fills_max_length", []
    ends = [*map(str, tokenizer.convert_ids_to_tokens([end, tokenizer.eos_token_id]))]
    for side in SIDES:
        parts, finished = completion(params.form, protocol, pair[side], prompt)
        if finished:  # text that was saved with its end has one already
            parts[-1] = (control_tokens.strip_end_of_turn(parts[-1][0], ends), parts[-1][1])
        ids = control_tokens.encode(tokenizer, parts)
        if ids is None:
            return f"{side}_control_tokens", []
        if not ids:
            return f"{side}_empty", []
        if _squeezed(tokenizer.decode(ids)) != _squeezed("".join(text for text, _ in parts)):
            return f"{side}_lost_in_tokenisation", []  # the reasoning would not be trained on
        row[f"{side}_ids"] = [*ids, end] if finished else ids
    long = [side for side in SIDES if len(row[f"{side}_ids"]) > room]
    if long and params.too_long == "drop":
        return "_and_".join(long) + "_too_long", []
    for side in long:
        row[f"{side}_ids"] = row[f"{side}_ids"][:room]
    if row["chosen_ids"] == row["rejected_ids"]:
        return "equal_when_cut", []
    return row, long


def completion(
    form: str, protocol: chat_formats.ChatFormat, trace: Row, prompt: str
) -> tuple[list[tuple[str, bool]], bool]:
    """What stands after the prompt, in parts (text, whether it is a marker), and whether the turn
    ends there.

    A trace that was cut while it was generated gets no end of turn: the model must not learn to
    stop there. Some templates already write the marker that begins the reasoning.
    """
    text, finished = trace["text"], trace["finish_reason"] == "stop"
    begin, end, start = trace["reasoning_start"], trace["reasoning_end"], trace["answer_start"]
    answer = None if start is None else text[start:]
    if form == "raw":
        between = text[end:] if start is None else text[end:start]
        parts = [(text[:begin], True), (text[begin:end], False), (between, True)]
        return [*parts, (answer or "", False)], finished
    has_markers = start is None or start > end
    if has_markers and answer is not None:
        answer = answer.lstrip()  # what parts it from the reasoning belongs to the marker
    parts = protocol.parts(text[begin:end], answer, has_markers)
    begins, ends = protocol.begins or "", protocol.ends or ""
    if begins and prompt.rstrip().endswith(begins.rstrip()):
        # Opened by the prompt: reasoning goes on there, and an answer alone has to close it.
        parts = parts[1:] if parts[0] == (begins, True) else [(ends.lstrip(), True), *parts]
    return parts, finished and answer is not None


def _squeezed(text: str) -> str:
    """Without white space, which some tokenizers even out."""
    return "".join(text.split())


def _length(row: Row) -> int:
    return len(row["prompt_ids"]) + max(len(row[f"{side}_ids"]) for side in SIDES)


def split_held_out(params: TrainParams, rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows for the convergence rule: no problem has rows in both."""
    if params.convergence is None:
        return rows, []
    problems = sorted(
        {row["problem_id"] for row in rows},
        key=lambda problem: shuffle_key(params.seed, "held out", problem),
    )
    kept_back = set(problems[: max(1, round(params.convergence.held_out * len(problems)))])
    if len(kept_back) == len(problems):
        raise InputError(
            f"train.convergence.held_out = {params.convergence.held_out}: the pairs have only "
            f"{len(problems)} problems, none is left to train on; allowed: a smaller share"
        )
    train = [row for row in rows if row["problem_id"] not in kept_back]
    return train, [row for row in rows if row["problem_id"] in kept_back]


def to_trl_columns(params: TrainParams, rows: list[Row]) -> list[Row]:
    """The columns that the method's trainer reads, but for reference log-probabilities."""
    if params.method == "kto":
        return _unpaired(params, rows)
    if params.method == "dpo":
        return [
            {name: row[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
            for row in rows
        ]
    return [
        {
            "input_ids": row["prompt_ids"] + row["chosen_ids"],
            "labels": [-100] * len(row["prompt_ids"]) + row["chosen_ids"],  # -100: not in the loss
        }
        for row in rows
    ]


def _unpaired(params: TrainParams, rows: list[Row]) -> list[Row]:
    """Both sides of every pair in a seeded order, each with its neighbour's completion.

    KTO's reference point is the mean log-ratio of completions under prompts they do not belong to.
    TRL takes the rows in this order and gathers a step's batches over all processes, so completions
    rotate by one within that step: its estimate covers just what its losses are about. Where pairs
    share a completion, the next other one is taken: a row is never compared with its own.
    """
    single = [
        {
            "prompt_ids": row["prompt_ids"],
            "completion_ids": row[f"{side}_ids"],
            "label": side == "chosen",
            "_order": shuffle_key(params.seed, row["pair_id"], side),
        }
        for row in rows
        for side in SIDES
    ]
    single.sort(key=lambda row: row.pop("_order"))
    together = params.batch_size * params.launch.processes
    for start in range(0, len(single), together):
        step = single[start : start + together]
        earlier = single[start - 1 : start] if len(step) == 1 else []
        for place, row in enumerate(step):
            # The row before, then the one before that, around the step.
            turned = [*earlier, *step[place:], *step[:place]][::-1]
            other = next(
                (row_ for row_ in turned if row_["completion_ids"] != row["completion_ids"]),
                turned[0],
            )
            room = params.max_length - len(row["prompt_ids"])
            row["KL_completion_ids"] = other["completion_ids"][:room]
    return single
