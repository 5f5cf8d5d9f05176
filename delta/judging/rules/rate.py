"""Rate a trace on the five dimensions by rule: no model, no gold answer (arXiv 2604.08723, A.1).

The rubric says 5 without a trigger, 3 with one significant trigger, 1 for failure. Here every
trigger has a weight, and score = max(1, 5 - sum of weights):

    MINOR 1   a blemish             (one: 4)
    MAJOR 2   a significant trigger (one: 3, two: 1)
    FATAL 4   the dimension fails   (1)

It reads what can be checked on paper: equations, where their numbers come from, where their
results go. It cannot read an argument in words, so on proofs it finds little and rates high.
"""

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from delta.judging.rules.trace_facts import MAX_CHARACTERS, Evidence, collect

MINOR, MAJOR, FATAL = 1, 2, 4
MAX_TRIGGERS = 5  # listed per dimension; the first ones carry the weights

_Finding = tuple[int, str]  # weight, trigger


class RuleRating(NamedTuple):
    """One dimension's score, the rubric's triggers found, and one sentence (A.1.2)."""

    score: int
    triggers: tuple[str, ...]
    justification: str


def rate(statement: str, trace: str) -> dict[str, RuleRating]:
    """Rate one trace; the keys are the paper's dimensions, in its order."""
    if not trace.strip():
        return {dimension: _score([(FATAL, "empty trace")]) for dimension in _DIMENSIONS}
    evidence = collect(statement, trace)
    return {dimension: _score(list(find(evidence))) for dimension, find in _DIMENSIONS.items()}


def _score(findings: list[_Finding]) -> RuleRating:
    score = max(1, 5 - sum(weight for weight, _ in findings))
    triggers = tuple(trigger for _, trigger in findings)[:MAX_TRIGGERS]
    reason = "; ".join(triggers) if triggers else "no trigger found"
    return RuleRating(score, triggers, f"{reason[0].upper()}{reason[1:]}.")


def _factuality(evidence: Evidence) -> Iterator[_Finding]:
    """Numbers from nowhere, and numbers of the statement that no step takes up."""
    invented = len(evidence.invented)
    if invented:
        weight = MINOR if invented <= evidence.num_numbers / 20 else MAJOR
        weight = FATAL if invented > 2 and invented > evidence.num_numbers / 4 else weight
        yield weight, f"hallucinated data: {_listed(evidence.invented)}"
    used = evidence.used_numbers()
    needed = [quantity for quantity in evidence.quantities if quantity.is_needed]
    ignored = [quantity.value for quantity in needed if not quantity.forms & used]
    if ignored:
        share = len(ignored) / len(needed)
        weight = MAJOR if share >= 1 / 3 else MINOR
        yield weight, f"ignored explicit constraints: {_listed(ignored)}"


def _strategy_coherence(evidence: Evidence) -> Iterator[_Finding]:
    """A plan that arrives: steps, no circles, a conclusion that is what they arrive at."""
    has_steps = bool(evidence.equations) or evidence.is_opaque
    if len(evidence.quantities) >= 2 and not has_steps:
        yield MAJOR, "no calculation although the problem gives quantities"
    if evidence.conclusion is None:
        yield MAJOR, "no conclusion"
    elif evidence.misses_the_last_step():
        yield MINOR, "the conclusion is not the result of the last steps"
    circles = evidence.undone_steps()
    if circles:
        weight = MAJOR if len(circles) > len(evidence.equations) / 4 else MINOR
        yield weight, f"circular logic, undoes an earlier step: {circles[0].text}"


def _step_coherence(evidence: Evidence) -> Iterator[_Finding]:
    """Each step starts from what is known and is used by what follows."""
    if evidence.leaps:
        is_rare = len(evidence.leaps) <= evidence.num_numbers / 10
        yield MINOR if is_rare else MAJOR, f"unjustified leap to {_listed(evidence.leaps)}"
    if evidence.unused:
        is_rare = len(evidence.unused) <= len(evidence.equations) / 4
        weight = MINOR if is_rare else MAJOR
        yield weight, f"result that no later step uses: {evidence.unused[0].text}"
    if evidence.follows_from_nothing():
        yield MAJOR, "the conclusion does not follow from any step"


def _computational_precision(evidence: Evidence) -> Iterator[_Finding]:
    """Equations that do not hold, by their share; then what a careful hand would not leave."""
    wrong = [e for e in evidence.equations if not e.holds and not e.is_rounding]
    share = len(wrong) / max(1, len(evidence.equations))
    weight = MINOR if share <= 1 / 10 else MAJOR if share <= 1 / 2 else FATAL
    for number, equation in enumerate(wrong):
        is_sign = equation.stated == -equation.computed
        kind = "sign error" if is_sign else "arithmetic error"
        yield (0 if number else weight), f"{kind}: {equation.text}"
    rounded = [e for e in evidence.equations if not e.holds and e.is_rounding]
    if rounded:
        yield MINOR, f"rounded without a word: {rounded[0].text}"
    asks_amount = _AMOUNT.search(evidence.statement) is not None
    value = evidence.concluded
    if asks_amount and value is not None and value < 0:
        yield MAJOR, "sign error: an amount below zero"
    if _FLOAT_NOISE.search(evidence.trace):
        yield MINOR, "unsimplified number: a decimal with more than eight places"


def _signal_to_noise(evidence: Evidence) -> Iterator[_Finding]:
    """Repetition, talk about the work, and words per step."""
    trace = evidence.trace[:MAX_CHARACTERS]
    words = trace.lower().split()
    texts = Counter(line.text for line in evidence.lines if len(line.text) >= _LONG_LINE)
    repeated = sum(count - 1 for count in texts.values())
    if repeated:
        is_rare = repeated <= len(evidence.lines) / 10
        yield MINOR if is_rare else MAJOR, f"redundancy: {repeated} repeated lines"
    share = _repeated_share(words)
    if share > 0.2:
        yield MAJOR if share > 0.5 else MINOR, f"redundancy: {share:.0%} repeated phrases"
    filler = len(_FILLER.findall(trace))
    if filler > 1 and filler > len(words) / 200:
        weight = MAJOR if filler > len(words) / 50 else MINOR
        yield weight, f"excessive meta-commentary: {filler} phrases"
    steps = sum(max(line.text.count("="), line.opaque) for line in evidence.lines)
    if len(words) > 60 * max(1, steps):
        weight = MAJOR if len(words) > 150 * max(1, steps) else MINOR
        yield weight, f"irrelevant digressions: {len(words)} words for {steps} steps"


_DIMENSIONS = {
    "factuality": _factuality,
    "strategy_coherence": _strategy_coherence,
    "step_coherence": _step_coherence,
    "computational_precision": _computational_precision,
    "signal_to_noise": _signal_to_noise,
}

_AMOUNT = re.compile(r"\bhow (?:many|much|long|far|old|tall|big)\b", re.IGNORECASE)
_FLOAT_NOISE = re.compile(r"(?<![\d.<=])\d{1,9}\.\d{9}(?![^<>\n]{0,40}>>)")
_FILLER = re.compile(
    r"\b(?:wait|hmm+|let me|let's see|okay|ok so|i think|i guess|i'm not sure|actually|maybe"
    r"|alternatively|on second thought|as an ai|in other words|needless to say)\b",
    re.IGNORECASE,
)
_LONG_LINE = 20  # characters: "so", "\\end{align*}" and "3x = 33" may come again
_PHRASE = 8  # words: shorter ones repeat in any list of like steps


def _repeated_share(words: list[str]) -> float:
    """The share of eight-word phrases that were there before."""
    phrases = [hash(tuple(words[i : i + _PHRASE])) for i in range(len(words) - _PHRASE + 1)]
    return 1 - len(set(phrases)) / len(phrases) if len(phrases) >= 2 * _PHRASE else 0.0


def _listed(values: list[Fraction]) -> str:
    shown = ", ".join(f"{float(value):.6g}" for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")
