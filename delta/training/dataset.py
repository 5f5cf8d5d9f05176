"""Convert selected pairs to the rows that a trainer reads (paper, section 3.3), without torch.

Chat templates of reasoning models remove everything up to </think> from assistant turns. So the
template renders only the prompt. The trace and its end-of-turn token are appended here, and a check
proves that tokenization keeps the reasoning. All methods get the same pairs.
"""

from collections import Counter
from typing import Any

import polars as pl

from delta.core.errors import InputError
from delta.core.schemas import SIDES
from delta.core.shuffle import shuffle_key
from delta.core.types import Counts, Row
from delta.inference.chat_formats import ChatFormat
from delta.prompts import control_tokens
from delta.training.config import TrainParams

TRACE_COLUMNS = ("text", "finish_reason", "reasoning_start", "reasoning_end", "answer_start")

# method -> {column of reference log-probabilities: column of the completions they belong to}
REFERENCE_COLUMNS = {
    "dpo": {"ref_chosen_logps": "chosen_ids", "ref_rejected_logps": "rejected_ids"},
    "kto": {"ref_logps": "completion_ids", "ref_KL_logps": "KL_completion_ids"},
    "sft": {},
}


def join_texts(
    selected: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame
) -> pl.DataFrame:
    """Return the selected pairs (TRAINING_PAIR), in their order, with prompt and both traces.

    Raises InputError if a problem or a trace is missing.
    """
    pairs = selected.join(
        problems.select("problem_id", "prompt", "history"),
        on="problem_id",
        how="left",
        maintain_order="left",
    )
    for side in SIDES:
        texts = traces.select(
            pl.col("trace_id").alias(f"{side}_id"), pl.struct(TRACE_COLUMNS).alias(side)
        )
        pairs = pairs.join(texts, on=f"{side}_id", how="left", maintain_order="left")
    missing = pairs.filter(pl.any_horizontal(pl.col("prompt", *SIDES).is_null()))
    if missing.height:
        raise InputError(f"pair {missing['pair_id'][0]!r}: its problem or a trace is missing")
    return pairs.select("pair_id", "problem_id", "prompt", "history", *SIDES)


def tokenize_pairs(
    params: TrainParams, chat_format: ChatFormat, pairs: pl.DataFrame, tokenizer: Any
) -> tuple[list[Row], Counts]:
    """Return rows {pair_id, problem_id, prompt_ids, chosen_ids, rejected_ids}, and counts.

    pairs_in = pairs_kept + dropped. Raises InputError if no pair is left or if more than
    `max_dropped` are dropped.
    """
    rows, cut, dropped = [], Counter[str](), Counter[str]()
    example, end_of_turn = "", chat_format.end_of_turn(tokenizer)
    for pair in pairs.iter_rows(named=True):
        row, long_sides = _tokenize(params, chat_format, tokenizer, end_of_turn, pair)
        if isinstance(row, str):
            dropped[row] += 1
            example = example or f"pair {pair['pair_id']!r}: {row}"
        else:
            rows.append(row)
            cut.update(long_sides)
    lengths = (len(row["prompt_ids"] + row[f"{side}_ids"]) for row in rows for side in SIDES)
    counts = {
        "pairs_in": pairs.height,
        "pairs_kept": len(rows),
        "cut": {side: cut[side] for side in SIDES},
        "dropped": dict(sorted(dropped.items())),
        "longest": max(lengths, default=0),
    }
    if dropped and (not rows or dropped.total() > params.max_dropped * pairs.height):
        raise InputError(
            f"train.max_dropped = {params.max_dropped}: {dropped.total()} of {pairs.height} pairs "
            f"are dropped ({counts['dropped']}; {example}); if they are too long, raise "
            "train.max_length or set train.truncation: true"
        )
    return rows, counts


def _tokenize(
    params: TrainParams, chat_format: ChatFormat, tokenizer: Any, end_of_turn: int, pair: Row
) -> tuple[Row | str, list[str]]:
    """Return a row or the reason why the pair is dropped, and the sides that were cut."""
    messages = chat_format.messages(pair["prompt"], history=pair["history"])
    prompt = chat_format.render(tokenizer, messages)
    row = {"pair_id": pair["pair_id"], "problem_id": pair["problem_id"]}
    row["prompt_ids"] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    max_completion = params.max_length - len(row["prompt_ids"])
    if max_completion < 1:
        return "prompt_fills_max_length", []
    for side in SIDES:
        ids = completion_ids(params, chat_format, tokenizer, end_of_turn, pair[side], prompt)
        if isinstance(ids, str):
            return f"{side}_{ids}", []
        row[f"{side}_ids"] = ids
    long_sides = [side for side in SIDES if len(row[f"{side}_ids"]) > max_completion]
    if long_sides and not params.truncation:
        return "_and_".join(long_sides) + "_too_long", []
    for side in long_sides:
        row[f"{side}_ids"] = row[f"{side}_ids"][:max_completion]
    if row["chosen_ids"] == row["rejected_ids"]:
        return "equal_when_cut", []
    return row, long_sides


def completion_ids(
    params: TrainParams,
    chat_format: ChatFormat,
    tokenizer: Any,
    end_of_turn: int,
    trace: Row,
    prompt: str,
) -> list[int] | str:
    """Return the tokens of a trace after its rendered prompt, or why it has none."""
    end_tokens = tokenizer.convert_ids_to_tokens([end_of_turn, tokenizer.eos_token_id])
    parts, finished = _completion_parts(params, chat_format, trace, prompt)
    if finished:  # a recorded text may already contain its end-of-turn token
        text, is_marker = parts[-1]
        parts[-1] = control_tokens.strip_end_of_turn(text, [*map(str, end_tokens)]), is_marker
    ids = control_tokens.encode(tokenizer, parts)
    if ids is None:
        return "control_tokens"
    if not ids:
        return "empty"
    # Some tokenizers change white space; any other change would lose reasoning.
    text = "".join(text for text, _ in parts)
    if _without_spaces(tokenizer.decode(ids)) != _without_spaces(text):
        return "lost_in_tokenisation"
    return [*ids, end_of_turn] if finished else ids


def _completion_parts(
    params: TrainParams, chat_format: ChatFormat, trace: Row, prompt: str
) -> tuple[list[tuple[str, bool]], bool]:
    """Return the completion as parts (text, is a marker), and whether the turn ends after it.

    A trace that was cut during generation gets no end of turn, because the model must not learn to
    stop there. Some templates already write the marker that begins the reasoning.
    """
    text, finished = trace["text"], trace["finish_reason"] == "stop"
    begin, end, start = trace["reasoning_start"], trace["reasoning_end"], trace["answer_start"]
    answer = None if start is None else text[start:]
    if params.reasoning_markers == "raw":
        between = text[end:] if start is None else text[end:start]
        parts = [(text[:begin], True), (text[begin:end], False), (between, True)]
        return [*parts, (answer or "", False)], finished
    has_markers = start is None or start > end
    if has_markers and answer is not None:
        answer = answer.lstrip()  # the space before it belongs to the marker
    parts = chat_format.parts(text[begin:end], answer, has_markers)
    begins, ends = chat_format.begins or "", chat_format.ends or ""
    if begins and prompt.rstrip().endswith(begins.rstrip()):
        # The prompt opens the reasoning: continue it, or close it before an answer alone.
        parts = parts[1:] if parts[0] == (begins, True) else [(ends.lstrip(), True), *parts]
    return parts, finished and answer is not None


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def split_held_out(params: TrainParams, rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Split into rows to train on and held-out rows for early stopping, by problem.

    Raises InputError if no problem is left to train on.
    """
    if params.early_stopping is None:
        return rows, []
    problems = sorted(
        {row["problem_id"] for row in rows},
        key=lambda problem: shuffle_key(params.seed, "held out", problem),
    )
    fraction = params.early_stopping.held_out
    held_out = set(problems[: max(1, round(fraction * len(problems)))])
    if len(held_out) == len(problems):
        raise InputError(
            f"train.early_stopping.held_out = {fraction}: the pairs have only {len(problems)} "
            "problems, none is left to train on; expected a smaller fraction"
        )
    train = [row for row in rows if row["problem_id"] not in held_out]
    return train, [row for row in rows if row["problem_id"] in held_out]


def to_trl_columns(params: TrainParams, rows: list[Row]) -> list[Row]:
    """Return the columns that the method's trainer reads, except reference log-probabilities."""
    if params.method == "kto":
        return _kto_rows(params, rows)
    if params.method == "dpo":
        columns = ("prompt_ids", "chosen_ids", "rejected_ids")
        return [{name: row[name] for name in columns} for row in rows]
    return [
        {
            "input_ids": row["prompt_ids"] + row["chosen_ids"],
            "labels": [-100] * len(row["prompt_ids"]) + row["chosen_ids"],  # -100: not in the loss
        }
        for row in rows
    ]


def _kto_rows(params: TrainParams, rows: list[Row]) -> list[Row]:
    """Return both sides of every pair in a seeded order, each with another row's completion.

    KTO's reference point is the mean log-ratio of completions under prompts they do not belong to.
    TRL reads the rows in this order and gathers a step's batches over all processes. Completions
    rotate by one row within that step, so that the estimate covers exactly the rows in its loss. If
    pairs share a completion, the next different one is taken, so that no row is compared with
    itself.
    """
    kto_rows = [
        {
            "prompt_ids": row["prompt_ids"],
            "completion_ids": row[f"{side}_ids"],
            "label": side == "chosen",
            "_order": shuffle_key(params.seed, row["pair_id"], side),
        }
        for row in rows
        for side in SIDES
    ]
    kto_rows.sort(key=lambda row: row.pop("_order"))
    for start in range(0, len(kto_rows), params.rows_per_forward):
        step = kto_rows[start : start + params.rows_per_forward]
        for index, row in enumerate(step):
            # The previous rows, the nearest first, cyclically within the step.
            candidates = [*step[index:], *step[:index]][::-1]
            different = (c for c in candidates if c["completion_ids"] != row["completion_ids"])
            other = next(different, candidates[0])
            max_completion = params.max_length - len(row["prompt_ids"])
            row["KL_completion_ids"] = other["completion_ids"][:max_completion]
    return kto_rows
