"""Compute what 10⁷ and 10⁹ pairs would cost, and where the present design reaches its limits.

    make bench NAME=scale                    # with 10⁸ rows
    python -m bench.scale --rows 10000000    # fewer
    python -m bench.scale --costs            # only what needs no measurement

The tables also go between the markers of docs/scaling.md. Rows and logs are written to $TMPDIR.
Costs follow from the assumptions of `make plan` alone: the functions that print a plan are called
in an empty folder.
"""

import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from bench import results, scale_selection, scale_store
from delta.check import Params, check_content
from delta.core.params import read_all
from delta.core.schemas import SIDES
from delta.inference.config import ServingParams
from delta.plan import costs
from delta.plan.assumptions import CHARACTERS, PROBLEM_PROMPT
from delta.plan.costs import Tokens
from delta.plan.model_sizes import KNOWN_MODELS, Size, size_of_known, sizes
from delta.plan.pending import pending_requests
from delta.plan.requests import Workspace, count_requests
from delta.plan.section import abbreviate
from delta.plan.speeds import Gpu, Lengths, gpu_rates, training_flops

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/scaling.md"
PROFILE = ROOT / "profiles/paper.yaml"
GPU = Gpu(gib=80, tflops=989)  # as `make plan`: an H100
PAIRS = (16_500, 10_000_000, 1_000_000_000)
DAYS = 30
Recipe = Callable[[int], dict[str, Any]]


class Stage(NamedTuple):
    name: str
    requests: float
    tokens: Tokens
    hours: float  # of one GPU


def paper(pairs: int) -> dict[str, Any]:
    """Return the profile with `pairs` problems, one pair each; the same fraction is selected."""
    content = read_all(PROFILE)
    fraction = content["selector"]["k"] / content["problems"]["sample"]
    content["problems"]["sample"] = pairs
    content["selector"]["k"] = round(pairs * fraction)
    return content


def lean(pairs: int) -> dict[str, Any]:
    """Return the profile of one pair set: two generators, one trace each, no LLM fallback."""
    content = paper(pairs)
    used = [content["pairing"][side] for side in SIDES]
    content["generators"] = {name: content["generators"][name] | {"samples": 1} for name in used}
    content["judge"]["budget"] = {name: content["judge"]["budget"][name] for name in used}
    content["verify"]["llm_fallback"] = False
    content["experiments"] = {}
    return content


def stages(content: dict[str, Any]) -> list[Stage]:
    """Return the stages whose cost grows with the pairs; evaluation does not."""
    params = check_content(content, str(PROFILE))
    with tempfile.TemporaryDirectory() as empty, chdir(empty):
        workspace = Workspace(params, {})
        groups = [count_requests(workspace, item, 1.0) for item in pending_requests(workspace)]
        model_sizes = sizes(params)
    result = []
    for name in ("generate", "verify", "judge"):
        parts = []
        for group in groups:
            size = model_sizes[group.model]
            if group.stage == name and size is not None:
                count = costs.request_tokens(params, group)
                hours = costs.asking_hours(params, group, count, size, GPU)
                parts.append(Stage(name, group.total or 0, count, hours))
        result.append(_sum(name, parts))
    return [*result, _training(params)]


def _sum(name: str, parts: list[Stage]) -> Stage:
    tokens = Tokens(*(sum(part.tokens[place] for part in parts) for place in range(4)))
    hours = sum(part.hours for part in parts)
    return Stage(name, sum(part.requests for part in parts), tokens, hours)


def _training(params: Params) -> Stage:
    """Return the cost of all epochs; training may stop earlier."""
    train = params.train
    policy_base = KNOWN_MODELS["nvidia/Llama-3.1-Nemotron-Nano-8B-v1"]
    sides = [costs.trace_tokens(params, getattr(params.pairing, side)) for side in SIDES]
    side = PROBLEM_PROMPT.value + sum(sides) / len(sides)
    pairs = params.selector.k or 0
    tokens = costs.training_tokens(train, pairs, side) * train.epochs(pairs)
    size, flops = size_of_known(policy_base, "bfloat16"), training_flops(GPU, train.bf16)
    hours = costs.training_hours(train, pairs, side, size, flops)
    return Stage("train", 0, Tokens(tokens, 0, 0, 0), hours)


def cost_tables(recipe: Recipe) -> str:
    """Return the tables of total costs and of costs by stage."""
    runs = {pairs: stages(recipe(pairs)) for pairs in PAIRS}
    return f"{_total_costs(runs)}\n\n{_by_stage(runs)}"


def _total_costs(runs: dict[int, list[Stage]]) -> str:
    rows = []
    for pairs, run in runs.items():
        tokens = [stage.tokens for stage in run if stage.requests]
        read, written = (
            sum(counts.read for counts in tokens),
            sum(counts.written for counts in tokens),
        )
        hours = sum(stage.hours for stage in run)
        terabytes = written * CHARACTERS.value * 2 / 1e12
        gpus = hours / 24 / DAYS
        numbers = [read / 1e9, written / 1e9, terabytes, hours, gpus]
        requests = abbreviate(sum(stage.requests for stage in run))
        rows.append([f"{pairs:,}", requests, *map(_number, numbers)])
    head = ["pairs", "requests", "tokens read, 10⁹", "tokens written, 10⁹"]
    return results.table([*head, "TB stored", "GPU hours", f"GPUs for {DAYS} days"], rows)


def _by_stage(runs: dict[int, list[Stage]]) -> str:
    pairs, smallest = next(iter(runs.items()))
    rows = []
    for place, stage in enumerate(smallest):
        per_pair = [stage.requests, stage.tokens.read, stage.tokens.written]
        hours = [run[place].hours for run in runs.values()]
        rows.append(
            [stage.name, *(_number(amount / pairs) for amount in per_pair), *map(_number, hours)]
        )
    head = ["stage", "requests per pair", "tokens read per pair", "written per pair"]
    return results.table([*head, *(f"GPU hours, {abbreviate(size)} pairs" for size in runs)], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"


class Published(NamedTuple):
    """Tokens written per second and GPU, as published by others."""

    what: str
    size: Size
    gpus: int
    read: int  # tokens of a prompt
    written: int
    rate: float
    source: str


# FP8: one byte a parameter, and a number of the cache.
LLAMA_8B = Size(8.03e9, 8.03e9, 8.03e9, 8.03e9, 65_536)
LLAMA_70B = Size(70.55e9, 70.55e9, 70.55e9, 70.55e9, 163_840)
GPT_OSS = size_of_known(KNOWN_MODELS["openai/gpt-oss-120b"], "bfloat16")
TENSORRT = "https://github.com/NVIDIA/TensorRT-LLM/blob"
NVIDIA_1 = f"{TENSORRT}/00f37686aa85/docs/source/performance/perf-overview.md"
NVIDIA_2 = f"{TENSORRT}/03e27c7d5ff0/docs/source/developer-guide/perf-overview.md"
GPUSTACK = "https://docs.gpustack.ai/latest/performance-lab/gpt-oss-120b/h100"
PUBLISHED = (
    Published("Llama 3.1 8B, FP8, H100", LLAMA_8B, 1, 128, 4096, 14_325, NVIDIA_1),
    Published("Llama 3.1 8B, FP8, H100", LLAMA_8B, 1, 20_000, 2_000, 1_351, NVIDIA_1),
    Published("Llama 3.3 70B, FP8, 2 × H100", LLAMA_70B, 2, 128, 4096, 4_199 / 2, NVIDIA_1),
    Published("Llama 3.3 70B, FP8, 2 × H100", LLAMA_70B, 2, 1000, 1000, 2_209, NVIDIA_2),
    Published("GPT-OSS-120b, 4 × H100", GPT_OSS, 4, 1000, 1000, 4_685, NVIDIA_2),
    Published("GPT-OSS-120b, 4 × H100", GPT_OSS, 4, 8192, 1024, 1_169, NVIDIA_2),
    Published("GPT-OSS-120b, vLLM, 2 × H100", GPT_OSS, 2, 215, 196, 7_648.67 / 2, GPUSTACK),
)


def against_published() -> str:
    """Compare our assumptions with published figures; above 1 they promise more."""
    params = check_content(read_all(PROFILE), str(PROFILE))
    serving = params.serving["gpt-oss-120b"]
    assert isinstance(serving, ServingParams)
    rows = []
    for figure in PUBLISHED:
        changes = {"max_num_seqs": 1024, "tensor_parallel_size": figure.gpus}
        lengths = Lengths(figure.read, figure.written, 1)
        entry = serving.model_copy(update=changes)
        rates = gpu_rates(entry, figure.size, params.engine.vllm, GPU, lengths)
        seconds = figure.read / rates.reading + figure.written / rates.writing
        ours = figure.written / seconds / figure.gpus
        both = f"{figure.read:,} → {figure.written:,}"
        cells = [
            figure.what,
            both,
            f"{figure.rate:,.0f}",
            f"{ours:,.0f}",
            f"{ours / figure.rate:.1f}",
        ]
        rows.append([*cells, f"[source]({figure.source})"])
    head = ["measured by others", "tokens read → written", "tokens/s per GPU"]
    return results.table([*head, "assumed", "assumed ÷ measured", ""], rows)


def computed_tables() -> dict[str, str]:
    """Return the tables that need no measurement, by marker."""
    return {
        "paper": cost_tables(paper),
        "lean": cost_tables(lean),
        "published": against_published(),
    }


def measured_tables(folder: Path, rows: int) -> dict[str, str]:
    ranked = scale_selection.measure(folder, rows)
    stored = scale_store.measure(folder)
    return {
        "selection": ranked.text,
        "store": stored.text,
        "limits": scale_store.limits(stored, ranked.bytes_a_pair, PAIRS),
    }


def replace_section(name: str, text: str) -> None:
    """Replace the text between the markers of that name in docs/scaling.md."""
    content = DOCUMENT.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    assert content.count(begin) == content.count(end) == 1, name
    before, _, rest = content.partition(begin)
    after = rest.partition(end)[2]
    DOCUMENT.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("--costs", action="store_true", help="measure nothing")
    parser.add_argument("--rows", type=int, default=scale_selection.MOST, help="the largest size")
    options = parser.parse_args()
    if options.rows < 1_000_000 or options.rows % 1_000_000:
        parser.error(f"--rows {options.rows}: expected whole millions")
    parts = computed_tables()
    if options.costs:
        print("\n\n".join(parts.values()))
    else:
        with tempfile.TemporaryDirectory() as folder:
            parts |= measured_tables(Path(folder), options.rows)
        command = f"python -m bench.scale --rows {options.rows}"
        results.record("scale", command, "\n\n".join(parts.values()))
    for name, text in parts.items():
        replace_section(name, text)


if __name__ == "__main__":
    main()
