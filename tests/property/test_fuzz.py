"""A short run of each target of fuzz_targets.py; `make fuzz` runs them for longer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.import_closure import ROOT

pytest.importorskip("atheris", reason="needs atheris")
# A process's peak of memory begins at what its parent held, here a worker that has run vLLM.
NO_LIMIT = ("-rss_limit_mb=0",)
TARGETS = ("extraction", "borders", "rating", "strict", "rules")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found_in_a_short_run(tmp_path: Path, target: str) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.property.fuzz_targets",
        target,
        "-max_total_time=10",
        "-seed=1",
    ]
    done = subprocess.run(
        [*command, *NO_LIMIT, "-max_len=400", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    tried = re.search(r"Done (\d+) runs", done.stderr)
    assert tried is not None
    assert int(tried[1]) > 100
