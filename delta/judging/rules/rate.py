"""Rate a trace on the five dimensions by rules: no model, no gold answer (appendix A.1).

The rubric gives 5 without a trigger, 3 with one significant trigger and 1 for failure. Here every
trigger has a weight, and score = max(1, 5 - sum of weights):

    MINOR 1   a small trigger        score 4
    MAJOR 2   a significant trigger  score 3; two give 1
    FATAL 4   the dimension fails    score 1

The rules check equations, the sources of their numbers, and the use of their results. They cannot
follow an argument in words, so they find few triggers in proofs and rate them high.
"""

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from delta.judging.rubric import HIGHEST, LOWEST, MAX_DEDUCTIONS, Vote
from delta.judging.rules.trace_facts import MAX_CHARACTERS, TraceFacts, collect_facts

MINOR, MAJOR, FATAL = 1, 2, 4

_Finding = tuple[int, str]  # weight, trigger


def rate(statement: str, trace: str) -> dict[str, Vote]:
    """Return the vote on one trace in each of the paper's dimensions, in its order.

    The deductions are the triggers, and the justification is one sentence (A.1.2).
    """
    if not trace.strip():
        return {dimension: _vote([(FATAL, "empty trace")]) for dimension in _DIMENSIONS}
    facts = collect_facts(statement, trace)
    return {dimension: _vote(list(find(facts))) for dimension, find in _DIMENSIONS.items()}


def _vote(findings: list[_Finding]) -> Vote:
    score = max(LOWEST, HIGHEST - sum(weight for weight, _ in findings))
    triggers = [trigger for _, trigger in findings[:MAX_DEDUCTIONS]]
    reason = "; ".join(triggers) if triggers else "no trigger found"
    return Vote(score, f"{reason[0].upper()}{reason[1:]}.", triggers)


def _factuality(facts: TraceFacts) -> Iterator[_Finding]:
    """Find numbers without a source, and given numbers that no step uses."""
    invented = len(facts.invented_numbers)
    if invented:
        weight = MINOR if invented <= facts.num_numbers / 20 else MAJOR
        weight = FATAL if invented > 2 and invented > facts.num_numbers / 4 else weight
        yield weight, f"hallucinated data: {_format_numbers(facts.invented_numbers)}"
    used = facts.used_numbers()
    needed = [quantity for quantity in facts.quantities if quantity.is_needed]
    ignored = [quantity.value for quantity in needed if not quantity.forms & used]
    if ignored:
        fraction = len(ignored) / len(needed)
        weight = MAJOR if fraction >= 1 / 3 else MINOR
        yield weight, f"ignored explicit constraints: {_format_numbers(ignored)}"


def _strategy_coherence(facts: TraceFacts) -> Iterator[_Finding]:
    """Find missing steps, circles, and a conclusion that is not the last result."""
    has_steps = bool(facts.equations) or facts.is_opaque
    if len(facts.quantities) >= 2 and not has_steps:
        yield MAJOR, "no calculation although the problem gives quantities"
    if facts.conclusion is None:
        yield MAJOR, "no conclusion"
    elif facts.misses_the_last_step():
        yield MINOR, "the conclusion is not the result of the last steps"
    circles = facts.undone_steps()
    if circles:
        weight = MAJOR if len(circles) > len(facts.equations) / 4 else MINOR
        yield weight, f"circular logic, undoes an earlier step: {circles[0].text}"


def _step_coherence(facts: TraceFacts) -> Iterator[_Finding]:
    """Find steps that start from unknown numbers, and results that are not used."""
    if facts.leaps:
        is_rare = len(facts.leaps) <= facts.num_numbers / 10
        yield MINOR if is_rare else MAJOR, f"unjustified leap to {_format_numbers(facts.leaps)}"
    if facts.unused_equations:
        is_rare = len(facts.unused_equations) <= len(facts.equations) / 4
        weight = MINOR if is_rare else MAJOR
        yield weight, f"result that no later step uses: {facts.unused_equations[0].text}"
    if facts.follows_from_nothing():
        yield MAJOR, "the conclusion does not follow from any step"


def _computational_precision(facts: TraceFacts) -> Iterator[_Finding]:
    """Find wrong equations, weighted by their fraction of all, and careless numbers."""
    false = [equation for equation in facts.equations if not equation.holds]
    wrong = [equation for equation in false if not equation.is_rounding]
    fraction = len(wrong) / max(1, len(facts.equations))
    weight = MINOR if fraction <= 1 / 10 else MAJOR if fraction <= 1 / 2 else FATAL
    for number, equation in enumerate(wrong):
        is_sign = equation.stated == -equation.computed
        kind = "sign error" if is_sign else "arithmetic error"
        yield (0 if number else weight), f"{kind}: {equation.text}"
    rounded = [equation for equation in false if equation.is_rounding]
    if rounded:
        yield MINOR, f"rounded without a word: {rounded[0].text}"
    asks_amount = _ASKS_AMOUNT.search(facts.statement) is not None
    value = facts.conclusion_value
    if asks_amount and value is not None and value < 0:
        yield MAJOR, "sign error: an amount below zero"
    if _FLOAT_NOISE.search(facts.trace):
        yield MINOR, "unsimplified number: a decimal with more than eight places"


def _signal_to_noise(facts: TraceFacts) -> Iterator[_Finding]:
    """Find repetition, meta-commentary, and many words per step."""
    trace = facts.trace[:MAX_CHARACTERS]
    words = trace.lower().split()
    texts = Counter(line.text for line in facts.lines if len(line.text) >= _LONG_LINE)
    repeated = sum(count - 1 for count in texts.values())
    if repeated:
        is_rare = repeated <= len(facts.lines) / 10
        yield MINOR if is_rare else MAJOR, f"redundancy: {repeated} repeated lines"
    fraction = _repeated_fraction(words)
    if fraction > 0.2:
        yield MAJOR if fraction > 0.5 else MINOR, f"redundancy: {fraction:.0%} repeated phrases"
    filler = len(_FILLER.findall(trace))
    if filler > 1 and filler > len(words) / 200:
        weight = MAJOR if filler > len(words) / 50 else MINOR
        yield weight, f"excessive meta-commentary: {filler} phrases"
    steps = sum(max(line.text.count("="), line.is_opaque) for line in facts.lines)
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

_ASKS_AMOUNT = re.compile(r"\bhow (?:many|much|long|far|old|tall|big)\b", re.IGNORECASE)
_FLOAT_NOISE = re.compile(r"(?<![\d.<=])\d{1,9}\.\d{9}(?![^<>\n]{0,40}>>)")
_FILLER = re.compile(
    r"\b(?:wait|hmm+|let me|let's see|okay|ok so|i think|i guess|i'm not sure|actually|maybe"
    r"|alternatively|on second thought|as an ai|in other words|needless to say)\b",
    re.IGNORECASE,
)
_LONG_LINE = 20  # characters; shorter lines ("so", "3x = 33") may repeat
_PHRASE = 8  # words; shorter phrases repeat in any list of similar steps


def _repeated_fraction(words: list[str]) -> float:
    """Return the fraction of eight-word phrases that repeat an earlier one."""
    phrases = [hash(tuple(words[i : i + _PHRASE])) for i in range(len(words) - _PHRASE + 1)]
    return 1 - len(set(phrases)) / len(phrases) if len(phrases) >= 2 * _PHRASE else 0.0


def _format_numbers(values: list[Fraction]) -> str:
    text = ", ".join(f"{float(value):.6g}" for value in values[:5])
    return text + (f" and {len(values) - 5} more" if len(values) > 5 else "")
