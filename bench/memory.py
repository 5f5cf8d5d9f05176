"""Measure the peak memory (GiB) of stages without a model, at paper size and at a quarter of it.

    make bench NAME=memory

Every stage runs as in the pipeline, `python -m stages.NAME`, on synthetic tables: 16,500 problems
and eight traces of 12,000 characters from each of two generators; the first of the eight is rated.
`judge` rates by rules; `judge second` and `generate` call a server that answers at once.
`problems`, `fetch` and `generate` of a recording read OpenR1's columns, two traces per row, and
benchmarks of their real sizes. `questions` reads as many programs as LiveCodeBench has, with a
megabyte of tests each. The figure is the resident size of the stage's largest process as the kernel
counts it. Target: less than 4 GiB, and no growth with the number of problems beyond tables without
text.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from aiohttp import web

from bench import requests_per_second, results, synthetic_data
from delta.core import fingerprint
from delta.inference.reply_cache import FOLDER_VARIABLE
from tests.helpers.judge_replies import constant_reply
from tests.helpers.openr1_rows import local_source

PROFILE = Path("profiles/paper.yaml").resolve()
PROBLEMS = 16_500
SAMPLES = 8
GIB = 2**30
TARGET_GIB = 4
WORKERS = 2  # of verify
BUDGET = {"any": 1, "correct": 0, "incorrect": 0}
RECORDED = "deepseek-r1"
# Each needs the outputs of those before it.
TRACE_STAGES = (
    "verify strong",
    "pair",
    "select",
    "analyze",
    "viewer pairs",
    "judge strong",
    "generate strong",
)
SOURCE_STAGES = (
    "judge strong second",
    "problems",
    f"fetch {RECORDED}",
    f"generate {RECORDED}",
    "questions livecodebench",
)
STAGES = (*TRACE_STAGES, *SOURCE_STAGES)
NOT_MEASURED = (
    "evaluate, train, and generate in the process (they hold a model); fetch of a model; report "
    "(see `page_load`); export (its card names models that are not here)"
)
OPENR1_SHARE = 94 / 16.5  # rows of OpenR1 for a problem of the paper's sample
PROGRAMS_SHARE = 880 / PROBLEMS  # LiveCodeBench's, for the same
# Starts the stage: a process's peak begins at what its parent held, and this one holds little.
LAUNCH = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([code, used.ru_maxrss, used.ru_utime + used.ru_stime], file)
"""
TEXTS = 100


class Peak(NamedTuple):
    gib: float
    seconds: float


@lru_cache(1)
def texts() -> list[str]:
    chance = np.random.default_rng(0)
    return [synthetic_data.text(chance) for _ in range(TEXTS)]


async def answer(request: web.Request) -> web.Response:
    payload = await request.json()
    seed = payload["seed"]
    if "response_format" in payload:
        justification = " ".join(synthetic_data.WORDS[:20])
        vote = constant_reply(1 + seed % 5, justification, synthetic_data.WORDS[:2])
        return web.json_response(requests_per_second.completion(vote))
    return web.json_response(requests_per_second.completion(f"{seed} {texts()[seed % TEXTS]}"))


def write_workspace(
    folder: Path, problems: int, samples: int, url: str = "http://localhost"
) -> None:
    """Write the paper's recipe with two generators and no LLM fallback, and their tables."""
    content = yaml.safe_load(PROFILE.read_text())
    first = next(iter(content["generators"].values()))
    content["generators"] = dict.fromkeys(("strong", "weak"), first)
    content["pairing"] |= {"chosen": "strong", "rejected": "weak", "trace_order": "sequential"}
    content["selector"]["k"] = problems // 3
    content["analysis"]["k"] = [problems // 16, problems // 6, problems // 3]
    content["verify"]["llm_fallback"] = False
    content["judge"] |= {"rater": "rules", "budget": dict.fromkeys(content["generators"], BUDGET)}
    content["grading"]["workers"] = WORKERS
    limits = {"concurrency": 256, "timeout_s": 600, "max_retries": 9}
    server = {"base_urls": [url], "key": None, "models": dict[str, None]()}
    content["engine"]["servers"] = {"loopback": server | limits}
    use_server(content, first["model"])
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    command = [sys.executable, "-m", "bench.synthetic_data", str(folder / "data")]
    write_model_folder(folder, first["model"])
    subprocess.run([*command, str(problems), str(samples), "strong", "weak"], check=True)


def use_server(content: dict[str, Any], model: str) -> None:
    content["serving"][model]["server"] = {"revision": "unnamed", "accepts": "vllm"}
    content["engine"]["servers"]["loopback"]["models"][model] = None


def write_model_folder(folder: Path, name: str) -> None:
    """Write a model folder that only has to exist."""
    model = folder / "data" / "models" / name
    model.mkdir(parents=True)
    for file in ("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"):
        (model / file).write_text("{}")
    fingerprint.write_fingerprint(model, "bench")


def add_sources(folder: Path, problems: int) -> None:
    """Add OpenR1's rows and their recording, benchmarks, and a model as the second judge."""
    content = yaml.safe_load((folder / "params.yaml").read_text())
    rows, programs = round(OPENR1_SHARE * problems), round(PROGRAMS_SHARE * problems)
    command = [sys.executable, "-m", "bench.synthetic_data", "--sources", str(folder)]
    subprocess.run([*command, str(rows), str(programs)], check=True)
    data = local_source(folder / "openr1.parquet").model_dump(exclude_none=True)
    content["problems"]["sources"]["openr1"]["openr1"]["data"] = data
    content["problems"]["sample"] = problems
    content["models"][RECORDED]["recording"]["openr1"]["data"] = data
    programs_source = content["benchmarks"]["livecodebench"]["source"]
    tests_file = local_source(folder / "livecodebench.jsonl")
    programs_source["data"] = tests_file.model_dump(exclude_none=True)
    content["generators"][RECORDED] = {"model": RECORDED, "recorded_samples": SAMPLES}
    content["judge"]["budget"][RECORDED] = BUDGET
    second_judge = content["judge"]["second_judge"]
    second_judge["rater"] = "llm"
    use_server(content, second_judge["llm"]["model"])
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    write_model_folder(folder, second_judge["llm"]["model"])


def peak(folder: Path, stage: str) -> Peak:
    log, result = folder / "log", folder / "used.json"
    command = [sys.executable, "-m", *f"stages.{stage}".split()]
    with log.open("w") as out:
        subprocess.run(
            [sys.executable, "-c", LAUNCH, str(result), *command],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(Path.cwd()),
                FOLDER_VARIABLE: str(folder / "replies"),
            },
            stdout=out,
            stderr=subprocess.STDOUT,
            check=True,
        )
    code, kib, seconds = json.loads(result.read_text())
    assert code == 0, f"{stage}: {log.read_text()}"
    return Peak(kib * 1024 / GIB, seconds)


def peaks(problems: int) -> dict[str, Peak]:
    with tempfile.TemporaryDirectory() as name, requests_per_second.server(answer) as url:
        folder = Path(name)
        write_workspace(folder, problems, SAMPLES, url)
        measured = {stage: peak(folder, stage) for stage in TRACE_STAGES}
        add_sources(folder, problems)
        return measured | {stage: peak(folder, stage) for stage in SOURCE_STAGES}


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    sizes = (PROBLEMS // 4, PROBLEMS)
    quarter, whole = (peaks(size) for size in sizes)
    rows = [
        [
            stage,
            f"{quarter[stage].gib:.2f}",
            f"{whole[stage].gib:.2f}",
            f"{whole[stage].gib / quarter[stage].gib:.1f}",
            f"{whole[stage].seconds:.0f}",
        ]
        for stage in STAGES
    ]
    head = ["stage", *(f"GiB, {size:,} problems" for size in sizes), "times", "seconds of CPU"]
    largest = max(STAGES, key=lambda stage: whole[stage].gib)
    over = ", ".join(stage for stage in STAGES if whole[stage].gib >= TARGET_GIB)
    results.record(
        "memory",
        "make bench NAME=memory",
        f"{results.table(head, rows)}\n\nThe most: **{whole[largest].gib:.2f} GiB** ({largest}; "
        f"target: less than {TARGET_GIB}, over it: {over or 'none'}). Not measured: "
        f"{NOT_MEASURED}.",
    )


if __name__ == "__main__":
    main()
