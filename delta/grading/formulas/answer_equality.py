"""Compare two answers structure by structure (docs/grading.md)."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from delta.grading.formulas.exact_values import exact_value
from delta.grading.formulas.numeric_values import equal_functions, proportionality
from delta.grading.formulas.scalar_equality import same_scalar
from delta.grading.formulas.sets import MIRRORED, canonical, to_set
from delta.grading.formulas.trees import (
    Node,
    negative,
    number_node,
    product,
    quotient,
    replace_subtree,
    symbols_of,
    total,
)
from delta.grading.formulas.values import (
    Collection,
    Matrix,
    Named,
    NumberInBase,
    Piecewise,
    Ratio,
    RealInterval,
    RealSet,
    Relation,
    Scalar,
    SetBuilder,
    Time,
    Value,
    Words,
    scalar_of,
    unnamed,
)

HALF_DAY = 12  # hours
ZERO = number_node(0)
Same = Callable[[Any, Any], bool]


def same_answer(gold: Value, prediction: Value) -> bool:
    """Return whether the two values are the same answer.

    Raises TooLargeError where they are too large to compare.
    """
    match gold, prediction:
        case Named(), Named():
            return _same_named(gold, prediction)
        case (Named(), Relation()) | (Relation(), Named()):
            equal = _same_equation(_as_equation(gold), _as_equation(prediction))
            return equal or _same_as_set(gold, prediction)
        case (Named(), _) | (_, Named()):
            return same_answer(unnamed(gold), unnamed(prediction))
    if _is_singleton(gold) != _is_singleton(prediction):
        return same_answer(_member(gold), _member(prediction))
    if type(gold) is type(prediction):
        return SAME_KIND[type(gold)](gold, prediction)
    return _same_across(gold, prediction)


def _is_singleton(value: Value) -> bool:
    """Return whether this is a set of one member, which is compared as the member."""
    return isinstance(value, Collection) and value.kind == "set" and len(value.members) == 1


def _member(value: Value) -> Value:
    return value.members[0] if isinstance(value, Collection) and _is_singleton(value) else value


def _same_named(gold: Named, prediction: Named) -> bool:
    """Compare: x = 5 is not y = 5, but y = 2x is x = y/2. A name in words is ignored."""
    names = [named.name.replace("{", "").replace("}", "") for named in (gold, prediction)]
    if "" in names or names[0] == names[1]:
        if same_answer(gold.value, prediction.value):
            return True
        if not isinstance(gold.value, Words):
            return False
    return _same_equation(_as_equation(gold), _as_equation(prediction))


def _as_equation(value: Value) -> Relation | None:
    match value:
        case Relation():
            return value
        case Named(_, Node() as tree, inner) if scalar := scalar_of(inner):
            return Relation((Scalar((tree,)), scalar), ("=",))
    return None


def _same_words(gold: Words, prediction: Words) -> bool:
    if gold.text.split() == prediction.text.split():
        return True
    # `xy` is yx, but HT is not TH: adjacent capitals may be coin tosses, or points.
    for words in (gold, prediction):
        if all(name.isupper() for tree in words.trees for name in symbols_of(tree)):
            return False
    return same_scalar(Scalar(gold.trees), Scalar(prediction.trees))


def _same_pair(gold: tuple[Value, Value], prediction: tuple[Value, Value]) -> bool:
    """Compare two pairs of a value, or a set's element, and its condition."""
    return same_answer(gold[0], prediction[0]) and same_answer(gold[1], prediction[1])


def _same_across(gold: Value, prediction: Value) -> bool:
    """Compare two answers of different kinds."""
    scalars = scalar_of(gold), scalar_of(prediction)
    if scalars[0] and scalars[1]:
        return same_scalar(scalars[0], scalars[1])
    for value, other, is_swapped in ((gold, prediction, False), (prediction, gold, True)):
        same: Same = (lambda a, b: same_scalar(b, a)) if is_swapped else same_scalar
        match value, other:
            case Ratio(parts=(first, second)), Scalar():
                return same(
                    Scalar(tuple(quotient(a, b) for a in first.trees for b in second.trees)), other
                )
            case NumberInBase(digits=digits), Scalar():  # the base was left out
                is_decimal = digits.lstrip("-").isdigit()
                return is_decimal and number_node(int(digits)) in other.trees
            case Time(half=half, parts=parts), Scalar() if half and parts[1:] == (0,):
                return same_scalar(Scalar((number_node(parts[0]),)), other)
            case Time(half="", parts=parts), Ratio():
                numbers = tuple(Scalar((number_node(part),)) for part in parts)
                return _same_ratio(Ratio(numbers), other)
            case Relation(), Scalar() if _is_calculation(value):
                return any(same(side, other) for side in value.sides)
    return _same_as_set(gold, prediction)


def _same_as_set(gold: Value, prediction: Value) -> bool:
    """Compare intervals with inequalities, pairs and sets of numbers."""
    kinds = RealSet, Relation, SetBuilder
    if not isinstance(gold, kinds) and not isinstance(prediction, kinds):
        return False
    values = unnamed(gold), unnamed(prediction)
    for value in values:
        if isinstance(value, Scalar) or (isinstance(value, Relation) and "=" in value.operators):
            return False
    left, right = map(to_set, values)
    return left is not None and right is not None and _same_set(left, right)


def _same_set(gold: RealSet, prediction: RealSet) -> bool:
    left, right = canonical(list(gold.intervals)), canonical(list(prediction.intervals))
    return _match_one_to_one(left.intervals, right.intervals, _same_interval)


def _same_interval(gold: RealInterval, prediction: RealInterval) -> bool:
    return (
        (gold.has_low, gold.has_high) == (prediction.has_low, prediction.has_high)
        and same_scalar(gold.low, prediction.low)
        and same_scalar(gold.high, prediction.high)
    )


def _same_collection(gold: Collection, prediction: Collection) -> bool:
    kinds = {gold.kind, prediction.kind}
    if kinds == {"set"}:
        golds, others = gold.members, prediction.members
        return all(any(same_answer(member, other) for other in others) for member in golds) and all(
            any(same_answer(member, other) for member in golds) for other in others
        )
    is_any_order = kinds <= {"list", "set"} or kinds == {"record"}
    if is_any_order or (kinds == {"bracket", "list"} and len(gold.members) > 2):
        return _match_one_to_one(gold.members, prediction.members, same_answer)
    if "set" in kinds or kinds == {"bracket", "list"}:
        return False
    if "bracket" in kinds and len(kinds) == 2 and len(gold.members) == 2:
        return False  # an interval
    return _in_order(_in_name_order(gold), _in_name_order(prediction), same_answer)


def _in_name_order(collection: Collection) -> tuple[Value, ...]:
    """Return the values of a record in the order of their names: 1, 2 for "y = 2, x = 1"."""
    if collection.kind != "record":
        return collection.members
    named = [member for member in collection.members if isinstance(member, Named)]
    return tuple(member.value for member in sorted(named, key=lambda member: member.name))


def _in_order(gold: Sequence[Any], prediction: Sequence[Any], same: Same = same_scalar) -> bool:
    return len(gold) == len(prediction) and all(map(same, gold, prediction))


def _match_one_to_one(gold: Sequence[Any], prediction: Sequence[Any], same: Same) -> bool:
    """Return whether the members can be paired one to one (augmenting paths)."""
    if len(gold) != len(prediction):
        return False
    partner: dict[int, int] = {}  # index in the prediction -> index in the gold

    def can_pair(index: int, seen: set[int]) -> bool:
        for other in range(len(prediction)):
            if other in seen or not same(gold[index], prediction[other]):
                continue
            seen.add(other)
            if other not in partner or can_pair(partner[other], seen):
                partner[other] = index
                return True
        return False

    return all(can_pair(index, set()) for index in range(len(gold)))


def _same_ratio(gold: Ratio, prediction: Ratio) -> bool:
    """Compare: 1:2:3 is 2:4:6."""
    if len(gold.parts) != len(prediction.parts):
        return False
    ours, theirs = ([part.trees[0] for part in ratio.parts] for ratio in (gold, prediction))
    has_names = any(map(symbols_of, [*ours, *theirs]))
    if not has_names and 0 in (exact_value(ours[0]), exact_value(theirs[0])):
        return _in_order(gold.parts, prediction.parts)
    return all(
        same_scalar(Scalar((product(part, theirs[0]),)), Scalar((product(other, ours[0]),)))
        for part, other in zip(ours[1:], theirs[1:], strict=True)
    )


def _same_time(gold: Time, prediction: Time) -> bool:
    """Compare: 4:30 p.m. is 16:30 and, where a.m. or p.m. is left out, 4:30."""
    if gold.half and prediction.half:
        return _as_24_hours(gold) == _as_24_hours(prediction)
    return gold.parts == prediction.parts or _as_24_hours(gold) == _as_24_hours(prediction)


def _as_24_hours(time: Time) -> tuple[int, ...]:
    if not time.half:
        return time.parts
    return (time.parts[0] % HALF_DAY + HALF_DAY * (time.half == "pm"), *time.parts[1:])


def _is_calculation(relation: Relation) -> bool:
    """Return whether this is a true equation between numbers: 5 + 3 = 8 or 1/3 = 0.333."""
    if set(relation.operators) != {"="}:
        return False
    first, *others = relation.sides
    return all(same_scalar(first, other) or same_scalar(other, first) for other in others)


def _same_relation(gold: Relation, prediction: Relation) -> bool:
    if len(gold.operators) != len(prediction.operators):
        return False
    if gold.operators == ("=",) and prediction.operators == ("=",):
        return _same_equation(gold, prediction)
    if len(gold.operators) == 1 and _same_inequality(gold, prediction):
        return True
    sides, operators = prediction.sides, prediction.operators
    mirrored = tuple(MIRRORED[sign] for sign in reversed(operators))
    return (
        (gold.operators == operators and _in_order(gold.sides, sides))
        or (gold.operators == mirrored and _in_order(gold.sides, sides[::-1]))
        or _same_as_set(gold, prediction)
    )


def _differences(relation: Relation) -> list[Node]:
    """Return left side minus right side, for every reading."""
    left, right = relation.sides
    return [total(a, negative(b)) for a in left.trees for b in right.trees]


def _same_inequality(gold: Relation, prediction: Relation) -> bool:
    """Compare up to a factor; a negative factor mirrors the sign."""
    sign, other = gold.operators[0], prediction.operators[0]
    if not _has_symbols(gold):
        return False
    for left in _differences(gold):
        for right in _differences(prediction):
            factor = proportionality(left, right)
            if factor and other == (sign if factor > 0 or sign == "!=" else MIRRORED[sign]):
                return True
    return False


def _has_symbols(relation: Relation) -> bool:
    return any(symbols_of(tree) for side in relation.sides for tree in side.trees)


def _same_equation(gold: Relation | None, prediction: Relation | None) -> bool:
    """Compare up to a constant factor; one may also be the other solved for a symbol."""
    if gold is None or prediction is None or gold.operators != prediction.operators:
        return False
    if _in_order(gold.sides, prediction.sides):
        return True
    if len(gold.sides) != 2 or not _has_symbols(gold) or not _has_symbols(prediction):
        return False
    if any(proportionality(a, b) for a in _differences(gold) for b in _differences(prediction)):
        return True
    return _is_solved(gold, prediction) or _is_solved(prediction, gold)


def _is_solved(solved: Relation, equation: Relation) -> bool:
    """Return whether `solved` is symbol = formula and solves the equation, linear in symbol."""
    for name, value in (solved.sides, solved.sides[::-1]):
        symbol = name.trees[0]
        if symbol.kind != "symbol" or any(symbol.value in symbols_of(tree) for tree in value.trees):
            continue
        for tree in _differences(equation):
            if symbol.value in symbols_of(tree) and _is_linear(tree, symbol):
                at = [replace_subtree(tree, symbol, formula) for formula in value.trees]
                if any(equal_functions(difference, ZERO) for difference in at):
                    return True
    return False


def _is_linear(tree: Node, symbol: Node) -> bool:
    """Return whether the second difference in the symbol is zero, and the first is not."""
    a, b, c = (replace_subtree(tree, symbol, number_node(Fraction(n, 3))) for n in (1, 3, 5))
    second = total(a, negative(b), negative(b), c)
    return equal_functions(second, ZERO) and not equal_functions(a, b)


SAME_KIND: dict[type, Same] = {
    Scalar: same_scalar,
    Words: _same_words,
    Collection: _same_collection,
    RealSet: _same_set,
    Relation: _same_relation,
    Matrix: lambda gold, other: _in_order(gold.rows, other.rows, _in_order),
    Ratio: _same_ratio,
    Time: _same_time,
    NumberInBase: lambda gold, other: int(gold.digits, gold.base) == int(other.digits, other.base),
    Piecewise: lambda gold, other: _match_one_to_one(gold.rows, other.rows, _same_pair),
    SetBuilder: _same_pair,
}
