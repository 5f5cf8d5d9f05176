"""Peak memory of stages without a model, at the paper's size and at a quarter of it.

    make bench NAME=memory

Every stage runs as in the pipeline, `python -m stages.NAME`, on simulated tables: 16,500 problems,
eight traces of 12,000 characters each from two generators, the first of them rated. `judge` rates
by rules, `generate` asks a server that answers at once. The figure is the resident size of the
stage's largest process as the kernel counts it. Bar: less than 4 GiB, and no more for more
problems, but for what tables without text need.
"""

import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from aiohttp import web

from bench import asking, results, simulated
from delta import weights
from delta.replies import STORE_VARIABLE

PROFILE = Path("profiles/paper.yaml").resolve()
PROBLEMS = 16_500
SAMPLES = 8
GIB = 2**30
BAR_GIB = 4
WORKERS = 2  # of verify
BUDGET = {"drawn": 1, "correct": 0, "incorrect": 0}
# Each needs what those before it have made.
# The last two change what the others read: ratings by rules beside simulated ones, other traces.
STAGES = (
    "verify strong",
    "pair",
    "select",
    "examine",
    "browse",
    "judge strong",
    "generate strong",
)
NOT_MEASURED = (
    "fetch, evaluate, train, and generate in the process (they hold a model); questions, problems "
    "(they read published files); judge by a model; report (it reads scores, no traces); export "
    "(it tells of models that are not here)"
)
TEXTS = 100


class Peak(NamedTuple):
    gib: float
    seconds: float


@lru_cache(1)
def texts() -> list[str]:
    chance = np.random.default_rng(0)
    return [simulated.text(chance) for _ in range(TEXTS)]


async def answer(request: web.Request) -> web.Response:
    seed = (await request.json())["seed"]
    return web.json_response(asking.completion(f"{seed} {texts()[seed % TEXTS]}"))


def lay_out(folder: Path, problems: int, samples: int, url: str = "http://localhost") -> None:
    """The paper's recipe with two generators, no second opinion, and their tables."""
    content = yaml.safe_load(PROFILE.read_text())
    first = next(iter(content["generators"].values()))
    content["generators"] = dict.fromkeys(("strong", "weak"), first)
    content["pairing"] |= {"chosen": "strong", "rejected": "weak", "draw": "first"}
    content["selector"]["k"] = problems // 3
    content["examination"]["k"] = [problems // 16, problems // 6, problems // 3]
    content["verify"]["second"] = "none"
    content["judge"] |= {"rater": "rules", "budget": dict.fromkeys(content["generators"], BUDGET)}
    content["grading"]["workers"] = WORKERS
    content["engine"] |= {"kind": "endpoint"}
    content["engine"]["endpoint"] |= {"base_urls": [url]}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    making = [sys.executable, "-m", "bench.simulated", str(folder / "data")]
    model = folder / "data" / "models" / first["model"]
    model.mkdir(parents=True)
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("{}")
    weights.stamp(model, "bench")
    # In a process of its own: a child's peak begins at what its parent held when it was started.
    subprocess.run([*making, str(problems), str(samples), "strong", "weak"], check=True)


def peak(folder: Path, stage: str) -> Peak:
    log = folder / "said"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *f"stages.{stage}".split()],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(Path.cwd()),
                STORE_VARIABLE: str(folder / "replies"),
            },
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{stage}: {log.read_text()}"
    return Peak(used.ru_maxrss * 1024 / GIB, used.ru_utime + used.ru_stime)


def peaks(problems: int) -> dict[str, Peak]:
    with tempfile.TemporaryDirectory() as name, asking.server(answer) as url:
        folder = Path(name)
        lay_out(folder, problems, SAMPLES, url)
        return {stage: peak(folder, stage) for stage in STAGES}


def main() -> None:
    sizes = (PROBLEMS // 4, PROBLEMS)
    quarter, whole = (peaks(size) for size in sizes)
    rows = [
        [
            stage.split()[0],
            f"{quarter[stage].gib:.2f}",
            f"{whole[stage].gib:.2f}",
            f"{whole[stage].gib / quarter[stage].gib:.1f}",
            f"{whole[stage].seconds:.0f}",
        ]
        for stage in STAGES
    ]
    head = ["stage", *(f"GiB, {size:,} problems" for size in sizes), "times", "seconds of CPU"]
    most = max(STAGES, key=lambda stage: whole[stage].gib)
    over = ", ".join(stage for stage in STAGES if whole[stage].gib >= BAR_GIB)
    results.record(
        "memory",
        "make bench NAME=memory",
        f"{results.table(head, rows)}\n\nThe most: **{whole[most].gib:.2f} GiB** ({most}; bar: "
        f"less than {BAR_GIB}, over it: {over or 'none'}). Not measured: {NOT_MEASURED}.",
    )


if __name__ == "__main__":
    main()
