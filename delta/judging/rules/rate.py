"""Rate a trace on the five dimensions by rules: no model, no gold answer (appendix A.1).

The rules check equations, the operations that the statement asks for, the sources of numbers, and
the use of results. Every trigger that they find costs points:

    score = max(1, 5 - points), rounded

They cannot follow an argument in words. A dimension of which they read too little gets no vote.

Several votes differ in what they overlook and in how strict they are (`cast_votes`), so that
agreement and reliability can be measured. They are fixed by the trace's text, a seed and the number
of the vote.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from delta.core.params import StrictModel
from delta.judging.rubric import HIGHEST, LOWEST, MAX_DEDUCTIONS, Vote
from delta.judging.rules.trace_facts import MAX_CHARACTERS, Place, TraceFacts, collect_facts

OVERLOOKED = 0.1  # probability that a vote overlooks a line's faults
STRICTNESS = (0.7, 1.3)  # range of a vote's factor on the points


class RulesParams(StrictModel):
    """The votes of the rules."""

    votes: Annotated[int, Field(ge=1)]  # per trace
    seed: Annotated[int, Field(ge=0)]


class Trigger(NamedTuple):
    """Faults of one kind in a trace, and the points that they cost: from `least` to `most`."""

    text: str
    lines: tuple[int, ...]  # the line of each fault; empty: the fault is of the trace as a whole
    total: int = 1  # the number of steps that could have the fault; all of them cost `most`
    least: float = 1.0
    most: float = 4.0

    def points(self, seen: int) -> float:
        """Return the cost of so many of the faults."""
        fraction = min(1.0, seen / max(1, self.total))
        return self.least + (self.most - self.least) * fraction


class NoVote(NamedTuple):
    """The rules read too little of a trace to rate a dimension."""

    reason: str


Reading = tuple[Trigger, ...] | NoVote


def rate(statement: str, trace: str, params: RulesParams) -> dict[str, list[Vote] | NoVote]:
    """Return the votes on a trace in each of the paper's dimensions, in its order.

    The deductions of a vote are its triggers, and its justification is one sentence (A.1.2).
    """
    return {
        dimension: reading
        if isinstance(reading, NoVote)
        else [
            cast_vote(reading, _random(params.seed, number, dimension, trace))
            for number in range(params.votes)
        ]
        for dimension, reading in read(statement, trace).items()
    }


def read(statement: str, trace: str) -> dict[str, Reading]:
    """Return what triggers a deduction in each dimension, or why it gets no vote."""
    if not trace.strip():
        return {dimension: (_whole(4, "empty trace"),) for dimension in _DIMENSIONS}
    facts = collect_facts(statement, trace)
    return {
        dimension: NoVote(reason) if (reason := unread(facts)) else tuple(find(facts))
        for dimension, (unread, find) in _DIMENSIONS.items()
    }


def cast_vote(triggers: tuple[Trigger, ...], rng: random.Random | None = None) -> Vote:
    """Return a vote; without `rng` that of a rater who overlooks nothing."""
    overlooked: dict[int, bool] = {}
    strictness = rng.uniform(*STRICTNESS) if rng else 1.0
    points, texts = 0.0, []
    for trigger in triggers:
        if rng:
            for line in trigger.lines:
                overlooked.setdefault(line, rng.random() < OVERLOOKED)
        seen = sum(not overlooked.get(line, False) for line in trigger.lines)
        if seen or not trigger.lines:
            points += trigger.points(seen)
            texts.append(trigger.text)
    score = max(LOWEST, round(HIGHEST - strictness * points))
    reason = "; ".join(texts[:MAX_DEDUCTIONS]) or "no trigger found"
    return Vote(score, f"{reason[0].upper()}{reason[1:]}.", texts[:MAX_DEDUCTIONS])


def _random(seed: int, number: int, dimension: str, trace: str) -> random.Random:
    key = f"{seed} {number} {dimension} {trace}".encode("utf-8", "surrogatepass")
    return random.Random(hashlib.sha256(key).digest())


def _whole(points: float, text: str) -> Trigger:
    """Return a fault of the trace as a whole."""
    return Trigger(text, (), least=points, most=points)


def _faults(text: str, places: list[Place], total: int) -> Trigger:
    """Return faults of lines, of `total` places that could have one."""
    return Trigger(f"{text} {_list(places)}", tuple(place.line for place in places), total)


def _list(places: list[Place]) -> str:
    text = ", ".join(place.text for place in places[:5])
    return text + (f" and {len(places) - 5} more" if len(places) > 5 else "")


def _lacks_numbers(facts: TraceFacts) -> str:
    """Return why the sources of a trace's numbers cannot be read; "" if they can."""
    numbers = {True: 0, False: 0}  # those that stand in mathematics that we cannot read, and others
    for line in facts.lines:
        numbers[line.is_opaque and not line.equations] += len(line.numbers)
    opaque, readable = numbers[True], numbers[False]
    if not readable:
        return "no number that we can read"
    return "most numbers stand in mathematics that we cannot read" if opaque > readable else ""


def _lacks_equations(facts: TraceFacts) -> str:
    """Return why the steps of a trace cannot be read; "" if they can."""
    if not facts.equations:
        return "no equation that we can read"
    return "most of the mathematics cannot be read" if facts.fraction_read < _READ_STEPS else ""


def _lacks_results(facts: TraceFacts) -> str:
    """Return why the arithmetic of a trace cannot be checked; "" if it can."""
    if not facts.equations:
        return "no equation that we can read"
    is_read = facts.fraction_read >= _READ_RESULTS
    return "" if is_read else "nearly all of the mathematics cannot be read"


def _lacks_strategy(facts: TraceFacts) -> str:
    """Return why the approach cannot be read; a bare answer shows that there is none."""
    return "" if _is_bare_answer(facts) else _lacks_equations(facts)


def _is_bare_answer(facts: TraceFacts) -> bool:
    words = facts.trace[:MAX_CHARACTERS].split()
    return facts.conclusion is not None and not facts.equations and len(words) <= _FEW_WORDS


def _lacks_nothing(_: TraceFacts) -> str:
    return ""


def _factuality(facts: TraceFacts) -> Iterator[Trigger]:
    """Find numbers without a source, and given numbers that no step uses."""
    invented = facts.invented_numbers
    steps = max(len(facts.equations), facts.num_numbers // 3)
    if invented:
        yield _faults("hallucinated data:", invented, steps)
    # An invented number often stands in the place of an ignored one: that is one fault.
    ignored = facts.ignored[len(invented) :]
    if ignored:
        needed = sum(quantity.is_needed for quantity in facts.quantities)
        numbers = ", ".join(f"{float(quantity.value):.6g}" for quantity in ignored[:5])
        points = 1 + 2 * len(ignored) / needed
        yield _whole(points, f"ignored explicit constraints: {numbers}")


def _strategy_coherence(facts: TraceFacts) -> Iterator[Trigger]:
    """Find operations that the statement does not ask for, missing steps, and circles."""
    if len(facts.quantities) >= 2 and not facts.equations:
        yield _whole(2, "no calculation although the problem gives quantities")
    if facts.conclusion is None:
        yield _whole(2, "no conclusion")
    if wrong := facts.wrong_operations():
        yield _faults("operation that the problem does not ask for:", wrong, len(facts.equations))
    if facts.expected is None and (circles := facts.undone_steps()):
        text = "circular logic, undoes an earlier step:"
        yield _faults(text, circles, len(facts.equations))
    value = facts.conclusion_value
    is_amount = facts.expected is None and value is not None and value < 0
    if is_amount and _ASKS_AMOUNT.search(facts.statement):
        yield _whole(1, "an amount below zero")


def _step_coherence(facts: TraceFacts) -> Iterator[Trigger]:
    """Find steps that start from unknown numbers, and results that are not used."""
    steps = len(facts.equations) + 1
    if facts.leaps:
        yield _faults("unjustified leap to", facts.leaps, steps)
    elif facts.num_missing:
        shown = len(facts.equations)
        yield _whole(
            1 + 3 * facts.num_missing / (facts.num_missing + shown),
            f"leaves out {facts.num_missing} of {facts.num_missing + shown} steps",
        )
    # The step before a leap is not used by what follows: that is one fault.
    if unused := facts.unused_equations[max(len(facts.leaps), facts.num_missing or 0) :]:
        yield _faults("result that no later step uses:", unused, steps)
    if facts.follows_from_nothing():
        yield _whole(2, "the conclusion does not follow from any step")
    elif facts.misses_the_last_step():
        yield _whole(1, "the conclusion is not the result of the last steps")


def _computational_precision(facts: TraceFacts) -> Iterator[Trigger]:
    """Find wrong equations, weighted by their fraction of all, and careless numbers."""
    total = len(facts.equations)
    false = [
        (Place(line, equation.text), equation)
        for line, equation in zip(facts.equation_lines, facts.equations, strict=True)
        if not equation.holds
    ]
    signs = [place for place, equation in false if equation.stated == -equation.computed]
    rounded = [place for place, equation in false if equation.is_rounding]
    wrong = [place for place, _ in false if place not in signs and place not in rounded]
    if wrong:
        yield _faults("arithmetic error:", wrong, total)
    if signs:
        yield _faults("sign error:", signs, total)
    if rounded:
        yield _whole(1, f"rounded without a word: {_list(rounded)}")
    if _FLOAT_NOISE.search(facts.trace):
        yield _whole(1, "unsimplified number: a decimal with more than eight places")


def _signal_to_noise(facts: TraceFacts) -> Iterator[Trigger]:
    """Find repetition, meta-commentary, and many words per step."""
    num_lines = len(facts.lines) + len(facts.repeated)
    if facts.repeated:
        yield _faults("redundancy, a repeated line:", facts.repeated, num_lines)
    trace = facts.trace[:MAX_CHARACTERS]
    words = trace.lower().split()
    fraction = _repeated_fraction(words)
    if fraction > 0.2:
        yield _whole(1 + fraction, f"redundancy: {fraction:.0%} repeated phrases")
    commentary = facts.lines_without_content() if facts.quantities else []
    if commentary:
        yield _faults("line without content:", commentary, num_lines)
    filler = len(_FILLER.findall(trace))
    if filler > 1 and filler > len(words) / 200 and not commentary:
        yield _whole(1 + (filler > len(words) / 50), f"excessive meta-commentary: {filler} phrases")
    steps = sum(max(line.text.count("="), line.is_opaque) for line in facts.lines)
    words_per_step = len(words) / max(1, steps)
    if words_per_step > _WORDY:
        text = f"irrelevant digressions: {len(words)} words for {steps} steps"
        yield _whole(min(3.0, words_per_step / _WORDY), text)


_Unread = Callable[[TraceFacts], str]
_Find = Callable[[TraceFacts], Iterator[Trigger]]
_DIMENSIONS: Mapping[str, tuple[_Unread, _Find]] = {
    "factuality": (_lacks_numbers, _factuality),
    "strategy_coherence": (_lacks_strategy, _strategy_coherence),
    "step_coherence": (_lacks_equations, _step_coherence),
    "computational_precision": (_lacks_results, _computational_precision),
    "signal_to_noise": (_lacks_nothing, _signal_to_noise),
}

_ASKS_AMOUNT = re.compile(r"\bhow (?:many|much|long|far|old|tall|big)\b", re.IGNORECASE)
_FLOAT_NOISE = re.compile(r"(?<![\d.<=])\d{1,9}\.\d{9}(?![^<>\n]{0,40}>>)")
_FILLER = re.compile(
    r"\b(?:wait|hmm+|let me|let's see|okay|ok so|i think|i guess|i'm not sure|actually|maybe"
    r"|alternatively|on second thought|as an ai|in other words|needless to say)\b",
    re.IGNORECASE,
)
# Lines with an equation that we read, of all lines with mathematics. Steps make sense only
# together; an equation is right or wrong by itself.
_READ_STEPS, _READ_RESULTS = 1 / 2, 1 / 5
_FEW_WORDS = 8  # of a bare answer: "The final answer is 45."
_WORDY = 60  # words per step; more are digressions
_PHRASE = 8  # words; shorter phrases repeat in any list of similar steps


def _repeated_fraction(words: list[str]) -> float:
    """Return the fraction of eight-word phrases that repeat an earlier one."""
    phrases = [hash(tuple(words[i : i + _PHRASE])) for i in range(len(words) - _PHRASE + 1)]
    return 1 - len(set(phrases)) / len(phrases) if len(phrases) >= 2 * _PHRASE else 0.0
