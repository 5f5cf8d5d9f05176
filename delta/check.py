"""The whole of params.yaml, and what its sections say of each other, before anything is spent.

Every stage's command runs this first, in a process of its own: it can refuse a run but not shape
its result, so no stage depends on it and a new rule here reruns nothing.
"""

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from delta import prompts
from delta.benchmarks import BenchmarkParams
from delta.engines.settings import EngineSettings, SamplingParams
from delta.errors import InputError
from delta.evaluate import EvaluationParams
from delta.fetch import ModelParams
from delta.generate import GeneratorParams
from delta.graders.pool import VerifyParams
from delta.judge import JudgeParams
from delta.outputs import POLICY
from delta.pair import PairingParams
from delta.params import PARAMS_FILE, Section, checked, read_all
from delta.problems import ProblemsParams
from delta.rubric import DIMENSIONS
from delta.select import SelectorParams
from delta.train import TrainParams

NAME = r"^[A-Za-z0-9_-]+$"  # names become stage names and file names
Name = Annotated[str, StringConstraints(pattern=NAME)]


class Params(Section):
    """All sections, in the order of the pipeline."""

    models: Annotated[dict[Name, ModelParams], Field(min_length=1)]
    engine: EngineSettings
    problems: ProblemsParams
    generators: Annotated[dict[Name, GeneratorParams], Field(min_length=2)]
    verify: VerifyParams
    judge: JudgeParams
    pairing: PairingParams
    selector: SelectorParams
    train: TrainParams
    evaluation: EvaluationParams
    benchmarks: Annotated[dict[Name, BenchmarkParams], Field(min_length=1)]


def check(path: Path = PARAMS_FILE) -> Params:
    """The checked parameters. Raises InputError for the first thing that cannot be."""
    params = checked("", Params, read_all(path), path)
    for rule in (_names, _sizes, _lengths):
        rule(params, path)
    return params


def _names(params: Params, path: Path) -> None:
    """What one section calls by name, another declares."""
    models, generators = list(params.models), list(params.generators)
    if POLICY in models:
        raise InputError(f"{path}: models.{POLICY}: this name is the trained model's; take another")
    named = [
        *(
            (f"generators.{name}.model", one.model, models)
            for name, one in params.generators.items()
        ),
        ("judge.llm.model", params.judge.llm.model, models),
        ("train.base", params.train.base, models),
        ("pairing.chosen", params.pairing.chosen, generators),
        ("pairing.rejected", params.pairing.rejected, generators),
        ("selector.dimension", params.selector.dimension, list(DIMENSIONS)),
        *(("evaluation.models", name, [*models, POLICY]) for name in params.evaluation.models),
    ]
    for key, value, allowed in named:
        if value not in allowed:
            raise InputError(
                f"{path}: {key} = {value!r}: not declared; allowed: {', '.join(allowed)}"
            )
    for needed in (POLICY, params.train.base):
        if needed not in params.evaluation.models:
            raise InputError(
                f"{path}: evaluation.models = {params.evaluation.models}: {needed!r} is missing; "
                "the report compares policy and base"
            )
    if len(set(params.evaluation.models)) != len(params.evaluation.models):
        raise InputError(f"{path}: evaluation.models = {params.evaluation.models}: a name twice")
    for name in params.problems.tasks:
        if not re.match(NAME, name):
            raise InputError(
                f"{path}: problems.tasks.{name}: allowed in a name: letters, digits, _ -"
            )


def _sizes(params: Params, path: Path) -> None:
    """What cannot be had whatever the models answer."""
    pairing = params.pairing
    problems = sum(task.size for task in params.problems.tasks.values())
    most = problems * pairing.per_problem
    if params.selector.k > most:
        raise InputError(
            f"{path}: selector.k = {params.selector.k}: {problems} problems give at most {most} "
            f"pairs; allowed: 1 to {most}"
        )
    there = len(prompts.worked_examples())
    for name, generator in params.generators.items():
        if generator.examples > there:
            raise InputError(
                f"{path}: generators.{name}.examples = {generator.examples}: there are {there} in "
                f"delta/prompts/worked_examples.yaml; allowed: 0 to {there}"
            )
    for side in (pairing.chosen, pairing.rejected):
        samples = params.generators[side].samples
        if pairing.per_problem > samples:
            raise InputError(
                f"{path}: pairing.per_problem = {pairing.per_problem}: generators.{side} has "
                f"{samples} samples; allowed: 1 to {samples}"
            )
    if params.train.batch_size > params.selector.k:
        raise InputError(
            f"{path}: train.batch_size = {params.train.batch_size}: selector.k is "
            f"{params.selector.k}; allowed: 1 to {params.selector.k}"
        )


def _lengths(params: Params, path: Path) -> None:
    room = params.engine.vllm.max_model_len
    asked: dict[str, SamplingParams] = {"evaluation.sampling": params.evaluation.sampling}
    asked |= {f"generators.{name}": one for name, one in params.generators.items()}
    if params.engine.kind != "vllm":
        return  # a server knows its own limits
    if params.judge.rater == "llm":
        asked |= {"judge.llm": params.judge.llm}
    for key, sampling in asked.items():
        if sampling.max_tokens >= room:
            raise InputError(
                f"{path}: {key}.max_tokens = {sampling.max_tokens}: engine.vllm.max_model_len is "
                f"{room} with the prompt; allowed: 1 to {room - 1}"
            )
