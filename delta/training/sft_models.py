"""The section `sft_models` and stage `sft`: models trained here on worked solutions.

Such a model is one like any other: a policy may start from it, and it may generate or be evaluated.
All weights are trained, in float32 and by one process.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import Name, StrictModel
from delta.core.types import Counts, Row
from delta.data.problems import ProblemSource, ProblemsParams, Questions, build_problems
from delta.data.steps import read_steps
from delta.inference.chat_formats import ChatFormat
from delta.solver.solve import worked_solution
from delta.training import dataset
from delta.training.config import Count, LearningRate, PositiveFloat, TrainParams

WORKED_SOLUTIONS = ("arithmetic",)  # kinds of problems whose steps are known
FIXED = {  # fields of TrainParams that `sft_models` does not have
    "method": "sft",
    "reasoning_markers": "policy",
    "truncation": False,
    "max_dropped": 0.0,
    "lora": None,
    "dtype": "float32",
    "gradient_checkpointing": False,
    "num_processes": 1,
    "fsdp": False,
    "early_stopping": None,
    "save_minutes": 5,
    "logging_steps": 1,
}


class SftModelParams(StrictModel):
    """One entry of `sft_models`. The training options are those of `train`."""

    base: str  # a name in `models` or `sft_models`
    # As in problems.sources, of a kind with worked solutions.
    problems: Annotated[dict[Name, ProblemSource], Field(min_length=1)]
    learning_rate: LearningRate
    max_steps: Count  # optimizer steps; the rows are read again where they run out
    max_length: Annotated[int, Field(ge=2)]  # tokens of prompt and solution; more is an error
    per_device_train_batch_size: Count  # solutions
    gradient_accumulation_steps: Count
    optim: Literal["adamw_torch", "adamw_8bit"]
    lr_scheduler_type: Literal["linear", "cosine", "constant_with_warmup"]
    warmup_steps: Annotated[float, Field(ge=0)]  # below 1: a fraction of all steps
    max_grad_norm: PositiveFloat
    bf16: bool  # autocast: forward and backward pass in bfloat16
    seed: Annotated[int, Field(ge=0)]

    @property
    def max_problems(self) -> int:
        """Return the number of problems before those of benchmarks are dropped."""
        sources = (source.arithmetic for source in self.problems.values())
        return sum(source.problems for source in sources if source is not None)

    @property
    def recipe(self) -> str:
        """Return what is done with the base, in a few words."""
        batch = self.per_device_train_batch_size * self.gradient_accumulation_steps
        return (
            f"SFT on worked solutions ({', '.join(self.problems)}): {self.max_steps} steps of "
            f"{batch}, learning rate {self.learning_rate:g}"
        )

    def train_params(self) -> TrainParams:
        """Return the same options as a section `train`."""
        sft = {"num_train_epochs": None, **self.model_dump(include={"learning_rate", "max_steps"})}
        dpo = sft | {"beta": 1.0}  # not read, nor is kto: the method is sft
        kto = dpo | {"desirable_weight": 1.0, "undesirable_weight": 1.0}
        own = self.model_dump(exclude={"problems", "learning_rate", "max_steps"})
        return TrainParams.model_validate(own | FIXED | {"sft": sft, "dpo": dpo, "kto": kto})


def training_problems(
    key: str, params: SftModelParams, overlap_words: int | None, questions: Questions
) -> tuple[pl.DataFrame, Counts]:
    """Return the PROBLEM rows that no benchmark asks, and the counts of `build_problems`.

    Raises InputError where none is left.
    """
    settings = ProblemsParams(
        sources=params.problems, overlap_words=overlap_words, sample=None, seed=0
    )
    problems, _, counts = build_problems(settings, questions, f"{key}.problems")
    return problems, counts


def solution_rows(
    key: str,
    params: SftModelParams,
    chat_format: ChatFormat,
    tokenizer: Any,
    problems: pl.DataFrame,
) -> list[Row]:
    """Return the rows that the trainer reads: prompt and worked solution of each problem.

    `problems` are PROBLEM rows. The prompt is the one that evaluation sends. Raises InputError
    where a row is longer than `max_length`, or there are fewer rows than a batch has.
    """
    train, end_of_turn, rows = params.train_params(), chat_format.end_of_turn(tokenizer), []
    for problem in problems.iter_rows(named=True):
        messages = chat_format.messages(problem["prompt"], history=problem["history"])
        prompt = chat_format.render(tokenizer, messages)
        prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        steps = read_steps(problem["metadata"])
        assert steps is not None, f"{key}: {problem['problem_id']} has no steps"
        text = worked_solution(steps)
        trace = {"text": text, "finish_reason": "stop"} | dict.fromkeys(
            ("reasoning_start", "reasoning_end", "answer_start"), 0
        )
        ids = dataset.completion_ids(train, chat_format, tokenizer, end_of_turn, trace, prompt)
        assert not isinstance(ids, str), (problem["problem_id"], ids)
        rows.append({"prompt_ids": prompt_ids, "chosen_ids": ids})
    longest = max(len(row["prompt_ids"]) + len(row["chosen_ids"]) for row in rows)
    if longest > params.max_length:
        raise InputError(
            f"{key}.max_length = {params.max_length}: the longest prompt with its solution has "
            f"{longest} tokens; expected {longest} or more"
        )
    if len(rows) < params.per_device_train_batch_size:
        raise InputError(
            f"{key}.per_device_train_batch_size = {params.per_device_train_batch_size}: there are "
            f"only {len(rows)} problems; expected 1 to {len(rows)}"
        )
    return dataset.to_trl_columns(train, rows)


def base_of(name: str, sft_models: Mapping[str, SftModelParams]) -> str:
    """Return the name in `models` that the model `name` begins from, itself where it is there."""
    while name in sft_models:
        name = sft_models[name].base
    return name


def mistakes(sft_models: Mapping[str, SftModelParams], weights: Collection[str]) -> Iterator[str]:
    """Yield bases that are unknown or lead in a circle, and problems without worked solutions.

    `weights` names the entries of `models` that have weights here.
    """
    expected = ", ".join([*weights, *sft_models])
    for name, model in sft_models.items():
        key = f"sft_models.{name}"
        chain = [name]
        while (base := sft_models[chain[-1]].base) in sft_models:
            if base in chain:
                circle = " → ".join([*chain, base])
                yield f"{key}.base: {circle} is a circle; expected it to begin with one of `models`"
                break
            chain.append(base)
        if base not in weights and base not in sft_models:
            yield (
                f"sft_models.{chain[-1]}.base = {base!r}: it has no weights here; "
                f"expected one of {expected}"
            )
        for source, problems in model.problems.items():
            if problems.kind not in WORKED_SOLUTIONS:
                yield (
                    f"{key}.problems.{source}.{problems.kind}: its problems have no worked "
                    f"solutions; expected {', '.join(WORKED_SOLUTIONS)}"
                )
        yield from _warmup(key, model)


def _warmup(key: str, model: SftModelParams) -> Iterator[str]:
    if model.train_params().num_warmup_steps(model.max_steps) >= model.max_steps:
        yield (
            f"{key}.warmup_steps = {model.warmup_steps:g}: {key}.max_steps is {model.max_steps}, "
            "and the learning rate is not reached before; expected fewer"
        )
