"""Rate traces by one of the run's raters: by its rules, or by asking its model."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import polars as pl

from delta.core import tables
from delta.core.console import Console
from delta.core.schemas import RATING
from delta.inference.model_client import open_model
from delta.judging import judge
from delta.judging.judge import JudgeInput, JudgeParams, SecondJudgeParams
from delta.judging.rubric import RUBRIC, Dimension


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
