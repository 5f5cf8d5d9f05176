"""Say in one or two plain sentences what a run taught, from nothing but its measures."""

from collections.abc import Sequence

from delta.report.this_run import Measure
from delta.stats.contrasts import BETTER, CANNOT_TELL, WORSE

SUBJECTS = {
    "dpo": "DPO on {pairs}",
    "kto": "KTO on the traces of {pairs}",
    "sft": "SFT on the chosen traces of {pairs}",
}
CHANGES = {  # measure → what a model learnt where it rose, what it does where it fell
    "finished": ("to finish more of {answers}", "finishes fewer of {answers}"),
    "asked_form": (
        "to give more of {answers} in the asked form",
        "gives fewer of {answers} in the asked form",
    ),
    "right": ("to be right more often", "is right less often"),
}
# (right in any form, counted right) → what is said where the two differ
DIFFERENT = {
    (BETTER, WORSE): "is right more often whatever the form, but counted right less often",
    (WORSE, BETTER): "is right less often whatever the form, but counted right more often",
    (CANNOT_TELL, BETTER): (
        "is counted right more often; whether it is right more often whatever the form cannot be "
        "told"
    ),
    (CANNOT_TELL, WORSE): (
        "is counted right less often; whether it is right less often whatever the form cannot be "
        "told"
    ),
    (BETTER, CANNOT_TELL): (
        "is right more often whatever the form; whether it is counted right more often cannot be "
        "told"
    ),
    (WORSE, CANNOT_TELL): (
        "is right less often whatever the form; whether it is counted right less often cannot be "
        "told"
    ),
}


def sentence(measures: Sequence[Measure], pairs: int, method: str, base: str) -> str:
    """Return what training on `pairs` pairs taught the model `base`, and what cannot be told.

    `method` is dpo, kto or sft. Without a measure "right_any_form" (all questions are about code)
    only "correct" is spoken of. Where the model is counted right more often although fewer of its
    answers in the asked form are right, a sentence more says so.
    """
    parts = [_what_changed(measures, pairs, method, base), _fewer_right_in_form(measures)]
    return " ".join(filter(None, parts))


def _what_changed(measures: Sequence[Measure], pairs: int, method: str, base: str) -> str:
    verdicts = {measure.name: measure.verdict for measure in measures}
    counted = verdicts["correct"]
    any_form = verdicts.get("right_any_form", counted)
    by_finishing = _by_finishing(measures, any_form, counted)
    told = {
        "finished": verdicts["finished"],
        "asked_form": verdicts["asked_form"],
        "right": counted if counted == any_form and by_finishing is None else CANNOT_TELL,
    }
    subject = SUBJECTS[method].format(pairs=f"{pairs:,} pair{'' if pairs == 1 else 's'}")
    first = _changes(told, subject, base)
    different = DIFFERENT.get((any_form, counted))
    if first is None:
        if different is None:
            return f"What {subject} taught {base} cannot be told apart from chance."
        return f"After {subject}, {base} {different}."
    if by_finishing is not None:
        return f"{first}. {by_finishing}."
    if different is not None:
        return f"{first}. It {different}."
    if counted == CANNOT_TELL:
        how = "more" if BETTER in told.values() else "less"
        return f"{first}. Whether it is right {how} often cannot be told."
    return f"{first}."


def _fewer_right_in_form(measures: Sequence[Measure]) -> str:
    """Return a sentence where accuracy rose, and what is right in the asked form fell; else ""."""
    by_name = {measure.name: measure for measure in measures}
    in_form = by_name.get("right_if_asked_form")
    if by_name["correct"].verdict != BETTER or in_form is None or in_form.difference.value >= 0:
        return ""
    chance = "" if in_form.verdict == WORSE else "; this fall may be chance"
    questions = f"{in_form.questions:,} question{'' if in_form.questions == 1 else 's'}"
    return (
        f"Yet of its answers in the asked form, fewer are right: {in_form.base.value:.1%} before, "
        f"{in_form.policy.value:.1%} after, on the {questions} with such an answer both times"
        f"{chance}."
    )


def _by_finishing(measures: Sequence[Measure], any_form: str, counted: str) -> str | None:
    """Return what to say where a model is right more (less) often and finishes more (less) often.

    Return None where that is not so, or where it is also right more (less) often on the questions
    that both finished.
    """
    by_name = {measure.name: measure for measure in measures}
    change = by_name["finished"].verdict
    if (
        "right_any_form" not in by_name
        or change == CANNOT_TELL
        or not change == any_form == counted
    ):
        return None
    how, what = ("more", "gain") if change == BETTER else ("less", "loss")
    finished = by_name.get("right_if_finished")
    if finished is None:
        return f"It is right {how} often, but no question was finished both before and after"
    if finished.verdict == change:
        return None
    questions = f"{finished.questions:,} question{'' if finished.questions == 1 else 's'}"
    there = {
        CANNOT_TELL: f"no {what} can be told",
        BETTER: "it is right more often",
        WORSE: "it is right less often",
    }[finished.verdict]
    return f"It is right {how} often; on the {questions} that it finished both times, {there}"


def _changes(told: dict[str, str], subject: str, base: str) -> str | None:
    """Return what rose and what fell, without a full stop; None where nothing did."""
    learnt, lost = (
        [CHANGES[name][side] for name in told if told[name] == verdict]
        for side, verdict in enumerate((BETTER, WORSE))
    )
    if learnt:
        text = _join(learnt) + (f", but it {_join(lost)}" if lost else "")
    else:
        text = _join(lost)
    text = text.replace("{answers}", "its answers", 1).replace("{answers}", "them")
    if learnt:
        return f"{subject} taught {base} {text}"
    return f"After {subject}, {base} {text}" if lost else None


def _join(parts: Sequence[str]) -> str:
    """Return "", "a", "a and b" or "a, b and c"."""
    *before, last = parts or [""]
    return f"{', '.join(before)} and {last}" if before else last
