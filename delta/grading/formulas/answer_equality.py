"""Whether two answers are equal: structure by structure (docs/grading.md)."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from delta.grading.formulas.answer_types import (
    Based,
    Cases,
    Collection,
    Matrix,
    Named,
    Piece,
    Ratio,
    RealSet,
    Relation,
    Scalar,
    SetBuilder,
    Time,
    Value,
    Words,
    scalar_of,
)
from delta.grading.formulas.exact_values import exact
from delta.grading.formulas.expressions import (
    Node,
    negative,
    number_node,
    product,
    quotient,
    replaced,
    symbols_of,
)
from delta.grading.formulas.numeric_values import is_proportional, same_function
from delta.grading.formulas.real_sets import MIRRORED, canonical, to_set
from delta.grading.formulas.scalar_equality import same_scalar

MIDDAY = 12

Member = Any
Same = Callable[[Member, Member], bool]


def same_answer(gold: Value, prediction: Value) -> bool:
    """Whether the prediction says what the gold says. TooLargeError where it cannot be known."""
    if isinstance(gold, Named) and isinstance(prediction, Named):
        return same_named(gold, prediction)
    if isinstance(gold, Named):
        if isinstance(prediction, Relation):
            return same_equation(as_relation(gold), prediction) or same_as_set(gold, prediction)
        return same_answer(gold.value, prediction)
    if isinstance(prediction, Named):
        if isinstance(gold, Relation):
            return same_equation(gold, as_relation(prediction)) or same_as_set(gold, prediction)
        return same_answer(gold, prediction.value)
    if is_singleton(gold) != is_singleton(prediction):
        return same_answer(member_of(gold), member_of(prediction))
    if type(gold) is type(prediction):
        return same_kind(gold, prediction)
    return same_across(gold, prediction)


def is_singleton(value: Value) -> bool:
    """Whether this is a set of one thing, which may stand for the thing."""
    return isinstance(value, Collection) and value.kind == "set" and len(value.members) == 1


def member_of(value: Value) -> Value:
    return value.members[0] if isinstance(value, Collection) and is_singleton(value) else value


def same_named(gold: Named, prediction: Named) -> bool:
    """x = 5 is not y = 5, but y = 2x is x = y/2. A name in words says nothing."""
    if "" in (gold.name, prediction.name) or base(gold.name) == base(prediction.name):
        if same_answer(gold.value, prediction.value):
            return True
        if not isinstance(gold.value, Words):
            return False
    return same_equation(as_relation(gold), as_relation(prediction))


def base(name: str) -> str:
    return name.replace("{", "").replace("}", "")


def as_relation(named: Named) -> Relation | None:
    value = scalar_of(named.value)
    if named.tree is None or value is None:
        return None
    return Relation((Scalar((named.tree,)), value), ("=",))


def same_kind(gold: Any, prediction: Any) -> bool:
    """Two answers of one kind."""
    same: dict[type, Callable[[Any, Any], bool]] = {
        Scalar: same_scalar,
        Collection: same_collection,
        RealSet: same_pieces,
        Relation: same_relation,
        Matrix: same_matrix,
        Ratio: same_ratio,
        Time: same_time,
        Based: same_based,
        Cases: same_cases,
        SetBuilder: same_builder,
        Words: same_words,
    }
    return same[type(gold)](gold, prediction)


def same_words(gold: Words, prediction: Words) -> bool:
    if gold.text.split() == prediction.text.split():
        return True
    # `xy` is yx, but HT is not TH: capitals side by side may be tosses, or points.
    if any(not words.trees or is_capital(words) for words in (gold, prediction)):
        return False
    return same_scalar(Scalar(gold.trees), Scalar(prediction.trees))


def is_capital(words: Words) -> bool:
    return all(name.isupper() for tree in words.trees for name in symbols_of(tree))


def same_matrix(gold: Matrix, prediction: Matrix) -> bool:
    return in_order(
        gold.rows, prediction.rows, lambda row, other: in_order(row, other, same_scalar)
    )


def same_based(gold: Based, prediction: Based) -> bool:
    return int(gold.digits, gold.base) == int(prediction.digits, prediction.base)


def same_cases(gold: Cases, prediction: Cases) -> bool:
    return matched(gold.rows, prediction.rows, same_case)


def same_builder(gold: SetBuilder, prediction: SetBuilder) -> bool:
    return same_answer(gold.element, prediction.element) and same_answer(
        gold.condition, prediction.condition
    )


def same_across(gold: Value, prediction: Value) -> bool:
    """Two answers of different kinds that may mean the same."""
    scalars = scalar_of(gold), scalar_of(prediction)
    if scalars[0] and scalars[1]:
        return same_scalar(scalars[0], scalars[1])
    for one, other, is_turned in ((gold, prediction, False), (prediction, gold, True)):
        match one, other:
            case Ratio(parts=(first, second)), Scalar():
                divided = Scalar(tuple(quotient(a, b) for a in first.trees for b in second.trees))
                return same_scalar(*((other, divided) if is_turned else (divided, other)))
            case Based(), Scalar():
                return same_digits(one, other)
            case Time(half=half), Scalar() if half and one.parts[1:] == (0,):
                return same_scalar(Scalar((number_node(one.parts[0]),)), other)
            case Time(half="", parts=parts), Ratio():
                numbers = tuple(Scalar((number_node(part),)) for part in parts)
                return same_ratio(Ratio(numbers), other)
            case Relation(), Scalar() if is_calculation(one):
                return any(
                    same_scalar(*((other, side) if is_turned else (side, other)))
                    for side in one.sides
                )
    return same_as_set(gold, prediction)


def same_as_set(gold: Value, prediction: Value) -> bool:
    """Intervals against inequalities, pairs and sets of numbers."""
    kinds = RealSet, Relation, SetBuilder
    if not isinstance(gold, kinds) and not isinstance(prediction, kinds):
        return False
    gold, prediction = (v.value if isinstance(v, Named) else v for v in (gold, prediction))
    if isinstance(gold, Scalar) or isinstance(prediction, Scalar):
        return False
    if any(isinstance(v, Relation) and "=" in v.operators for v in (gold, prediction)):
        return False
    left, right = to_set(gold), to_set(prediction)
    return left is not None and right is not None and same_pieces(left, right)


def same_pieces(gold: RealSet, prediction: RealSet) -> bool:
    left, right = canonical(list(gold.pieces)), canonical(list(prediction.pieces))
    return matched(left.pieces, right.pieces, same_piece)


def same_piece(gold: Piece, prediction: Piece) -> bool:
    return (
        (gold.has_low, gold.has_high) == (prediction.has_low, prediction.has_high)
        and same_scalar(gold.low, prediction.low)
        and same_scalar(gold.high, prediction.high)
    )


def same_collection(gold: Collection, prediction: Collection) -> bool:
    kinds = {gold.kind, prediction.kind}
    if kinds == {"set"}:
        return contained(gold.members, prediction.members) and contained(
            prediction.members, gold.members, is_turned=True
        )
    if kinds <= {"list", "set"}:
        if "record" in kinds or len(gold.members) != len(prediction.members):
            return False
        return matched(gold.members, prediction.members, same_answer)
    if kinds == {"record"}:
        return matched(gold.members, prediction.members, same_answer)
    if "set" in kinds:
        return False
    if "bracket" in kinds and len(kinds) == 2 and (len(gold.members) == 2 or "list" in kinds):
        return (
            "list" in kinds
            and len(gold.members) > 2
            and matched(gold.members, prediction.members, same_answer)
        )
    return in_order(in_names_order(gold), in_names_order(prediction), same_answer)


def in_names_order(collection: Collection) -> tuple[Value, ...]:
    """The values of a record by their names: a tuple (x, y) of "y = 2, x = 1"."""
    if collection.kind != "record":
        return collection.members
    named = [member for member in collection.members if isinstance(member, Named)]
    return tuple(member.value for member in sorted(named, key=lambda member: member.name))


def contained(members: Sequence[Value], others: Sequence[Value], is_turned: bool = False) -> bool:
    """Whether each member is one of the others."""
    return all(
        any(same_answer(*((other, one) if is_turned else (one, other))) for other in others)
        for one in members
    )


def in_order(gold: Sequence[Member], prediction: Sequence[Member], same: Same) -> bool:
    return len(gold) == len(prediction) and all(map(same, gold, prediction))


def matched(gold: Sequence[Member], prediction: Sequence[Member], same: Same) -> bool:
    """Whether the members can be paired one to one (augmenting paths)."""
    if len(gold) != len(prediction):
        return False
    partner: dict[int, int] = {}

    def find(place: int, seen: set[int]) -> bool:
        for other in range(len(prediction)):
            if other in seen or not same(gold[place], prediction[other]):
                continue
            seen.add(other)
            if other not in partner or find(partner[other], seen):
                partner[other] = place
                return True
        return False

    return all(find(place, set()) for place in range(len(gold)))


def same_case(gold: tuple[Value, Value], prediction: tuple[Value, Value]) -> bool:
    return same_answer(gold[0], prediction[0]) and same_answer(gold[1], prediction[1])


def same_ratio(gold: Ratio, prediction: Ratio) -> bool:
    """1:2:3 is 2:4:6."""
    if len(gold.parts) != len(prediction.parts):
        return False
    ours, theirs = ([part.trees[0] for part in ratio.parts] for ratio in (gold, prediction))
    has_names = any(map(symbols_of, [*ours, *theirs]))
    if not has_names and 0 in (exact(ours[0]), exact(theirs[0])):
        return in_order(gold.parts, prediction.parts, same_scalar)
    return all(
        same_scalar(
            Scalar((product(ours[place], theirs[0]),)), Scalar((product(theirs[place], ours[0]),))
        )
        for place in range(1, len(ours))
    )


def same_time(gold: Time, prediction: Time) -> bool:
    """4:30 p.m. is 16:30 and, where the half is left out, 4:30."""
    if gold.half and prediction.half:
        return twelve(gold) == twelve(prediction) and gold.half == prediction.half
    if gold.half or prediction.half:
        return gold.parts == prediction.parts or full_day(gold) == full_day(prediction)
    return gold.parts == prediction.parts


def twelve(time: Time) -> tuple[int, ...]:
    return (time.parts[0] % MIDDAY, *time.parts[1:])


def full_day(time: Time) -> tuple[int, ...]:
    if not time.half:
        return time.parts
    return (time.parts[0] % MIDDAY + MIDDAY * (time.half == "pm"), *time.parts[1:])


def same_digits(based: Based, scalar: Scalar) -> bool:
    """A number whose base was left out."""
    if not based.digits.lstrip("-").isdigit():
        return False
    return any(tree == number_node(int(based.digits)) for tree in scalar.trees)


def is_calculation(relation: Relation) -> bool:
    """Whether this is an equation that always holds, 5 + 3 = 8 or 1/3 = 0.333, as a value."""
    if set(relation.operators) != {"="}:
        return False
    first, *others = relation.sides
    return all(same_scalar(first, other) or same_scalar(other, first) for other in others)


def same_relation(gold: Relation, prediction: Relation) -> bool:
    if len(gold.operators) != len(prediction.operators):
        return False
    if gold.operators == ("=",) and prediction.operators == ("=",):
        return same_equation(gold, prediction)
    if len(gold.operators) == 1 and same_inequality(gold, prediction):
        return True
    sides, operators = prediction.sides, prediction.operators
    for turned in (False, True):
        if turned:
            sides, operators = sides[::-1], tuple(MIRRORED[sign] for sign in operators[::-1])
        if gold.operators == operators and in_order(gold.sides, sides, same_scalar):
            return True
    return same_as_set(gold, prediction)


def difference(relation: Relation) -> list[Node]:
    """Left side less right side, in every reading."""
    left, right = relation.sides
    return [("sum", (a, negative(b))) for a in left.trees for b in right.trees]


def same_inequality(gold: Relation, prediction: Relation) -> bool:
    """Up to a factor, which turns the sign where it is negative."""
    sign, other = gold.operators[0], prediction.operators[0]
    if not has_symbols(gold):
        return False
    for left in difference(gold):
        for right in difference(prediction):
            factor = is_proportional(left, right)
            if factor and other == (sign if factor > 0 or sign == "!=" else MIRRORED[sign]):
                return True
    return False


def has_symbols(relation: Relation) -> bool:
    return any(symbols_of(tree) for side in relation.sides for tree in side.trees)


def same_equation(gold: Relation | None, prediction: Relation | None) -> bool:
    """Up to a constant factor, or where one is the other solved for a name in it."""
    if gold is None or prediction is None or gold.operators != prediction.operators:
        return False
    if in_order(gold.sides, prediction.sides, same_scalar):
        return True
    if len(gold.sides) != 2 or not has_symbols(gold) or not has_symbols(prediction):
        return False
    if any(is_proportional(a, b) for a in difference(gold) for b in difference(prediction)):
        return True
    return is_solved(gold, prediction) or is_solved(prediction, gold)


def is_solved(solved: Relation, equation: Relation) -> bool:
    """Whether `solved` is name = formula, and the equation is linear in the name and true there."""
    for name, value in (solved.sides, solved.sides[::-1]):
        symbol = name.trees[0]
        if symbol[0] != "symbol" or any(symbol[1] in symbols_of(tree) for tree in value.trees):
            continue
        for tree in difference(equation):
            if symbol[1] in symbols_of(tree) and is_linear(tree, symbol):
                at = [replaced(tree, symbol, formula) for formula in value.trees]
                if any(same_function(zero, number_node(0)) for zero in at):
                    return True
    return False


def is_linear(tree: Node, symbol: Node) -> bool:
    """Whether the second difference in the symbol is zero, and the first is not."""
    zero, one, two = (replaced(tree, symbol, number_node(Fraction(2 * n + 1, 3))) for n in range(3))
    bend = ("sum", (zero, negative(one), negative(one), two))
    return bool(same_function(bend, number_node(0))) and not same_function(zero, one)
