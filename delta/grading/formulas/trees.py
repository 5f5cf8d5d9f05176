"""Formulas as trees: build, walk and compare nodes."""

from fractions import Fraction
from typing import Any, NamedTuple


class Node(NamedTuple):
    """A node of a formula.

    kind      value                         children
    number    its value
    symbol    its name
    constant  pi, e, i or inf
    sum                                     terms
    product                                 factors
    power                                   base, exponent
    call      a known function              arguments
    apply     an undefined function         arguments
    series    (sum or prod, variable)       first and last value, body
    """

    kind: str
    value: Any = None
    children: "tuple[Node, ...]" = ()
    precision: Fraction | None = None  # the value of a number's last digit; None: it is exact


def number_node(value: Fraction | int, precision: Fraction | None = None) -> Node:
    """Return a number; `precision` is the value of its last digit, None if exact."""
    return Node("number", Fraction(value), (), precision)


def symbol_node(name: str) -> Node:
    return Node("symbol", name)


def total(*terms: Node) -> Node:
    return Node("sum", None, terms)


def power(base: Node, exponent: Node) -> Node:
    return Node("power", None, (base, exponent))


ONE, TEN, MINUS_ONE = (number_node(value) for value in (1, 10, -1))
HALF = number_node(Fraction(1, 2))
PI, EULER, IMAGINARY, INFINITY = (Node("constant", name) for name in ("pi", "e", "i", "inf"))


def product(*nodes: Node) -> Node:
    """Return the product; factors of 1 are left out."""
    factors = tuple(node for node in nodes if node[:2] != ("number", 1) or len(nodes) == 1)
    if len(factors) == 1:
        return factors[0]
    return Node("product", None, factors) if factors else ONE


def quotient(numerator: Node, denominator: Node) -> Node:
    """Return a number where both are exact numbers, else a product with a power."""
    nodes = numerator, denominator
    is_exact = all(node.kind == "number" and node.precision is None for node in nodes)
    if is_exact and denominator.value:
        return number_node(numerator.value / denominator.value)
    return product(numerator, power(denominator, MINUS_ONE))


def negative(node: Node) -> Node:
    if node.kind == "number":
        return node._replace(value=-node.value)
    return Node("product", None, (MINUS_ONE, node))


def letter_node(name: str) -> Node:
    """Return the constant e or i, or the symbol of another letter."""
    return Node("constant", name) if name in ("e", "i") else symbol_node(name)


def call(name: str, arguments: tuple[Node, ...], base: Node | None = None) -> Node:
    """Return a function call; functions that are not evaluated are expressed by others."""
    if name == "cbrt":
        return power(arguments[0], number_node(Fraction(1, 3)))
    if name == "exp":
        return power(EULER, arguments[0])
    if name == "Rational" and len(arguments) == 2:
        return quotient(*arguments)
    if name == "cis":
        return power(EULER, product(IMAGINARY, arguments[0]))
    if name == "log":
        base = arguments[1] if len(arguments) == 2 else base or TEN
        return quotient(Node("call", "ln", arguments[:1]), Node("call", "ln", (base,)))
    return Node("call", name, arguments)


def symbols_of(node: Node) -> set[str]:
    """Return the free symbols, and "f()" for each undefined function f."""
    if node.kind == "symbol":
        return {node.value}
    if node.kind == "series":
        first, last, body = map(symbols_of, node.children)
        return (body - {node.value[1]}) | first | last
    names = {f"{node.value}()"} if node.kind == "apply" else set[str]()
    return names.union(*map(symbols_of, node.children))


def subtrees(node: Node) -> list[Node]:
    """Return the node and all nodes below it."""
    return [node, *(tree for child in node.children for tree in subtrees(child))]


def replace_subtree(node: Node, old: Node, new: Node) -> Node:
    """Return the tree with `new` in place of every `old`."""
    if node == old:
        return new
    return node._replace(
        children=tuple(replace_subtree(child, old, new) for child in node.children)
    )


def identical_trees(left: Node, right: Node) -> bool:
    """Return whether two trees have the same nodes, whatever the precision of their numbers."""
    sides = ([(n.kind, n.value, len(n.children)) for n in subtrees(side)] for side in (left, right))
    return next(sides) == next(sides)
