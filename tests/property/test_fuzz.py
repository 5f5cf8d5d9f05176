"""Short runs of the targets of fuzz_targets.py; `make fuzz` runs them for longer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.import_closure import ROOT

pytest.importorskip("atheris", reason="needs atheris")
# A process's peak memory starts at its parent's, here a worker that ran vLLM.
NO_LIMIT = ("-rss_limit_mb=0",)
TARGETS = ("last_box", "chat_format_split", "judge_reply", "strict_json_loads", "rule_judge")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_finds_nothing(tmp_path: Path, target: str) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.property.fuzz_targets",
        target,
        "-max_total_time=10",
        "-seed=1",
    ]
    process = subprocess.run(
        [*command, *NO_LIMIT, "-max_len=400", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3_000:]
    runs = re.search(r"Done (\d+) runs", process.stderr)
    assert runs is not None
    assert int(runs[1]) > 100
