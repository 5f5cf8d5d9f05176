"""Grading in worker processes that are killed when an answer takes too long.

Math-Verify's own timeouts are alarms that some answers outlive (`(10^9)!`, power towers), so every
answer has a wall-clock limit after which its worker dies (paper, section 3.1).
"""

import itertools
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as OverTime
from typing import Annotated, Any

from pebble import ProcessExpired, ProcessPool
from pydantic import Field

from delta.errors import InputError
from delta.graders.math import Verdict, grade
from delta.params import Section
from delta.records import OUTCOMES

Counts = dict[str, Any]
CHUNK = 1_000  # answers in flight: memory grows with this, not with the data


class VerifyParams(Section):
    workers: Annotated[int, Field(ge=1)]
    limit_s: Annotated[
        float, Field(gt=0)
    ]  # wall-clock seconds for one answer, then its worker dies
    max_ungradable: Annotated[float, Field(ge=0, le=1)]  # share above which the stage fails


def outcomes(
    params: VerifyParams,
    cases: Iterable[tuple[str, str, str]],
    grader: Callable[[str, str, str], Verdict] = grade,
) -> Iterator[Verdict]:
    """One verdict for every case (gold_answer, text, finish_reason), in order, whatever happens."""
    # Spawned, not forked: a fork of a process with threads can hang in the child.
    context = multiprocessing.get_context("spawn")
    with ProcessPool(max_workers=params.workers, context=context, initializer=_warm) as pool:
        waiting = iter(cases)
        try:
            while chunk := list(itertools.islice(waiting, CHUNK)):
                futures = [
                    pool.schedule(grader, args=list(case), timeout=params.limit_s) for case in chunk
                ]
                yield from map(_verdict, futures)
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]  # leaving the pool would wait for all that is queued
            raise


def _verdict(future: Any) -> Verdict:
    try:
        verdict: Verdict = future.result()
    except OverTime:
        return Verdict("ungradable", None, "timeout")
    except ProcessExpired as error:
        return Verdict("ungradable", None, f"worker died with exit code {error.exitcode}")
    except Exception as error:  # noqa: BLE001 - a crash is a reason, never a wrong answer
        return Verdict("ungradable", None, f"{type(error).__name__} in the grader")
    return verdict


def _warm() -> None:
    """The first parse compiles grammars for seconds; that must not count against an answer."""
    grade("1", r"\boxed{2}", "stop")


def count(verdicts: list[Verdict]) -> Counts:
    by_outcome = Counter(verdict.outcome for verdict in verdicts)
    by_reason = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    return {
        "graded": len(verdicts),
        **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
        "reasons": dict(sorted(by_reason.items())),
    }


def check_share(what: str, params: VerifyParams, counts: Counts) -> None:
    share = counts["ungradable"] / max(1, counts["graded"])
    if share > params.max_ungradable:
        raise InputError(
            f"{what}: {counts['ungradable']} of {counts['graded']} answers are ungradable "
            f"({counts['reasons']}), allowed: a share of verify.max_ungradable = "
            f"{params.max_ungradable}"
        )
