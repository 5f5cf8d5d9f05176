"""Sets of real numbers, and how adjacent values combine.

"x > 1 and x < 3" is an interval, "x = 1, y = 2" a record, "x = 3 or x = -2" a named list.
"""

import re
from fractions import Fraction

from delta.grading.formulas.exact_values import TooLargeError, UndefinedError, exact_value
from delta.grading.formulas.numeric_values import real_value
from delta.grading.formulas.trees import (
    INFINITY,
    Node,
    negative,
    number_node,
    symbol_node,
    symbols_of,
    total,
)
from delta.grading.formulas.values import (
    BOUND_NAME,
    Collection,
    Named,
    RealInterval,
    RealSet,
    Relation,
    Scalar,
    SetBuilder,
    Value,
    unnamed,
)

PLUS_INFINITY = Scalar((INFINITY,))
MINUS_INFINITY = Scalar((negative(INFINITY),))
EVERYTHING = RealSet((RealInterval(MINUS_INFINITY, False, PLUS_INFINITY, False),))
BOUND = Scalar((symbol_node(BOUND_NAME),))
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}

EndValue = Fraction | float


def to_set(value: Value) -> RealSet | None:
    """Return an interval, a set, an inequality or a number as a set; else None."""
    match value:
        case RealSet():
            return value
        case Named():
            return to_set(value.value)
        case SetBuilder():
            is_plain = value.element == BOUND and not isinstance(value.condition, Named)
            return to_set(value.condition) if is_plain else None
        case Scalar():
            return RealSet((_point(value),))
        case Relation():
            return _from_relation(value)
        case Collection():
            return _from_collection(value)
    return None


def _point(value: Scalar) -> RealInterval:
    return RealInterval(value, True, value, True)


def _from_collection(value: Collection) -> RealSet | None:
    scalars = [member for member in value.members if isinstance(member, Scalar)]
    if len(scalars) < len(value.members):
        return None
    if value.kind in ("set", "list"):
        return canonical(list(map(_point, scalars)))
    if value.kind in ("tuple", "bracket") and len(scalars) == 2:
        is_closed = value.kind == "bracket"
        return RealSet((RealInterval(scalars[0], is_closed, scalars[1], is_closed),))
    return None


def _from_relation(relation: Relation) -> RealSet | None:
    """Return the solution set of inequalities that are linear in one variable."""
    if len(relation.sides) == 3 and (between := _from_chain(relation)):
        return between
    names = {name for side in relation.sides for name in symbols_of(side.trees[0])}
    if len(names) != 1:
        return None
    result: RealSet | None = EVERYTHING
    pairs = zip(relation.sides, relation.operators, relation.sides[1:], strict=False)
    for left, operator, right in pairs:
        solved = _solve(left.trees[0], operator, right.trees[0], next(iter(names)))
        result = combine(result, solved, is_union=False) if result and solved else None
    return result


def _from_chain(relation: Relation) -> RealSet | None:
    """Return the interval of "a < x <= b", whose ends may have symbols."""
    low, middle, high = relation.sides
    name = middle.trees[0]
    end_symbols = symbols_of(low.trees[0]) | symbols_of(high.trees[0])
    if name.kind != "symbol" or name.value in end_symbols:
        return None
    operators = relation.operators
    if set(operators) <= {"<", "<="}:
        return RealSet((RealInterval(low, operators[0] == "<=", high, operators[1] == "<="),))
    if set(operators) <= {">", ">="}:
        return RealSet((RealInterval(high, operators[1] == ">=", low, operators[0] == ">="),))
    return None


def _solve(left: Node, operator: str, right: Node, name: str) -> RealSet | None:
    if left == symbol_node(name) and not symbols_of(right):
        return _half_line(operator, Scalar((right,)))
    if right == symbol_node(name) and not symbols_of(left):
        return _half_line(MIRRORED[operator], Scalar((left,)))
    difference = total(left, negative(right))
    try:
        at = [exact_value(difference, {name: Fraction(point)}) for point in (0, 1, 2)]
    except (TooLargeError, UndefinedError):
        return None
    at_0, at_1, at_2 = at
    if at_0 is None or at_1 is None or at_2 is None or at_2 - at_1 != at_1 - at_0 or at_1 == at_0:
        return None
    end = Scalar((number_node(-at_0 / (at_1 - at_0)),))
    return _half_line(operator if at_1 > at_0 else MIRRORED[operator], end)


def _half_line(operator: str, end: Scalar) -> RealSet:
    is_closed = operator in ("<=", ">=")
    below = RealInterval(MINUS_INFINITY, False, end, is_closed)
    above = RealInterval(end, is_closed, PLUS_INFINITY, False)
    match operator:
        case "<" | "<=":
            return RealSet((below,))
        case ">" | ">=":
            return RealSet((above,))
        case "=":
            return RealSet((_point(end),))
    return RealSet((below, above))


def _end_value(end: Scalar) -> EndValue | None:
    """Return the value of an interval's end; None where it has symbols."""
    tree = end.trees[0]
    if tree in (INFINITY, negative(INFINITY)):
        return float("inf" if tree == INFINITY else "-inf")
    if symbols_of(tree):
        return None
    return real_value(tree)


def canonical(intervals: list[RealInterval]) -> RealSet:
    """Sort the intervals and merge those that touch; unchanged if an end has symbols."""
    sized: list[tuple[EndValue, EndValue, RealInterval]] = []
    for interval in intervals:
        low, high = _end_value(interval.low), _end_value(interval.high)
        if low is None or high is None:
            return RealSet(tuple(intervals))
        sized.append((low, high, interval))
    kept: list[tuple[EndValue, RealInterval]] = []  # with the value of its high end
    for low, high, interval in sorted(sized, key=lambda item: (item[0], not item[2].has_low)):
        if low > high or (low == high and not (interval.has_low and interval.has_high)):
            continue
        # An end that touches belongs to at least one of the two: (0, 1) and [1, 2), not (1, 2).
        united = high, interval
        if kept and (low, not interval.has_low) <= (kept[-1][0], kept[-1][1].has_high):
            end, previous = kept.pop()
            last = interval if (high, interval.has_high) > (end, previous.has_high) else previous
            united = max(high, end), previous._replace(high=last.high, has_high=last.has_high)
        kept.append(united)
    return RealSet(tuple(interval for _, interval in kept))


def combine(left: RealSet, right: RealSet, is_union: bool) -> RealSet | None:
    """Return the union or intersection; None where ends with symbols would have to be ordered."""
    if is_union:
        return canonical([*left.intervals, *right.intervals])
    intervals = [
        _intersection(interval, other) for interval in left.intervals for other in right.intervals
    ]
    known = [interval for interval in intervals if interval is not None]
    return canonical(known) if len(known) == len(intervals) else None


def _intersection(interval: RealInterval, other: RealInterval) -> RealInterval | None:
    low, other_low = _end_value(interval.low), _end_value(other.low)
    high, other_high = _end_value(interval.high), _end_value(other.high)
    if low is None or other_low is None or high is None or other_high is None:
        return None
    first = other if (other_low, not other.has_low) > (low, not interval.has_low) else interval
    last = other if (other_high, other.has_high) < (high, interval.has_high) else interval
    return RealInterval(first.low, first.has_low, last.high, last.has_high)


def complement(numbers: RealSet) -> RealSet | None:
    """Return all other real numbers; None where ends have symbols."""
    result: RealSet | None = EVERYTHING
    for interval in numbers.intervals:
        below = RealInterval(MINUS_INFINITY, False, interval.low, not interval.has_low)
        above = RealInterval(interval.high, not interval.has_high, PLUS_INFINITY, False)
        result = result and combine(result, canonical([below, above]), is_union=False)
    return result


def members_of(values: list[Value]) -> list[Value]:
    """Return the values, each list replaced by its members."""
    members: list[Value] = []
    for value in values:
        is_list = isinstance(value, Collection) and value.kind == "list"
        members += value.members if isinstance(value, Collection) and is_list else (value,)
    return members


def unite(values: list[Value], kind: str = "list") -> Value:
    """Return one list or set of the values; lists among them are flattened."""
    members = members_of(values)
    return join(members, []) if kind == "list" else Collection(kind, tuple(members))


def join(values: list[Value], joins: list[str]) -> Value:
    """Combine values; `joins` are the words and signs between them.

    Inequalities make a set of numbers, different names a record, anything else a list.
    """
    if len(values) == 1:
        return values[0]
    if any(map(_is_number_set, values)) and (united := _join_inequalities(values, joins)):
        return united
    named = [value for value in values if isinstance(value, Named)]
    names = {value.name for value in named}
    if len(names) == len(values) and (
        "" in names or len({re.split("[_']", name)[0] for name in names}) > 1  # not x_1 and x_2
    ):
        return Collection("record", tuple(values))
    if len(names) == 1 and all(not isinstance(value, Relation) for value in values):
        bare = Collection("list", tuple(map(unnamed, values)))
        return Named(named[0].name, named[0].tree, bare)
    return Collection("list", tuple(values))


def _is_number_set(value: Value) -> bool:
    """Return whether this can only be a set of numbers: x > 1, x in (1, 2)."""
    if isinstance(value, Named):
        is_pair = isinstance(value.value, Collection) and value.value.kind in ("tuple", "bracket")
        return isinstance(value.value, RealSet) or (is_pair and value.tree is not None)
    return isinstance(value, Relation) and "=" not in value.operators


def _join_inequalities(values: list[Value], joins: list[str]) -> RealSet | None:
    sets = [to_set(value) for value in values]
    result = sets[0]
    is_or = any(mark in ("or", r"\lor", r"\vee") for mark in joins)
    for other in sets[1:]:
        if result is None or other is None:
            return None
        result = combine(result, other, is_union=is_or)
    is_and = any(mark in ("and", r"\land", r"\wedge") for mark in joins)
    if result and not result.intervals and not is_or and not is_and:
        return _join_inequalities(values, ["or"])  # "x < -1, x > 1" can only mean "or"
    return result
