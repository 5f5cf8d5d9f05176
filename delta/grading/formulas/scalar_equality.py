"""Compare two numbers or formulas: exactly, by rounding, or at points.

Rational values are computed exactly. Digits decide only for irrational values.
"""

import contextlib
from fractions import Fraction

from delta.grading.formulas.exact_values import (
    HUGE,
    TooLargeError,
    UndefinedError,
    equal_residues,
    exact_value,
    min_digits,
)
from delta.grading.formulas.numeric_values import (
    approximate_value,
    equal_constants,
    equal_functions,
    real_value,
)
from delta.grading.formulas.rounding import WrittenNumber, is_close
from delta.grading.formulas.trees import (
    IMAGINARY,
    TEN,
    Node,
    identical_trees,
    number_node,
    product,
    replace_subtree,
    subtrees,
    symbol_node,
    symbols_of,
)
from delta.grading.formulas.values import UNSCALED, Scalar

SIX_DIGITS = 2e-6  # relative tolerance for formulas with a decimal of six digits
LONG_DECIMAL = 10**5  # a decimal of six digits is at least so many units of its last digit


def same_scalar(gold: Scalar, prediction: Scalar) -> bool:
    """Return whether any reading of both is equal; units at the end are not compared.

    Raises TooLargeError where the values are too large to compare.
    """
    gold, prediction = _with_imaginary(gold, prediction), _with_imaginary(prediction, gold)
    if any(
        _same_tree(tree, other, gold.scale, prediction.scale)
        for tree in gold.trees
        for other in prediction.trees
    ):
        return True
    if gold.bare and not any(map(symbols_of, prediction.trees)):
        return same_scalar(_without_unit(gold), prediction)
    if prediction.bare and not any(map(symbols_of, gold.trees)):
        return same_scalar(gold, _without_unit(prediction))
    if gold.bare and prediction.bare and (gold.has_unit or prediction.has_unit):
        return same_scalar(_without_unit(gold), _without_unit(prediction))
    return False


def _without_unit(scalar: Scalar) -> Scalar:
    return scalar._replace(trees=scalar.bare, bare=())


def _with_imaginary(scalar: Scalar, other: Scalar) -> Scalar:
    """Decide whether i, j and k are unit vectors or the imaginary unit, given the other scalar.

    They are unit vectors where i and j occur together or the other side has a bold one. j is the
    imaginary unit where the other side has i and no j, and so is the I of SymPy.
    """
    names, other_names = _names(scalar), _names(other)
    is_beside_j = any("j" in _names(side) and _has_imaginary(side) for side in (scalar, other))
    if is_beside_j or any(name.endswith(" vector") for name in names | other_names):
        scalar = _replace(scalar, IMAGINARY, symbol_node("i vector"))
        for letter in "jk":
            scalar = _replace(scalar, symbol_node(letter), symbol_node(f"{letter} vector"))
    elif _has_imaginary(other) and not _has_imaginary(scalar):
        for letter in {"j"} if names == {"j"} else {"I"} - other_names:
            scalar = _replace(scalar, symbol_node(letter), IMAGINARY)
    return scalar


def _names(scalar: Scalar) -> set[str]:
    return {name for tree in scalar.trees for name in symbols_of(tree)}


def _has_imaginary(scalar: Scalar) -> bool:
    return any(IMAGINARY in subtrees(tree) for tree in scalar.trees)


def _replace(scalar: Scalar, old: Node, new: Node) -> Scalar:
    return scalar._replace(trees=tuple(replace_subtree(tree, old, new) for tree in scalar.trees))


def _same_tree(gold: Node, prediction: Node, gold_scale: Fraction, scale: Fraction) -> bool:
    if symbols_of(gold) or symbols_of(prediction):
        if identical_trees(gold, prediction):
            return True
        tolerance = SIX_DIGITS if _has_long_decimal(gold, prediction) else 0.0
        if gold_scale != scale:
            gold = product(gold, number_node(gold_scale))
            prediction = product(prediction, number_node(scale))
        return equal_functions(gold, prediction, tolerance)
    numbers = _literal(gold), _literal(prediction)
    if numbers[0] and numbers[1]:
        return is_close(numbers[0]._replace(scale=gold_scale), numbers[1]._replace(scale=scale))
    return _same_value(gold, prediction, gold_scale, scale)


def _has_long_decimal(*trees: Node) -> bool:
    """Return whether a formula has a decimal number of six digits or more."""
    return any(
        node.precision is not None and abs(node.value) >= LONG_DECIMAL * node.precision
        for tree in trees
        for node in subtrees(tree)
    )


def _literal(node: Node) -> WrittenNumber | None:
    """Return a literal number, with or without a power of ten; else None."""
    match node:
        case Node("number", value, _, precision):
            return WrittenNumber(value, precision)
        case Node("product", _, (Node("number", value, _, precision), unit_node)):
            match unit_node:
                case Node("power", _, (base, Node("number"))) if base == TEN:
                    with contextlib.suppress(TooLargeError, UndefinedError):
                        if unit := exact_value(unit_node):
                            return WrittenNumber(value * unit, (precision or 1) * unit)
    return None


def _same_value(gold: Node, prediction: Node, gold_scale: Fraction, scale: Fraction) -> bool:
    """Compare two formulas without symbols."""
    values = []
    for node in (gold, prediction):
        try:
            values.append(exact_value(node))
        except UndefinedError:
            return False
        except TooLargeError:
            return _same_large(gold, prediction)
    if None in values:
        for factor in {UNSCALED, scale / gold_scale}:
            scaled = prediction if factor == 1 else product(prediction, number_node(factor))
            if equal_constants(gold, scaled):
                return True
    left, right = (
        _number(node, approximate_value(node) if value is None else value)
        for node, value in zip((gold, prediction), values, strict=True)
    )
    if left is None or right is None:
        return False
    if None in values and left.precision is None and right.precision is None:
        return False
    return is_close(left._replace(scale=gold_scale), right._replace(scale=scale))


def _number(node: Node, value: Fraction | None) -> WrittenNumber | None:
    """Return a formula without symbols as a number. `value`: its value; None: not known."""
    return _literal(node) or (None if value is None else WrittenNumber(value, None))


def _same_large(gold: Node, prediction: Node) -> bool:
    """Compare two numbers, one of them too large to compute, by residues or by size alone."""
    if identical_trees(gold, prediction):
        return True
    same = equal_residues(gold, prediction)
    if same is not None:
        return same
    for large, other in ((gold, prediction), (prediction, gold)):
        low = min_digits(large)
        high = None if low is None else _max_digits(other)
        if low is not None and high is not None and (low >= HUGE or high < low):
            return False
    raise TooLargeError


def _max_digits(node: Node) -> float | None:
    """Return an upper bound of the decimal logarithm; None where the value cannot be computed."""
    value = real_value(node)
    return None if value is None else max(1.0, abs(int(value)).bit_length() * 0.302)


def as_number(scalar: Scalar) -> WrittenNumber | None:
    """Return the value of a scalar without symbols as a real number; else None."""
    for tree in (*scalar.bare, *scalar.trees):
        if not symbols_of(tree):
            number = _number(tree, real_value(tree))
            return number and number._replace(scale=scalar.scale)
    return None


def check_size(value: object) -> None:
    """Raise TooLargeError for a scalar too large to give to a library."""
    if isinstance(value, Scalar):
        for tree in value.trees:
            with contextlib.suppress(UndefinedError):
                exact_value(tree)
