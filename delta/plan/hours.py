"""Compute the hours of a run on a node with GPUs: on the clock, billed and used.

A node is billed whole from the first stage to the last, whatever its GPUs do.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from delta.check import Params
from delta.core import paths
from delta.inference.config import ServingParams
from delta.inference.generate import SampledParams
from delta.plan.assumptions import DISK_GBPS, DOWNLOAD_GBPS, ENGINE_S, GRADING_S, OPTIMIZER
from delta.plan.costs import HOUR_S, Cost, TrainingCost, asking_hours, num_evaluations, uses_gpu
from delta.plan.model_sizes import BYTES, Size, Sizes
from delta.plan.pending import ASKING_STAGES
from delta.plan.requests import Workspace, own_serving
from delta.plan.resources import TENSOR_PARALLEL_SIZES, models_to_fetch, serving_fit
from delta.plan.speeds import Gpu

DOWNLOAD, START, LAST = "fetch", "starts", "last replies"
GRADE, TRAIN, CHECKPOINT, SFT = "grading", "train", "checkpoints", "sft"
MIN_SAVING = 0.02  # fraction of the billed hours; what lowers them by less is not listed


class RunStep(NamedTuple):
    """A part of a run during which a number of GPUs are busy."""

    name: str  # a stage, or one of the above
    hours: float  # on the clock
    busy: int  # GPUs
    model: str = ""

    @property
    def used(self) -> float:
        """Return the GPU hours in use."""
        return self.hours * self.busy


class NodeHours(NamedTuple):
    """The hours of a run on a node."""

    gpus: int
    steps: list[RunStep]
    lacking: Sequence[RunStep] = ()  # that need more GPUs; their hours are not known

    @property
    def wall(self) -> float:
        """Return the hours on the clock."""
        return sum(step.hours for step in self.steps)

    @property
    def billed(self) -> float:
        """Return the GPU hours that are paid for."""
        return self.gpus * self.wall

    @property
    def used(self) -> float:
        """Return the GPU hours in use."""
        return sum(step.used for step in self.steps)

    def idle(self, *names: str) -> float:
        """Return the hours that GPUs are billed and not used in the steps of these names."""
        steps = (step for step in self.steps if step.name.partition("@")[0] in names)
        return sum(step.hours * (self.gpus - step.busy) for step in steps)


def gpus_of_node(params: Params) -> int:
    """Return the GPUs that the profile asks for: those of training, or of its largest model."""
    sizes = [
        serving.tensor_parallel_size
        for model in params.serving
        if (serving := own_serving(params, model)) is not None
    ]
    return max(params.train.num_processes, *sizes, 1)


def replicas(params: Params, model: str, gpus: int) -> int:
    """Return how many replicas of a model answer at once: one, or with Ray all that fit."""
    serving, engine = params.serving[model], params.engine
    assert isinstance(serving, ServingParams)
    if engine.kind == "vllm":
        return 1
    most = max(1, gpus // serving.tensor_parallel_size)
    return most if engine.ray.replicas is None else min(most, engine.ray.replicas)


def node_hours(
    workspace: Workspace,
    requests: Sequence[Cost],
    training: TrainingCost | None,
    sizes: Sizes,
    gpus: int,
    sft: Mapping[str, TrainingCost],
) -> NodeHours | None:
    """Return the hours of the stages that are to run; None where a part of them is not known.

    `sft` has the training of each model of `sft_models`.
    """
    known = [cost.hours is not None for cost in requests]
    known += [cost.hours is not None for cost in sft.values()]
    if training is not None:
        known.append(training.hours is not None)
    if not all(known):
        return None
    steps = [
        *_fetching(workspace, sizes),
        *_asking(workspace.params, requests, sizes, gpus),
        *_grading(workspace, requests),
        *_sft(workspace.params, sft),
        *_training(workspace.params, training, sizes[workspace.params.train.base]),
    ]
    steps = [step for step in steps if step.hours]
    lacking = [step for step in steps if step.busy > gpus]
    without = {(step.model or step.name) for step in lacking}
    if TRAIN in without:
        without.add(CHECKPOINT)
    possible = [step for step in steps if (step.model or step.name) not in without]
    return NodeHours(gpus, possible, lacking)


def _fetching(workspace: Workspace, sizes: Sizes) -> Iterator[RunStep]:
    missing = [name for name in models_to_fetch(workspace) if not paths.model(name).is_dir()]
    fetched = sum(size.on_disk for name in missing if (size := sizes[name]))
    # Copies and digests take as long again.
    yield RunStep(DOWNLOAD, 2 * fetched / 1e9 / DOWNLOAD_GBPS.value / HOUR_S, 0)


def _asking(params: Params, requests: Sequence[Cost], sizes: Sizes, gpus: int) -> Iterator[RunStep]:
    """Yield for each stage and model its hours, its last reply, and one start of its engines."""
    hours: dict[tuple[str, str], tuple[float, float]] = {}
    for cost in requests:
        if cost.group.to_ask and params.serving[cost.group.model].server is None:
            key = cost.group.stage, cost.group.model
            used, last = hours.get(key, (0.0, 0.0))
            hours[key] = used + (cost.hours or 0), max(last, cost.last_hours)
    for (stage, model), (used, last) in hours.items():
        serving, size = params.serving[model], sizes[model]
        assert isinstance(serving, ServingParams)
        busy = serving.tensor_parallel_size * replicas(params, model, gpus)
        yield RunStep(stage, used / busy, busy, model)
        yield RunStep(LAST, last, serving.tensor_parallel_size, model)
        loading = 0.0 if size is None else size.on_disk / 1e9 / DISK_GBPS.value
        yield RunStep(START, (ENGINE_S.value + loading) / HOUR_S, 0, model)


def _grading(workspace: Workspace, requests: Sequence[Cost]) -> Iterator[RunStep]:
    params = workspace.params
    answers = sum(cost.group.total or 0 for cost in requests if cost.group.stage == "evaluate")
    for cost in requests:
        sampled = isinstance(params.generators.get(cost.group.name), SampledParams)
        if cost.group.stage == "generate" and sampled:
            answers += cost.group.total or 0
    yield RunStep(GRADE, answers * GRADING_S.value / params.grading.workers / HOUR_S, 0)


def _sft(params: Params, costs: Mapping[str, TrainingCost]) -> Iterator[RunStep]:
    for name, cost in costs.items():
        yield RunStep(SFT, cost.hours or 0, 1 if uses_gpu(params) else 0, name)


def _training(params: Params, cost: TrainingCost | None, base: Size | None) -> Iterator[RunStep]:
    train = params.train
    if cost is None or not cost.hours or cost.pairs is None or base is None:
        return
    wall = cost.hours / train.num_processes
    yield RunStep(TRAIN, wall, train.num_processes if uses_gpu(params) else 0)
    if train.lora is None:
        full = wall * 60 / train.save_minutes if train.save_minutes else 0
        written = full * OPTIMIZER.value + num_evaluations(train, cost.pairs) * BYTES[train.dtype]
        seconds = written * base.parameters / 1e9 / DISK_GBPS.value
        yield RunStep(CHECKPOINT, seconds / HOUR_S, 0)


class Alternative(NamedTuple):
    """Another tensor_parallel_size of a model, and its fraction of the GPU hours of the present."""

    tensor_parallel_size: int
    share: float


def alternatives(
    params: Params, requests: Sequence[Cost], sizes: Sizes, gpu: Gpu
) -> dict[str, Alternative]:
    """Return by model the tensor_parallel_size that takes the fewest GPU hours, if another does."""
    best: dict[str, Alternative] = {}
    for cost in requests:
        model = cost.group.model
        size, serving = sizes.get(model), params.serving[model]
        if model in best or not cost.hours or not cost.tokens or size is None or not size.kv_bytes:
            continue
        assert isinstance(serving, ServingParams)  # it takes hours
        found = Alternative(serving.tensor_parallel_size, 1.0)
        for number in TENSOR_PARALLEL_SIZES:
            entry = serving.model_copy(update={"tensor_parallel_size": number})
            if serving_fit(entry, size, gpu, params.engine.vllm).fits:
                changed = params.model_copy(update={"serving": params.serving | {model: entry}})
                hours = asking_hours(changed, cost.group, cost.tokens, size, gpu)
                found = min(found, Alternative(number, hours / cost.hours), key=lambda x: x.share)
        best[model] = found
    return best


def what_would_lower(params: Params, hours: NodeHours, others: dict[str, Alternative]) -> list[str]:
    """Return what would lower the billed hours, the most first."""
    gpus, train, idle = hours.gpus, params.train, hours.idle
    lower: list[tuple[float, str]] = [
        (idle(DOWNLOAD), "`make downloads` before the GPUs are rented"),
        (idle(LAST), "smaller max_tokens"),
        (idle(GRADE), "more grading.workers"),
        (idle(START), "fewer engine starts, such as fewer models"),
        (idle(CHECKPOINT), "a larger train.save_minutes, or a faster disk"),
    ]
    if params.engine.kind == "vllm":
        lower.append((idle(*ASKING_STAGES), "engine.kind: ray, which keeps every GPU busy"))
    else:
        lower.append((idle(*ASKING_STAGES), "as many GPUs as tensor_parallel_size divides"))
    if train.num_processes < gpus:
        lower.append((idle(TRAIN), f"train.num_processes: {gpus}, or training on fewer GPUs"))
    for model, other in others.items():
        used = sum(s.used for s in hours.steps if s.model == model and s.name in ASKING_STAGES)
        text = f"serving.{model}.tensor_parallel_size: {other.tensor_parallel_size}"
        if other.tensor_parallel_size <= gpus:
            lower.append((used * (1 - other.share), text))
    least = MIN_SAVING * hours.billed
    ordered = sorted(lower, reverse=True)
    return [f"{text} ({saved:,.1f} GPU h)" for saved, text in ordered if saved > least]
