"""What generate, verify, judge and evaluate would ask, and of which rows.

Requests are built by the stages' own functions from today's tables, so their keys are those of a
run. Where a table does not exist yet or will change, how many rows there will be is an estimate
from params.yaml.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial

import polars as pl

from delta import prompts
from delta.core import paths
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, QUESTION, TRACE, VERDICT, WITHOUT_TEXT
from delta.data.problems import ProblemsParams
from delta.evaluation import evaluate
from delta.grading import llm_equivalence, verify
from delta.inference import generate
from delta.inference.generate import SampledParams
from delta.inference.types import Request
from delta.judging import budget as drawing
from delta.judging import judge
from delta.judging.budget import Budget
from delta.judging.judge import JudgeParams, LlmParams, SecondJudgeParams
from delta.plan.assumptions import CHARACTERS, DOUBTED
from delta.plan.requests import CacheLookup
from delta.plan.workspace import PendingRequests, TableEstimate, Workspace, read_current_table


def work_to_do(here: Workspace) -> Iterator[PendingRequests]:
    """Every stage item that asks a model and is not up to date."""
    problems = _problems(here)
    for name, generator in here.params.generators.items():
        if isinstance(generator, SampledParams) and not here.settled(f"generate@{name}"):
            yield _generate(here, name, generator, problems)
    for name in here.params.generators:
        if here.params.verify.second == "llm" and not here.settled(f"verify@{name}"):
            yield _verify(here, name, problems)
    for name in here.params.generators:
        if not here.settled(f"judge@{name}"):
            yield from _judge(here, name, problems)
    for evaluated in here.params.evaluation.models:
        for benchmark in here.params.benchmarks:
            if not here.settled(f"evaluate@{evaluated}"):
                yield _evaluate(here, evaluated, benchmark)


def expected_problems(params: ProblemsParams) -> int | None:
    """The sample, or what the tasks draw at most; None where only a dataset knows."""
    if params.sample is not None:
        return params.sample
    sizes = [source.task.problems for source in params.sources.values() if source.task is not None]
    return sum(sizes) if len(sizes) == len(params.sources) else None


def _problems(here: Workspace) -> TableEstimate:
    frame = read_current_table(paths.PROBLEMS, PROBLEM)
    if frame is not None and here.same_params("problems"):
        return TableEstimate(frame, frame.height, here.settled("problems"))
    return TableEstimate(frame, expected_problems(here.params.problems), settled=False)


def _exhaust(asked: Iterable[tuple[object, Request]], lookup: CacheLookup) -> None:
    deque(lookup.ask(request for _, request in asked), maxlen=0)


def _mean_tokens(frame: pl.DataFrame | None, column: str, around: int) -> float | None:
    if frame is None or not frame.height:
        return None
    turns = frame["history"].explode().struct.field("content")
    texts = [frame[column], turns]
    characters = sum(int(text.str.len_chars().sum()) for text in texts)
    return (characters / frame.height + around) / CHARACTERS.value


def _around(examples: int) -> int:
    """Characters of the worked examples."""
    return sum(len(turn["content"]) for turn in prompts.worked_example_turns(examples))


def _generate(
    here: Workspace, name: str, generator: SampledParams, problems: TableEstimate
) -> PendingRequests:
    def ask_all(part: pl.DataFrame, fingerprint: str, lookup: CacheLookup) -> None:
        engine = here.engine(generator.model)
        _exhaust(generate.requests_of(generator, engine, fingerprint, part), lookup)

    return PendingRequests(
        stage="generate",
        name=name,
        model=generator.model,
        shelf=f"generate-{name}",
        rows=problems,
        distinct=True,
        per_row=generator.samples,
        max_tokens=generator.max_tokens,
        prompt_tokens=_mean_tokens(problems.frame, "prompt", _around(generator.examples)),
        ask_all=ask_all,
    )


def _evaluate(here: Workspace, evaluated: str, name: str) -> PendingRequests:
    model = here.params.evaluation.models[evaluated].model
    examples = here.params.evaluation.models[evaluated].examples
    benchmark = here.params.benchmarks[name]
    sampling = here.params.evaluation.sampling
    frame = read_current_table(paths.questions(name), QUESTION, "gold_answer", "metadata")
    if frame is not None:
        frame = frame.unique(["history", "prompt"], maintain_order=True)
    if frame is not None and here.same_params(f"questions@{name}"):
        rows = TableEstimate(frame, frame.height, here.settled(f"questions@{name}"))
    else:
        rows = TableEstimate(frame, benchmark.questions, settled=False)

    def ask_all(part: pl.DataFrame, fingerprint: str, lookup: CacheLookup) -> None:
        engine = here.engine(model)
        asked = evaluate.requests_of(sampling, benchmark, engine, fingerprint, examples, part)
        _exhaust(asked, lookup)

    return PendingRequests(
        stage="evaluate",
        name=f"{evaluated} {name}",
        model=model,
        shelf=f"evaluate-{evaluated}",
        rows=rows,
        distinct=True,
        per_row=benchmark.samples,
        max_tokens=benchmark.max_tokens,
        prompt_tokens=_mean_tokens(frame, "prompt", _around(examples)),
        ask_all=ask_all,
    )


def _verify(here: Workspace, name: str, problems: TableEstimate) -> PendingRequests:
    llm = here.params.verify.llm
    return PendingRequests(
        stage="verify",
        name=name,
        model=llm.model,
        shelf=f"verify-{name}",
        rows=_doubted(here, name, problems),
        distinct=False,
        per_row=1,
        max_tokens=llm.max_tokens,
        prompt_tokens=None,
        ask_all=partial(_ask_comparer, here, name, problems.frame),
    )


def _doubted(here: Workspace, name: str, problems: TableEstimate) -> TableEstimate:
    """The traces whose final answer a model compares. Never exact: it needs the grader's word."""
    traces = read_current_table(paths.traces(name), TRACE, "text")
    verdicts = read_current_table(paths.verdicts(name), VERDICT)
    frame = None
    if traces is not None and verdicts is not None and problems.frame is not None:
        asked = (pl.col("decided_by") == "llm") | (
            (pl.col("decided_by") == "grader") & (pl.col("outcome") != "correct")
        )
        boxed = verdicts.filter(asked & pl.col("extracted").is_not_null())
        frame = traces.filter(drawing.FINISHED).join(
            boxed.select("trace_id"), on="trace_id", how="semi", maintain_order="left"
        )
    if frame is not None and here.same_params("problems", f"generate@{name}"):
        return TableEstimate(frame, frame.height, settled=False)
    each = _traces(here, name)
    count = None if problems.expected is None or each is None else problems.expected * each
    if _recorded_verdicts(here, name):
        count = 0
    return TableEstimate(
        frame, None if count is None else round(DOUBTED.value * count), settled=False
    )


def _traces(here: Workspace, name: str) -> int | None:
    """Of one problem; of a recording at most, or None where only it knows."""
    generator = here.params.generators[name]
    return generator.samples if isinstance(generator, SampledParams) else generator.recorded


def _recorded_verdicts(here: Workspace, name: str) -> bool:
    """Whether a recording brings verdicts that are kept."""
    recording = here.params.models[here.params.generators[name].model].recording
    if recording is None or here.params.verify.recorded != "keep":
        return False
    return recording.table is None or recording.table.outcome is not None


def _ask_comparer(
    here: Workspace,
    name: str,
    problems: pl.DataFrame | None,
    part: pl.DataFrame,
    fingerprint: str,
    lookup: CacheLookup,
) -> None:
    """As stages/verify.py does it. What a model decided last time, the grader had left to it."""
    assert problems is not None  # else there is no part of them
    llm = here.params.verify.llm
    rows = verify.with_problems(problems, _with_texts(name, part))
    doubted = part.select("trace_id", outcome=pl.lit("incorrect"), decided_by=pl.lit("grader"))
    left = llm_equivalence.unresolved_answers([rows], doubted)
    engine = here.engine(llm.model)
    room = here.params.serving[llm.model].max_model_len - llm.max_tokens
    asked = list(llm_equivalence.first_requests(llm, engine, fingerprint, room, left))
    llm_equivalence.ask_model(llm, asked, lookup.ask, engine.chat_format)


def _with_texts(name: str, part: pl.DataFrame) -> pl.DataFrame:
    texts = (
        pl.scan_parquet(paths.traces(name))
        .select("trace_id", "text")
        .filter(pl.col("trace_id").is_in(part["trace_id"].implode()))
        .collect(engine="streaming")
    )
    return part.join(texts, on="trace_id", how="left", maintain_order="left")


def _judge(here: Workspace, name: str, problems: TableEstimate) -> Iterator[PendingRequests]:
    params = here.params.judge
    raters: dict[str, JudgeParams | SecondJudgeParams] = {"judge": params, "second": params.second}
    for what, rater in raters.items():
        if rater.rater != "llm":
            continue
        rows = _rated(here, name, problems)
        yield PendingRequests(
            stage="judge",
            name=f"{name} second" if what == "second" else name,
            model=rater.llm.model,
            shelf=f"{what}-{name}",
            rows=rows,
            distinct=False,
            per_row=rater.llm.votes,
            max_tokens=rater.llm.max_tokens,
            prompt_tokens=None,
            ask_all=partial(_ask_judge, here, name, rater.llm, problems.frame),
        )


def _rated(here: Workspace, name: str, problems: TableEstimate) -> TableEstimate:
    """The traces that the budget covers; a judge never rates one that has no text."""
    pairing = here.params.pairing
    budget = here.params.judge.budget[name]
    verdicts = read_current_table(paths.verdicts(name), VERDICT)
    frame = None
    if verdicts is not None and problems.frame is not None:
        traces = pl.scan_parquet(paths.traces(name))
        try:
            rated = drawing.within_budget(
                traces, verdicts, budget, pairing.seed, pairing.draw, pairing.complete
            ).filter(~pl.col("finish_reason").is_in(WITHOUT_TEXT))
            without_text = [column for column in TRACE.columns if column != "text"]
            frame = rated.select(without_text).collect(engine="streaming")
        except (InputError, pl.exceptions.PolarsError, OSError):  # not there, or of an older make
            frame = None
    before = ("problems", f"generate@{name}", f"verify@{name}")
    if frame is not None and here.same_params(*before):
        return TableEstimate(frame, frame.height, here.settled(*before))
    each = max_rated(budget, _traces(here, name), pairing.complete)
    if problems.expected is None or each is None:
        return TableEstimate(frame, None, settled=False)
    return TableEstimate(frame, problems.expected * each, settled=False)


def max_rated(budget: Budget, traces: int | None, complete: drawing.Complete) -> int | None:
    """At most so many of a problem's traces are rated: those of one key may also be of another."""
    if budget.drawn is None:
        return traces
    kinds = 2 if complete == "chosen" else 1  # see drawing.budgeted
    rated = kinds * (budget.drawn + budget.correct + budget.incorrect)
    return rated if traces is None else min(traces, rated)


def _ask_judge(
    here: Workspace,
    name: str,
    llm: LlmParams,
    problems: pl.DataFrame | None,
    part: pl.DataFrame,
    fingerprint: str,
    lookup: CacheLookup,
) -> None:
    """As stages/judge.py does it."""
    assert problems is not None
    rated, _ = judge.judge_inputs(problems, _with_texts(name, part))
    engine = here.engine(llm.model)
    room = here.params.serving[llm.model].max_model_len - llm.max_tokens
    rated, _ = judge.truncate_to_context(llm, engine, room, rated)
    asked = list(judge.build_requests(llm, engine, fingerprint, rated))
    judge.judge_by_llm(llm, 1.0, rated, asked, lookup.ask, engine.chat_format)
