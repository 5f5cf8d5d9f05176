"""The stage `summary` writes what the tables and counts of this workspace say."""

import io
import json
import shutil
from pathlib import Path

import pytest

from delta.core import paths, tables
from delta.core.console import Console
from delta.core.schemas import ANSWER
from delta.core.types import Row
from delta.report.this_run import ThisRun, read_summary
from stages import summary
from tests.helpers.import_closure import ROOT

RIGHT = {"finish_reason": "stop", "extracted": "7", "outcome": "correct"}
WRONG = {"finish_reason": "stop", "extracted": "8", "outcome": "incorrect"}
CUT = {"finish_reason": "length", "extracted": None, "outcome": "incorrect"}
GROUPS = {"products": "easy", "long-sums": "hard", "humaneval": "code"}
MODELS = ("zero-shot", "one-shot", "three-shot", "policy")  # of the smoke profile
QUESTIONS = 30


def write(path: Path, content: Row) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_model(model: str, answer: Row) -> None:
    """Write the same answer to all questions of every benchmark."""
    share = 1.0 if answer is RIGHT else 0.0
    scores = {}
    for name, group in GROUPS.items():
        flexible = None if group == "code" else answer["outcome"]
        rows = [
            {"question_id": f"{name}.{number}", "sample": 0, "flexible_outcome": flexible} | answer
            for number in range(QUESTIONS)
        ]
        tables.write(paths.answers(model, name), tables.frame_of(rows, ANSWER), ANSWER)
        interval = {"value": share, "low": max(0.0, share - 0.1), "high": min(1.0, share + 0.1)}
        kept = {"group": group, "n": QUESTIONS, "samples": 1, "benchmark_version": "1"}
        scores[name] = interval | kept
    write(paths.score(model), {model: scores})


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter a workspace whose models finish no answer."""
    shutil.copy(ROOT / "profiles/smoke.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    for model in MODELS:
        write_model(model, CUT)
    for generator in MODELS[:3]:
        counts = {"votes": 4, "refused": 0}
        write(paths.counts("judge", generator), {"judge": {generator: counts}})
    write(paths.counts("select"), {"select": {"selected": 6, "mean_delta_selected": 1.5}})
    write(paths.counts("train"), {"train": {"pairs_kept": 5, "last_loss": 0.5, "last_margin": 0.1}})


def run_stage() -> ThisRun:
    summary.main(Console(io.StringIO()))
    return read_summary()


def test_the_numbers_are_those_of_this_run() -> None:
    run = run_stage()
    assert (
        run.sentence == "What DPO on 5 pairs taught smollm2-135m cannot be told apart from chance."
    )
    assert [measure.policy.value for measure in run.measures] == [0.0] * 4

    write_model("policy", WRONG)
    run = run_stage()
    assert [(measure.name, measure.policy.value) for measure in run.measures] == [
        ("finished", 1.0),
        ("asked_form", 1.0),
        ("right_any_form", 0.0),
        ("correct", 0.0),
    ]
    assert run.sentence == (
        "DPO on 5 pairs taught smollm2-135m to finish more of its answers and to give more of them "
        "in the asked form. Whether it is right more often cannot be told."
    )

    write_model("policy", RIGHT)
    run = run_stage()
    assert {row.verdict for row in run.comparisons} == {"better"}
    assert run.numbers["policy"]["hard"]["gain"] == 100.0
    assert run.sentence.endswith(
        "in the asked form. It is right more often, but no question was finished both before and "
        "after."
    )


def test_the_measures_have_as_many_questions_as_were_asked() -> None:
    questions = {measure.name: measure.questions for measure in run_stage().measures}
    assert questions == {"finished": 90, "asked_form": 90, "right_any_form": 60, "correct": 90}
