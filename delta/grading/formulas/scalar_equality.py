"""Whether two numbers or formulas are equal: exactly, by rounding, or at points.

What is rational is computed exactly. Digits decide only where something irrational is left.
"""

import contextlib
from fractions import Fraction

from delta.grading.formulas.answer_types import Scalar
from delta.grading.formulas.exact_values import (
    HUGE,
    TooLargeError,
    UndefinedError,
    exact,
    is_equal_tree,
    least_digits,
    same_residues,
)
from delta.grading.formulas.expressions import (
    TEN,
    Node,
    number_node,
    product,
    replaced,
    subtrees,
    symbols_of,
)
from delta.grading.formulas.numeric_values import approximation, same_constant, same_function
from delta.grading.formulas.rounding import Number, is_close

SIX_DIGITS = 2e-6  # between formulas where one has a decimal of six digits
LONG_DECIMAL = 10**5


def same_scalar(gold: Scalar, prediction: Scalar) -> bool:
    """Whether any readings of both are equal; units at the end are not compared."""
    gold, prediction = as_complex(gold, prediction), as_complex(prediction, gold)
    if any(
        same_tree(one, other, gold.scale, prediction.scale)
        for one in gold.trees
        for other in prediction.trees
    ):
        return True
    if gold.bare and not any(map(symbols_of, prediction.trees)):
        return same_scalar(gold._replace(trees=gold.bare, bare=()), prediction)
    if prediction.bare and not any(map(symbols_of, gold.trees)):
        return same_scalar(gold, prediction._replace(trees=prediction.bare, bare=()))
    if gold.bare and prediction.bare and (gold.has_unit or prediction.has_unit):
        bare = (scalar._replace(trees=scalar.bare, bare=()) for scalar in (gold, prediction))
        return same_scalar(*bare)
    return False


def as_complex(scalar: Scalar, other: Scalar) -> Scalar:
    """Read i, j and k as unit vectors where i stands beside j or the other side has a bold one, and
    j as the imaginary unit where the other side has i and no j."""
    names, others = names_of(scalar), names_of(other)
    is_beside_j = any("j" in names_of(side) and has_imaginary(side) for side in (scalar, other))
    if is_beside_j or any(name.endswith(" vector") for name in names | others):
        scalar = mapped(scalar, ("constant", "i"), ("symbol", "i vector"))
        for letter in "jk":
            scalar = mapped(scalar, ("symbol", letter), ("symbol", f"{letter} vector"))
        return scalar
    if has_imaginary(other) and not has_imaginary(scalar):
        for letter in {"j"} if names == {"j"} else {"I"} - others:  # of Python and of SymPy
            scalar = mapped(scalar, ("symbol", letter), ("constant", "i"))
    return scalar


def names_of(scalar: Scalar) -> set[str]:
    return {name for tree in scalar.trees for name in symbols_of(tree)}


def has_imaginary(scalar: Scalar) -> bool:
    return any(node == ("constant", "i") for tree in scalar.trees for node in subtrees(tree))


def mapped(scalar: Scalar, old: Node, new: Node) -> Scalar:
    return scalar._replace(trees=tuple(replaced(tree, old, new) for tree in scalar.trees))


def same_tree(gold: Node, prediction: Node, gold_scale: Fraction, scale: Fraction) -> bool:
    if symbols_of(gold) or symbols_of(prediction):
        if is_equal_tree(gold, prediction):
            return True
        tolerance = SIX_DIGITS if has_long_decimal(gold, prediction) else 0.0
        scaled = gold if gold_scale == scale else product(gold, number_node(gold_scale))
        return bool(same_function(scaled, times(prediction, gold_scale, scale), tolerance))
    left, right = literal(gold), literal(prediction)
    if left and right:
        return is_close(left._replace(scale=gold_scale), right._replace(scale=scale))
    return same_value(gold, prediction, gold_scale, scale)


def times(prediction: Node, gold_scale: Fraction, scale: Fraction) -> Node:
    return prediction if gold_scale == scale else product(prediction, number_node(scale))


def has_long_decimal(*trees: Node) -> bool:
    """Whether a formula has a decimal number of six digits or more."""
    return any(
        node[0] == "number" and node[2] is not None and abs(node[1]) >= LONG_DECIMAL * node[2]
        for tree in trees
        for node in subtrees(tree)
    )


def literal(node: Node) -> Number | None:
    """A number as it is written, with or without a power of ten."""
    if node[0] == "number":
        return Number(node[1], node[2], Fraction(1))
    if node[0] != "product" or len(node[1]) != 2:
        return None
    first, second = node[1]
    if first[0] != "number" or second[:2] != ("power", TEN) or second[2][0] != "number":
        return None
    try:
        unit = exact(second)
    except (TooLargeError, UndefinedError):
        return None
    return None if unit is None else Number(first[1] * unit, (first[2] or 1) * unit, Fraction(1))


def same_value(gold: Node, prediction: Node, gold_scale: Fraction, scale: Fraction) -> bool:
    """Two formulas without symbols. TooLargeError where it cannot be known."""
    values = []
    for node in (gold, prediction):
        try:
            values.append(exact(node))
        except UndefinedError:
            return False
        except TooLargeError:
            return same_large(gold, prediction)
    if values[0] is None or values[1] is None:
        ratio = Fraction(1) if gold_scale == scale else scale / gold_scale
        for factor in {Fraction(1), ratio}:
            scaled = prediction if factor == 1 else product(prediction, number_node(factor))
            if same_constant(gold, scaled):
                return True
    numbers = [as_number(n, v) for n, v in zip((gold, prediction), values, strict=True)]
    left, right = numbers
    if left is None or right is None:
        return False
    if None in values and left.place is None and right.place is None:
        return False
    return is_close(left._replace(scale=gold_scale), right._replace(scale=scale))


def as_number(node: Node, value: Fraction | None) -> Number | None:
    if number := literal(node):
        return number
    value = approximation(node) if value is None else value
    return None if value is None else Number(value, None, Fraction(1))


def same_large(gold: Node, prediction: Node) -> bool:
    """Two numbers of which one is too large to compute: by residues, or by size alone."""
    if is_equal_tree(gold, prediction):
        return True
    same = same_residues(gold, prediction)
    if same is not None:
        return same
    for huge, other in ((gold, prediction), (prediction, gold)):
        least = least_digits(huge)
        if least is not None and least < HUGE:
            most = digits_of(other)
            if most is not None and most < least:
                return False
        elif least is not None and digits_of(other) is not None:
            return False
    raise TooLargeError


def digits_of(node: Node) -> float | None:
    """An upper bound of the decimal logarithm; None where the value is too large to compute."""
    try:
        value = exact(node)
    except (TooLargeError, UndefinedError):
        return None
    if value is None:
        value = approximation(node)
    return None if value is None else max(1.0, abs(int(value)).bit_length() * 0.302)


def value_of(scalar: Scalar) -> Number | None:
    """The real number that a scalar without symbols is; None where it is none."""
    for tree in (*scalar.bare, *scalar.trees) if scalar.bare else scalar.trees:
        if symbols_of(tree):
            continue
        try:
            number = as_number(tree, exact(tree))
        except (TooLargeError, UndefinedError):
            return None
        return number and number._replace(scale=scalar.scale)
    return None


def check_size(value: object) -> None:
    """Raise TooLargeError for a number that no library should be given."""
    if isinstance(value, Scalar):
        for tree in value.trees:
            with contextlib.suppress(UndefinedError):
                exact(tree)
