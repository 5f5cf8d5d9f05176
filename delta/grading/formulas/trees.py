"""Formulas as trees: how nodes are made and walked."""

from fractions import Fraction
from typing import Any

# A node is its kind and what belongs to it:
# - number: value, and precision (the value of its last digit; None: it is exact)
# - symbol: name; constant: pi, e, i or inf
# - sum, product: nodes; power: base, exponent
# - call: function, arguments; apply: the same of an undefined function
# - series: sum or prod, variable, first and last value, body
Node = tuple[Any, ...]


def number_node(value: Fraction | int, precision: Fraction | None = None) -> Node:
    return ("number", Fraction(value), precision)


ONE, TWO, TEN, MINUS_ONE = (number_node(value) for value in (1, 2, 10, -1))
HALF = number_node(Fraction(1, 2))
PI, EULER, IMAGINARY = (("constant", name) for name in ("pi", "e", "i"))


def product(*nodes: Node) -> Node:
    factors = tuple(node for node in nodes if node[:2] != ("number", 1) or len(nodes) == 1)
    return factors[0] if len(factors) == 1 else ("product", factors) if factors else ONE


def quotient(above: Node, below: Node) -> Node:
    """Return a number where both are exact numbers, else a product with a power."""
    if above[0] == below[0] == "number" and above[2] is below[2] is None and below[1]:
        return number_node(above[1] / below[1])
    return product(above, ("power", below, MINUS_ONE))


def negative(node: Node) -> Node:
    return ("number", -node[1], node[2]) if node[0] == "number" else ("product", (MINUS_ONE, node))


def letter(name: str) -> Node:
    return ("constant", name) if name in ("e", "i") else ("symbol", name)


def call(name: str, arguments: tuple[Node, ...], base: Node | None) -> Node:
    """Return a function of any name that people use, by the few that are evaluated."""
    if name == "sqrt":
        return ("power", arguments[0], HALF)
    if name == "cbrt":
        return ("power", arguments[0], number_node(Fraction(1, 3)))
    if name == "exp":
        return ("power", EULER, arguments[0])
    if name == "Rational" and len(arguments) == 2:
        return quotient(*arguments)
    if name == "cis":
        return ("power", EULER, product(IMAGINARY, arguments[0]))
    if name == "log":
        base = arguments[1] if len(arguments) == 2 else base or TEN
        return quotient(("call", "ln", arguments[:1]), ("call", "ln", (base,)))
    return ("call", name, arguments)


def symbols_of(node: Node) -> set[str]:
    """Return the free symbols, and "f()" for each undefined function f."""
    if node[0] == "symbol":
        return {node[1]}
    if node[0] == "series":
        return (symbols_of(node[5]) - {node[2]}) | symbols_of(node[3]) | symbols_of(node[4])
    names = {f"{node[1]}()"} if node[0] == "apply" else set[str]()
    return names.union(*map(symbols_of, children(node)))


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly below a node."""
    kind = node[0]
    nodes: tuple[Node, ...] = ()
    if kind in ("sum", "product"):
        nodes = node[1]
    elif kind in ("call", "apply"):
        nodes = node[2]
    elif kind in ("power", "series"):
        nodes = node[1:] if kind == "power" else node[3:]
    return nodes


def subtrees(node: Node) -> list[Node]:
    """Return the node and all nodes below it."""
    return [node, *(deeper for child in children(node) for deeper in subtrees(child))]


def replaced(node: Node, old: Node, new: Node) -> Node:
    """Return the tree with `new` in place of every `old`."""
    if node == old:
        return new
    return tuple(
        replaced(part, old, new)
        if isinstance(part, tuple) and part and isinstance(part[0], str)
        else tuple(replaced(child, old, new) for child in part)
        if isinstance(part, tuple)
        else part
        for part in node
    )
