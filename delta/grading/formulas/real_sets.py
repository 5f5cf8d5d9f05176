"""Sets of real numbers: unions of intervals, from inequalities, brackets and braces."""

from fractions import Fraction

from delta.grading.formulas.answer_types import (
    BOUND_NAME,
    Collection,
    Named,
    Piece,
    RealSet,
    Relation,
    Scalar,
    SetBuilder,
    Value,
)
from delta.grading.formulas.exact_values import TooLargeError, UndefinedError, exact
from delta.grading.formulas.expressions import Node, negative, number_node, symbols_of
from delta.grading.formulas.numeric_values import approximation

INFINITE = ("constant", "inf")
PLUS_INFINITY = Scalar((INFINITE,))
MINUS_INFINITY = Scalar((negative(INFINITE),))
EVERYTHING = RealSet((Piece(MINUS_INFINITY, False, PLUS_INFINITY, False),))
BOUND = Scalar((("symbol", BOUND_NAME),))
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}

Size = Fraction | float


def size_of(end: Scalar) -> Size | None:
    """The place of an end on the number line; None where it has symbols."""
    tree = end.trees[0]
    if tree == INFINITE:
        return float("inf")
    if tree == negative(INFINITE):
        return float("-inf")
    if symbols_of(tree):
        return None
    try:
        value = exact(tree)
        return approximation(tree) if value is None else value
    except (TooLargeError, UndefinedError):
        return None


def to_set(value: Value) -> RealSet | None:
    """The numbers that an interval, a set, an inequality or a value is; None where it is no set."""
    match value:
        case RealSet():
            return value
        case Named():
            return to_set(value.value)
        case SetBuilder():
            is_plain = value.element == BOUND and not isinstance(value.condition, Named)
            return to_set(value.condition) if is_plain else None
        case Scalar():
            return RealSet((Piece(value, True, value, True),))
        case Relation():
            return from_relation(value)
        case Collection():
            return from_collection(value)
    return None


def from_collection(value: Collection) -> RealSet | None:
    scalars = [member for member in value.members if isinstance(member, Scalar)]
    if len(scalars) < len(value.members):
        return None
    if value.kind in ("set", "list"):
        return canonical([Piece(scalar, True, scalar, True) for scalar in scalars])
    if value.kind in ("tuple", "bracket") and len(scalars) == 2:
        is_closed = value.kind == "bracket"
        return RealSet((Piece(scalars[0], is_closed, scalars[1], is_closed),))
    return None


def from_relation(relation: Relation) -> RealSet | None:
    """The solutions of inequalities that are linear in one variable."""
    if len(relation.sides) == 3 and (between := from_chain(relation)):
        return between
    names = {name for side in relation.sides for name in symbols_of(side.trees[0])}
    if len(names) != 1:
        return None
    result: RealSet | None = EVERYTHING
    pairs = zip(relation.sides, relation.operators, relation.sides[1:], strict=False)
    for left, operator, right in pairs:
        solved = solve(left.trees[0], operator, right.trees[0], next(iter(names)))
        result = combine(result, solved, is_union=False) if result and solved else None
    return result


def from_chain(relation: Relation) -> RealSet | None:
    """The interval of "a < x <= b", whose ends may have symbols."""
    low, middle, high = relation.sides
    symbol = middle.trees[0]
    if symbol[0] != "symbol" or symbol[1] in symbols_of(low.trees[0]) | symbols_of(high.trees[0]):
        return None
    operators = relation.operators
    if set(operators) <= {"<", "<="}:
        return RealSet((Piece(low, operators[0] == "<=", high, operators[1] == "<="),))
    if set(operators) <= {">", ">="}:
        return RealSet((Piece(high, operators[1] == ">=", low, operators[0] == ">="),))
    return None


def solve(left: Node, operator: str, right: Node, name: str) -> RealSet | None:
    if left == ("symbol", name) and not symbols_of(right):
        return half_line(operator, Scalar((right,)))
    if right == ("symbol", name) and not symbols_of(left):
        return half_line(MIRRORED[operator], Scalar((left,)))
    difference = ("sum", (left, negative(right)))
    try:
        values = [exact(difference, {name: Fraction(place)}) for place in (0, 1, 2)]
    except (TooLargeError, UndefinedError):
        return None
    zero, one, two = values
    if zero is None or one is None or two is None or two - one != one - zero or one == zero:
        return None
    end = Scalar((number_node(-zero / (one - zero)),))
    return half_line(operator if one > zero else MIRRORED[operator], end)


def half_line(operator: str, end: Scalar) -> RealSet:
    is_closed = operator in ("<=", ">=")
    below = Piece(MINUS_INFINITY, False, end, is_closed)
    above = Piece(end, is_closed, PLUS_INFINITY, False)
    match operator:
        case "<" | "<=":
            return RealSet((below,))
        case ">" | ">=":
            return RealSet((above,))
        case "=":
            return RealSet((Piece(end, True, end, True),))
    return RealSet((below, above))


def canonical(pieces: list[Piece]) -> RealSet:
    """The pieces in order, those that touch united; as they are where an end has symbols."""
    ends = [(size_of(piece.low), size_of(piece.high)) for piece in pieces]
    if any(low is None or high is None for low, high in ends):
        return RealSet(tuple(pieces))
    kept: list[tuple[Size, Size, Piece]] = []
    order = sorted(
        ((low, high, piece) for (low, high), piece in zip(ends, pieces, strict=True)),
        key=lambda item: (item[0], not item[2].has_low),
    )
    for low, high, piece in order:
        assert low is not None
        assert high is not None
        if low > high or (low == high and not (piece.has_low and piece.has_high)):
            continue
        if kept and touches(kept[-1], low, piece):
            previous_low, previous_high, previous = kept.pop()
            is_longer = (high, piece.has_high) > (previous_high, previous.has_high)
            last = piece if is_longer else previous
            united = Piece(previous.low, previous.has_low, last.high, last.has_high)
            kept.append((previous_low, max(high, previous_high), united))
        else:
            kept.append((low, high, piece))
    return RealSet(tuple(piece for _, _, piece in kept))


def touches(previous: tuple[Size, Size, Piece], low: Size, piece: Piece) -> bool:
    _, end, before = previous
    return low < end or (low == end and (piece.has_low or before.has_high))


def combine(left: RealSet, right: RealSet, is_union: bool) -> RealSet | None:
    """Union or intersection; None where ends with symbols would have to be ordered."""
    if is_union:
        return canonical([*left.pieces, *right.pieces])
    pieces = []
    for one in left.pieces:
        for other in right.pieces:
            both = intersection(one, other)
            if both is None:
                return None
            pieces.append(both)
    return canonical(pieces)


def intersection(one: Piece, other: Piece) -> Piece | None:
    lows, highs = (size_of(one.low), size_of(other.low)), (size_of(one.high), size_of(other.high))
    if None in lows or None in highs:
        return None
    first = max((lows[0], not one.has_low, one), (lows[1], not other.has_low, other), key=_end)[2]
    last = min((highs[0], one.has_high, one), (highs[1], other.has_high, other), key=_end)[2]
    return Piece(first.low, first.has_low, last.high, last.has_high)


def _end(item: tuple[Size | None, bool, Piece]) -> tuple[Size, bool]:
    assert item[0] is not None
    return item[0], item[1]


def complement(numbers: RealSet) -> RealSet | None:
    """All other real numbers."""
    result: RealSet | None = EVERYTHING
    for piece in numbers.pieces:
        rest = canonical(
            [
                Piece(MINUS_INFINITY, False, piece.low, not piece.has_low),
                Piece(piece.high, not piece.has_high, PLUS_INFINITY, False),
            ]
        )
        result = result and combine(result, rest, is_union=False)
    return result
