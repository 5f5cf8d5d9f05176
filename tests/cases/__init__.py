"""Tables of cases for the graders: case, gold, text, outcome, reason. Extend them freely."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from delta.graders import Verdict


class CaseRow(dict[str, Any]):
    def __str__(self) -> str:
        return str(self["case"])


def rows(name: str) -> list[CaseRow]:
    """The rows of tests/cases/NAME.yaml; each case has a name of its own."""
    path = Path(__file__).with_name(f"{name}.yaml")
    found = [CaseRow(row) for row in yaml.safe_load(path.read_text(encoding="utf-8"))]
    assert len({str(row) for row in found}) == len(found)
    return found


def check(grade: Callable[[str, str | None, str], Verdict], row: CaseRow, box: bool = True) -> None:
    gold = row["gold"] if isinstance(row["gold"], str) else json.dumps(row["gold"])
    text = row["text"]
    if box and not row.get("as_is") and "box" not in text:
        text = f"So it is $\\boxed{{{text}}}$."
    verdict = grade(gold, text, "stop")
    assert (verdict.outcome, verdict.reason) == (row["outcome"], row.get("reason"))
