"""Find gold answers that cannot be compared with any answer, before anything is generated."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.grading.config import GradingParams
from delta.grading.grade_all import grade_all
from delta.grading.graders import Case
from delta.grading.verdict import Verdict

# An answer that no gold equals. "?" contains no letter, so it is a wrong choice.
WRONG = {"math": "-918273645.125", "choice": "?", "theorem": "-918273645.125"}
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,50}(\.[0-9]{1,50})?")
MAX_LISTED = 3  # golds in an error message
MAX_SHOWN = 80  # characters of each gold


class UngradableGold(NamedTuple):
    """A gold answer that its grader cannot compare with itself, and why."""

    row: str  # problem_id or question_id: source and row
    gold_answer: str
    reason: str

    def __str__(self) -> str:
        gold = self.gold_answer
        return f"{self.row}: {gold[:MAX_SHOWN]!r}{'...' * (len(gold) > MAX_SHOWN)} ({self.reason})"


class GoldCheck(NamedTuple):
    """The number of checked golds, and those that cannot be graded."""

    checked: int
    ungradable: list[UngradableGold]


def check_golds(params: GradingParams, rows: Iterable[tuple[str, str, str]]) -> GoldCheck:
    """Grade every gold answer as its own answer, and grade a wrong answer against it.

    A gold is ungradable if it is not correct as its own answer, or if the wrong answer is
    ungradable: equal texts are correct even if they do not parse. `rows` are (id, grader, gold
    answer). Rows without a gold answer are left out, and so are programs, whose golds are tests.
    """
    rows = [row for row in rows if row[1] != "code" and row[2].strip()]
    distinct = dict.fromkeys(
        (grader, gold)
        for _, grader, gold in rows
        if not (grader == "math" and PLAIN_NUMBER.fullmatch(gold))  # most are: no worker is needed
    )
    cases = [
        Case(grader, gold, rf"\boxed{{{answer}}}", "stop")
        for grader, gold in distinct
        for answer in (_gold_as_answer(grader, gold), WRONG[grader])
    ]
    verdicts = list(grade_all(params, cases)) if cases else []
    pairs = zip(distinct, verdicts[::2], verdicts[1::2], strict=True)
    reasons = {key: _ungradable_reason(own, wrong) for key, own, wrong in pairs}
    ungradable = [
        UngradableGold(row_id, gold, reason)
        for row_id, grader, gold in rows
        if (reason := reasons.get((grader, gold))) is not None
    ]
    return GoldCheck(len(rows), ungradable)


def _ungradable_reason(own: Verdict, wrong: Verdict) -> str | None:
    """Return why a gold cannot be graded, given the verdicts on itself and on a wrong answer."""
    for verdict in (own, wrong):
        if verdict.outcome == "ungradable":
            return verdict.reason
    return None if own.outcome == "correct" else "not equal to itself"


def check_max_ungradable_golds(where: str, params: GradingParams, golds: GoldCheck) -> None:
    """Raise InputError if the ungradable fraction is above grading.max_ungradable.

    `where` is the dotted key of the golds' source in params.yaml.
    """
    ungradable = golds.ungradable
    if len(ungradable) > params.max_ungradable * golds.checked:
        raise InputError(
            f"{where}: {len(ungradable)} of {golds.checked} gold answers cannot be graded; "
            f"expected a fraction of at most grading.max_ungradable = {params.max_ungradable}; "
            f"{'; '.join(map(str, ungradable[:MAX_LISTED]))}"
        )


def _gold_as_answer(grader: str, gold: str) -> str:
    """Return the gold as an answer. TheoremQA's golds are JSON: {"answer_type", "answer"}."""
    if grader != "theorem":
        return gold
    try:
        answer: Any = json.loads(gold)["answer"]
    except (ValueError, KeyError, TypeError):
        return gold  # the grader gives the reason
    return answer if isinstance(answer, str) else json.dumps(answer)
