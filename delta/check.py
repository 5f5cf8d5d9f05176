"""Check params.yaml: every section by itself, and the sections against each other.

`dvc.yaml` runs this before every stage, in a separate process. It can refuse a run but not change
its result, so no stage depends on this file, and a new rule reruns nothing.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from delta.analysis.config import AnalysisParams
from delta.certificate.config import CertifyParams
from delta.core import paths
from delta.core.errors import InputError
from delta.core.params import NAME, PARAMS_FILE, Name, StrictModel, read_all, validate
from delta.core.paths import POLICY
from delta.data import model_files
from delta.data.fetch import ModelParams, RecordingSource
from delta.data.problems import ProblemsParams
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.config import EvaluationParams, baselines
from delta.experiments.grid import ExperimentParams
from delta.grading.config import GradingParams
from delta.grading.verify import VerifyParams
from delta.inference import chat_completions, chat_formats, recordings, served_models
from delta.inference.config import EngineParams, SamplingParams, Serving
from delta.inference.generate import (
    GeneratorParams,
    RecordedParams,
    SampledParams,
    SolvedParams,
)
from delta.judging.judge import JudgeParams, LlmParams
from delta.pairing.pair import PairingParams, insufficient_budgets
from delta.pairing.select import SelectorParams
from delta.prompts import prompt_files
from delta.training import served_precision, sft_models
from delta.training.config import TrainParams
from delta.training.sft_models import SftModelParams


class Params(StrictModel):
    """The whole of params.yaml, in the order of the pipeline."""

    profile: Name  # shown in the report
    models: Annotated[dict[Name, ModelParams], Field(min_length=1)]
    sft_models: dict[Name, SftModelParams]
    serving: dict[Name, Serving]
    engine: EngineParams
    problems: ProblemsParams
    generators: Annotated[dict[Name, GeneratorParams], Field(min_length=1)]
    grading: GradingParams
    verify: VerifyParams
    judge: JudgeParams
    certify: CertifyParams
    pairing: PairingParams
    selector: SelectorParams
    analysis: AnalysisParams
    train: TrainParams
    evaluation: EvaluationParams
    benchmarks: Annotated[dict[Name, BenchmarkParams], Field(min_length=1)]
    experiments: dict[Name, ExperimentParams]

    def origin(self, model: str) -> str:
        """Return where a model comes from, and which version."""
        trained = self.sft_models.get(model)
        if trained is None:
            return self.models[model].origin
        return f"{self.origin(trained.base)}; {trained.recipe}"

    def recording(self, generator: str) -> RecordingSource | None:
        """Return the recording of a generator; None where it has none."""
        model = self.models.get(self.generators[generator].model)
        return None if model is None else model.recording


def check(path: Path = PARAMS_FILE) -> Params:
    """Return the checked parameters. Raises InputError for the first mistake."""
    return check_content(read_all(path), str(path))


def check_content(content: dict[str, Any], where: str) -> Params:
    """Check the file's content. `where` begins the message of an InputError."""
    params = validate("", Params, content, where)
    for rule in RULES:
        for mistake in rule(params):  # the first one ends the check
            raise InputError(f"{where}: {mistake}")
    return params


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "none is declared"


def _one_of(
    key: str, value: str, expected: Collection[str], why: str = "not declared"
) -> Iterator[str]:
    if value not in expected:
        yield f"{key} = {value!r}: {why}; expected {_join(expected)}"


def _asked_models(params: Params) -> list[str]:
    """Return the models that can be sent requests: all but recordings and solvers."""
    fetched = [name for name, model in params.models.items() if model.is_asked]
    return [*fetched, *params.sft_models]


def _names(params: Params) -> Iterator[str]:
    """Yield names that a section uses and no section declares."""
    for section in ("models", "sft_models"):
        if POLICY in getattr(params, section):
            yield f"{section}.{POLICY}: this name is the trained model's; take another"
    for name in params.problems.sources:
        if not re.fullmatch(NAME, name) or name.endswith("\n"):  # "$" passes a new line
            yield f"problems.sources.{name}: expected up to 64 letters, digits, _ - in a name"
    for key, entries, expected in (
        ("serving", params.serving, [*params.models, *params.sft_models, POLICY]),
        ("judge.budget", params.judge.budget, list(params.generators)),
    ):
        if set(entries) != set(expected):
            yield f"{key} has {_join(entries)}; expected one entry for each of {_join(expected)}"
    generators = list(params.generators)
    asked = _asked_models(params)
    weights = [name for name, model in params.models.items() if model.has_weights]
    weights += params.sft_models
    known = list(chat_formats.all_chat_formats())
    for key, value, expected in [
        *(
            (f"serving.{name}.chat_format", entry.chat_format, known)
            for name, entry in params.serving.items()
        ),
        *(
            (f"generators.{name}.model", entry.model, asked)
            for name, entry in params.generators.items()
            if isinstance(entry, SampledParams)
        ),
        ("verify.llm.model", params.verify.llm.model, asked),
        ("judge.llm.model", params.judge.llm.model, asked),
        ("judge.second_judge.llm.model", params.judge.second_judge.llm.model, asked),
        ("judge.second_judge.surprisal.model", params.judge.second_judge.surprisal.model, weights),
        ("train.base", params.train.base, weights),
        ("pairing.chosen", params.pairing.chosen, generators),
        ("pairing.rejected", params.pairing.rejected, generators),
    ]:
        why = "only a server has its weights" if value in asked else "not declared"
        yield from _one_of(key, value, expected, why)


def _servers(params: Params) -> Iterator[str]:
    yield from served_models.mistakes(params.models, params.serving, params.engine)


def _sft_models(params: Params) -> Iterator[str]:
    for name in params.sft_models:
        if name in params.models:
            yield f"sft_models.{name}: `models` has this name too; take another"
    weights = [name for name, model in params.models.items() if model.has_weights]
    yield from sft_models.mistakes(params.sft_models, weights)


def _recordings(params: Params) -> Iterator[str]:
    yield from recordings.mistakes(params.models, params.generators, params.problems.sources)


def _solvers(params: Params) -> Iterator[str]:
    """Yield solvers of a generator that are none, or that cannot solve all of the problems."""
    solvers = [name for name, model in params.models.items() if model.solver]
    for name, generator in params.generators.items():
        if not isinstance(generator, SolvedParams):
            continue
        yield from _one_of(f"generators.{name}.model", generator.model, solvers, "no solver")
        for source, problems in params.problems.sources.items():
            if problems.kind != "arithmetic":
                yield (
                    f"generators.{name}: problems.sources.{source} is of the kind {problems.kind}, "
                    "whose problems have no steps; expected arithmetic"
                )


def _evaluation(params: Params) -> Iterator[str]:
    """Yield unknown models, too many worked examples, and a missing policy or baseline."""
    models, base = params.evaluation.models, params.train.base
    expected = [*_asked_models(params), POLICY]
    for name, entry in models.items():
        key = f"evaluation.models.{name}"
        yield from _one_of(f"{key}.model", entry.model, expected)
        yield from _examples(key, entry.examples)
        if (name == POLICY) != (entry.model == POLICY):
            yield f"{key}.model = {entry.model!r}: the name policy is the trained model's alone"
    if POLICY not in models:
        yield "evaluation.models: policy is missing; the report compares policy and base"
    elif len(baselines(models, base)) != 1:
        yield (
            f"evaluation.models: expected exactly one of {base} with examples "
            f"{models[POLICY].examples}, the base that the policy is compared with"
        )


def _served_precision(params: Params) -> Iterator[str]:
    yield from served_precision.mistakes(params.train, params.serving)


def _examples(key: str, examples: int) -> Iterator[str]:
    number = len(prompt_files.worked_examples())
    if examples > number:
        yield (
            f"{key}.examples = {examples}: worked_examples.yaml has {number}; "
            f"expected 0 to {number}"
        )


def _sizes(params: Params) -> Iterator[str]:
    """Yield sizes that no replies of the models can reach."""
    pairing, k, most = params.pairing, params.selector.k, max_pairs(params)
    if k is not None and most is not None and k > most:
        problems = most // pairing.per_problem
        yield f"selector.k = {k}: {problems} problems give {most} pairs; expected 1 to {most}"
    for name, generator in params.generators.items():
        if isinstance(generator, SampledParams):
            yield from _examples(f"generators.{name}", generator.examples)
    for side in _sides(params):
        samples = traces_per_problem(params, side)
        if samples is not None and pairing.per_problem > samples:
            yield (
                f"pairing.per_problem = {pairing.per_problem}: generators.{side} has {samples} "
                f"traces a problem; expected 1 to {samples}"
            )
    batch_size = params.train.per_device_train_batch_size
    if k is not None and batch_size > k:
        yield (
            f"train.per_device_train_batch_size = {batch_size}: selector.k is {k}; "
            f"expected 1 to {k}"
        )
    method, max_steps = params.train.method, params.train.method_params.max_steps
    if max_steps is not None and params.train.num_warmup_steps(max_steps) >= max_steps:
        yield (
            f"train.warmup_steps = {params.train.warmup_steps:g}: train.{method}.max_steps is "
            f"{max_steps}, and the learning rate is not reached before; expected fewer"
        )


def max_problems(params: ProblemsParams) -> int | None:
    """Return the largest number of problems; None if it depends on a dataset."""
    drawn = [source.generated for source in params.sources.values() if source.generated is not None]
    if len(drawn) < len(params.sources):
        return params.sample
    return sum(drawn) if params.sample is None else min(params.sample, sum(drawn))


def max_pairs(params: Params) -> int | None:
    """Return the largest number of pairs; None if it depends on a dataset."""
    bounds = (max_problems(params.problems), params.pairing.problems)
    problems = min((bound for bound in bounds if bound is not None), default=None)
    if problems is None or has_table_pairs(params):
        return None
    return problems * params.pairing.per_problem


def has_table_pairs(params: Params) -> bool:
    """Return whether the pairs are the rows of a user's table, as in delta.pairing.pair."""
    pairing = params.pairing
    if not pairing.use_table_pairs or pairing.chosen == pairing.rejected:
        return False
    recordings = map(params.recording, _sides(params))
    first, second = (None if recording is None else recording.table for recording in recordings)
    if first is None or second is None:
        return False
    return (first.data, first.where) == (second.data, second.where)


def _sides(params: Params) -> tuple[str, str]:
    return params.pairing.chosen, params.pairing.rejected


def traces_per_problem(params: Params, name: str) -> int | None:
    """Return the largest number of traces per problem; None if a recording decides it."""
    generator = params.generators[name]
    if isinstance(generator, RecordedParams):
        return generator.recorded_samples
    return generator.samples


def _ratings(params: Params) -> Iterator[str]:
    """Yield budgets of the judge that leave traces of pairs without ratings that are needed."""
    traces = {name: traces_per_problem(params, name) for name in _sides(params)}
    yield from insufficient_budgets(
        params.pairing, params.selector.mode, params.judge.budget, traces, has_table_pairs(params)
    )


class ModelUse(NamedTuple):
    """A model that is sent requests, with its sampling and the key in params.yaml."""

    key: str
    model: str
    sampling: SamplingParams


def model_uses(params: Params) -> Iterator[ModelUse]:
    """Yield every use of a model in this run."""
    for name, generator in params.generators.items():
        if isinstance(generator, SampledParams):
            yield ModelUse(f"generators.{name}", generator.model, generator)
    for model in dict.fromkeys(entry.model for entry in params.evaluation.models.values()):
        for name, benchmark in params.benchmarks.items():
            drawn = params.evaluation.sampling.model_dump()
            sampling = SamplingParams(**drawn, max_tokens=benchmark.max_tokens)
            yield ModelUse(f"benchmarks.{name}", model, sampling)
    for key, rater, llm in (
        ("judge.llm", params.judge.rater, params.judge.llm),
        (
            "judge.second_judge.llm",
            params.judge.second_judge.rater,
            params.judge.second_judge.llm,
        ),
        ("verify.llm", "llm" if params.verify.llm_fallback else "none", params.verify.llm),
    ):
        if rater == "llm":
            yield ModelUse(key, llm.model, llm)


def _token_limits(params: Params) -> Iterator[str]:
    """Yield reply lengths that leave no context for a prompt."""
    for key, model, sampling in model_uses(params):
        context = params.serving[model].max_model_len
        if sampling.max_tokens >= context:
            yield (
                f"{key}.max_tokens = {sampling.max_tokens}: serving.{model}.max_model_len is "
                f"{context} with the prompt; expected 1 to {context - 1}"
            )


def _request_fields(params: Params) -> Iterator[str]:
    """Yield sampling fields that a model needs and its server does not accept."""
    for key, model, sampling in model_uses(params):
        server = params.serving[model].server
        if server is None:
            continue
        sampled = "evaluation.sampling" if key.startswith("benchmarks.") else key
        left_out = chat_completions.unsupported_setting(
            server.accepts,
            sampling.temperature,
            sampling.top_p,
            chat_formats.load(params.serving[model].chat_format),
        )
        if left_out is not None:
            yield f"serving.{model}.server.accepts: {sampled}: {left_out}"
        needs_logprobs = isinstance(sampling, LlmParams) and sampling.expectation
        if needs_logprobs and server.accepts != "vllm" and "logprobs" not in server.accepts:
            yield (
                f"serving.{model}.server.accepts: {key}.expectation = true needs logprobs, which "
                "the server does not accept"
            )


def _context_lengths(params: Params) -> Iterator[str]:
    """Yield text lengths beyond the positions of a model whose files are here."""
    base = params.train.base
    lengths = [("train.max_length", base, params.train.max_length)]
    lengths += [
        (f"sft_models.{name}.max_length", name, own.max_length)
        for name, own in params.sft_models.items()
    ]
    lengths += [
        (f"serving.{name}.max_model_len", base if name == POLICY else name, own.max_model_len)
        for name, own in params.serving.items()
        if own.server is None  # a server knows its own limits
    ]
    for key, name, length in lengths:
        first = sft_models.base_of(name, params.sft_models)
        model = params.models[first]
        folder = paths.model(first) if model.folder is None else Path(model.folder.path)
        limit = model_files.max_positions(folder) if model.has_weights else None
        if limit is not None and length > limit:
            yield f"{key} = {length}: {first} reads {limit} tokens; expected up to {limit}"


RULES = (
    *(
        _names,
        _sft_models,
        _servers,
        _recordings,
        _solvers,
        _evaluation,
        _served_precision,
        _sizes,
        _ratings,
    ),
    *(_token_limits, _request_fields, _context_lengths),
)
