"""The assumptions of a plan. Every plan prints those that apply; no result depends on them."""

from typing import Literal, NamedTuple


class Assumption(NamedTuple):
    value: float
    reason: str  # with the unit: printed after the value
    only_on: Literal["CPU", "GPU"] | None = None  # the machines whose plans depend on it; None: all


REASONING_REPLY = Assumption(
    5_000, "tokens in a reply of a model that reasons: DeepSeek-R1's traces have 16,000 characters"
)
CHANNELS_REPLY = Assumption(
    1_200, "tokens in a guided reply after reasoning at medium effort: 800 and 400 of JSON"
)
PLAIN_REPLY = Assumption(500, "tokens in a reply of a model that does not reason")
WORKED_REPLY = Assumption(
    50, "tokens in a solver's solution, and in a reply of a model trained on worked solutions"
)
PROBLEM_PROMPT = Assumption(200, "tokens in a problem's prompt")
ARITHMETIC_PROMPT = Assumption(65, "tokens in the prompt of a problem of `arithmetic`")
RUBRIC_PROMPT = Assumption(700, "tokens in a judge's prompt besides the trace")
CHARACTERS = Assumption(4, "characters a token, on disk twice: in the cache, and packed in tables")
UNRESOLVED = Assumption(0.3, "of the traces go to the model that compares answers")
BANDWIDTH = Assumption(
    0.7,
    "of a GPU's memory bandwidth while writing: each step reads the weights and the KV cache",
    "GPU",
)
COMPUTING = Assumption(
    0.5, "of its peak in the type of the weights, where that bounds a step", "GPU"
)
STEP_S = Assumption(0.004, "s besides, of every step of an engine: scheduling, sampling", "GPU")
READING = Assumption(0.4, "of the peak while reading prompts; samples of a prompt share it", "GPU")
TENSOR_PARALLEL = Assumption(
    0.8, "of the speed of as many separate GPUs, with tensor parallelism", "GPU"
)
ENGINE_S = Assumption(
    120, "s of an engine's start besides its weights: imports, graphs, profiling", "GPU"
)
DISK_GBPS = Assumption(1, "GB/s of a disk: weights of an engine's start, checkpoints", "GPU")
DOWNLOAD_GBPS = Assumption(
    0.2, "GB/s from the hub, and as long again for copies and digests", "GPU"
)
TRAINING = Assumption(
    0.225, "of the peak in training: the best published for 7B, packed, on an H100", "GPU"
)
GRADING_S = Assumption(0.02, "s of a worker for each answer that is graded: docs/grading.md", "GPU")
# Of two cores, by bench/RESULTS.md. Reading is by the difference that prefix caching makes in
# `generation_throughput`: without it 57 tokens/s instead of 260, for 122,560 more tokens read.
CPU_DECODING = Assumption(
    7.4e10, "FLOP/s of two cores writing: SmolLM2-135M at 275 tokens/s", "CPU"
)
CPU_READING = Assumption(
    2e11, "FLOP/s of two cores reading prompts: SmolLM2-135M at 740 tokens/s", "CPU"
)
CPU_TRAINING = Assumption(
    9e10, "FLOP/s of two cores in training: SmolLM2-135M at 106 tokens/s", "CPU"
)
CPU_ENGINE_S = Assumption(
    28, "s of two cores to import vLLM and load weights: docs/lab-notebook.md", "CPU"
)
CPU_STAGE_S = Assumption(4, "s of two cores for any other stage: docs/benchmarks.md", "CPU")
ATTENTION = Assumption(
    1.05, "x 2 FLOP a parameter and token forward, 4 backward, 2 for recomputing"
)
OPTIMIZER = Assumption(12, "bytes a parameter in a checkpoint: fp32 weights, two moments of Adam")
ENGINE_GIB = Assumption(3, "GiB of a GPU for the engine besides weights and cache", "GPU")
CUDA_GIB = Assumption(2, "GiB of a GPU in training for CUDA, NCCL and fragments of memory", "GPU")


def assumptions(on_gpu: bool) -> list[Assumption]:
    """Return the assumptions that apply to a kind of machine, in the order of this file."""
    kinds = (None, "GPU" if on_gpu else "CPU")
    values = list(globals().values())
    return [value for value in values if isinstance(value, Assumption) and value.only_on in kinds]
