"""Say in one or two plain sentences what a run taught, from nothing but its measures."""

from collections.abc import Sequence

from delta.report.this_run import Measure

MORE, LESS, UNKNOWN = "better", "worse", "cannot tell"  # verdicts
SUBJECTS = {
    "dpo": "DPO on {pairs}",
    "kto": "KTO on the traces of {pairs}",
    "sft": "SFT on the chosen traces of {pairs}",
}
# (right in any form, counted right) → what is said where the two differ
DIFFERENT = {
    (MORE, LESS): "is right more often whatever the form, but counted right less often",
    (LESS, MORE): "is right less often whatever the form, but counted right more often",
    (UNKNOWN, MORE): (
        "is counted right more often; whether it is right more often whatever the form cannot be "
        "told"
    ),
    (UNKNOWN, LESS): (
        "is counted right less often; whether it is right less often whatever the form cannot be "
        "told"
    ),
    (MORE, UNKNOWN): (
        "is right more often whatever the form; whether it is counted right more often cannot be "
        "told"
    ),
    (LESS, UNKNOWN): (
        "is right less often whatever the form; whether it is counted right less often cannot be "
        "told"
    ),
}


def sentence(measures: Sequence[Measure], pairs: int, method: str, base: str) -> str:
    """Return what `pairs` pairs taught the model `base`, and what cannot be told.

    `method` is dpo, kto or sft. Without a measure "right_any_form" (all questions are about code)
    only "correct" is spoken of.
    """
    verdicts = {measure.name: measure.verdict for measure in measures}
    form, answer = verdicts["asked_form"], verdicts["correct"]
    any_form = verdicts.get("right_any_form", answer)
    finishes = verdicts["finished"]
    learnt, lost = [], []
    if finishes == MORE:
        learnt.append("to finish more of its answers")
    if finishes == LESS:
        lost.append("finishes fewer of its answers")
    if form == MORE:
        learnt.append(f"to give more {'of them' if learnt else 'of its answers'} in the asked form")
    if form == LESS:
        lost.append(f"gives fewer {'of them' if lost else 'of its answers'} in the asked form")
    if any_form == answer == MORE:
        learnt.append("to be right more often")
    if any_form == answer == LESS:
        lost.append("is right less often")
    subject = SUBJECTS[method].format(pairs=f"{pairs:,} pair{'' if pairs == 1 else 's'}")
    different = DIFFERENT.get((any_form, answer))
    if not learnt and not lost:
        if different is None:
            return f"What {subject} taught {base} cannot be told apart from chance."
        return f"After {subject}, {base} {different}."
    if learnt:
        first = f"{subject} taught {base} {_join(learnt)}"
        first += f", but it {_join(lost)}" if lost else ""
    else:
        first = f"After {subject}, {base} {_join(lost)}"
    if different is not None:
        return f"{first}. It {different}."
    if answer == UNKNOWN:
        how = "more" if learnt else "less"
        return f"{first}. Whether it is right {how} often cannot be told."
    return f"{first}."


def _join(parts: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last
