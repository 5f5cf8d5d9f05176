"""Find the requests that the asking stages would send, from today's tables.

The functions of the stages build the requests, so their keys are those of a run. If a table is
missing or will change, its rows are estimated from params.yaml.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import polars as pl

from delta.certificate.sources import max_traces
from delta.check import Params, max_problems, traces_per_problem
from delta.core import paths
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, QUESTION, TRACE, VERDICT, WITHOUT_TEXT
from delta.data.formats.code import LiveCodeBenchSource
from delta.evaluation import evaluate
from delta.evaluation.benchmarks import BenchmarkParams
from delta.grading import llm_equivalence, verify
from delta.inference.generate import SampledParams, trace_requests
from delta.inference.model_client import ModelClient
from delta.inference.types import GenerateFn, Request
from delta.judging import judge
from delta.judging.budget import Budget, within_budget
from delta.judging.judge import JudgeParams, LlmParams, SecondJudgeParams
from delta.judging.second_judge import sample_problems
from delta.judging.trace_order import IS_COMPLETE, RequireComplete
from delta.plan.assumptions import (
    CHARACTERS,
    PLAIN_REPLY,
    PROBLEM_PROMPT,
    RUBRIC_PROMPT,
    UNRESOLVED,
)
from delta.plan.requests import (
    PendingRequests,
    RequestGroup,
    TableEstimate,
    Workspace,
    read_current_table,
)
from delta.prompts import prompt_files

ASKING_STAGES = ("generate", "verify", "judge", "evaluate")  # as dvc.yaml has them
CERTIFY = "certify"  # asks too, and has no items whose requests could share an engine
KNOWN_QUESTIONS = {  # by format: rows of the benchmark's test set that have a question
    "math-500": 500,
    "gsm8k": 1_319,
    "amc23": 40,
    "minerva": 272,
    "olympiadbench": 674,
    "aime24": 30,
    "aime25": 30,
    "mmlu-pro": 12_032,
    "theoremqa": 747,  # 53 more need a picture
    "gpqa": 198,
    "humaneval": 164,
}
RELEASES = {1: 400, 2: 511, 3: 612, 4: 713, 5: 880, 6: 1_055}  # of LiveCodeBench, by files


class AskedModel(NamedTuple):
    """A model that a stage item asks."""

    item: str  # "judge@zero-shot"
    cache: str  # item of its reply cache: "judge-zero-shot", or "second-zero-shot"
    model: str


def asked_models(params: Params, stage: str) -> list[AskedModel]:
    """Return the models that each item of one of the ASKING_STAGES asks, by the parameters."""
    asked: dict[str, list[tuple[str, str]]] = {name: [] for name in params.generators}
    if stage == "generate":
        for name, generator in params.generators.items():
            if isinstance(generator, SampledParams):
                asked[name].append(("generate", generator.model))
    elif stage == "verify":
        for caches in asked.values() if params.verify.llm_fallback else ():
            caches.append(("verify", params.verify.llm.model))
    elif stage == "judge":
        for cache, rater in (("judge", params.judge), ("second", params.judge.second_judge)):
            for caches in asked.values() if rater.rater == "llm" else ():
                caches.append((cache, rater.llm.model))
    else:
        models = params.evaluation.models.items()
        asked = {name: [("evaluate", entry.model)] for name, entry in models}
    return [
        AskedModel(f"{stage}@{name}", f"{cache}-{name}", model)
        for name, caches in asked.items()
        for cache, model in caches
    ]


def pending_requests(
    workspace: Workspace, stages: Collection[str] = (*ASKING_STAGES, CERTIFY)
) -> Iterator[PendingRequests]:
    """Yield every item of these stages that sends requests and is not up to date."""
    params = workspace.params
    problems = _problems(workspace)
    questions: dict[str, TableEstimate] = {}
    if CERTIFY in stages and not workspace.settled(CERTIFY):
        yield from _certify(params)
    for stage in ASKING_STAGES:
        for item, cache, _ in asked_models(params, stage) if stage in stages else ():
            name = item.partition("@")[2]
            generator = params.generators.get(name)
            if workspace.settled(item):
                continue
            if stage == "generate" and isinstance(generator, SampledParams):
                yield _generate(name, generator, problems)
            elif stage == "verify":
                yield _verify(workspace, name, problems)
            elif stage == "judge":
                kind = cache.partition("-")[0]
                llm = params.judge.llm if kind == "judge" else params.judge.second_judge.llm
                yield _judge(workspace, name, kind, llm, problems)
            else:
                questions = questions or {b: _questions(workspace, b) for b in params.benchmarks}
                yield from (_evaluate(params, name, *entry) for entry in questions.items())


def _problems(workspace: Workspace) -> TableEstimate:
    frame = read_current_table(paths.PROBLEMS, PROBLEM)
    return workspace.estimate(frame, max_problems(workspace.params.problems), "problems")


def _questions(workspace: Workspace, benchmark: str) -> TableEstimate:
    frame = read_current_table(paths.questions(benchmark), QUESTION, "gold_answer", "metadata")
    if frame is not None:
        frame = frame.unique(["history", "prompt"], maintain_order=True)
    expected = max_questions(workspace.params.benchmarks[benchmark])
    return workspace.estimate(frame, expected, f"questions@{benchmark}")


def max_questions(benchmark: BenchmarkParams) -> int | None:
    """Return the largest number of questions; None if it depends on a file of the user's."""
    source, known = benchmark.source, None
    data = getattr(source, "data", None)
    if data is not None and data.file is None:
        known = KNOWN_QUESTIONS.get(source.format)
        if isinstance(source, LiveCodeBenchSource) and data.files is not None:
            known = RELEASES.get(len(data.files.files))
    numbers = [number for number in (benchmark.questions, known) if number is not None]
    return min(numbers, default=None)


def _mean_tokens(frame: pl.DataFrame | None, examples: int) -> float | None:
    """Estimate the mean tokens of a prompt with its history and `examples` worked examples."""
    if frame is None or not frame.height:
        return None
    texts = [frame["prompt"], frame["history"].explode().struct.field("content")]
    characters = sum(int(text.str.len_chars().sum()) for text in texts)
    turns = prompt_files.worked_example_turns(examples)
    example_length = sum(len(turn["content"]) for turn in turns)
    return (characters / frame.height + example_length) / CHARACTERS.value


def _ask(generate: GenerateFn, requests: Iterable[tuple[object, Request]]) -> None:
    deque(generate(request for _, request in requests), maxlen=0)


def _generate(name: str, generator: SampledParams, problems: TableEstimate) -> PendingRequests:
    def ask_all(client: ModelClient, sample: pl.DataFrame, generate: GenerateFn) -> None:
        engine, fingerprint = client.engine, client.fingerprint
        _ask(generate, trace_requests(generator, engine, fingerprint, sample))

    group = RequestGroup(
        "generate",
        name,
        generator.model,
        per_prompt=generator.samples,
        max_tokens=generator.max_tokens,
        prompt_tokens=_mean_tokens(problems.frame, generator.examples),
    )
    return PendingRequests(group, f"generate-{name}", problems, ask_all, distinct=True)


def _evaluate(
    params: Params, name: str, benchmark_name: str, questions: TableEstimate
) -> PendingRequests:
    evaluated, sampling = params.evaluation.models[name], params.evaluation.sampling
    benchmark = params.benchmarks[benchmark_name]

    def ask_all(client: ModelClient, sample: pl.DataFrame, generate: GenerateFn) -> None:
        requests = evaluate.build_requests(
            sampling,
            benchmark,
            client.engine,
            client.fingerprint,
            evaluated.examples,
            sample,
        )
        _ask(generate, requests)

    group = RequestGroup(
        "evaluate",
        f"{name} {benchmark_name}",
        evaluated.model,
        per_prompt=benchmark.samples,
        max_tokens=benchmark.max_tokens,
        prompt_tokens=_mean_tokens(questions.frame, evaluated.examples),
    )
    return PendingRequests(group, f"evaluate-{name}", questions, ask_all, distinct=True)


def _verify(workspace: Workspace, name: str, problems: TableEstimate) -> PendingRequests:
    llm = workspace.params.verify.llm

    def ask_all(client: ModelClient, sample: pl.DataFrame, generate: GenerateFn) -> None:
        """Send the stage's requests. Verdicts of a model count as rejected by the grader."""
        assert problems.frame is not None  # else there are no rows
        rows = verify.join_problems(problems.frame, _with_texts(name, sample))
        grader = {"outcome": pl.lit("incorrect"), "decided_by": pl.lit("grader")}
        answers = llm_equivalence.unresolved_answers([rows], sample.select("trace_id", **grader))
        engine, limit = client.engine, client.max_prompt_tokens(llm.max_tokens)
        requests = list(
            llm_equivalence.build_requests(llm, engine, client.fingerprint, limit, answers)
        )
        llm_equivalence.ask_model(llm, requests, generate, engine.chat_format)

    group = RequestGroup("verify", name, llm.model, per_prompt=1, max_tokens=llm.max_tokens)
    rows = _unresolved(workspace, name, problems)
    return PendingRequests(group, f"verify-{name}", rows, ask_all)


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
    per_problem, expected = traces_per_problem(workspace.params, name), None
    if problems.expected is not None and per_problem is not None:
        expected = round(UNRESOLVED.value * problems.expected * per_problem)
    return TableEstimate(frame, expected, settled=False)


def _keeps_recorded_verdicts(params: Params, name: str) -> bool:
    recording = params.recording(name)
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


def _judge(
    workspace: Workspace, name: str, cache: str, llm: LlmParams, problems: TableEstimate
) -> PendingRequests:
    def ask_all(client: ModelClient, sample: pl.DataFrame, generate: GenerateFn) -> None:
        assert problems.frame is not None  # else there are no rows
        engine, limit = client.engine, client.max_prompt_tokens(llm.max_tokens)
        inputs, _ = judge.judge_inputs(problems.frame, _with_texts(name, sample))
        inputs, _ = judge.truncate_traces(llm, engine, limit, inputs)
        requests = list(judge.build_requests(llm, engine, client.fingerprint, inputs))
        judge.judge_by_llm(llm, 1.0, inputs, requests, generate, engine.chat_format)

    group = RequestGroup(
        "judge",
        name if cache == "judge" else f"{name} {cache}",
        llm.model,
        per_prompt=llm.votes_per_trace,
        max_tokens=llm.max_tokens,
    )
    rows = _rated(workspace, name, problems)
    if cache == "second":
        rows = _of_second_judge(workspace.params, rows, problems)
    return PendingRequests(group, f"{cache}-{name}", rows, ask_all)


def _of_second_judge(
    params: Params, rated: TableEstimate, problems: TableEstimate
) -> TableEstimate:
    """Return those of the rated traces that the second judge rates too."""
    number = params.judge.second_judge.problems
    frame, expected = rated.frame, rated.expected
    if frame is not None and problems.frame is not None:
        sample = sample_problems(problems.frame["problem_id"], number, params.pairing.seed)
        frame = frame.filter(pl.col("problem_id").is_in(sample.implode()))
    if number is not None and expected is not None and problems.expected:
        expected = round(expected * min(1.0, number / problems.expected))
    return TableEstimate(frame, expected, rated.settled)


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
    traces_each, expected = traces_per_problem(workspace.params, name), None
    rated_each = max_rated(budget, traces_each, pairing.require_complete)
    if problems.expected is not None and rated_each is not None:
        expected = problems.expected * rated_each
    before = ("problems", f"generate@{name}", f"verify@{name}")
    return workspace.estimate(frame, expected, *before)


def _certify(params: Params) -> Iterator[PendingRequests]:
    """Yield the requests of each rater that is a model; the stage finds the pairs themselves."""
    traces = max_traces(params.certify)
    raters: dict[str, JudgeParams | SecondJudgeParams] = {
        "judge": params.judge,
        "second": params.judge.second_judge,
    }
    for name, rater in raters.items():
        if rater.rater != "llm":
            continue
        group = RequestGroup(
            CERTIFY,
            name,
            rater.llm.model,
            per_prompt=rater.llm.votes_per_trace,
            max_tokens=rater.llm.max_tokens,
            prompt_tokens=RUBRIC_PROMPT.value + PROBLEM_PROMPT.value + PLAIN_REPLY.value,
        )
        rows = TableEstimate(None, traces, settled=False)
        yield PendingRequests(group, f"{CERTIFY}-{name}", rows, _ask_nothing)


def _ask_nothing(_client: ModelClient, _sample: pl.DataFrame, _generate: GenerateFn) -> None:
    """Send nothing: without a table of its traces the stage's requests are not known."""


def max_rated(budget: Budget, traces: int | None, require_complete: RequireComplete) -> int | None:
    """Return the largest number of rated traces per problem; the budget's kinds may overlap."""
    if budget.any is None:
        return traces
    kinds = 2 if require_complete == "chosen" else 1  # see delta.judging.budget.within_budget
    rated = kinds * (budget.any + budget.correct + budget.incorrect)
    return rated if traces is None else min(traces, rated)
