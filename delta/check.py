"""The whole of params.yaml, and what its sections say of each other, before anything is spent.

Every stage's command runs this first, in a process of its own: it can refuse a run but not shape
its result, so no stage depends on it and a new rule here reruns nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from delta import prompts
from delta.analysis.config import AnalysisParams
from delta.core import paths
from delta.core.errors import InputError
from delta.core.params import NAME, PARAMS_FILE, Name, StrictModel, read_all, validate
from delta.core.paths import POLICY
from delta.data import model_files
from delta.data.fetch import ModelParams
from delta.data.problems import ProblemsParams
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.models import EvaluationParams, bases
from delta.experiments.grid import ExperimentParams
from delta.grading.verify import VerifyParams
from delta.grading.worker_pool import GradingParams
from delta.inference import chat_formats, fields
from delta.inference.engine import EngineSettings, SamplingParams, ServedParams, Serving
from delta.inference.generate import GeneratorParams, RecordedParams, SampledParams
from delta.judging.budget import is_sufficient
from delta.judging.judge import JudgeParams
from delta.pairing.pair import PairingParams, required_ratings
from delta.pairing.select import SelectorParams
from delta.training.config import TrainParams


class Params(StrictModel):
    """All sections, in the order of the pipeline."""

    profile: Name  # which of the profiles this is, for the report
    models: Annotated[dict[Name, ModelParams], Field(min_length=1)]
    serving: dict[Name, Serving]
    engine: EngineSettings
    problems: ProblemsParams
    generators: Annotated[dict[Name, GeneratorParams], Field(min_length=1)]
    grading: GradingParams
    verify: VerifyParams
    judge: JudgeParams
    pairing: PairingParams
    selector: SelectorParams
    analysis: AnalysisParams
    train: TrainParams
    evaluation: EvaluationParams
    benchmarks: Annotated[dict[Name, BenchmarkParams], Field(min_length=1)]
    experiments: dict[Name, ExperimentParams]


def check(path: Path = PARAMS_FILE) -> Params:
    """The checked parameters. Raises InputError for the first thing that cannot be."""
    return check_content(read_all(path), str(path))


def check_content(content: dict[str, Any], where: str) -> Params:
    """As `check`, of what stands in the file; `where` begins the message."""
    params = validate("", Params, content, where)
    rules = (_names, _servers, _recordings, _evaluation, _sizes, _ratings, _lengths, _fields)
    for rule in (*rules, _positions):
        for mistake in rule(params):
            raise InputError(f"{where}: {mistake}")
    return params


def _names(params: Params) -> Iterator[str]:
    """What one section calls by name, another declares."""
    if POLICY in params.models:
        yield f"models.{POLICY}: this name is the trained model's; take another"
    for name in params.problems.sources:
        if not re.fullmatch(NAME, name) or name.endswith("\n"):  # "$" passes a new line
            yield f"problems.sources.{name}: allowed in a name: up to 64 letters, digits, _ -"
    if set(params.serving) != {*params.models, POLICY}:
        yield (
            f"serving has {', '.join(params.serving)}; allowed: one entry for each of "
            f"{', '.join([*params.models, POLICY])}"
        )
    if set(params.judge.budget) != set(params.generators):
        yield (
            f"judge.budget has {', '.join(params.judge.budget)}; allowed: one entry for each of "
            f"{', '.join(params.generators)}"
        )
    generators = list(params.generators)
    asked = [name for name, model in params.models.items() if model.recording is None]
    weights = [name for name, model in params.models.items() if model.has_weights]
    known = list(chat_formats.all_chat_formats())
    for key, value, allowed in [
        *(
            (f"serving.{name}.protocol", one.protocol, known)
            for name, one in params.serving.items()
        ),
        *(
            (f"generators.{name}.model", one.model, asked)
            for name, one in params.generators.items()
            if isinstance(one, SampledParams)
        ),
        ("verify.llm.model", params.verify.llm.model, asked),
        ("judge.llm.model", params.judge.llm.model, asked),
        ("judge.second.llm.model", params.judge.second.llm.model, asked),
        ("train.base", params.train.base, weights),
        ("pairing.chosen", params.pairing.chosen, generators),
        ("pairing.rejected", params.pairing.rejected, generators),
    ]:
        if value in asked and value not in allowed:
            yield (
                f"{key} = {value!r}: only a server has its weights; allowed: "
                f"{', '.join(allowed) or 'a model with weights here, and none is declared'}"
            )
        elif value not in allowed:
            yield f"{key} = {value!r}: not declared; allowed: {', '.join(allowed)}"


def _servers(params: Params) -> Iterator[str]:
    """Which server answers for which model, and who needs one."""
    yield from _served(params)
    servers = params.engine.endpoint.servers
    for name, server in servers.items():
        key = f"engine.endpoint.servers.{name}"
        for model in server.models:
            if model not in params.serving or params.serving[model].endpoint is None:
                remote = [m for m, one in params.serving.items() if one.endpoint is not None]
                yield (
                    f"{key}.models.{model}: serving.{model} has no endpoint; allowed: "
                    f"{', '.join(remote) or 'none is declared'}"
                )
            if (first := params.engine.endpoint.server_of(model)) != name:
                yield f"{key}.models.{model}: {first} lists it too; allowed: one server a model"


def _served(params: Params) -> Iterator[str]:
    listed = {m for server in params.engine.endpoint.servers.values() for m in server.models}
    for name, serving in params.serving.items():
        model = params.models.get(name)  # None: the policy
        if model is not None and model.served is not None:
            if not isinstance(serving, ServedParams):
                yield (
                    f"serving.{name}: models.{name} has no weights here; allowed: "
                    f"{', '.join(ServedParams.model_fields)}"
                )
        elif isinstance(serving, ServedParams):
            yield f"serving.{name}.dtype is missing (it has weights here)"
        if serving.endpoint is None:
            continue
        if model is not None and model.recording is not None:
            yield f"serving.{name}.endpoint: a recording is asked nothing; leave it out"
        elif name not in listed:
            yield (
                f"serving.{name}.endpoint: none of engine.endpoint.servers lists {name} among its "
                "models; allowed: exactly one"
            )


def _recordings(params: Params) -> Iterator[str]:
    """A recording answers the problems of its own source, and nobody else's."""
    recordings = {
        name: model.recording
        for name, model in params.models.items()
        if model.recording is not None
    }
    for name, generator in params.generators.items():
        if isinstance(generator, RecordedParams) and generator.model not in recordings:
            yield (
                f"generators.{name}.model = {generator.model!r}: no recording; allowed: "
                f"{', '.join(recordings) or 'none is declared'}"
            )
    for name, recording in recordings.items():
        key = f"models.{name}.recording"
        source = params.problems.sources.get(recording.source)
        if source is None:
            yield (
                f"{key}.source = {recording.source!r}: not declared; allowed: "
                f"{', '.join(params.problems.sources)}"
            )
            continue
        for kind, same in (
            ("openr1", ("data", "llama_verdicts")),
            ("table", ("data", "statement")),
        ):
            mine, theirs = getattr(recording, kind), getattr(source, kind)
            for field in same if mine is not None else ():
                if theirs is None or getattr(mine, field) != getattr(theirs, field):
                    where = f"problems.sources.{recording.source}.{kind}.{field}"
                    yield f"{key}.{kind}.{field}: allowed: that of {where}"
    for name, model in params.models.items():
        serving = params.serving[name]
        if isinstance(serving, ServedParams):
            continue
        kind, origin = ("hub", model.hub) if model.hub else ("folder", model.folder)
        if origin is not None and origin.code != serving.trust_remote_code:
            yield (
                f"models.{name}.{kind}.code = {origin.code}: serving.{name}.trust_remote_code is "
                f"{serving.trust_remote_code}; allowed: both or none"
            )


def _evaluation(params: Params) -> Iterator[str]:
    models, base = params.evaluation.models, params.train.base
    asked = [name for name, model in params.models.items() if model.recording is None]
    for name, entry in models.items():
        key = f"evaluation.models.{name}"
        if entry.model not in [*asked, POLICY]:
            yield (
                f"{key}.model = {entry.model!r}: not declared; allowed: "
                f"{', '.join([*asked, POLICY])}"
            )
        yield from _examples(key, entry.examples)
        if (name == POLICY) != (entry.model == POLICY):
            yield f"{key}.model = {entry.model!r}: policy is the name of the policy alone"
    if POLICY not in models:
        yield "evaluation.models: policy is missing; the report compares policy and base"
    elif len(bases(models, base)) != 1:
        yield (
            f"evaluation.models: allowed: exactly one of {base} with examples "
            f"{models[POLICY].examples}, the base that the policy is compared with"
        )


def _examples(key: str, examples: int) -> Iterator[str]:
    there = len(prompts.worked_examples())
    if examples > there:
        yield (
            f"{key}.examples = {examples}: there are {there} in "
            f"delta/prompts/worked_examples.yaml; allowed: 0 to {there}"
        )


def _sizes(params: Params) -> Iterator[str]:
    """What cannot be had whatever the models answer."""
    pairing, k = params.pairing, params.selector.k
    drawn = [source.task.problems for source in params.problems.sources.values() if source.task]
    known = len(drawn) == len(params.problems.sources)  # of a file, only its reader knows
    bounds = [params.problems.sample, pairing.problems, sum(drawn) if known else None]
    problems = min((bound for bound in bounds if bound is not None), default=None)
    if (
        k is not None
        and problems is not None
        and k > problems * pairing.per_problem
        and not has_table_pairs(params)
    ):
        most = problems * pairing.per_problem
        yield (
            f"selector.k = {k}: {problems} problems give at most {most} pairs; allowed: 1 to {most}"
        )
    for name, generator in params.generators.items():
        if isinstance(generator, SampledParams):
            yield from _examples(f"generators.{name}", generator.examples)
    for side in (pairing.chosen, pairing.rejected):
        samples = _samples(params, side)
        if samples is not None and pairing.per_problem > samples:
            yield (
                f"pairing.per_problem = {pairing.per_problem}: generators.{side} has {samples} "
                f"traces a problem; allowed: 1 to {samples}"
            )
    if k is not None and params.train.batch_size > k:
        yield f"train.batch_size = {params.train.batch_size}: selector.k is {k}; allowed: 1 to {k}"


def has_table_pairs(params: Params) -> bool:
    """Whether the pairs are those of a table's rows, however many a problem has (pairing.pair)."""
    pairing = params.pairing
    sides = [params.generators[name] for name in (pairing.chosen, pairing.rejected)]
    if pairing.pairs == "drawn" or pairing.chosen == pairing.rejected:
        return False
    tables = []
    for side in sides:
        recording = params.models[side.model].recording
        tables.append(None if recording is None else recording.table)
    first, second = tables
    if first is None or second is None:
        return False
    return (first.data, first.where) == (second.data, second.where)


def _samples(params: Params, name: str) -> int | None:
    """Traces of a problem; None where only a recording knows."""
    generator = params.generators[name]
    return generator.samples if isinstance(generator, SampledParams) else generator.recorded


def _ratings(params: Params) -> Iterator[str]:
    """Pairs are ranked by ratings: the judge's budget must reach every trace of a pair."""
    if params.selector.mode == "all":
        return
    given = has_table_pairs(params)
    for name, drawn in required_ratings(params.pairing).items():
        need = drawn.model_copy(update={"drawn": None}) if given else drawn
        budget = params.judge.budget[name]
        if not is_sufficient(budget, need, _samples(params, name)):
            yield (
                f"judge.budget.{name} = {budget.model_dump()}: pairing needs ratings of "
                f"{need.model_dump()} where selector.mode is {params.selector.mode!r}; allowed: "
                f"that and more{' (drawn null is all)' * given}, or mode all"
            )


class ModelUse(NamedTuple):
    """A model that is asked, how, and where params.yaml says so."""

    key: str
    model: str
    sampling: SamplingParams


def model_uses(params: Params) -> Iterator[ModelUse]:
    """Every use of a model that this run makes."""
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
        ("judge.second.llm", params.judge.second.rater, params.judge.second.llm),
        ("verify.llm", params.verify.second, params.verify.llm),
    ):
        if rater == "llm":
            yield ModelUse(key, llm.model, llm)


def _lengths(params: Params) -> Iterator[str]:
    for key, model, sampling in model_uses(params):
        room = params.serving[model].max_model_len
        if sampling.max_tokens >= room:
            yield (
                f"{key}.max_tokens = {sampling.max_tokens}: serving.{model}.max_model_len is "
                f"{room} with the prompt; allowed: 1 to {room - 1}"
            )


def _fields(params: Params) -> Iterator[str]:
    """Whether a server can be told what shapes its replies."""
    for key, model, sampling in model_uses(params):
        endpoint = params.serving[model].endpoint
        if endpoint is None:
            continue
        spoken = chat_formats.load(params.serving[model].protocol)
        sampled = "evaluation.sampling" if key.startswith("benchmarks.") else key
        left_out = fields.unmet(
            endpoint.accepts,
            sampling.temperature,
            sampling.top_p,
            stop=bool(spoken.stop),
            effort=bool(spoken.template_arguments()),
            special_tokens=spoken.keep_special_tokens and not spoken.channels,
        )
        if left_out is not None:
            yield f"serving.{model}.endpoint.accepts: {sampled}: {left_out}"


def _positions(params: Params) -> Iterator[str]:
    """How far a model reads, where its files are here: in a folder, or fetched."""
    base = params.train.base
    lengths = [("train.max_length", base, params.train.max_length)]
    lengths += [
        (f"serving.{name}.max_model_len", base if name == POLICY else name, own.max_model_len)
        for name, own in params.serving.items()
        if own.endpoint is None  # a server knows its own limits
    ]
    for key, name, length in lengths:
        model = params.models[name]
        folder = paths.model(name) if model.folder is None else Path(model.folder.path)
        limit = model_files.max_positions(folder) if model.has_weights else None
        if limit is not None and length > limit:
            yield f"{key} = {length}: {name} reads {limit} tokens; allowed: up to {limit}"
