"""Compute the exact rational value of a formula, or compare values too large to compute.

The size of a power, a factorial or a binomial is estimated before it is computed. A value larger
than MAX_BITS is compared by its residues, or by its size alone.
"""

import math
from fractions import Fraction

from delta.grading.formulas.trees import Node

MAX_BITS = 1_200_000  # of an integer: 361,000 digits
MAX_FRACTION_BITS = 100_000  # of numerator or denominator: reducing a fraction is quadratic
MAX_WORK = 12_000_000  # bits of all values of one formula
STEP_BITS = 400  # added for every value, so that the number of steps is bounded too
MAX_TERMS = 10_000  # of a sum
MAX_FACTORIAL = 70_000  # its factorial has 1.1 million bits
MAX_ROOT = 64
PRIMES = ((1 << 89) - 1, (1 << 107) - 1, (1 << 127) - 1)
HUGE = 1e300  # decimal digits; also used for any larger size


class TooLargeError(Exception):
    """The value would take too much time or memory."""


class UndefinedError(Exception):
    """A division by zero, or a function that is not defined at its argument."""


def exact_value(node: Node, values: dict[str, Fraction] | None = None) -> Fraction | None:
    """Return the rational value, with `values` for symbols.

    None where the value is not rational, or needs an approximation to find. Raises TooLargeError
    and UndefinedError.
    """
    return _Evaluator().value(node, values or {})


class _Evaluator:
    """One evaluation, whose work is bounded by the bits of all its values."""

    def __init__(self) -> None:
        self.work = 0

    def value(self, node: Node, values: dict[str, Fraction]) -> Fraction | None:
        result = self._compute(node, values)
        if result is not None:
            self._count(_bits(result) + STEP_BITS)
        return result

    def _count(self, bits: int) -> None:
        self.work += bits
        if self.work > MAX_WORK:
            raise TooLargeError

    def _compute(self, node: Node, values: dict[str, Fraction]) -> Fraction | None:
        match node.kind:
            case "number":
                return Fraction(node.value)
            case "symbol":
                return values.get(node.value)
            case "series":
                return self._series(node, values)
            case "constant" | "apply":
                return None
        numbers = [self.value(child, values) for child in node.children]
        known = [number for number in numbers if number is not None]
        return _combine(node, known) if len(known) == len(numbers) else None

    def _series(self, node: Node, values: dict[str, Fraction]) -> Fraction | None:
        (name, variable), (first, last, body) = node.value, node.children
        start, end = self.value(first, values), self.value(last, values)
        if start is None or end is None or start.denominator != 1 or end.denominator != 1:
            return None
        if end - start > MAX_TERMS:
            raise TooLargeError
        total = Fraction(0 if name == "sum" else 1)
        for index in range(int(start), int(end) + 1):
            term = self.value(body, values | {variable: Fraction(index)})
            if term is None:
                return None
            _check_fractions(total, term)
            total = total + term if name == "sum" else total * term
            self._count(_bits(total))
        return total


def _combine(node: Node, operands: list[Fraction]) -> Fraction | None:
    match node.kind:
        case "sum":
            return _total(operands)
        case "product":
            return _product(operands)
        case "power":
            return _power(*operands)
    return _call(node.value, operands)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _check_fractions(*values: Fraction) -> None:
    if sum(map(_bits, values)) > MAX_FRACTION_BITS and any(v.denominator != 1 for v in values):
        raise TooLargeError


def _total(terms: list[Fraction]) -> Fraction:
    total = Fraction(0)
    for term in terms:
        _check_fractions(total, term)
        total += term
    return total


def _product(factors: list[Fraction]) -> Fraction:
    numerator = math.prod(factor.numerator for factor in factors)
    denominator = math.prod(factor.denominator for factor in factors)
    bits = max(numerator.bit_length(), denominator.bit_length())
    if bits > MAX_BITS:
        raise TooLargeError
    if bits > MAX_FRACTION_BITS:
        integer, remainder = divmod(numerator, denominator)
        if remainder:
            raise TooLargeError
        return Fraction(integer)
    return Fraction(numerator, denominator)


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        root = _root(base, exponent.denominator)
        return None if root is None else _power(root, Fraction(exponent.numerator))
    if base == 0 and exponent < 0:
        raise UndefinedError
    if base in (0, 1, -1):
        sign = -1 if base == -1 and exponent.numerator % 2 else 1
        return Fraction(1 if exponent == 0 else sign * abs(base))
    if _bits(base) * abs(exponent) > MAX_BITS + _bits(base):
        raise TooLargeError
    return Fraction(base ** int(exponent))


def _root(value: Fraction, degree: int) -> Fraction | None:
    """Return the rational root; None where it is irrational, complex or too large."""
    if value < 0 and degree % 2:
        root = _root(-value, degree)
        return None if root is None else -root
    if degree > MAX_ROOT or value < 0 or _bits(value) > MAX_FRACTION_BITS:
        return None
    numerator = _integer_root(value.numerator, degree)
    denominator = _integer_root(value.denominator, degree)
    return None if numerator is None or denominator is None else Fraction(numerator, denominator)


def _integer_root(value: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(value)
    else:
        low, high = 0, 1 << (value.bit_length() // degree + 1)
        while low < high:  # the largest number whose power is at most `value`
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
        root = low
    return root if root**degree == value else None


def _call(name: str, numbers: list[Fraction]) -> Fraction | None:
    integers = [int(number) for number in numbers if number.denominator == 1]
    match name, numbers:
        case "abs", [number]:
            return abs(number)
        case "floor", [number]:
            return Fraction(math.floor(number))
        case "ceil", [number]:
            return Fraction(math.ceil(number))
        case "max" | "min", [_, *_]:
            return max(numbers) if name == "max" else min(numbers)
    return _integer_function(name, integers) if len(integers) == len(numbers) else None


def _integer_function(name: str, arguments: list[int]) -> Fraction | None:
    match name, arguments:
        case "factorial" | "double_factorial", [n] if n >= 0:
            if n > MAX_FACTORIAL:
                raise TooLargeError
            is_double = name == "double_factorial"
            return Fraction(math.prod(range(n, 0, -2)) if is_double else math.factorial(n))
        case "binomial", [n, k] if n >= 0:
            chosen = min(k, n - k)
            if chosen * max(1, n.bit_length()) > MAX_BITS:
                raise TooLargeError
            return Fraction(0 if chosen < 0 else math.comb(n, k))
        case "gcd" | "lcm", [_, _, *_]:
            return Fraction(math.gcd(*arguments) if name == "gcd" else math.lcm(*arguments))
    return None


def equal_residues(left: Node, right: Node) -> bool | None:
    """Return whether two integers too long to compute are equal; None: unknown."""
    for prime in PRIMES:
        residues = _residue(left, prime), _residue(right, prime)
        if None in residues:
            return None
        if residues[0] != residues[1]:
            return False
    return True


def _residue(node: Node, prime: int) -> int | None:
    """Return the value modulo a prime; None where it is unknown."""
    match node.kind:
        case "sum" | "product":
            parts = [_residue(child, prime) for child in node.children]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return (sum(known) if node.kind == "sum" else math.prod(known)) % prime
        case "power":
            base, exponent = _residue(node.children[0], prime), _known_value(node.children[1])
            if base is None or exponent is None or exponent.denominator != 1:
                return None
            return pow(base, int(exponent), prime) if base or exponent >= 0 else None
    value = _known_value(node)
    if value is None or value.denominator % prime == 0:
        return None
    return value.numerator * pow(value.denominator, -1, prime) % prime


def _known_value(node: Node) -> Fraction | None:
    try:
        return exact_value(node)
    except (TooLargeError, UndefinedError):
        return None


def min_digits(node: Node) -> float | None:
    """Return a lower bound of the decimal logarithm of a value, at most HUGE.

    None unless it is made of positive integers by sums, products, powers and factorials.
    """
    match node.kind:
        case "number" if node.value >= 1:
            value: Fraction = node.value
            bits = value.numerator.bit_length() - value.denominator.bit_length() - 1
            return bits * math.log10(2)
        case "sum" | "product":
            parts = [min_digits(child) for child in node.children]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return max(known) if node.kind == "sum" else min(sum(known), HUGE)
        case "power":
            base, exponent = map(min_digits, node.children)
            if base is None or exponent is None:
                return None
            if node.children[0].kind == "number" and node.children[0].value >= 2:
                base = max(base, math.log10(2))
            return min(HUGE, base * 10 ** min(exponent, 300.0))
        case "call" if node.value == "factorial":
            size = min_digits(node.children[0])
            return None if size is None else min(HUGE, max(0.0, size - 0.5) * 10 ** min(size, 290))
    return None
