r"""What a factor may begin with: \frac, \sqrt, \sum, functions, symbols with indices and primes."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from delta.grading.formulas.expressions import (
    HALF,
    IMAGINARY,
    MINUS_ONE,
    ONE,
    Node,
    call,
    letter,
    negative,
    product,
    quotient,
    replaced,
)
from delta.grading.formulas.latex_tokens import Token, UnreadableError, shown
from delta.grading.formulas.vocabulary import (
    ALIASES,
    BINOMIALS,
    CLOSING,
    FRACTIONS,
    FUNCTION_LETTERS,
    FUNCTIONS,
    GREEK_COMMANDS,
    NAMED_CONSTANTS,
    OVER,
    SHAPES,
    TRIGONOMETRIC,
    VARIANTS,
)

if TYPE_CHECKING:
    from delta.grading.formulas.formula_reader import Reader


def read_choice(reader: "Reader") -> Node | None:
    r"""`{n \choose k}` and `{a \over b}`; None where it is a group."""
    depth, place = 0, reader.at
    while place < len(reader.tokens):
        text = reader.tokens[place].text if reader.tokens[place].kind in ("sign", "command") else ""
        depth += {"{": 1, "}": -1}.get(text, 0)
        if depth == 0:
            return None
        if depth == 1 and text in (r"\choose", r"\over"):
            break
        place += 1
    else:
        return None
    end = next(
        (i for i in range(place, len(reader.tokens)) if reader.tokens[i].text == "}"),
        len(reader.tokens),
    )
    above = read_part(reader, reader.tokens[reader.at + 1 : place])
    below = read_part(reader, reader.tokens[place + 1 : end])
    is_binomial = reader.tokens[place].text == r"\choose"
    reader.at = end + 1
    return ("call", "binomial", (above, below)) if is_binomial else quotient(above, below)


def read_part(reader: "Reader", tokens: list[Token]) -> Node:
    """The formula that all of these tokens make."""
    inner = type(reader)(tokens, reader.is_greedy)
    tree = inner.sum()
    if inner.peek():
        raise UnreadableError("more than a formula")
    return tree


def read_name(reader: "Reader") -> Node:
    """A symbol with its index and primes, or a function of symbols."""
    token = reader.peek()
    assert token is not None
    reader.at += 1
    if token.kind == "vector":
        return ("symbol", f"{token.text} vector")
    if token.kind == "text" and not re.fullmatch(r"[a-zA-Z]+", token.text):
        raise UnreadableError(token.text)
    return read_symbol(reader, VARIANTS.get(token.text, token.text))


def read_symbol(reader: "Reader", name: str) -> Node:
    mark, primes = "", read_primes(reader)
    if reader.take("_"):
        mark = "_" + read_index(reader)
        primes += read_primes(reader)
    if re.fullmatch(r"[cC]_\d", name + mark):
        name = "c"  # C_1 and c_1 are the constants of integration
    full = name + mark + primes
    if reader.text() == "(" and (arguments := read_arguments(reader, name, bool(primes))):
        return ("apply", full, arguments)
    return letter(full)


def read_primes(reader: "Reader") -> str:
    count = 0
    while True:
        if reader.text() in ("'", "′", r"\prime"):
            count, reader.at = count + 1, reader.at + 1
        elif reader.text() == "^" and reader.text(1) == r"\prime":
            count, reader.at = count + 1, reader.at + 2
        elif reader.text() == "^" and reader.text(1) == "{" and reader.text(2) in ("'", r"\prime"):
            reader.at += 2
            while reader.text() in ("'", r"\prime"):
                count, reader.at = count + 1, reader.at + 1
            reader.expect("}")
        else:
            return "'" * count


def read_index(reader: "Reader") -> str:
    """The text of a subscript."""
    if reader.text() != "{":
        token = reader.peek()
        if token is None:
            raise UnreadableError("an index of nothing")
        reader.at += 1
        return token.text.replace(" ", "")
    start, depth = reader.at, 0
    while reader.at < len(reader.tokens):
        depth += {"{": 1, "}": -1}.get(reader.text(), 0)
        reader.at += 1
        if depth == 0:
            return shown(reader.tokens[start : reader.at]).replace(" ", "")
    raise UnreadableError("an open index")


def read_arguments(reader: "Reader", name: str, is_primed: bool) -> tuple[Node, ...] | None:
    """The arguments in the brackets here, if the name before them is that of a function."""
    start = reader.at
    reader.at += 1
    reader.closings.append(")")
    nodes = [reader.sum()]
    while reader.take(","):
        nodes.append(reader.sum())
    reader.closings.pop()
    reader.expect(")")
    is_atom = all(node[0] == "symbol" or (node[0] == "number" and node[1] >= 0) for node in nodes)
    if is_primed or name in FUNCTION_LETTERS or is_atom or len(nodes) > 1:
        return tuple(nodes)
    reader.at = start
    return None


def read_command(reader: "Reader") -> Node:
    token = reader.peek()
    assert token is not None
    text = token.text
    if text in READERS:
        return READERS[text](reader)
    if text in BINOMIALS:
        reader.at += 1
        return ("call", "binomial", (reader.digit(), reader.digit()))
    if text in CLOSING:
        node = reader.group()
        return ("call", BRACKETS[text], (node,)) if text in BRACKETS else node
    if text[1:] in FUNCTIONS or text == r"\conj":
        return read_function(reader, text[1:])
    reader.at += 1
    if text in NAMED_CONSTANTS:
        return ("constant", NAMED_CONSTANTS[text])
    if text in GREEK_COMMANDS | SHAPES:
        return read_symbol(reader, VARIANTS.get(text, text))
    raise UnreadableError(text)


def read_fraction(reader: "Reader") -> Node:
    reader.at += 1
    start = reader.at
    above = read_numerator(reader)
    if isinstance(above, str):
        reader.at = start
        return read_derivative(reader)
    return quotient(above, reader.digit())


def read_numerator(reader: "Reader") -> Node | str:
    end = reader.at + 1
    while end < len(reader.tokens) and reader.tokens[end].text != "}":
        end += 1
    inside = shown(reader.tokens[reader.at : end]) if reader.text() == "{" else ""
    below = shown(reader.tokens[end + 2 : end + 5])
    if re.match(r"d(?![a-zA-Z]{3})|\\partial", inside) and re.match(
        r"d[a-zA-Z\\]|\\partial", below
    ):
        return "derivative"
    return reader.digit()


def read_derivative(reader: "Reader") -> Node:
    r"""\frac{d^2 y}{dt^2} is a symbol of its own; \frac{d}{dt} before a formula is not read."""
    parts = []
    for _ in range(2):
        start, depth = reader.at, 0
        while reader.at < len(reader.tokens):
            depth += {"{": 1, "}": -1}.get(reader.text(), 0)
            reader.at += 1
            if depth == 0:
                break
        parts.append(
            re.sub(r"\s|\\partial|(?<![a-zA-Z])d", "", shown(reader.tokens[start : reader.at]))
        )
    if not re.search("[a-zA-Z]", parts[0]):
        raise UnreadableError("a derivative of what follows")
    return ("symbol", f"d({parts[0]})/d({parts[1]})")


def read_root(reader: "Reader") -> Node:
    reader.at += 1
    exponent = HALF
    if reader.text() == "[":
        exponent = quotient(ONE, reader.group())
    return ("power", reader.digit(), exponent)


def read_series(reader: "Reader") -> Node:
    name = reader.text()[1:]
    reader.at += 1
    reader.expect("_")
    reader.expect("{")
    variable = reader.peek()
    if variable is None or variable.kind != "symbol":
        raise UnreadableError("a sum over no symbol")
    reader.at += 1
    reader.expect("=")
    first = reader.sum()
    reader.expect("}")
    reader.expect("^")
    last = reader.argument()
    body = reader.term()
    if variable.text == "i":
        body = replaced(body, IMAGINARY, ("symbol", "i"))
    return ("series", name, variable.text, first, last, body)


def read_function(reader: "Reader", name: str) -> Node:
    name = ALIASES.get(name, name)
    reader.at += 1
    power: Node | None = None
    base: Node | None = None
    while reader.text() in ("^", "_"):
        if reader.take("_"):
            base = reader.digit()
        else:
            reader.at += 1
            power = reader.argument()
    if name in TRIGONOMETRIC and power == MINUS_ONE:
        name, power = f"arc{name}", None
    reader.trigonometric += name in TRIGONOMETRIC
    arguments = read_function_arguments(reader)
    reader.trigonometric -= name in TRIGONOMETRIC
    node = call(name, arguments, base)
    return ("power", node, power) if power else node


def read_function_arguments(reader: "Reader") -> tuple[Node, ...]:
    if reader.text() in ("(", "{", "[", r"\{"):
        closing = CLOSING[reader.text()]
        reader.at += 1
        reader.closings.append(closing)
        nodes = [reader.sum()]
        while reader.take(","):
            nodes.append(reader.sum())
        reader.closings.pop()
        reader.expect(closing)
        return tuple(nodes)
    if reader.take("-"):
        return (negative(read_angle(reader)),)
    return (read_angle(reader),)


def read_angle(reader: "Reader") -> Node:
    r"""The argument of a function without brackets: \sin 2x, \ln|x|, \cos\omega t."""
    nodes = [reader.factor()]
    while reader.begins_factor() and reader.text() not in ("(", "["):
        if reader.text()[1:] in FUNCTIONS:
            break
        nodes.append(reader.factor())
    if reader.text() in OVER:
        reader.is_ambiguous = True
        if reader.is_greedy:
            reader.at += 1
            return quotient(product(*nodes), reader.divisor())
    return product(*nodes)


def has_text_inside(reader: "Reader") -> bool:
    r"""Whether this is a \frac of units."""
    token = reader.peek(2)
    return reader.text() in FRACTIONS and token is not None and token.kind == "text"


def is_known(command: str) -> bool:
    """Whether a factor may begin with this command."""
    return (
        command in FRACTIONS
        or command in NAMED_CONSTANTS
        or command[1:] in FUNCTIONS
        or command in BINOMIALS
        or command in (r"\sum", r"\prod", r"\conj")
        or command in CLOSING
        or command in GREEK_COMMANDS | SHAPES
    )


BRACKETS = {r"\lfloor": "floor", r"\lceil": "ceil", r"\lvert": "abs", r"\vert": "abs"}
READERS: dict[str, Callable[["Reader"], Node]] = {
    **dict.fromkeys(FRACTIONS, read_fraction),
    r"\sqrt": read_root,
    r"\sum": read_series,
    r"\prod": read_series,
}
