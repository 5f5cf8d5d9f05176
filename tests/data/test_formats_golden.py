"""The complete prompt of a question of each format equals a golden file."""

from pathlib import Path

import pytest

from tests.helpers import benchmark_rows
from tests.helpers.benchmark_rows import (
    BENCHMARKS,
    benchmark_section,
    read_questions,
    sums_benchmark,
)
from tests.helpers.import_closure import ROOT

GOLDEN = ["task", *BENCHMARKS, "livecodebench-call"]


@pytest.mark.parametrize("form", GOLDEN)
def test_the_whole_prompt_is_the_golden_file(form: str, tmp_path: Path) -> None:
    if form == "livecodebench-call":
        entry = benchmark_section(tmp_path, "livecodebench", benchmark_rows.LIVECODEBENCH[1:2])
    else:
        entry = sums_benchmark() if form == "task" else benchmark_section(tmp_path, form)
    rows, _ = read_questions(entry)
    golden = ROOT / "tests" / "fixtures" / "golden" / "questions" / f"{form}.txt"
    assert rows[0]["prompt"] + "\n" == golden.read_text(encoding="utf-8")
