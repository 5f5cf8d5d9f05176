"""Graders that kill their pool or never end, in a file that workers of a cluster can import."""

import os
import signal
from pathlib import Path

from delta.grading.config import CodeParams, GradingParams
from delta.grading.graders import Case, grade_case
from delta.grading.verdict import Verdict

CODE = CodeParams(
    sandbox="none", timeout_s=5.0, memory_mib=512, processes=8, output_kib=64, file_mib=1
)
ON_RAY = GradingParams(
    backend="ray", workers=1, timeout_s=20.0, max_ungradable=1.0, extraction="last_box", code=CODE
)


def killing(params: GradingParams, case: Case) -> Verdict:
    """Grade a case, or kill the pool at the first case whose gold answer is "kill"."""
    marker = Path(case.answer or "")
    if case.gold_answer == "kill" and not marker.exists():
        marker.touch()
        os.kill(os.getppid(), signal.SIGKILL)
    if case.gold_answer == "exit":
        os._exit(7)
    return grade_case(params, case)


def stuck(params: GradingParams, case: Case) -> Verdict:  # noqa: ARG001 - the shape of a grader
    while True:
        pass
