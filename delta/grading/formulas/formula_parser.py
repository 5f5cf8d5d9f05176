r"""Parse tokens into a formula: `2\sin^2 x`, `sqrt(3)/2`, `\sum_{k=1}^{10} k`, `y'`.

A letter before brackets is a function where it is one of FUNCTION_LETTERS or its arguments are
numbers or single symbols, as in I(0) and y(t); else it is a factor.
"""

import re
from collections.abc import Callable

from delta.grading.formulas.formula_grammar import Grammar
from delta.grading.formulas.tokens import Token, UnreadableError, text_of
from delta.grading.formulas.trees import (
    HALF,
    IMAGINARY,
    MINUS_ONE,
    ONE,
    Node,
    call,
    letter_node,
    negative,
    power,
    product,
    quotient,
    replace_subtree,
    symbol_node,
)
from delta.grading.formulas.vocabulary import CLOSING, FRACTIONS, FUNCTIONS, GREEK, OVER, word_set

ALIASES = {"lg": "log", "ceiling": "ceil", "binom": "binomial"}
ALIASES |= {f"arc{name}": f"a{name}" for name in word_set("sin cos tan cot sec csc sinh cosh tanh")}
FUNCTION_LETTERS = frozenset(("f", "g", "h", "F", "G", "H", r"\phi", r"\psi", r"\Phi", r"\Psi"))
TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "cis"))
NAMED_CONSTANTS = {r"\pi": "pi", r"\infty": "inf", r"\infinity": "inf", r"\inf": "inf"}
NAMED_CONSTANTS |= {r"\oo": "inf", r"\uppi": "pi", r"\imath": "i"}
NOT_SYMBOLS = word_set("pi nabla partial imath jmath infty infinity inf oo")
SHAPES = word_set(r"\square \diamond \star \bigstar \triangle \circledast \heartsuit \spadesuit")
SYMBOL_COMMANDS = SHAPES | {"\\" + name for name in GREEK - NOT_SYMBOLS}
BINOMIALS = frozenset((r"\binom", r"\dbinom", r"\tbinom"))
VARIANTS = {r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\vartheta": r"\theta"}
PRIMES = ("'", "′", r"\prime")


def parse_formula(tokens: list[Token]) -> tuple[Node, ...]:
    """Return all readings of the tokens as one formula, the likeliest first; may be empty."""
    if any(token.text in (r"\choose", r"\over") for token in tokens):
        opening, closing = (Token("sign", brace, False, 0, 0) for brace in "{}")
        tokens = [opening, *tokens, closing]
    trees = []
    for is_greedy in (False, True):
        parser = FormulaParser(tokens, is_greedy)
        try:
            trees.append(parser.parse())
        except (UnreadableError, RecursionError):
            break
        if not parser.is_ambiguous:
            break
    return tuple(dict.fromkeys(trees))


class FormulaParser(Grammar):
    """The grammar, with the rules for names and commands."""

    def begins_command(self) -> bool:
        """Return whether the current command begins a factor."""
        text = self.text()
        if text in FRACTIONS:
            unit = self.peek(2)
            return unit is None or unit.kind != "text"  # a \frac of units
        known = text in READERS or text in NAMED_CONSTANTS or text in SYMBOL_COMMANDS
        return known or _is_function(text)

    def command(self) -> Node:
        """Read a command with its arguments. Raises UnreadableError for an unknown one."""
        text = self.text()
        if text in READERS:
            return READERS[text](self)
        if text in CLOSING:
            return self.group()
        if _is_function(text):
            return _read_function(self, text[1:])
        self.position += 1
        if text in NAMED_CONSTANTS:
            return Node("constant", NAMED_CONSTANTS[text])
        if text in SYMBOL_COMMANDS:
            return _read_symbol(self, VARIANTS.get(text, text))
        raise UnreadableError(text)

    def name(self) -> Node:
        token = self.current()
        self.position += 1
        if token.kind == "vector":
            return symbol_node(f"{token.text} vector")
        if token.kind == "text" and not re.fullmatch(r"[a-zA-Z]+", token.text):
            raise UnreadableError(token.text)
        return _read_symbol(self, VARIANTS.get(token.text, token.text))


def _is_function(command: str) -> bool:
    return command[:1] == "\\" and (command[1:] in FUNCTIONS or command == r"\conj")


def _read_symbol(parser: Grammar, name: str) -> Node:
    index, primes = "", _read_primes(parser)
    if parser.accept("_"):
        index = "_" + _read_index(parser)
        primes += _read_primes(parser)
    if re.fullmatch(r"[cC]_\d", name + index):
        name = "c"  # C_1 and c_1 are the constants of integration
    full = name + index + primes
    if parser.text() != "(":
        return letter_node(full)
    start = parser.position
    nodes = parser.list_in_brackets()
    is_atom = all(n.kind == "symbol" or (n.kind == "number" and n.value >= 0) for n in nodes)
    if primes or name in FUNCTION_LETTERS or is_atom or len(nodes) > 1:
        return Node("apply", full, nodes)
    parser.position = start
    return letter_node(full)


def _read_primes(parser: Grammar) -> str:
    count = 0
    while True:
        if parser.text() in PRIMES:
            count, parser.position = count + 1, parser.position + 1
        elif parser.text() == "^" and parser.text(1) == r"\prime":
            count, parser.position = count + 1, parser.position + 2
        elif parser.text() == "^" and parser.text(1) == "{" and parser.text(2) in ("'", r"\prime"):
            parser.position += 2
            while parser.text() in ("'", r"\prime"):
                count, parser.position = count + 1, parser.position + 1
            parser.expect("}")
        else:
            return "'" * count


def _read_index(parser: Grammar) -> str:
    """Return the text of a subscript."""
    if parser.text() == "{":
        return _text_in_braces(parser).replace(" ", "")
    token = parser.current()
    parser.position += 1
    return token.text.replace(" ", "")


def _text_in_braces(parser: Grammar) -> str:
    """Step over one token or a group in braces; return its text."""
    start, depth = parser.position, 0
    while parser.position < len(parser.tokens):
        depth += {"{": 1, "}": -1}.get(parser.text(), 0)
        parser.position += 1
        if depth == 0:
            return text_of(parser.tokens[start : parser.position])
    raise UnreadableError("an open brace")


def _read_fraction(parser: Grammar) -> Node:
    parser.position += 1
    if not _is_derivative(parser):
        numerator = parser.digit_or_group()
        return quotient(numerator, parser.digit_or_group())
    parts = [re.sub(r"\s|\\partial|(?<![a-zA-Z])d", "", _text_in_braces(parser)) for _ in range(2)]
    if not re.search("[a-zA-Z]", parts[0]):
        raise UnreadableError("a derivative of what follows")
    return symbol_node(f"d({parts[0]})/d({parts[1]})")


def _is_derivative(parser: Grammar) -> bool:
    r"""Return whether a fraction is a derivative: \frac{d^2 y}{dt^2}."""
    if parser.text() != "{":
        return False
    end = parser.position + 1
    while end < len(parser.tokens) and parser.tokens[end].text != "}":
        end += 1
    numerator = text_of(parser.tokens[parser.position : end])
    denominator = text_of(parser.tokens[end + 2 : end + 5])
    is_d = re.match(r"d(?![a-zA-Z]{3})|\\partial", numerator)
    return bool(is_d and re.match(r"d[a-zA-Z\\]|\\partial", denominator))


def _read_root(parser: Grammar) -> Node:
    parser.position += 1
    exponent = quotient(ONE, parser.group()) if parser.text() == "[" else HALF
    return power(parser.digit_or_group(), exponent)


def _read_binomial(parser: Grammar) -> Node:
    parser.position += 1
    return call("binomial", (parser.digit_or_group(), parser.digit_or_group()))


def _read_series(parser: Grammar) -> Node:
    name = parser.text()[1:]
    parser.position += 1
    parser.expect("_")
    parser.expect("{")
    variable = parser.current()
    if variable.kind != "symbol":
        raise UnreadableError("a sum over no symbol")
    parser.position += 1
    parser.expect("=")
    first = parser.sum()
    parser.expect("}")
    parser.expect("^")
    last = parser.argument()
    body = parser.term()
    if variable.text == "i":
        body = replace_subtree(body, IMAGINARY, symbol_node("i"))
    return Node("series", (name, variable.text), (first, last, body))


def _read_function(parser: Grammar, name: str) -> Node:
    name = ALIASES.get(name, name)
    parser.position += 1
    exponent: Node | None = None
    base: Node | None = None
    while parser.text() in ("^", "_"):
        if parser.accept("_"):
            base = parser.digit_or_group()
        else:
            parser.position += 1
            exponent = parser.argument()
    if name in TRIGONOMETRIC and exponent == MINUS_ONE:
        name, exponent = f"a{name}", None
    parser.trigonometric += name in TRIGONOMETRIC
    if parser.text() in ("(", "{", "[", r"\{"):
        arguments = parser.list_in_brackets()
    else:
        is_negative = parser.accept("-")
        argument = _read_bare_argument(parser)
        arguments = (negative(argument) if is_negative else argument,)
    parser.trigonometric -= name in TRIGONOMETRIC
    node = call(name, arguments, base)
    return power(node, exponent) if exponent else node


def _read_bare_argument(parser: Grammar) -> Node:
    r"""Read the argument of a function without brackets: \sin 2x, \ln|x|, \cos\omega t."""
    nodes = [parser.factor()]
    while parser.begins_factor() and parser.text() not in ("(", "["):
        if parser.text()[1:] in FUNCTIONS:
            break
        nodes.append(parser.factor())
    if parser.text() in OVER:
        parser.is_ambiguous = True
        if parser.is_greedy:
            parser.position += 1
            return quotient(product(*nodes), parser.divisor())
    return product(*nodes)


READERS: dict[str, Callable[[Grammar], Node]] = {
    **dict.fromkeys(FRACTIONS, _read_fraction),
    **dict.fromkeys(BINOMIALS, _read_binomial),
    r"\sqrt": _read_root,
    r"\sum": _read_series,
    r"\prod": _read_series,
}
