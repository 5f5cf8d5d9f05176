"""Find the requests that generate, verify, judge and evaluate would send, from today's tables.

The functions of the stages build the requests, so their keys are those of a run. If a table is
missing or will change, its rows are estimated from params.yaml.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import polars as pl

from delta import prompts
from delta.check import Params
from delta.core import paths
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, QUESTION, TRACE, VERDICT, WITHOUT_TEXT
from delta.data.problems import ProblemsParams
from delta.evaluation import evaluate
from delta.grading import llm_equivalence, verify
from delta.inference import generate
from delta.inference.generate import SampledParams
from delta.inference.types import Request
from delta.judging import judge
from delta.judging.budget import Budget, within_budget
from delta.judging.judge import LlmParams
from delta.judging.trace_order import IS_COMPLETE, RequireComplete
from delta.plan.requests import (
    AskAll,
    CacheLookup,
    PendingRequests,
    TableEstimate,
    Workspace,
    read_current_table,
)

CHARS_PER_TOKEN = 4
UNRESOLVED_FRACTION = 0.3  # of a generator's traces, sent to the model that compares answers


def pending_requests(workspace: Workspace) -> Iterator[PendingRequests]:
    """Yield every stage item that sends requests and is not up to date."""
    params, settled = workspace.params, workspace.settled
    problems = _problems(workspace)
    for name, generator in params.generators.items():
        if isinstance(generator, SampledParams) and not settled(f"generate@{name}"):
            yield _generate(workspace, name, generator, problems)
    for name in params.generators:
        if params.verify.llm_fallback and not settled(f"verify@{name}"):
            yield _verify(workspace, name, problems)
    for name in params.generators:
        if not settled(f"judge@{name}"):
            yield from _judge(workspace, name, problems)
    for name in params.evaluation.models:
        if not settled(f"evaluate@{name}"):
            yield from (_evaluate(workspace, name, b) for b in params.benchmarks)


def expected_problems(params: ProblemsParams) -> int | None:
    """Return the number of problems; None if it depends on a dataset."""
    if params.sample is not None:
        return params.sample
    sizes = [source.task.problems for source in params.sources.values() if source.task is not None]
    return sum(sizes) if len(sizes) == len(params.sources) else None


def _problems(workspace: Workspace) -> TableEstimate:
    frame = read_current_table(paths.PROBLEMS, PROBLEM)
    if frame is not None and workspace.same_params("problems"):
        return TableEstimate(frame, frame.height, workspace.settled("problems"))
    return TableEstimate(frame, expected_problems(workspace.params.problems), settled=False)


def _mean_tokens(frame: pl.DataFrame | None, examples: int) -> float | None:
    """Estimate the mean tokens of a prompt with its history and `examples` worked examples."""
    if frame is None or not frame.height:
        return None
    texts = [frame["prompt"], frame["history"].explode().struct.field("content")]
    characters = sum(int(text.str.len_chars().sum()) for text in texts)
    example_length = sum(len(turn["content"]) for turn in prompts.worked_example_turns(examples))
    return (characters / frame.height + example_length) / CHARS_PER_TOKEN


def _max_prompt_tokens(params: Params, llm: LlmParams | llm_equivalence.ComparisonParams) -> int:
    """Return the longest prompt in tokens."""
    return params.serving[llm.model].max_model_len - llm.max_tokens


def _traces_per_problem(params: Params, name: str) -> int | None:
    """Return the largest number of traces per problem; None if a recording decides it."""
    generator = params.generators[name]
    return generator.samples if isinstance(generator, SampledParams) else generator.recorded


def _ask(lookup: CacheLookup, requests: Iterable[tuple[object, Request]]) -> None:
    deque(lookup.ask(request for _, request in requests), maxlen=0)


def _generate(
    workspace: Workspace, name: str, generator: SampledParams, problems: TableEstimate
) -> PendingRequests:
    def ask_all(sample: pl.DataFrame, model: str, lookup: CacheLookup) -> None:
        engine = workspace.engine(generator.model)
        _ask(lookup, generate.trace_requests(generator, engine, model, sample))

    return PendingRequests(
        stage="generate",
        name=name,
        model=generator.model,
        cache=f"generate-{name}",
        rows=problems,
        distinct=True,
        per_row=generator.samples,
        max_tokens=generator.max_tokens,
        prompt_tokens=_mean_tokens(problems.frame, generator.examples),
        ask_all=ask_all,
    )


def _evaluate(workspace: Workspace, name: str, benchmark_name: str) -> PendingRequests:
    params, stage = workspace.params, f"questions@{benchmark_name}"
    model, examples = params.evaluation.models[name].model, params.evaluation.models[name].examples
    benchmark, sampling = params.benchmarks[benchmark_name], params.evaluation.sampling
    frame = read_current_table(paths.questions(benchmark_name), QUESTION, "gold_answer", "metadata")
    rows = TableEstimate(None, benchmark.questions, settled=False)
    if frame is not None:
        frame = frame.unique(["history", "prompt"], maintain_order=True)
        rows = rows._replace(frame=frame)
        if workspace.same_params(stage):
            rows = TableEstimate(frame, frame.height, workspace.settled(stage))

    def ask_all(sample: pl.DataFrame, weights: str, lookup: CacheLookup) -> None:
        engine = workspace.engine(model)
        requests = evaluate.build_requests(sampling, benchmark, engine, weights, examples, sample)
        _ask(lookup, requests)

    return PendingRequests(
        stage="evaluate",
        name=f"{name} {benchmark_name}",
        model=model,
        cache=f"evaluate-{name}",
        rows=rows,
        distinct=True,
        per_row=benchmark.samples,
        max_tokens=benchmark.max_tokens,
        prompt_tokens=_mean_tokens(frame, examples),
        ask_all=ask_all,
    )


def _verify(workspace: Workspace, name: str, problems: TableEstimate) -> PendingRequests:
    llm = workspace.params.verify.llm

    def ask_all(sample: pl.DataFrame, model: str, lookup: CacheLookup) -> None:
        """Send the stage's requests. Verdicts of a model count as rejected by the grader."""
        assert problems.frame is not None  # else there are no rows
        rows = verify.join_problems(problems.frame, _with_texts(name, sample))
        grader = {"outcome": pl.lit("incorrect"), "decided_by": pl.lit("grader")}
        answers = llm_equivalence.unresolved_answers([rows], sample.select("trace_id", **grader))
        engine, limit = workspace.engine(llm.model), _max_prompt_tokens(workspace.params, llm)
        requests = list(llm_equivalence.build_requests(llm, engine, model, limit, answers))
        llm_equivalence.ask_model(llm, requests, lookup.ask, engine.chat_format)

    return PendingRequests(
        stage="verify",
        name=name,
        model=llm.model,
        cache=f"verify-{name}",
        rows=_unresolved(workspace, name, problems),
        per_row=1,
        max_tokens=llm.max_tokens,
        ask_all=ask_all,
    )


def _unresolved(workspace: Workspace, name: str, problems: TableEstimate) -> TableEstimate:
    """Return the traces whose final answer a model compares; only grading finds them exactly."""
    traces = read_current_table(paths.traces(name), TRACE, "text")
    verdicts = read_current_table(paths.verdicts(name), VERDICT)
    frame = None
    if traces is not None and verdicts is not None and problems.frame is not None:
        compared = (pl.col("decided_by") == "llm") | (
            (pl.col("decided_by") == "grader") & (pl.col("outcome") != "correct")
        )
        boxed = verdicts.filter(compared & pl.col("extracted").is_not_null()).select("trace_id")
        finished = traces.filter(IS_COMPLETE)
        frame = finished.join(boxed, on="trace_id", how="semi", maintain_order="left")
        if workspace.same_params("problems", f"generate@{name}"):
            return TableEstimate(frame, frame.height, settled=False)
    if _keeps_recorded_verdicts(workspace.params, name):
        return TableEstimate(frame, 0, settled=False)
    per_problem = _traces_per_problem(workspace.params, name)
    if problems.expected is None or per_problem is None:
        return TableEstimate(frame, None, settled=False)
    expected = round(UNRESOLVED_FRACTION * problems.expected * per_problem)
    return TableEstimate(frame, expected, settled=False)


def _keeps_recorded_verdicts(params: Params, name: str) -> bool:
    recording = params.models[params.generators[name].model].recording
    if recording is None or params.verify.recorded != "keep":
        return False
    return recording.table is None or recording.table.outcome is not None


def _with_texts(name: str, traces: pl.DataFrame) -> pl.DataFrame:
    texts = (
        pl.scan_parquet(paths.traces(name))
        .select("trace_id", "text")
        .filter(pl.col("trace_id").is_in(traces["trace_id"].implode()))
        .collect(engine="streaming")
    )
    return traces.join(texts, on="trace_id", how="left", maintain_order="left")


def _judge(workspace: Workspace, name: str, problems: TableEstimate) -> Iterator[PendingRequests]:
    params = workspace.params.judge
    for cache, rater in (("judge", params), ("second", params.second_judge)):
        if rater.rater == "llm":
            yield PendingRequests(
                stage="judge",
                name=f"{name} second" if cache == "second" else name,
                model=rater.llm.model,
                cache=f"{cache}-{name}",
                rows=_rated(workspace, name, problems),
                per_row=rater.llm.votes,
                max_tokens=rater.llm.max_tokens,
                ask_all=_ask_judge(workspace, name, rater.llm, problems.frame),
            )


def _ask_judge(
    workspace: Workspace, name: str, llm: LlmParams, problems: pl.DataFrame | None
) -> AskAll:
    def ask_all(sample: pl.DataFrame, model: str, lookup: CacheLookup) -> None:
        assert problems is not None  # else there are no rows
        engine = workspace.engine(llm.model)
        inputs, _ = judge.judge_inputs(problems, _with_texts(name, sample))
        inputs, _ = judge.truncate_traces(
            llm, engine, _max_prompt_tokens(workspace.params, llm), inputs
        )
        requests = list(judge.build_requests(llm, engine, model, inputs))
        judge.judge_by_llm(llm, 1.0, inputs, requests, lookup.ask, engine.chat_format)

    return ask_all


def _rated(workspace: Workspace, name: str, problems: TableEstimate) -> TableEstimate:
    """Return the traces within the judge's budget. Traces without text are never rated."""
    pairing, budget = workspace.params.pairing, workspace.params.judge.budget[name]
    verdicts = read_current_table(paths.verdicts(name), VERDICT)
    frame = None
    if verdicts is not None and problems.frame is not None:
        traces = pl.scan_parquet(paths.traces(name))
        try:
            rated = within_budget(
                traces,
                verdicts,
                budget,
                pairing.seed,
                pairing.trace_order,
                pairing.require_complete,
            ).filter(~pl.col("finish_reason").is_in(WITHOUT_TEXT))
            columns = [column for column in TRACE.columns if column != "text"]
            frame = rated.select(columns).collect(engine="streaming")
        except (InputError, pl.exceptions.PolarsError, OSError):  # missing, or of an older schema
            frame = None
    before = ("problems", f"generate@{name}", f"verify@{name}")
    if frame is not None and workspace.same_params(*before):
        return TableEstimate(frame, frame.height, workspace.settled(*before))
    rated_each = max_rated(
        budget, _traces_per_problem(workspace.params, name), pairing.require_complete
    )
    if problems.expected is None or rated_each is None:
        return TableEstimate(frame, None, settled=False)
    return TableEstimate(frame, problems.expected * rated_each, settled=False)


def max_rated(budget: Budget, traces: int | None, require_complete: RequireComplete) -> int | None:
    """Return the largest number of rated traces per problem; the budget's kinds may overlap."""
    if budget.any is None:
        return traces
    kinds = 2 if require_complete == "chosen" else 1  # see delta.judging.budget.within_budget
    rated = kinds * (budget.any + budget.correct + budget.incorrect)
    return rated if traces is None else min(traces, rated)
