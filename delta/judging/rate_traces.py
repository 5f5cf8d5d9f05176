"""Rate traces by one of the run's raters: by its rules, its model's answers or its surprisal."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import polars as pl

from delta.core import paths, tables
from delta.core.console import Console
from delta.core.schemas import RATING
from delta.inference.model_client import open_model
from delta.inference.vllm_engine import VllmEngine
from delta.judging import judge
from delta.judging.judge import JudgeInput, JudgeParams, SecondJudgeParams
from delta.judging.rubric import RUBRIC, Dimension
from delta.judging.surprisal import TraceToken


def rate_traces(
    console: Console,
    title: str,
    rater: JudgeParams | SecondJudgeParams,
    max_refused: float,
    inputs: list[JudgeInput],
    order: Sequence[Dimension] = RUBRIC,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the RATING rows and counts. `title` is the item of the reply cache.

    `order` is that of the dimensions in a model's prompt; rules have none.
    """
    if rater.rater == "none":
        return tables.frame_of([], RATING), {"judge": None, "votes": 0, "refused": 0}
    if rater.rater == "rules":
        return judge.judge_by_rules(rater.rules, inputs, partial(console.progress, label=title))
    if rater.rater == "surprisal":
        assert isinstance(rater, SecondJudgeParams)
        tokens = _tokens(console, title, rater.surprisal.model, inputs)
        return judge.judge_by_surprisal(rater.surprisal, inputs, tokens)
    llm, model = rater.llm, open_model(rater.llm.model)
    engine = model.engine
    max_prompt_tokens = model.max_prompt_tokens(llm.max_tokens)
    inputs, cut = judge.truncate_traces(llm, engine, max_prompt_tokens, inputs, order)
    requests = list(judge.build_requests(llm, engine, model.fingerprint, inputs, order))
    with model.replies(title, console, title) as (generate, cache):
        ratings, counts = judge.judge_by_llm(
            llm, max_refused, inputs, requests, generate, engine.chat_format
        )
    return ratings, counts | cut | {"engine": engine.name, "failed": cache.failures()}


def _tokens(
    console: Console, title: str, name: str, inputs: list[JudgeInput]
) -> dict[str, list[TraceToken] | None]:
    """Return the tokens of each trace by its id, or None where model `name` cannot read so many.

    They are computed in each run: 200 short traces take seconds, and no reply is drawn.
    """
    from delta.inference.token_logps import token_logps  # imports torch

    model = open_model(name)
    engine = model.engine
    assert isinstance(engine, VllmEngine)  # delta.check: its weights are here
    texts: dict[tuple[int, ...], list[tuple[int, ...]]] = {}  # by prompt, which is computed once
    encoded = {}
    for entry in inputs:
        prompt = engine.render(engine.chat_format.messages(entry.statement))
        before, text = (
            engine.tokenizer(part, add_special_tokens=False, return_offsets_mapping=True)
            for part in (prompt, entry.trace)
        )
        key = tuple(before["input_ids"]), tuple(text["input_ids"])
        if sum(map(len, key)) <= model.max_model_len:
            texts.setdefault(key[0], []).append(key[1])
            encoded[entry.trace_id] = key, [start for start, _ in text["offset_mapping"]]
    logps = {}
    if encoded:
        results = token_logps(paths.model(name), engine.serving.dtype, texts)
        number = len({key for key, _ in encoded.values()})
        for prompt_ids, ids, values in console.progress(results, number, label=title):
            logps[prompt_ids, ids] = values
    tokens: dict[str, list[TraceToken] | None] = dict.fromkeys(entry.trace_id for entry in inputs)
    for trace_id, (key, starts) in encoded.items():
        tokens[trace_id] = list(map(TraceToken, starts, logps.get(key, [])))
    return tokens
