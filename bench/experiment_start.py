"""Measure the seconds of `dvc exp run -S selector.k=…` to the start of training, at paper size.

    make bench NAME=experiment_start

The graph is the paper's with synthetic tables: 16,500 problems and one trace of 12,000 characters
from each of the two paired generators. The other generators have no traces. Every other output is
a file of a few bytes. The clock stops when DVC prints that it starts training. Training then fails
at once, because the base has no weights.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from bench import results, synthetic_data
from bench.dvc_noop import PROFILE, fill, stages_of
from delta.core import tables
from delta.core.schemas import RATING, TRACE, VERDICT, Table
from delta.core.tables import frame_of
from tests.helpers.workspace import DvcWorkspace, stages_run

CUTS = (2_500, 1_000, 4_000)  # the profile's own is 5,000
LIMIT_S = 30
START = "Running stage 'train'"


def prepare_workspace(folder: Path, problems: int) -> DvcWorkspace:
    space = DvcWorkspace(folder, PROFILE)
    content = yaml.safe_load(PROFILE.read_text())
    paired = [content["pairing"][side] for side in ("chosen", "rejected")]
    data = folder / "data"
    synthetic_data.write(data, problems, 1, paired)
    kinds: dict[str, Table] = {
        "traces": TRACE,
        "verdicts": VERDICT,
        "ratings": RATING,
        "second_ratings": RATING,
    }
    for name in content["generators"].keys() - set(paired):
        for kind, table in kinds.items():
            tables.write(data / kind / f"{name}.parquet", frame_of([], table), table)
    for stage in ("pair", "select", "analyze"):
        space.run("python", "-m", f"stages.{stage}")
    fill(space, stages_of(folder))
    return space


def seconds_to_training(space: DvcWorkspace, k: int) -> float:
    command = ["dvc", "exp", "run", "--name", f"k-{k}", "-S", f"selector.k={k}"]
    output = ""
    seconds = None
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=space.folder,
        env=space.env | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output += line
            if line.startswith(START) and seconds is None:
                seconds = time.perf_counter() - start
    assert stages_run(output) == ["select", "train"], output
    assert f"select: {k} of " in output, output
    assert seconds is not None
    return seconds


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        space = prepare_workspace(Path(folder) / "space", synthetic_data.PROBLEMS)
        seconds = {k: seconds_to_training(space, k) for k in CUTS}
    rows = [[f"{k:,}", f"{took:.1f}"] for k, took in seconds.items()]
    text = results.table(["selector.k", "seconds to the start of training"], rows)
    results.record(
        "experiment_start",
        "make bench NAME=experiment_start",
        f"`dvc exp run -S selector.k=…` with {synthetic_data.PROBLEMS:,} pairs of traces of "
        f"{synthetic_data.CHARACTERS:,} characters; select runs, "
        f"analyze after the training.\n\n{text}\n\n"
        f"the longest: **{max(seconds.values()):.1f} s** (target: less than {LIMIT_S})",
    )


if __name__ == "__main__":
    main()
