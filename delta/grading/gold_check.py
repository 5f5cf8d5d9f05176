"""Gold answers that no answer could be compared with, found before anything is generated."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.grading.grade_all import outcomes
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import Case, GradingParams

# What no gold says; of a letter any other is wrong, and no letter too.
WRONG = {"math": "-918273645.125", "choice": "?", "theorem": "-918273645.125"}
PLAIN_NUMBER = re.compile(r"-?[0-9]{1,50}(\.[0-9]{1,50})?")
SHOWN = 3  # in the message of a refusal
LONGEST = 80  # characters of a gold answer there


class UngradableGold(NamedTuple):
    row: str  # problem_id or question_id: source and row
    gold_answer: str
    reason: str

    def __str__(self) -> str:
        gold = self.gold_answer
        return f"{self.row}: {gold[:LONGEST]!r}{'…' if len(gold) > LONGEST else ''} ({self.reason})"


class GoldCheck(NamedTuple):
    """How many golds there are, and those that cannot be graded."""

    checked: int
    ungradable: list[UngradableGold]


def check_golds(params: GradingParams, rows: Iterable[tuple[str, str, str]]) -> GoldCheck:
    """Grade every gold answer as an answer to itself, and a wrong answer to it.

    A gold is ungradable where its own answer is not correct, or the wrong one is not incorrect:
    equal texts are equal whether or not they are understood. `rows` are (id, grader, gold answer).
    Rows without a gold answer are left out, and programs, whose golds are tests. Each answer has
    the grader's own time limit.
    """
    given = [row for row in rows if row[1] != "code" and row[2].strip()]
    distinct = dict.fromkeys(
        (grader, gold)
        for _, grader, gold in given
        if not (grader == "math" and PLAIN_NUMBER.fullmatch(gold))  # most are: no worker is needed
    )
    cases = [
        Case(grader, gold, rf"\boxed{{{answer}}}", "stop")
        for grader, gold in distinct
        for answer in (_own_answer(grader, gold), WRONG[grader])
    ]
    verdicts = list(outcomes(params, cases)) if cases else []
    reasons = {
        case[:2]: _reason(own, wrong)
        for case, own, wrong in zip(cases[::2], verdicts[::2], verdicts[1::2], strict=True)
    }
    ungradable = [
        UngradableGold(row_id, gold, reason)
        for row_id, grader, gold in given
        if (reason := reasons.get((grader, gold))) is not None
    ]
    return GoldCheck(len(given), ungradable)


def _reason(own: Verdict, wrong: Verdict) -> str | None:
    """Return why a gold cannot be graded, from the verdicts on its own and on a wrong answer."""
    for verdict in (own, wrong):
        if verdict.outcome == "ungradable":
            return verdict.reason
    return None if own.outcome == "correct" else "not equal to itself"


def check_share(where: str, params: GradingParams, golds: GoldCheck) -> None:
    """Raise InputError where more golds than grading.max_ungradable cannot be graded.

    `where` is the dotted key of their source in params.yaml.
    """
    ungradable = golds.ungradable
    if len(ungradable) > params.max_ungradable * golds.checked:
        raise InputError(
            f"{where}: {len(ungradable)} of {golds.checked} gold answers cannot be graded, "
            f"expected: at most a share of grading.max_ungradable = {params.max_ungradable}; "
            f"{'; '.join(map(str, ungradable[:SHOWN]))}"
        )


def _own_answer(grader: str, gold: str) -> str:
    """Return the answer that a gold is; TheoremQA's golds are {"answer_type", "answer"} as JSON."""
    if grader != "theorem":
        return gold
    try:
        answer: Any = json.loads(gold)["answer"]
    except (ValueError, KeyError, TypeError):
        return gold  # the grader says what is wrong with it
    return answer if isinstance(answer, str) else json.dumps(answer)
