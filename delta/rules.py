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
from itertools import islice
from typing import NamedTuple

from delta.equations import Equation, Line, read_lines, read_value

MINOR, MAJOR, FATAL = 1, 2, 4
MAX_POOL, MAX_SEARCHES = 50, 40  # bound the search for steps that a trace left out
MAX_CHARACTERS = 150_000  # read for steps; 32,768 tokens of a trace are about 115,000
MAX_TRIGGERS = 5  # listed per dimension; the first ones carry the weights

_Finding = tuple[int, str]  # weight, trigger


class RuleRating(NamedTuple):
    """One dimension's score, the rubric's triggers found, and one sentence (A.1.2)."""

    score: int
    triggers: tuple[str, ...]
    justification: str


class _Quantity(NamedTuple):
    """A number of the statement and the forms it may take: 30% is also 0.3, 0.7 and 1.3."""

    value: Fraction
    forms: frozenset[Fraction]
    is_needed: bool = True


class _Conclusion(NamedTuple):
    text: str
    value: Fraction | None


class _Evidence(NamedTuple):
    """What the trace shows, collected once for all dimensions."""

    statement: str
    trace: str
    lines: list[Line]
    equations: list[Equation]
    quantities: list[_Quantity]
    conclusion: _Conclusion | None
    invented: list[Fraction]  # operands that nothing so far explains
    leaps: list[Fraction]  # operands one unshown calculation away from what is known
    unused: list[Equation]  # results that no later step and no conclusion takes up


def rate(statement: str, trace: str) -> dict[str, RuleRating]:
    """Rate one trace; the keys are the paper's dimensions, in its order."""
    if not trace.strip():
        return {dimension: _score([(FATAL, "empty trace")]) for dimension in _DIMENSIONS}
    evidence = _collect(statement, trace)
    return {dimension: _score(list(find(evidence))) for dimension, find in _DIMENSIONS.items()}


def _score(findings: list[_Finding]) -> RuleRating:
    score = max(1, 5 - sum(weight for weight, _ in findings))
    triggers = tuple(trigger for _, trigger in findings)[:MAX_TRIGGERS]
    reason = "; ".join(triggers) if triggers else "no trigger found"
    return RuleRating(score, triggers, f"{reason[0].upper()}{reason[1:]}.")


# --- the five dimensions ---------------------------------------------------------------------


def _factuality(evidence: _Evidence) -> Iterator[_Finding]:
    """Numbers from nowhere, and numbers of the statement that no step takes up."""
    invented = len(evidence.invented)
    if invented:
        weight = MINOR if invented <= _operand_count(evidence) / 20 else MAJOR
        weight = FATAL if invented > 2 and invented > _operand_count(evidence) / 4 else weight
        yield weight, f"hallucinated data: {_listed(evidence.invented)}"
    used = _used_numbers(evidence)
    needed = [quantity for quantity in evidence.quantities if quantity.is_needed]
    ignored = [quantity.value for quantity in needed if not quantity.forms & used]
    if ignored:
        share = len(ignored) / len(needed)
        yield (
            MAJOR if share >= 1 / 3 else MINOR,
            f"ignored explicit constraints: {_listed(ignored)}",
        )


def _strategy_coherence(evidence: _Evidence) -> Iterator[_Finding]:
    """A plan that arrives: steps, no circles, a conclusion that is what they arrive at."""
    has_steps = bool(evidence.equations) or any(line.opaque for line in evidence.lines)
    if len(evidence.quantities) >= 2 and not has_steps:
        yield MAJOR, "no calculation although the problem gives quantities"
    if evidence.conclusion is None:
        yield MAJOR, "no conclusion"
    elif _misses_the_last_step(evidence):
        yield MINOR, "the conclusion is not the result of the last steps"
    circles = _undone_steps(evidence.equations)
    if circles:
        weight = MAJOR if len(circles) > len(evidence.equations) / 4 else MINOR
        yield weight, f"circular logic, undoes an earlier step: {circles[0].text}"


def _step_coherence(evidence: _Evidence) -> Iterator[_Finding]:
    """Each step starts from what is known and is used by what follows."""
    if evidence.leaps:
        is_rare = len(evidence.leaps) <= _operand_count(evidence) / 10
        yield MINOR if is_rare else MAJOR, f"unjustified leap to {_listed(evidence.leaps)}"
    if evidence.unused:
        is_rare = len(evidence.unused) <= len(evidence.equations) / 4
        weight = MINOR if is_rare else MAJOR
        yield weight, f"result that no later step uses: {evidence.unused[0].text}"
    if _follows_from_nothing(evidence):
        yield MAJOR, "the conclusion does not follow from any step"


def _computational_precision(evidence: _Evidence) -> Iterator[_Finding]:
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
    value = evidence.conclusion.value if evidence.conclusion else None
    if asks_amount and value is not None and value < 0:
        yield MAJOR, "sign error: an amount below zero"
    if _FLOAT_NOISE.search(evidence.trace):
        yield MINOR, "unsimplified number: a decimal with more than eight places"


def _signal_to_noise(evidence: _Evidence) -> Iterator[_Finding]:
    """Repetition, talk about the work, and words per step."""
    words = evidence.trace[:MAX_CHARACTERS].lower().split()
    texts = Counter(line.text for line in evidence.lines if len(line.text) >= _LONG_LINE)
    repeated = sum(count - 1 for count in texts.values())
    if repeated:
        is_rare = repeated <= len(evidence.lines) / 10
        yield MINOR if is_rare else MAJOR, f"redundancy: {repeated} repeated lines"
    share = _repeated_share(words)
    if share > 0.2:
        yield MAJOR if share > 0.5 else MINOR, f"redundancy: {share:.0%} repeated phrases"
    filler = len(_FILLER.findall(evidence.trace[:MAX_CHARACTERS]))
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


# --- evidence ----------------------------------------------------------------------------------


class _Known:
    """Numbers met so far. Fractions match to three digits, since traces round them."""

    def __init__(self, values: frozenset[Fraction]) -> None:
        self._exact: dict[Fraction, None] = {}  # ordered: what is given comes first
        self._rounded: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: Fraction) -> None:
        value = _settled(value)
        self._exact[value] = None
        if value.denominator != 1:
            self._rounded.add(f"{float(value):.3g}")
            self._exact[Fraction(int(value))] = self._exact[Fraction(int(value) + 1)] = None

    def __contains__(self, value: Fraction) -> bool:
        value = _settled(value)
        if value in self._exact:
            return True
        return value.denominator != 1 and f"{float(value):.3g}" in self._rounded

    def reaches(self, value: Fraction) -> bool:
        """Whether one calculation with two known numbers gives the value."""
        pool = islice(self._exact, MAX_POOL)
        return any(
            value - known in self._exact
            or value + known in self._exact
            or (known and (value / known in self._exact or value * known in self._exact))
            for known in pool
            if known != 1  # n + 1 would explain every count
        )


def _settled(value: Fraction) -> Fraction:
    """The size of a number, with a float's 99.00000000000001 read as 99."""
    if value.denominator == 1:
        return value if value >= 0 else -value
    whole = Fraction(round(value))
    return abs(whole if abs(value - whole) < Fraction(1, 10**6) and whole else value)


def _collect(statement: str, trace: str) -> _Evidence:
    lines = read_lines(trace[:MAX_CHARACTERS])
    quantities = _quantities(statement)
    conclusion = _conclusion(trace)
    invented, leaps = _unexplained(statement, quantities, lines, conclusion)
    return _Evidence(
        statement=statement,
        trace=trace,
        lines=lines,
        equations=[equation for line in lines for equation in line.equations],
        quantities=quantities,
        conclusion=conclusion,
        invented=invented,
        leaps=leaps,
        unused=_unused(lines, conclusion),
    )


def _unexplained(
    statement: str, quantities: list[_Quantity], lines: list[Line], conclusion: _Conclusion | None
) -> tuple[list[Fraction], list[Fraction]]:
    """Numbers that are neither given nor results: invented, or one unshown step away."""
    forms = frozenset(form for quantity in quantities for form in quantity.forms)
    known = _Known(forms | _conventions(statement))
    invented: list[Fraction] = []
    leaps: list[Fraction] = []
    num_searches = 0
    for line in lines:
        operands = [value for equation in line.equations for value in equation.operands]
        results = {value for e in line.equations for value in (e.stated, e.computed)}
        # The line of the answer is judged with the conclusion, not as a step.
        is_answer = conclusion is not None and conclusion.text in line.text and not line.equations
        prose = () if is_answer else line.numbers
        for place, value in enumerate((*operands, *prose)):
            if value in known or abs(value) in results:
                continue
            # Beside algebra a number may come from steps we cannot read. In prose, mental
            # arithmetic is no jump yet: it becomes one when a calculation starts from it.
            if not line.opaque:
                num_searches += 1
                is_leap = num_searches <= MAX_SEARCHES and known.reaches(abs(value))
                if place < len(operands) or not is_leap:
                    (leaps if is_leap else invented).append(value)
            known.add(value)
        for value in results:
            known.add(value)
    return invented, leaps


def _unused(lines: list[Line], conclusion: _Conclusion | None) -> list[Equation]:
    """Results that no later line mentions; the last line's results are the conclusion's."""
    later = _Known(frozenset())
    if conclusion is not None and conclusion.value is not None:
        later.add(conclusion.value)
    unused: list[Equation] = []
    is_last = True
    for line in reversed(lines):
        if not is_last:
            own = {value for e in line.equations for value in e.operands}
            unused += [e for e in line.equations if e.stated not in later and e.stated not in own]
        is_last = is_last and not line.equations and not line.opaque
        for value in line.numbers:
            later.add(value)
        for equation in line.equations:
            for value in equation.operands:
                later.add(value)
    return unused[::-1]


def _operand_count(evidence: _Evidence) -> int:
    return max(1, sum(len(line.numbers) for line in evidence.lines))


def _used_numbers(evidence: _Evidence) -> set[Fraction]:
    """Numbers that steps work with; of lines without an equation we can read, every number."""
    used = {value for equation in evidence.equations for value in equation.operands}
    for line in evidence.lines:
        if line.opaque or not line.equations:
            used.update(line.numbers)
    return used


def _last_results(evidence: _Evidence) -> _Known | None:
    """Results of the last line that calculates; None where that is not readable arithmetic."""
    for line in reversed(evidence.lines):
        if line.opaque:
            return None
        if line.equations:
            values = (v for e in line.equations for v in (e.stated, e.computed))
            return _Known(frozenset(values))
    return None


def _undone_steps(equations: list[Equation]) -> list[Equation]:
    """60 / 3 = 20 and later 20 * 3 = 60: the same numbers, another one called the result."""
    results: dict[frozenset[Fraction], Fraction] = {}
    undone: list[Equation] = []
    for equation in equations:
        numbers = frozenset((*equation.operands, equation.stated))
        if len(numbers) > 2 and results.setdefault(numbers, equation.stated) != equation.stated:
            undone.append(equation)
    return undone


def _misses_the_last_step(evidence: _Evidence) -> bool:
    results = _last_results(evidence)
    value = evidence.conclusion.value if evidence.conclusion else None
    return results is not None and value is not None and value not in results


def _follows_from_nothing(evidence: _Evidence) -> bool:
    """No equation gives the concluded number; silent where some line could not be read."""
    value = evidence.conclusion.value if evidence.conclusion else None
    if value is None or not evidence.equations or any(line.opaque for line in evidence.lines):
        return False
    results = (v for e in evidence.equations for v in (e.stated, e.computed))
    return value not in _Known(frozenset(results))


def _listed(values: list[Fraction]) -> str:
    shown = ", ".join(f"{float(value):.6g}" for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")


# --- the statement's numbers and the conclusion ------------------------------------------------

_STATEMENT_NUMBER = re.compile(
    r"(?P<number>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,30})(?:\.\d{1,30})?|\.\d{1,30})"
    r"(?:\s?/\s?(?P<over>\d{1,9})(?![\d.]))?(?P<percent>\s?(?:\\?%|percent))?|(?P<word>[a-z]++)"
)
_WORDS = {
    word: Fraction(value)
    for value, word in enumerate(
        [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
            "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
            "eighteen", "nineteen", "twenty",
        ]
    )
} | {
    word: Fraction(value)
    for word, value in {
        "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
        "ninety": 90, "hundred": 100, "thousand": 1000, "dozen": 12, "twice": 2, "double": 2,
        "triple": 3, "thrice": 3, "quadruple": 4,
    }.items()
}  # fmt: skip
_PARTS = {
    "half": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
# Numbers a unit brings along: no statement has to say that a week has seven days.
_UNITS = {
    "week": (7, 52), "month": (12, 30, 4), "year": (12, 52, 365), "day": (24, 7, 30, 365),
    "hour": (60, 24, 3600), "minute": (60,), "second": (60, 3600), "dozen": (12,),
    "foot": (12, 3), "feet": (12, 3), "inch": (12,), "yard": (3,), "mile": (5280,),
    "pound": (16,), "ounce": (16,), "kilo": (1000,), "kilometer": (1000,), "meter": (1000,),
    "kg": (1000,), "km": (1000,), "gram": (1000,), "cent": (100,), "quarter": (25, 4),
    "dime": (10,), "nickel": (5,), "decade": (10,), "century": (100,), "triangle": (3, 180),
    "square": (4,), "rectangle": (4,), "weekend": (2, 5), "weekday": (5,), "am": (12, 24),
    "pm": (12, 24), "noon": (12,), "midnight": (12, 24), "weekly": (7, 52),
    "daily": (7, 30, 365), "monthly": (12,), "yearly": (12,), "annual": (12,), "daytime": (24,),
}  # fmt: skip
# Doubling and halving, "the other one", percent.
_ALWAYS = frozenset((Fraction(0), Fraction(1), Fraction(2), Fraction(100), Fraction(1, 100)))


def _quantities(statement: str) -> list[_Quantity]:
    """The distinct numbers of a statement, in digits or words."""
    found: dict[Fraction, _Quantity] = {}
    # A figure's coordinates ([asy] code in MATH) are not data of the problem.
    first, *drawn = statement[:MAX_CHARACTERS].lower().split("[asy]")
    prose = " ".join((first, *(part.partition("[/asy]")[2] for part in drawn)))
    for match in _STATEMENT_NUMBER.finditer(prose):
        quantity = _word_quantity(match["word"]) if match["word"] else _digit_quantity(match)
        if quantity is not None:
            found.setdefault(quantity.value, quantity)
    return [quantity for quantity in found.values() if quantity.value > 0]


def _word_quantity(word: str) -> _Quantity | None:
    if word in _PARTS:
        return _part_quantity(Fraction(1, _PARTS[word]))
    value = _WORDS.get(word)
    if value is None:
        return None
    # "One" is an article, "two" counts the people in the story, "dozen" is a unit of sale.
    return _Quantity(value, frozenset({value}), is_needed=value > 2 and word != "dozen")


def _digit_quantity(match: re.Match[str]) -> _Quantity | None:
    value = Fraction(match["number"].replace(",", ""))
    if match["over"] and int(match["over"]):
        return _part_quantity(value / int(match["over"]))
    if match["percent"]:
        share = value / 100
        return _Quantity(value, frozenset({value, share, 1 - share, 1 + share, 100 - value}))
    return _Quantity(value, frozenset({value}), is_needed=value > 1 or value.denominator != 1)


def _part_quantity(part: Fraction) -> _Quantity:
    """Thirds are worked with as 1/3, 2/3, 0.33, or by dividing by three."""
    numbers = map(Fraction, (part.numerator, part.denominator))
    return _Quantity(part, frozenset({part, 1 - part, 1 + part, *numbers} - {Fraction(1)}))


def _conventions(statement: str) -> frozenset[Fraction]:
    words = set(re.findall(r"[a-z]++", statement.lower()))
    units = (_UNITS.get(word) or _UNITS.get(word.removesuffix("s"), ()) for word in words)
    return _ALWAYS | {Fraction(value) for values in units for value in values}


_MARKED = re.compile(
    r"^[ \t]{0,8}(?:A|Answer)[ \t]{0,8}:(.{1,200})|####(.{1,200})"
    r"|(?:final answer|answer is|answer:)(.{1,200})",
    re.IGNORECASE | re.MULTILINE,
)


def _conclusion(trace: str) -> _Conclusion | None:
    """What the trace ends on: the last box, or the last marked answer."""
    start = trace.rfind("\\boxed{")
    if start >= 0:
        text = _braced(trace[start + len("\\boxed{") : start + 500])
    else:
        marked = [match[1] or match[2] or match[3] for match in _MARKED.finditer(trace)]
        text = marked[-1] if marked else ""
    text = text.strip().lstrip(":* ").rstrip(".* ")
    return _Conclusion(text, read_value(text)) if text else None


def _braced(text: str) -> str:
    """Up to the bracket that closes the one before the text; all of it if none does."""
    depth = 1
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[:place]
    return text
