"""Compare formulas by their values at points, with 50 digits or more.

A difference at one point refutes an identity; agreement at several points is proof enough in
practice. The number of digits grows with the sizes of the terms, so that 2^300 sqrt(2) + 1 is not
2^300 sqrt(2). An undefined function, f(x), gets a value that depends on its name and arguments.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import mpmath

from delta.grading.formulas.exact_values import (
    MAX_TERMS,
    TooLargeError,
    UndefinedError,
    exact_value,
)
from delta.grading.formulas.trees import PI, Node, subtrees, symbols_of

MIN_DIGITS = 50  # to which values are computed
MAX_DIGITS = 3_000
MAX_STEPS = 20_000  # values of one formula at one point
SERIES_DIGITS = 25  # to which an infinite sum is computed
SERIES_ERROR = mpmath.mpf(10) ** -15  # of an infinite sum, at most
MAX_MAGNITUDE = 10**6  # binary digits before the point; mpmath would never finish with more
MIN_POINTS = 3  # at which both formulas have a value
POINTS = 8
INTEGER_LETTERS = frozenset("nkmNKM")  # that mean integers in sin(n pi)
COMPLEX_LETTERS = frozenset("z")
COORDINATES = frozenset("xyz")  # may be negative in any formula

CONSTANTS: dict[str, Callable[[], Any]] = {
    "pi": lambda: +mpmath.pi,
    "e": lambda: +mpmath.e,
    "i": lambda: mpmath.mpc(0, 1),
    "inf": lambda: mpmath.inf,
}
SAME_NAME = (
    "sin cos tan cot sec csc sinh cosh tanh coth sech csch asin acos atan acot asec acsc "
    "asinh acosh atanh conj arg floor ceil factorial binomial ln"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(mpmath, name) for name in SAME_NAME.split()},
    "abs": abs,
    "max": max,
    "min": min,
    "Re": mpmath.re,
    "Im": mpmath.im,
    "double_factorial": mpmath.fac2,
}
Point = dict[str, Any]  # symbol -> value
NO_VALUE = (
    *(ArithmeticError, ValueError, TypeError, KeyError),
    *(UndefinedError, mpmath.libmp.NoConvergence),
)


class _Evaluator:
    """Evaluates formulas at a point, in mpmath's current precision."""

    def __init__(self, point: Point) -> None:
        self.point = dict(point)
        self.steps = 0
        self.has_infinite_sum = False
        self.spread = 0  # decimal digits between the largest and the smallest intermediate value

    def value(self, node: Node) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLargeError
        result = self._compute(node)
        if mpmath.isnan(result) or mpmath.isinf(result):
            return result
        if result:
            magnitude = abs(int(mpmath.mag(result)))
            if magnitude > MAX_MAGNITUDE:
                raise TooLargeError
            self.spread = max(self.spread, magnitude * 3 // 10)
        return result

    def _compute(self, node: Node) -> Any:
        values = [self.value(child) for child in node.children if node.kind != "series"]
        match node.kind:
            case "number":
                return mpmath.mpf(node.value.numerator) / node.value.denominator
            case "symbol":
                return self.point[node.value]
            case "constant":
                return CONSTANTS[node.value]()
            case "series":
                return self._series(node)
            case "sum":
                return mpmath.fsum(values)
            case "product":
                return mpmath.fprod(values)
            case "power":
                exponent = node.children[1]
                is_number = exponent.kind == "number"
                root = _real_root(values[0], exponent.value) if is_number else None
                return _power(*values) if root is None else root
        return (_function if node.kind == "call" else _undefined_function)(node.value, values)

    def _series(self, node: Node) -> Any:
        (name, variable), (first, last, body) = node.value, node.children
        start, end = self.value(first), self.value(last)

        def term(index: Any) -> Any:
            outer = self.point.get(variable)
            self.point[variable] = mpmath.mpf(index)
            value = self.value(body)
            self.point[variable] = outer
            return value

        if mpmath.isinf(end) and name == "sum":
            self.has_infinite_sum = True
            with mpmath.workdps(SERIES_DIGITS):
                return mpmath.nsum(term, [int(start), mpmath.inf])
        if mpmath.isinf(end) or end - start > MAX_TERMS // 10:
            raise TooLargeError
        terms = [term(index) for index in range(int(start), int(end) + 1)]
        return mpmath.fsum(terms) if name == "sum" else mpmath.fprod(terms)


def _power(base: Any, exponent: Any) -> Any:
    if base == 0 and mpmath.re(exponent) < 0:
        raise UndefinedError
    if base and not mpmath.isinf(base) and not mpmath.isinf(exponent):
        size = abs(exponent) * (abs(mpmath.mag(base)) + 1)
        if size > MAX_MAGNITUDE:
            raise TooLargeError
    return mpmath.power(base, exponent)


def _real_root(base: Any, exponent: Fraction) -> Any:
    """Return the real root of odd degree of a negative number; None for any other power."""
    if exponent.denominator % 2 == 0 or exponent.denominator == 1 or mpmath.im(base) != 0:
        return None
    base = mpmath.re(base)
    if base >= 0:
        return None
    size = _power(-base, mpmath.mpf(exponent.numerator) / exponent.denominator)
    return -size if exponent.numerator % 2 else size


def _function(name: str, arguments: list[Any]) -> Any:
    if name == "factorial" and abs(arguments[0]) > MAX_MAGNITUDE:
        raise TooLargeError
    return FUNCTIONS[name](*arguments)


def _undefined_function(name: str, arguments: list[Any]) -> Any:
    text = name + "|".join(mpmath.nstr(mpmath.mpc(argument), 20) for argument in arguments)
    digest = hashlib.sha256(text.encode()).digest()
    return 1 + mpmath.mpf(int.from_bytes(digest[:20], "big")) / (1 << 160)


def _evaluate(nodes: list[Node], point: Point | None = None) -> tuple[list[Any], Any] | None:
    """Return the values at a point and the distance below which they are equal.

    None where a formula has no value there.
    """
    digits = MIN_DIGITS
    while True:
        with mpmath.workdps(digits + 15):
            evaluator = _Evaluator(point or {})
            try:
                values = [evaluator.value(node) for node in nodes]
            except NO_VALUE:
                return None
            if evaluator.has_infinite_sum:
                return values, SERIES_ERROR
            needed = MIN_DIGITS + 2 * evaluator.spread
            if needed <= digits or digits >= MAX_DIGITS:
                return values, mpmath.mpf(10) ** (evaluator.spread - digits)
            digits = min(needed, MAX_DIGITS)


def equal_constants(left: Node, right: Node) -> bool:
    """Return whether two formulas without symbols are equal; False where one has no value."""
    evaluated = _evaluate([left, right])
    if evaluated is None:
        return False
    (value, other), near = evaluated
    if mpmath.isinf(value) or mpmath.isinf(other):
        return bool(value == other)
    return bool(abs(value - other) <= near)


def approximate_value(node: Node) -> Fraction | None:
    """Return the real value of a formula without symbols to fifty digits; None without one."""
    evaluated = _evaluate([node])
    if evaluated is None:
        return None
    value = mpmath.mpmathify(evaluated[0][0])
    if abs(mpmath.im(value)) > evaluated[1] or not mpmath.isfinite(value):
        return None
    real = mpmath.re(value)
    mantissa, exponent = real.man_exp  # without the sign
    size: Fraction = Fraction(mantissa) * Fraction(2) ** exponent
    return -size if real < 0 else size


def real_value(node: Node) -> Fraction | None:
    """Return the exact value of a formula, else fifty digits; None where it is not known."""
    try:
        value = exact_value(node)
        return approximate_value(node) if value is None else value
    except (TooLargeError, UndefinedError):
        return None


def equal_functions(left: Node, right: Node, tolerance: float = 0.0) -> bool:
    """Return whether two formulas are equal at all points where both have a value.

    False where fewer than MIN_POINTS have one. Formulas of physics (two or more symbols, no
    absolute value, none of COORDINATES) need to be equal for positive values only. `tolerance` is
    relative. Raises TooLargeError.
    """
    same = _agree(left, right, _points([left, right], False), tolerance)
    names = _names([left, right])
    if same or len(names) < 2 or names & COORDINATES or _has_sign([left, right]):
        return same
    return _agree(left, right, _points([left, right], True), tolerance)


def _points(nodes: list[Node], is_positive: bool) -> list[Point]:
    """Return reproducible random points, with both signs unless `is_positive`.

    z is complex if a formula has an absolute value or a conjugate.
    """
    names, integers = _names(nodes), _integer_symbols(nodes)
    rotated = names & COMPLEX_LETTERS if _has_sign(nodes) else set[str]()
    source = random.Random(7)
    points = []
    for index in range(POINTS):
        point: Point = {}
        for name in sorted(names):
            size = Fraction(source.randint(300, 2_300), 1_000) + Fraction(1, source.randint(3, 97))
            is_negative = not is_positive and source.random() < (0.0 if index == 0 else 0.5)
            if name in integers:
                point[name] = mpmath.mpf(source.randint(1, 9))
                continue
            with mpmath.workdps(MIN_DIGITS):
                value = mpmath.mpf(size.numerator) / size.denominator
            point[name] = -value if is_negative else value
            if name in rotated:
                point[name] *= mpmath.mpc(3, 4) / 5
        points.append(point)
    return points


def _names(nodes: list[Node]) -> set[str]:
    """Return the symbols that have a value at a point."""
    names = (name for node in nodes for name in symbols_of(node))
    return {name for name in names if not name.endswith("()")}


def _all_nodes(nodes: list[Node]) -> Iterator[Node]:
    return (node for tree in nodes for node in subtrees(tree))


def _has_sign(nodes: list[Node]) -> bool:
    names = ("abs", "Re", "Im", "arg", "conj")
    return any(node.kind == "call" and node.value in names for node in _all_nodes(nodes))


def _integer_symbols(nodes: list[Node]) -> set[str]:
    """Return the symbols that mean integers: n in (-1)^n, n!, a sum to n, cos(n pi)."""
    names: set[str] = set()
    for node in _all_nodes(nodes):
        match node:
            case Node("power", _, (Node("number", base), exponent)) if base < 0:
                names |= symbols_of(exponent)
            case Node("call", "factorial" | "binomial" | "double_factorial"):
                names |= symbols_of(node)
            case Node("series", _, (first, last, _)):
                names |= symbols_of(first) | symbols_of(last)
            case Node("call", "sin" | "cos" | "tan") if PI in subtrees(node):
                names |= symbols_of(node) & INTEGER_LETTERS
    return names


def _agree(left: Node, right: Node, points: list[Point], tolerance: float) -> bool:
    agreed, has_large = 0, False
    for point in points:
        try:
            evaluated = _evaluate([left, right], point)
        except TooLargeError:
            if has_large:
                raise  # most likely it is too large at every point
            has_large = True
            continue
        if evaluated is None or not all(map(mpmath.isfinite, evaluated[0])):
            continue
        (value, other), near = evaluated
        if abs(value - other) > max(near, tolerance * abs(value)):
            return False
        agreed += 1
    if has_large and agreed < MIN_POINTS:
        raise TooLargeError
    return agreed >= MIN_POINTS


def proportionality(left: Node, right: Node) -> int:
    """Return the sign of c where left = c * right for a constant c; 0 where not, or unknown."""
    factor, agreed = None, 0
    for point in _points([left, right], False):
        evaluated = _evaluate([left, right], point)
        if evaluated is None:
            continue
        (value, other), near = evaluated
        if not all(map(mpmath.isfinite, (value, other))) or abs(other) <= near:
            continue
        with mpmath.workdps(MIN_DIGITS):
            ratio = value / other
            if factor is not None and abs(ratio - factor) > abs(factor) * mpmath.mpf(10) ** -30:
                return 0
        factor, agreed = ratio, agreed + 1
    if agreed < MIN_POINTS or not factor:
        return 0
    return 1 if mpmath.re(factor) > 0 else -1
