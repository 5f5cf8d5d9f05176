"""The kinds of values an answer can have: a scalar, a list, an interval, an equation, a time."""

from fractions import Fraction
from typing import NamedTuple

from delta.grading.formulas.trees import Node

UNSCALED = Fraction(1)
BOUND_NAME = "□"


class Scalar(NamedTuple):
    """A number or formula. `trees`: its possible readings, the likeliest first."""

    trees: tuple[Node, ...]
    scale: Fraction = UNSCALED  # of a percent sign or the word "million"
    bare: tuple[Node, ...] = ()  # without the letters at its end that may be a unit ("5 m")
    has_unit: bool = False  # whether those letters are certainly a unit


class Words(NamedTuple):
    """An answer in words. `trees`: the product that a short word may be, such as `ma` or `IR`."""

    text: str
    trees: tuple[Node, ...] = ()


class Collection(NamedTuple):
    """Several values."""

    kind: str  # list ("1, 2"), set, tuple ("(1, 2)"), bracket ("[1, 2]"), record ("x = 1, y = 2")
    members: "tuple[Value, ...]"


class RealInterval(NamedTuple):
    """An interval; a single number is a closed interval."""

    low: Scalar
    has_low: bool
    high: Scalar
    has_high: bool


class RealSet(NamedTuple):
    """A union of intervals."""

    intervals: tuple[RealInterval, ...]


class Named(NamedTuple):
    """A value with its name: "x = 5"."""

    name: str
    tree: Node | None  # the name as a formula; None: it is in words
    value: "Value"


class Relation(NamedTuple):
    """An equation, an inequality or a chain of them."""

    sides: tuple[Scalar, ...]
    operators: tuple[str, ...]  # between the sides: =, <, <=, >, >=, !=


class Matrix(NamedTuple):
    """A matrix or vector, row by row."""

    rows: tuple[tuple[Scalar, ...], ...]


class Ratio(NamedTuple):
    """Numbers joined by colons: 2:3."""

    parts: tuple[Scalar, ...]


class Time(NamedTuple):
    """A time of day or a duration."""

    parts: tuple[int, ...]
    half: str  # "am", "pm" or ""


class NumberInBase(NamedTuple):
    """An integer whose base is written with it: 101_2."""

    digits: str  # with the sign
    base: int


class Piecewise(NamedTuple):
    """A piecewise function: values with their conditions."""

    rows: "tuple[tuple[Value, Value], ...]"


class SetBuilder(NamedTuple):
    """The set of all elements that meet a condition; BOUND_NAME is the symbol in both."""

    element: "Value"
    condition: "Value"


Value = (
    Scalar
    | Words
    | Collection
    | RealSet
    | Named
    | Relation
    | Matrix
    | Ratio
    | Time
    | NumberInBase
    | Piecewise
    | SetBuilder
)


def scalar_of(value: Value) -> Scalar | None:
    """Return the value as a formula, or the formula that its word may be; else None."""
    if isinstance(value, Words) and value.trees:
        return Scalar(value.trees)
    return value if isinstance(value, Scalar) else None


def unnamed(value: Value) -> Value:
    """Return the value without its name."""
    return value.value if isinstance(value, Named) else value
