"""From selected pairs to the rows that a trainer sees (paper, section 3.3); no torch here.

Chat templates of reasoning models drop everything up to </think> from assistant turns, so only the
prompt is rendered by the template; the raw trace and the end-of-turn token are appended here, and a
guard proves that the reasoning survived tokenisation.
"""

from collections import Counter
from typing import Annotated, Any, Literal, Protocol

import polars as pl
from pydantic import Field

from delta import prompts
from delta.errors import InputError
from delta.params import Section
from delta.records import SIDES

Counts = dict[str, Any]


class TrainParams(Section):
    base: str  # a name in `models`
    method: Literal["dpo"]
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    beta: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]  # pairs a forward pass
    accumulation: Annotated[int, Field(ge=1)]  # forward passes an optimizer step
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    max_length: Annotated[int, Field(ge=2)]  # tokens, prompt and completion
    too_long: Literal["cut", "drop"]  # what happens to a pair with a side over max_length
    save_every: Annotated[int, Field(ge=1)]  # optimizer steps between checkpoints
    log_every: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


class Tokenizer(Protocol):
    eos_token_id: int

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def decode(self, token_ids: list[int]) -> str: ...
    def __call__(self, text: str, **options: Any) -> Any: ...


def texts(selected: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Selected pairs in rank order, with statement and both traces. Lost text is an error."""
    sides = {
        side: traces.select(
            pl.col("trace_id").alias(f"{side}_id"),
            pl.col("text").alias(side),
            pl.col("finish_reason").alias(f"{side}_finish"),
        )
        for side in SIDES
    }
    joined = (
        selected.filter("selected")
        .sort("rank")
        .join(problems.select("problem_id", "statement"), on="problem_id", how="left")
        .join(sides["chosen"], on="chosen_id", how="left")
        .join(sides["rejected"], on="rejected_id", how="left")
        .sort("rank")
    )
    missing = joined.filter(pl.any_horizontal(pl.col("statement", *SIDES).is_null()))
    if missing.height:
        raise InputError(f"pair {missing['pair_id'][0]!r}: its problem or a trace is missing")
    return joined.select("pair_id", "statement", *SIDES, "chosen_finish", "rejected_finish")


def tokenized(
    params: TrainParams, pairs: pl.DataFrame, tokenizer: Tokenizer
) -> tuple[list[dict[str, Any]], Counts]:
    """Rows {pair_id, prompt_ids, chosen_ids, rejected_ids}, and counts: in = kept + dropped.

    A trace that was cut while it was generated gets no end-of-turn token: the model must not learn
    to stop there. Raises InputError where no pair is left.
    """
    rows, cut, dropped = [], Counter[str](), Counter[str]()
    for pair in pairs.iter_rows(named=True):
        row = {"pair_id": pair["pair_id"], "prompt_ids": _prompt(tokenizer, pair["statement"])}
        room = params.max_length - len(row["prompt_ids"])
        if room < 1:
            dropped["prompt_fills_max_length"] += 1
            continue
        for side in SIDES:
            finished = pair[f"{side}_finish"] == "stop"
            row[f"{side}_ids"] = _completion(tokenizer, pair[side], finished)
        long = [side for side in SIDES if len(row[f"{side}_ids"]) > room]
        if long and params.too_long == "drop":
            dropped["_and_".join(long) + "_too_long"] += 1
            continue
        for side in long:
            row[f"{side}_ids"] = row[f"{side}_ids"][:room]
        if row["chosen_ids"] == row["rejected_ids"]:
            dropped["equal_when_cut"] += 1
            continue
        cut.update(long)
        rows.append(row)
    counts = {
        "pairs_in": pairs.height,
        "pairs_kept": len(rows),
        "cut": {side: cut[side] for side in SIDES},
        "dropped": dict(sorted(dropped.items())),
    }
    if not rows:
        raise InputError(
            f"train.max_length = {params.max_length}: none of {pairs.height} pairs fits "
            f"({counts['dropped']}); raise it, or set train.too_long to cut"
        )
    return rows, counts


def _prompt(tokenizer: Tokenizer, statement: str) -> list[int]:
    rendered = tokenizer.apply_chat_template(
        prompts.conversation(statement, num_examples=0), tokenize=False, add_generation_prompt=True
    )
    ids: list[int] = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    return ids


def _completion(tokenizer: Tokenizer, text: str, finished: bool) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if _squeezed(tokenizer.decode(ids)) != _squeezed(text):
        raise InputError(
            f"train: the trace {text[:60]!r}… does not survive tokenisation: it comes back as "
            f"{tokenizer.decode(ids)[:60]!r}…; the reasoning would not be trained on"
        )
    return [*ids, tokenizer.eos_token_id] if finished else ids


def _squeezed(text: str) -> str:
    """Without white space, which some tokenizers even out."""
    return "".join(text.split())
