"""What an answer can be: a scalar, a list, an interval, an equation, a time, …"""

from fractions import Fraction
from typing import NamedTuple

from delta.grading.formulas.expressions import Node

ONE = Fraction(1)
BOUND_NAME = "□"


class Scalar(NamedTuple):
    """A number or formula. `trees`: what its text may mean, the likeliest first."""

    trees: tuple[Node, ...]
    scale: Fraction = ONE  # of a percent sign or the word "million"
    # Without the letters at the end that may be a unit ("5 m"), and whether they surely are one.
    bare: tuple[Node, ...] = ()
    has_unit: bool = False


class Words(NamedTuple):
    """`trees`: the product that a word of two or three letters may be, `ma` or `IR`."""

    text: str
    trees: tuple[Node, ...] = ()


class Collection(NamedTuple):
    """kind: list ("1, 2", any order), set, tuple ("(1, 2)"), bracket ("[1, 2]") or record
    ("x = 1, y = 2")."""

    kind: str
    members: "tuple[Value, ...]"


class Piece(NamedTuple):
    """An interval; a single number is a closed one."""

    low: Scalar
    has_low: bool
    high: Scalar
    has_high: bool


class RealSet(NamedTuple):
    """A union of intervals and numbers."""

    pieces: tuple[Piece, ...]


class Named(NamedTuple):
    """A value with its name: "x = 5". `tree` is the name as a formula, None of one in words."""

    name: str
    tree: Node | None
    value: "Value"


class Relation(NamedTuple):
    """Sides with =, <, <=, >, >=, != between them."""

    sides: tuple[Scalar, ...]
    operators: tuple[str, ...]


class Matrix(NamedTuple):
    rows: tuple[tuple[Scalar, ...], ...]


class Ratio(NamedTuple):
    parts: tuple[Scalar, ...]


class Time(NamedTuple):
    """A time of day or a duration. half: "am", "pm" or ""."""

    parts: tuple[int, ...]
    half: str


class Based(NamedTuple):
    """A whole number in a base that is written with it."""

    digits: str  # with the sign
    base: int


class Cases(NamedTuple):
    """A function by cases: values with their conditions."""

    rows: "tuple[tuple[Value, Value], ...]"


class SetBuilder(NamedTuple):
    """All elements with a condition; the symbol in the element is BOUND_NAME in both."""

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
    | Based
    | Cases
    | SetBuilder
)


def scalar_of(value: Value) -> Scalar | None:
    """Return the number or formula that a value is, or that its word may be."""
    if isinstance(value, Words) and value.trees:
        return Scalar(value.trees)
    return value if isinstance(value, Scalar) else None
