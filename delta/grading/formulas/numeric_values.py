"""Formulas at points: a difference there refutes an identity at once, agreement to fifty digits at
several points proves it for all that people write.

Digits grow with the sizes of what is added, so that 2^300 √2 + 1 is not 2^300 √2. A function that
nobody defined, f(x), has a value that follows from its name and arguments alone.
"""

import hashlib
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath

from delta.grading.formulas.exact_values import MAX_TERMS, TooLargeError, UndefinedError
from delta.grading.formulas.expressions import Node, children, subtrees, symbols_of

DIGITS = 50  # to which values are computed, at least
MAX_DIGITS = 3_000
MAX_STEPS = 20_000  # values of one formula at one point
ROUGH_DIGITS = 25  # to which an infinite sum is computed
ROUGH = mpmath.mpf(10) ** -15  # its error, at most
MAX_MAGNITUDE = 10**6  # binary digits before the point; mpmath would compute for ever
ENOUGH = 3  # points at which both formulas have a value
POINTS = 8
WHOLE_LETTERS = frozenset("nkmNKM")  # that stand for whole numbers in (-1)^n and n!
COMPLEX_LETTERS = frozenset("z")
COORDINATES = frozenset("xyz")  # which may be negative in any formula

Point = dict[str, Any]


class Values:
    """Evaluates formulas at one point, with `digits` digits."""

    def __init__(self, point: Point, digits: int) -> None:
        self.point, self.digits = point, digits
        self.steps, self.is_rough = 0, False
        self.spread = 0  # decimal digits between the largest and the smallest value on the way

    def value(self, node: Node) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLargeError
        result = self.compute(node)
        if mpmath.isnan(result) or mpmath.isinf(result):
            return result
        if result:
            magnitude = abs(int(mpmath.mag(result)))
            if magnitude > MAX_MAGNITUDE:
                raise TooLargeError
            self.spread = max(self.spread, magnitude * 3 // 10)
        return result

    def compute(self, node: Node) -> Any:
        values = [self.value(child) for child in children(node) if node[0] != "series"]
        match node[0]:
            case "number":
                return mpmath.mpf(node[1].numerator) / node[1].denominator
            case "symbol" | "constant":
                return self.point[node[1]] if node[0] == "symbol" else CONSTANTS[node[1]]()
            case "series":
                return self.series(node)
            case "sum":
                return mpmath.fsum(values)
            case "product":
                return mpmath.fprod(values)
            case "power":
                root = real_root(values[0], node[2][1]) if node[2][0] == "number" else None
                return power(*values) if root is None else root
        return (function if node[0] == "call" else unknown)(node[1], values)

    def series(self, node: Node) -> Any:
        _, name, variable, first, last, body = node
        start, end = self.value(first), self.value(last)

        def term(index: Any) -> Any:
            outer = self.point.get(variable)
            self.point[variable] = mpmath.mpf(index)
            value = self.value(body)
            self.point[variable] = outer
            return value

        if mpmath.isinf(end) and name == "sum":
            self.is_rough = True
            with mpmath.workdps(ROUGH_DIGITS):
                return mpmath.nsum(term, [int(start), mpmath.inf])
        if mpmath.isinf(end) or end - start > MAX_TERMS // 10:
            raise TooLargeError
        terms = [term(index) for index in range(int(start), int(end) + 1)]
        return mpmath.fsum(terms) if name == "sum" else mpmath.fprod(terms)


def power(base: Any, exponent: Any) -> Any:
    if base == 0 and mpmath.re(exponent) < 0:
        raise UndefinedError
    if base and not mpmath.isinf(base) and not mpmath.isinf(exponent):
        size = abs(exponent) * (abs(mpmath.mag(base)) + 1)
        if size > MAX_MAGNITUDE:
            raise TooLargeError
    return mpmath.power(base, exponent)


def real_root(base: Any, exponent: Fraction) -> Any:
    """The real value of a root of odd degree; None where it is no such root."""
    if exponent.denominator % 2 == 0 or exponent.denominator == 1 or mpmath.im(base) != 0:
        return None
    base = mpmath.re(base)
    if base >= 0:
        return None
    size = power(-base, mpmath.mpf(exponent.numerator) / exponent.denominator)
    return -size if exponent.numerator % 2 else size


def unknown(name: str, arguments: list[Any]) -> Any:
    text = name + "|".join(mpmath.nstr(mpmath.mpc(argument), 20) for argument in arguments)
    digest = hashlib.sha256(text.encode()).digest()
    return 1 + mpmath.mpf(int.from_bytes(digest[:20], "big")) / (1 << 160)


CONSTANTS: dict[str, Callable[[], Any]] = {
    "pi": lambda: +mpmath.pi,
    "e": lambda: +mpmath.e,
    "i": lambda: mpmath.mpc(0, 1),
    "inf": lambda: mpmath.inf,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "conj": mpmath.conj,
    "Re": mpmath.re,
    "Im": mpmath.im,
    "arg": mpmath.arg,
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "factorial": mpmath.factorial,
    "double_factorial": mpmath.fac2,
    "binomial": mpmath.binomial,
    "ln": mpmath.ln,
    "max": max,
    "min": min,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "arccot": mpmath.acot,
    "arcsec": mpmath.asec,
    "arccsc": mpmath.acsc,
} | {
    name: getattr(mpmath, name)
    for name in [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "sinh",
        "cosh",
        "tanh",
        "coth",
        "sech",
        "csch",
        "asinh",
        "acosh",
        "atanh",
    ]
}


def function(name: str, arguments: list[Any]) -> Any:
    if name not in FUNCTIONS:
        raise UndefinedError
    if name == "factorial" and abs(arguments[0]) > MAX_MAGNITUDE:
        raise TooLargeError
    return FUNCTIONS[name](*arguments)


def evaluate(nodes: list[Node], point: Point | None = None) -> tuple[list[Any], Any] | None:
    """The values at one point and the distance below which they are equal; None: not defined."""
    digits = DIGITS
    while True:
        with mpmath.workdps(digits + 15):
            values = Values(dict(point or {}), digits)
            try:
                results = [values.value(node) for node in nodes]
            except (
                ArithmeticError,
                ValueError,
                TypeError,
                KeyError,
                UndefinedError,
                mpmath.libmp.NoConvergence,
            ):
                return None
            if values.is_rough:
                return results, ROUGH
            needed = DIGITS + 2 * values.spread
            if needed <= digits or digits >= MAX_DIGITS:
                return results, mpmath.mpf(10) ** (values.spread - digits)
            digits = min(needed, MAX_DIGITS)


def same_constant(left: Node, right: Node) -> bool | None:
    """Whether two formulas without symbols have the same value; None: one has none."""
    evaluated = evaluate([left, right])
    if evaluated is None:
        return None
    (one, other), near = evaluated
    if any(mpmath.isnan(value) for value in (one, other)):
        return None
    if mpmath.isinf(one) or mpmath.isinf(other):
        return bool(one == other)
    return bool(abs(one - other) <= near)


def approximation(node: Node) -> Fraction | None:
    """The real value to fifty digits; None where it is none."""
    evaluated = evaluate([node])
    if evaluated is None:
        return None
    value = mpmath.mpmathify(evaluated[0][0])
    if abs(mpmath.im(value)) > evaluated[1] or not mpmath.isfinite(value):
        return None
    sign, mantissa, exponent, _ = mpmath.re(value)._mpf_
    size: Fraction = Fraction(mantissa) * Fraction(2) ** exponent
    return -size if sign else size


def points_for(nodes: list[Node], positive: bool) -> list[Point]:
    """Points of reproducible random numbers; signs alternate unless all are positive. z is complex
    where an absolute value or a conjugate is taken."""
    names, whole = names_of(nodes), whole_symbols(nodes)
    turned = names & COMPLEX_LETTERS if has_sign(nodes) else set[str]()
    source = random.Random(7)
    points = []
    for place in range(POINTS):
        point: Point = {}
        for name in sorted(names):
            size = Fraction(source.randint(300, 2_300), 1_000) + Fraction(1, source.randint(3, 97))
            is_negative = not positive and source.random() < (0.0 if place == 0 else 0.5)
            if name in whole:
                point[name] = mpmath.mpf(source.randint(1, 9))
            else:
                with mpmath.workdps(DIGITS):
                    value = mpmath.mpf(size.numerator) / size.denominator
                point[name] = -value if is_negative else value
                if name in turned:
                    point[name] *= mpmath.mpc(3, 4) / 5
        points.append(point)
    return points


def whole_symbols(nodes: list[Node]) -> set[str]:
    """Symbols that stand for whole numbers: n of (-1)^n, n!, a sum to n, cos(n pi)."""
    names: set[str] = set()
    for node in (below for tree in nodes for below in subtrees(tree)):
        if node[0] == "power" and node[1][0] == "number" and node[1][1] < 0:
            names |= symbols_of(node[2])
        if node[0] == "call" and node[1] in ("factorial", "binomial", "double_factorial"):
            names |= symbols_of(node)
        if node[0] == "series":
            names |= symbols_of(node[3]) | symbols_of(node[4])
        has_pi = ("constant", "pi") in subtrees(node)
        if node[0] == "call" and node[1] in ("sin", "cos", "tan") and has_pi:
            names |= symbols_of(node) & WHOLE_LETTERS
    return names


def same_function(left: Node, right: Node, tolerance: float = 0.0) -> bool | None:
    """Whether two formulas are equal at all points where both have a value; None: at no point.

    Also equal are those that are so for positive variables, where two or more variables and none of
    COORDINATES is in them, and no absolute value: a formula of physics.
    """
    same = _agree(left, right, points_for([left, right], False), tolerance)
    if same or not is_physical([left, right]):
        return same
    return _agree(left, right, points_for([left, right], True), tolerance)


def names_of(nodes: list[Node]) -> set[str]:
    """The symbols that have a value at a point."""
    names = (name for node in nodes for name in symbols_of(node))
    return {name for name in names if not name.endswith("()")}


def has_sign(nodes: list[Node]) -> bool:
    return any(
        node[0] == "call" and node[1] in ("abs", "Re", "Im", "arg", "conj")
        for tree in nodes
        for node in subtrees(tree)
    )


def is_physical(nodes: list[Node]) -> bool:
    names = names_of(nodes)
    return len(names) >= 2 and not names & COORDINATES and not has_sign(nodes)


def _agree(left: Node, right: Node, points: list[Point], tolerance: float) -> bool | None:
    agreed, has_large = 0, False
    for point in points:
        try:
            evaluated = evaluate([left, right], point)
        except TooLargeError:
            if has_large:
                raise  # at every point, most likely
            has_large = True
            continue
        if evaluated is None:
            continue
        (one, other), near = evaluated
        if any(mpmath.isnan(value) or mpmath.isinf(value) for value in (one, other)):
            continue
        if abs(one - other) > max(near, tolerance * abs(one)):
            return False
        agreed += 1
    if agreed >= ENOUGH:
        return True
    if has_large:
        raise TooLargeError
    return None


def is_proportional(left: Node, right: Node) -> int | None:
    """1 or -1 where left = c * right for a constant c of that sign, 0 where not; None: unknown."""
    factor, agreed = None, 0
    for point in points_for([left, right], False):
        evaluated = evaluate([left, right], point)
        if evaluated is None:
            continue
        (one, other), near = evaluated
        if not all(map(mpmath.isfinite, (one, other))) or abs(other) <= near:
            continue
        with mpmath.workdps(DIGITS):
            ratio = one / other
            if factor is not None and abs(ratio - factor) > abs(factor) * mpmath.mpf(10) ** -30:
                return 0
        factor, agreed = ratio, agreed + 1
    if agreed < ENOUGH or not factor:
        return None
    return 1 if mpmath.re(factor) > 0 else -1
