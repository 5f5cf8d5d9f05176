"""The exact rational value of a formula, its work bounded by the size of what it would compute.

Whole numbers have at most MAX_BITS bits; the size of a power, a factorial or a binomial is known
before it is computed. What is larger is compared by its residues, or by its size alone.
"""

import math
from fractions import Fraction

from delta.grading.formulas.expressions import Node, subtrees

MAX_BITS = 1_200_000  # of a whole number: 361,000 digits
MAX_FRACTION_BITS = 100_000  # of numerator or denominator: reducing a fraction is quadratic
MAX_WORK = 12_000_000  # bits of all values of one formula
STEP = 400  # bits that a small value counts, so that steps are bounded too
MAX_TERMS = 10_000  # of a sum
MAX_FACTORIAL = 70_000  # its factorial has 1.1 million bits
MAX_ROOT = 64
PRIMES = ((1 << 89) - 1, (1 << 107) - 1, (1 << 127) - 1)
HUGE = 1e300  # decimal digits; stands for any larger size


class TooLargeError(Exception):
    """The value would take too much time or memory."""


class UndefinedError(Exception):
    """A division by zero."""


def exact(node: Node, values: dict[str, Fraction] | None = None) -> Fraction | None:
    """The rational value; None where it has none, or none that is found without approximation."""
    return _Evaluator().value(node, values or {})


class _Evaluator:
    def __init__(self) -> None:
        self.work = 0

    def value(self, node: Node, values: dict[str, Fraction]) -> Fraction | None:
        result = self.compute(node, values)
        if result is not None:
            self.work += bits(result) + STEP
            if self.work > MAX_WORK:
                raise TooLargeError
        return result

    def compute(self, node: Node, values: dict[str, Fraction]) -> Fraction | None:
        match node[0]:
            case "number":
                return Fraction(node[1])
            case "symbol":
                return values.get(node[1])
            case "sum":
                return self.add([self.value(term, values) for term in node[1]])
            case "product":
                return self.multiply([self.value(factor, values) for factor in node[1]])
            case "power":
                return self.power(self.value(node[1], values), self.value(node[2], values))
            case "call":
                return self.call(node[1], [self.value(argument, values) for argument in node[2]])
            case "series":
                return self.series(node, values)
        return None

    def add(self, terms: list[Fraction | None]) -> Fraction | None:
        total = Fraction(0)
        for term in terms:
            if term is None:
                return None
            check_fraction(total, term)
            total += term
        return total

    def multiply(self, factors: list[Fraction | None]) -> Fraction | None:
        if any(factor is None for factor in factors):
            return None
        above = math.prod(factor.numerator for factor in factors if factor is not None)
        below = math.prod(factor.denominator for factor in factors if factor is not None)
        if above.bit_length() > MAX_BITS or below.bit_length() > MAX_BITS:
            raise TooLargeError
        if below == 1:
            return Fraction(above)
        if max(above.bit_length(), below.bit_length()) > MAX_FRACTION_BITS:
            whole, rest = divmod(above, below)
            if rest:
                raise TooLargeError
            return Fraction(whole)
        return Fraction(above, below)

    def power(self, base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
        if base is None or exponent is None:
            return None
        if exponent.denominator != 1:
            root = exact_root(base, exponent.denominator)
            return None if root is None else self.power(root, Fraction(exponent.numerator))
        if base == 0 and exponent < 0:
            raise UndefinedError
        if abs(base) not in (0, 1) and bits(base) * abs(exponent) > MAX_BITS + bits(base):
            raise TooLargeError
        if base in (0, 1, -1):
            sign = -1 if base == -1 and exponent.numerator % 2 else 1
            return Fraction(1 if exponent == 0 else sign * abs(base))
        return Fraction(base ** int(exponent))

    def call(self, name: str, arguments: list[Fraction | None]) -> Fraction | None:
        numbers = [argument for argument in arguments if argument is not None]
        if len(numbers) < len(arguments):
            return None
        whole = [int(number) for number in numbers if number.denominator == 1]
        match name, numbers:
            case "abs", [number]:
                return abs(number)
            case "floor", [number]:
                return Fraction(math.floor(number))
            case "ceil", [number]:
                return Fraction(math.ceil(number))
            case "max" | "min", [_, *_]:
                return max(numbers) if name == "max" else min(numbers)
        if len(whole) == len(numbers):
            return whole_function(name, whole)
        return None

    def series(self, node: Node, values: dict[str, Fraction]) -> Fraction | None:
        _, name, variable, first, last, body = node
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
            check_fraction(total, term)
            total = total + term if name == "sum" else total * term
            self.work += bits(total)
            if self.work > MAX_WORK:
                raise TooLargeError
        return total


def bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def check_fraction(*values: Fraction) -> None:
    if sum(map(bits, values)) > MAX_FRACTION_BITS and any(v.denominator != 1 for v in values):
        raise TooLargeError


def whole_function(name: str, arguments: list[int]) -> Fraction | None:
    match name, arguments:
        case "factorial", [n] if n >= 0:
            if n > MAX_FACTORIAL:
                raise TooLargeError
            return Fraction(math.factorial(n))
        case "double_factorial", [n] if n >= 0:
            if n > MAX_FACTORIAL:
                raise TooLargeError
            return Fraction(math.prod(range(n, 0, -2)))
        case "binomial", [n, k] if n >= 0:
            chosen = min(k, n - k)
            if chosen < 0:
                return Fraction(0)
            if chosen * max(1, n.bit_length()) > MAX_BITS:
                raise TooLargeError
            return Fraction(math.comb(n, k))
        case "gcd" | "lcm", [_, _, *_]:
            return Fraction(math.gcd(*arguments) if name == "gcd" else math.lcm(*arguments))
    return None


def exact_root(value: Fraction, degree: int) -> Fraction | None:
    """The root that is rational; None where there is none, or of a negative number."""
    if value < 0 and degree % 2:
        root = exact_root(-value, degree)
        return None if root is None else -root
    if degree > MAX_ROOT or value < 0 or bits(value) > MAX_FRACTION_BITS:
        return None
    roots = [integer_root(part, degree) for part in (value.numerator, value.denominator)]
    if any(root is None for root in roots):
        return None
    return Fraction(*(root for root in roots if root is not None))


def integer_root(value: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(value)
    else:
        low, high = 0, 1 << (value.bit_length() // degree + 1)
        while low < high:  # the largest number whose power is at most `value`
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
        root = low
    return root if root**degree == value else None


def residue(node: Node, prime: int) -> int | None:
    """The value modulo a prime; None where that is not known."""
    match node[0]:
        case "number":
            below = node[1].denominator % prime
            return node[1].numerator * pow(below, -1, prime) % prime if below else None
        case "sum" | "product":
            parts = [residue(child, prime) for child in node[1]]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return (sum(known) if node[0] == "sum" else math.prod(known)) % prime
        case "power":
            base = residue(node[1], prime)
            try:
                exponent = exact(node[2])
            except (TooLargeError, UndefinedError):
                return None
            if base is None or exponent is None or exponent.denominator != 1:
                return None
            return pow(base, int(exponent), prime) if base or exponent >= 0 else None
    try:
        value = exact(node)
    except (TooLargeError, UndefinedError):
        return None
    return None if value is None else residue(("number", value, None), prime)


def same_residues(left: Node, right: Node) -> bool | None:
    """Whether two whole numbers too long to compute are equal; None: not known."""
    for prime in PRIMES:
        residues = residue(left, prime), residue(right, prime)
        if None in residues:
            return None
        if residues[0] != residues[1]:
            return False
    return True


def least_digits(node: Node) -> float | None:
    """A lower bound of the decimal logarithm, for what is made of whole numbers above zero by sums,
    products, powers and factorials alone; None for anything else."""
    match node[0]:
        case "number" if node[1] >= 1:
            return (bits(node[1]) - bits(Fraction(node[1].denominator)) - 1) * math.log10(2)
        case "sum" | "product":
            parts = [least_digits(child) for child in node[1]]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return max(known) if node[0] == "sum" else min(sum(known), HUGE)
        case "power":
            base, exponent = least_digits(node[1]), least_digits(node[2])
            if base is None or exponent is None:
                return None
            if node[1][0] == "number" and node[1][1] >= 2:
                base = max(base, math.log10(2))
            return min(HUGE, base * 10 ** min(exponent, 300.0))
        case "call" if node[1] == "factorial":
            size = least_digits(node[2][0])
            return (
                None if size is None else min(HUGE, max(0.0, (size - 0.5)) * 10 ** min(size, 290))
            )
    return None


def is_equal_tree(left: Node, right: Node) -> bool:
    """Whether two trees are the same but for the places of their numbers."""
    return [head(node) for node in subtrees(left)] == [head(node) for node in subtrees(right)]


def head(node: Node) -> tuple[object, ...]:
    """A node without what is below it."""
    match node[0]:
        case "number":
            return ("number", node[1])
        case "sum" | "product":
            return (node[0], len(node[1]))
        case "call" | "apply":
            return (node[0], node[1], len(node[2]))
        case "series":
            return node[:3]
    return node if node[0] in ("symbol", "constant") else (node[0],)
