"""Ungradable gold answers are found before anything is generated."""

import io
import json
from pathlib import Path

import pytest

import delta.cli.check_golds
from delta.cli.command_line import parse
from delta.core import paths, tables
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.params import load_section
from delta.core.schemas import PROBLEM, QUESTION
from delta.grading.config import GradingParams
from delta.grading.gold_check import check_golds
from tests.helpers.import_closure import ROOT

GRADING = load_section("grading", GradingParams, ROOT / "profiles/smoke.yaml")


def theorem(kind: str, answer: object) -> str:
    return json.dumps({"answer_type": kind, "answer": answer})


GRADABLE = (
    ("math", "42"),
    ("math", r"\frac{1}{2}"),
    ("math", r"x \in (-\infty, 2]"),
    ("math", "(1, 2)"),
    ("math", r"50\%"),
    ("math", r"\text{east}"),
    ("choice", "B"),
    ("theorem", theorem("list of integer", [1, 2])),
    ("theorem", theorem("bool", "True")),
    ("theorem", theorem("option", "(a)")),
    ("math", ""),  # no gold: another outcome
    ("code", "what only a sandbox runs"),
)
UNGRADABLE = (
    ("math", r"\frac{1}{2"),
    ("math", r"\dfrac{9!}"),
    ("math", "So 2 + 2 = 4\n#### 4"),
    ("choice", "Z"),
    ("theorem", theorem("float", "x")),
    ("theorem", "no JSON"),
)


def test_a_gold_that_its_grader_cannot_parse_is_named_with_its_row() -> None:
    rows = [(f"mine.{n}", *row) for n, row in enumerate((*GRADABLE, *UNGRADABLE))]
    checked = check_golds(GRADING, rows)
    assert checked.checked == len(rows) - 2
    assert [(gold.row, gold.gold_answer) for gold in checked.ungradable] == [
        (row, gold) for row, _, gold in rows[len(GRADABLE) :]
    ]
    assert str(checked.ungradable[1]) == r"mine.13: '\\dfrac{9!}' (unparsable_gold)"


def test_a_gold_that_exceeds_the_time_limit_is_named() -> None:
    limited = GRADING.model_copy(update={"timeout_s": 1e-4})
    formula = r"\int_0^1 \sqrt{x} dx"
    (gold,) = check_golds(limited, [("mine.7", "math", formula)]).ungradable
    assert (gold.row, gold.reason) == ("mine.7", "timeout")


def run_check_golds(folder: Path, golds: list[str], *argv: str, llm_fallback: bool = False) -> str:
    """Return what `check-golds` prints about these golds, as problems and as questions."""
    text = (ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8")
    if llm_fallback:
        text = text.replace("llm_fallback: false", "llm_fallback: true")
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    ids = [f"mine.{number}" for number in range(len(golds))]
    for path, table, key in (
        (paths.PROBLEMS, PROBLEM, "problem_id"),
        (paths.questions("products"), QUESTION, "question_id"),
    ):
        rows = [
            dict.fromkeys(table.columns, "math") | {key: row, "gold_answer": gold}
            for row, gold in zip(ids, golds, strict=True)
        ]
        tables.write(folder / path, tables.frame_of(rows, table), table)
    screen = io.StringIO()
    options = parse(delta.cli.check_golds, [*argv])
    delta.cli.check_golds.main(Console(screen), options)
    return screen.getvalue()


@pytest.mark.parametrize("argv", [("problems",), ("questions", "products")])
def test_too_many_ungradable_golds_are_an_error_and_a_few_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_check_golds(tmp_path, ["4", r"\sqrt{2}"], *argv) == ""
    output = run_check_golds(tmp_path, ["4", "5", "6", "7", r"\dfrac{9!}"], *argv)
    first = f"check-golds {' '.join(argv)}: 1 of 5 cannot be graded; logs/check-golds-"
    assert output.startswith(f"{first}{'-'.join(argv)}.log names them; ")
    assert output.endswith(r"mine.4: '\\dfrac{9!}' (unparsable_gold)" + "\n")
    where = {1: r"problems\.sources", 2: r"benchmarks\.products"}[len(argv)]
    with pytest.raises(InputError, match=f"^{where}: 1 of 2 gold .* mine.0: .*unparsable_gold"):
        run_check_golds(tmp_path, [r"\dfrac{9!}", "5"], *argv)


def test_with_an_llm_fallback_ungradable_golds_are_only_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = run_check_golds(tmp_path, [r"\dfrac{9!}"], "problems", llm_fallback=True)
    assert output.startswith("check-golds problems: 1 of 1 cannot be graded")
