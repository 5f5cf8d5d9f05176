"""Peak memory of the stages that load no model, at the paper's size and at a quarter of it.

    make bench NAME=memory

Every stage runs as in the pipeline, `python -m stages.NAME`, on simulated tables: 16,500 problems,
eight traces of 12,000 characters each from two generators, the first of them rated. The figure is
the resident size of the stage's largest process as the kernel counts it. Bar: less than 4 GiB, and
no more for more problems, but for what tables without text need.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

from bench import results

PROFILE = Path("profiles/paper.yaml").resolve()
PROBLEMS = 16_500
SAMPLES = 8
GIB = 2**30
BAR_GIB = 4
WORKERS = 2  # of verify
BUDGET = {"drawn": 1, "correct": 0, "incorrect": 0}
# Each needs what those before it have made.
# judge comes last: its ratings are by rules, those of the other side are simulated.
STAGES = ("verify strong", "pair", "select", "examine", "browse", "judge strong")
NOT_MEASURED = (
    "fetch, generate, evaluate, train (they hold a model); questions, problems (they read "
    "published files); judge by a model (here it rates by rules); report (it reads scores, no "
    "traces); "
    "export (it tells of models that are not here)"
)


class Peak(NamedTuple):
    gib: float
    seconds: float


def lay_out(folder: Path, problems: int, samples: int) -> None:
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
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    making = [sys.executable, "-m", "bench.simulated", str(folder / "data")]
    # In a process of its own: a child's peak begins at what its parent held when it was started.
    subprocess.run([*making, str(problems), str(samples), "strong", "weak"], check=True)


def peak(folder: Path, stage: str) -> Peak:
    log = folder / "said"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *f"stages.{stage}".split()],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{stage}: {log.read_text()}"
    return Peak(used.ru_maxrss * 1024 / GIB, used.ru_utime + used.ru_stime)


def peaks(problems: int) -> dict[str, Peak]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, problems, SAMPLES)
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
