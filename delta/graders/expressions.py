r"""Formulas as trees, read from tokens: `2\sin^2 x`, `sqrt(3)/2`, `\sum_{k=1}^{10} k`, `y'`.

What is written in two ways is read in both: `1/2x` as (1/2)x and as 1/(2x), `\ln x/2` as (ln x)/2
and as ln(x/2) (`Reader.is_greedy`). A letter before brackets is a function where it is one of
FUNCTION_LETTERS or its arguments are numbers or single symbols, as in I(0) and y(t); else a factor.
"""

import re
from fractions import Fraction
from typing import Any, NamedTuple

from delta.graders.latex_tokens import FUNCTIONS, Token, Unreadable, shown

MAX_DEPTH = 60  # of brackets in brackets
FUNCTION_LETTERS = frozenset(("f", "g", "h", "F", "G", "H", r"\phi", r"\psi", r"\Phi", r"\Psi"))
ALIASES = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "lg": "log",
    "ceiling": "ceil",
    "binom": "binomial",
    "dbinom": "binomial",
    "tbinom": "binomial",
    "conj": "conj",
}
TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
NAMED_CONSTANTS = {r"\pi": "pi", r"\infty": "inf", r"\infinity": "inf", r"\inf": "inf"}
NAMED_CONSTANTS |= {r"\oo": "inf", r"\uppi": "pi", r"\imath": "i", r"\mathrmi": "i"}
VARIANTS = {r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\vartheta": r"\theta"}
TIMES = frozenset(("*", r"\cdot", r"\times", r"\ast", "·", "×"))
OVER = frozenset(("/", r"\div", "÷"))
CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\lfloor": r"\rfloor"}
CLOSING |= {r"\lceil": r"\rceil", r"\lvert": r"\rvert", "|": "|", r"\vert": r"\vert"}
FRACTIONS = frozenset((r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"))
GREEK_COMMAND = re.compile(
    r"\\(?:(?:var)?(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|rho|"
    r"sigma|tau|upsilon|phi|chi|psi|omega)|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|"
    r"Omega|ell|hbar)"
)
LONG_WORD = 4  # letters of a run that is a word; a shorter one is a product

Node = tuple[Any, ...]
# ("number", value, place), ("symbol", name), ("constant", "pi" | "e" | "i" | "inf"),
# ("sum", nodes), ("product", nodes), ("power", base, exponent), ("call", function, nodes),
# ("apply", name, nodes), ("series", "sum" | "prod", variable, first, last, body)


class Formula(NamedTuple):
    """A tree, and whether some of its text could be read in another way."""

    tree: Node
    is_ambiguous: bool


def number_node(value: Fraction | int, place: Fraction | None = None) -> Node:
    return ("number", Fraction(value), place)


ONE, TWO, TEN, MINUS_ONE = (number_node(value) for value in (1, 2, 10, -1))
HALF = number_node(Fraction(1, 2))
PI, EULER, IMAGINARY = (("constant", name) for name in ("pi", "e", "i"))


def product(*nodes: Node) -> Node:
    factors = tuple(node for node in nodes if node[:2] != ("number", 1) or len(nodes) == 1)
    return factors[0] if len(factors) == 1 else ("product", factors) if factors else ONE


def quotient(above: Node, below: Node) -> Node:
    return product(above, ("power", below, MINUS_ONE))


def negative(node: Node) -> Node:
    return ("number", -node[1], node[2]) if node[0] == "number" else ("product", (MINUS_ONE, node))


def read_formula(tokens: list[Token], is_greedy: bool = False, letters: bool = False) -> Formula:
    """The formula that all tokens make; `letters`: long words too are products of letters."""
    if any(token.text in (r"\choose", r"\over") for token in tokens):
        opening, closing = (Token("sign", brace, False, 0, 0) for brace in "{}")
        tokens = [opening, *tokens, closing]
    reader = Reader(tokens, is_greedy, letters)
    tree = reader.sum()
    if reader.at < len(tokens):
        raise Unreadable(tokens[reader.at].text)
    return Formula(tree, reader.is_ambiguous)


class Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[Token], is_greedy: bool, letters: bool) -> None:
        self.tokens = [part for token in tokens for part in letters_of(token, letters)]
        self.at = 0
        self.is_greedy = is_greedy
        self.is_ambiguous = False
        self.depth = 0
        self.closings: list[str] = []
        self.trigonometric = 0  # how many functions of an angle we are in

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def text(self, ahead: int = 0) -> str:
        token = self.peek(ahead)
        return token.text if token and token.kind in ("sign", "command") else ""

    def take(self, text: str) -> bool:
        if self.text() != text:
            return False
        self.at += 1
        return True

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise Unreadable(f"no {text}")

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")
        terms = [self.signed()]
        while self.text() in ("+", "-"):
            terms.append(self.signed())
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("sum", tuple(terms))

    def signed(self) -> Node:
        sign = 1
        while self.text() in ("+", "-"):
            sign = -sign if self.text() == "-" else sign
            self.at += 1
        term = self.term()
        return term if sign == 1 else negative(term)

    def term(self) -> Node:
        node = self.implicit()
        while True:
            if self.text() in TIMES:
                self.at += 1
                node = product(node, self.signed_factors())
            elif self.text() in OVER:
                self.at += 1
                node = quotient(node, self.divisor())
            elif self.begins_factor():
                node = product(node, self.implicit())
            else:
                return node

    def signed_factors(self) -> Node:
        if self.text() in ("+", "-"):
            is_negative = self.text() == "-"
            self.at += 1
            factors = self.implicit()
            return negative(factors) if is_negative else factors
        return self.implicit()

    def divisor(self) -> Node:
        if self.take("-"):
            return negative(self.divisor())
        node = self.factor()
        if self.begins_factor():
            self.is_ambiguous = True
            while self.is_greedy and self.begins_factor():
                node = product(node, self.factor())
        return node

    def implicit(self) -> Node:
        """Factors side by side."""
        nodes = [self.factor()]
        while self.begins_factor():
            nodes.append(self.factor())
        return product(*nodes)

    def begins_factor(self) -> bool:
        token = self.peek()
        if token is None:
            return False
        if token.kind == "number" and self.tokens[self.at - 1].kind == "number":
            raise Unreadable("two numbers side by side")
        if token.kind in ("number", "symbol", "vector"):
            return True
        if token.kind in ("text", "word"):
            return False
        if token.text in ("|", r"\vert"):
            return self.closings[-1:] != [token.text]
        if token.text in CLOSING:
            return True
        if token.kind == "command":
            return is_known(token.text) and not self.has_text_inside()
        return False

    def has_text_inside(self) -> bool:
        r"""Whether this is a \frac of units."""
        token = self.peek(2)
        return self.text() in FRACTIONS and token is not None and token.kind == "text"

    def factor(self) -> Node:
        node = self.base()
        while True:
            if self.take("!"):
                name = "double_factorial" if self.take("!") else "factorial"
                node = ("call", name, (node,))
            elif self.text() == "^" and self.is_degree():
                node = (
                    product(node, PI, number_node(Fraction(1, 180))) if self.trigonometric else node
                )
            elif self.take("^"):
                node = ("power", node, self.exponent())
            elif self.text() == r"\%":
                self.at += 1
                node = product(node, number_node(Fraction(1, 100)))
            else:
                return node

    def exponent(self) -> Node:
        """What is raised, to the right first: 2^3^2 is 2^9."""
        node = self.argument()
        return ("power", node, self.exponent()) if self.take("^") else node

    def is_degree(self) -> bool:
        braces = self.text(1) == "{"
        if self.text(1 + braces) not in (r"\circ", r"\degree") or (braces and self.text(3) != "}"):
            return False
        self.at += 4 if braces else 2
        return True

    def argument(self) -> Node:
        """What follows ^ or a \\frac: a group in braces, one digit, symbol or command."""
        token = self.peek()
        if token is None:
            raise Unreadable("nothing follows")
        if self.text() == "{":
            return self.group()
        if self.take("-"):
            return negative(self.argument())
        if token.kind == "number":
            return self.number()
        if token.kind == "symbol" or self.text() in CLOSING or token.kind == "word":
            return self.base()
        return self.base()

    def digit(self) -> Node:
        r"""The argument of `\frac12`: one digit, or a group."""
        token = self.peek()
        if token is None or token.kind != "number" or len(token.text) == 1:
            return self.argument()
        if not token.text.isdigit():
            raise Unreadable(token.text)
        rest = token.text[1:]
        self.tokens = self.tokens.copy()
        self.tokens[self.at] = token._replace(text=rest, value=Fraction(int(rest)), place=None)
        return number_node(int(token.text[0]))

    def group(self) -> Node:
        opening = self.text()
        closing = CLOSING[opening]
        self.at += 1
        self.closings.append(closing)
        node = self.sum()
        self.closings.pop()
        if opening in ("(", "[") and self.text() in (")", "]") and self.text() != closing:
            raise Unreadable("an interval")
        self.expect(closing)
        return node

    def base(self) -> Node:
        token = self.peek()
        if token is None:
            raise Unreadable("nothing follows")
        match token.kind:
            case "number":
                return self.mixed()
            case "symbol" | "vector" | "word" | "text":
                return self.name()
            case "sign":
                return self.bracketed()
        return self.command()

    def bracketed(self) -> Node:
        text = self.text()
        if text in ("(", "[", "{"):
            if text == "{" and (choice := self.choose()):
                return choice
            return self.group()
        if text == "|":
            return ("call", "abs", (self.group(),))
        raise Unreadable(text)

    def choose(self) -> Node | None:
        r"""`{n \choose k}` and `{a \over b}`; None where it is a group."""
        depth, place = 0, self.at
        while place < len(self.tokens):
            text = self.tokens[place].text if self.tokens[place].kind in ("sign", "command") else ""
            depth += {"{": 1, "}": -1}.get(text, 0)
            if depth == 0:
                return None
            if depth == 1 and text in (r"\choose", r"\over"):
                break
            place += 1
        else:
            return None
        end = next(
            (i for i in range(place, len(self.tokens)) if self.tokens[i].text == "}"),
            len(self.tokens),
        )
        above = read_formula(self.tokens[self.at + 1 : place], self.is_greedy).tree
        below = read_formula(self.tokens[place + 1 : end], self.is_greedy).tree
        is_binomial = self.tokens[place].text == r"\choose"
        self.at = end + 1
        return ("call", "binomial", (above, below)) if is_binomial else quotient(above, below)

    def number(self) -> Node:
        token = self.peek()
        assert token is not None and token.value is not None
        self.at += 1
        if self.text() == "_":
            raise Unreadable("a base")
        return number_node(token.value, token.place)

    def mixed(self) -> Node:
        r"""A number, and the fraction that may stand behind it: 2\frac12, 11 5/6."""
        whole = self.peek()
        assert whole is not None
        node = self.number()
        if not whole.text.isdigit():
            return node
        if self.text() in FRACTIONS and (fraction := self.proper_fraction()):
            return number_node(node[1] + fraction)
        above, below = self.peek(), self.peek(2)
        if (
            above
            and below
            and above.kind == below.kind == "number"
            and above.space
            and self.text(1) == "/"
            and above.text.isdigit()
            and below.text.isdigit()
            and 0 < int(above.text) < int(below.text)
        ):
            self.at += 3
            return number_node(node[1] + Fraction(int(above.text), int(below.text)))
        return node

    def proper_fraction(self) -> Fraction | None:
        start = self.at
        self.at += 1
        try:
            above, below = self.digit(), self.digit()
        except Unreadable:
            above = below = PI
        whole = [node[1] for node in (above, below) if node[0] == "number" and node[2] is None]
        if len(whole) == 2 and 0 < whole[0] < whole[1] and whole[0].denominator == 1:
            return whole[0] / whole[1]
        self.at = start
        return None

    def name(self) -> Node:
        """A symbol with its index and primes, or a function of symbols."""
        token = self.peek()
        assert token is not None
        self.at += 1
        if token.kind == "vector":
            return ("symbol", f"{token.text} vector")
        if token.kind == "text" and not re.fullmatch(r"[a-zA-Z]+", token.text):
            raise Unreadable(token.text)
        return self.symbol(VARIANTS.get(token.text, token.text))

    def symbol(self, name: str) -> Node:
        mark, primes = "", self.primes()
        if self.take("_"):
            mark = "_" + self.index()
            primes += self.primes()
        if re.fullmatch(r"[cC]_\d", name + mark):
            name = "c"  # C_1 and c_1 are the constants of integration
        full = name + mark + primes
        if self.text() == "(" and (arguments := self.arguments(name, bool(primes))):
            return ("apply", full, arguments)
        return letter(full)

    def primes(self) -> str:
        count = 0
        while True:
            if self.text() in ("'", "′", r"\prime"):
                count, self.at = count + 1, self.at + 1
            elif self.text() == "^" and self.text(1) == r"\prime":
                count, self.at = count + 1, self.at + 2
            elif self.text() == "^" and self.text(1) == "{" and self.text(2) in ("'", r"\prime"):
                self.at += 2
                while self.text() in ("'", r"\prime"):
                    count, self.at = count + 1, self.at + 1
                self.expect("}")
            else:
                return "'" * count

    def index(self) -> str:
        """The text of a subscript."""
        if self.text() != "{":
            token = self.peek()
            if token is None:
                raise Unreadable("an index of nothing")
            self.at += 1
            return token.text.replace(" ", "")
        start, depth = self.at, 0
        while self.at < len(self.tokens):
            depth += {"{": 1, "}": -1}.get(self.text(), 0)
            self.at += 1
            if depth == 0:
                return shown(self.tokens[start : self.at]).replace(" ", "")
        raise Unreadable("an open index")

    def arguments(self, name: str, is_primed: bool) -> tuple[Node, ...] | None:
        """The arguments in the brackets here, if the name before them is that of a function."""
        start = self.at
        self.at += 1
        self.closings.append(")")
        nodes = [self.sum()]
        while self.take(","):
            nodes.append(self.sum())
        self.closings.pop()
        self.expect(")")
        is_atom = all(
            node[0] == "symbol" or (node[0] == "number" and node[1] >= 0) for node in nodes
        )
        if is_primed or name in FUNCTION_LETTERS or is_atom or len(nodes) > 1:
            return tuple(nodes)
        self.at = start
        return None

    def command(self) -> Node:
        token = self.peek()
        assert token is not None
        text = token.text
        if text in FRACTIONS:
            return self.fraction()
        if text in (r"\binom", r"\dbinom", r"\tbinom"):
            self.at += 1
            return ("call", "binomial", (self.digit(), self.digit()))
        if text == r"\sqrt" or text == "√":
            return self.root()
        if text in (r"\sum", r"\prod"):
            return self.series(text[1:])
        if text in (r"\lfloor", r"\lceil", r"\lvert", r"\vert"):
            name = {r"\lfloor": "floor", r"\lceil": "ceil"}.get(text, "abs")
            return ("call", name, (self.group(),))
        if text == r"\{":
            return self.group()
        if text[1:] in FUNCTIONS or text == r"\conj":
            return self.function(text[1:])
        if text in NAMED_CONSTANTS:
            self.at += 1
            return ("constant", NAMED_CONSTANTS[text])
        if GREEK_COMMAND.fullmatch(text):
            self.at += 1
            return self.symbol(VARIANTS.get(text, text))
        raise Unreadable(text)

    def fraction(self) -> Node:
        self.at += 1
        start = self.at
        above = self.digit_or_derivative()
        if isinstance(above, str):
            self.at = start
            return self.derivative()
        return quotient(above, self.digit())

    def digit_or_derivative(self) -> Node | str:
        end = self.at + 1
        while end < len(self.tokens) and self.tokens[end].text != "}":
            end += 1
        inside = shown(self.tokens[self.at : end]) if self.text() == "{" else ""
        below = shown(self.tokens[end + 2 : end + 5])
        if re.match(r"d(?![a-zA-Z]{3})|\\partial", inside) and re.match(
            r"d[a-zA-Z\\]|\\partial", below
        ):
            return "derivative"
        return self.digit()

    def derivative(self) -> Node:
        r"""\frac{d^2 y}{dt^2} is a symbol of its own; \frac{d}{dt} before a formula is not read."""
        parts = []
        for _ in range(2):
            start, depth = self.at, 0
            while self.at < len(self.tokens):
                depth += {"{": 1, "}": -1}.get(self.text(), 0)
                self.at += 1
                if depth == 0:
                    break
            parts.append(
                re.sub(r"\s|\\partial|(?<![a-zA-Z])d", "", shown(self.tokens[start : self.at]))
            )
        if not re.search("[a-zA-Z]", parts[0]):
            raise Unreadable("a derivative of what follows")
        return ("symbol", f"d({parts[0]})/d({parts[1]})")

    def root(self) -> Node:
        self.at += 1
        exponent = HALF
        if self.text() == "[":
            exponent = quotient(ONE, self.group())
        return ("power", self.digit(), exponent)

    def series(self, name: str) -> Node:
        self.at += 1
        self.expect("_")
        self.expect("{")
        variable = self.peek()
        if variable is None or variable.kind != "symbol":
            raise Unreadable("a sum over no symbol")
        self.at += 1
        self.expect("=")
        first = self.sum()
        self.expect("}")
        self.expect("^")
        last = self.argument()
        body = self.term()
        if variable.text == "i":
            body = replaced(body, IMAGINARY, ("symbol", "i"))
        return ("series", name, variable.text, first, last, body)

    def function(self, name: str) -> Node:
        name = ALIASES.get(name, name)
        self.at += 1
        power: Node | None = None
        base: Node | None = None
        while self.text() in ("^", "_"):
            if self.take("_"):
                base = self.digit()
            else:
                self.at += 1
                power = self.argument()
        if name in TRIGONOMETRIC and power == MINUS_ONE:
            name, power = f"arc{name}", None
        self.trigonometric += name in TRIGONOMETRIC
        arguments = self.function_arguments(name)
        self.trigonometric -= name in TRIGONOMETRIC
        node = call(name, arguments, base)
        return ("power", node, power) if power else node

    def function_arguments(self, name: str) -> tuple[Node, ...]:
        if self.text() in ("(", "{", "["):
            closing = CLOSING[self.text()]
            self.at += 1
            self.closings.append(closing)
            nodes = [self.sum()]
            while self.take(","):
                nodes.append(self.sum())
            self.closings.pop()
            self.expect(closing)
            return tuple(nodes)
        if self.take("-"):
            return (negative(self.angle()),)
        return (self.angle(),)

    def angle(self) -> Node:
        r"""The argument of a function without brackets: \sin 2x, \ln|x|, \cos\omega t."""
        nodes = [self.factor()]
        while self.begins_factor() and self.text() not in ("(", "["):
            if self.text()[1:] in FUNCTIONS:
                break
            nodes.append(self.factor())
        if self.text() in OVER:
            self.is_ambiguous = True
            if self.is_greedy:
                self.at += 1
                return quotient(product(*nodes), self.divisor())
        return product(*nodes)


def letters_of(token: Token, has_letters: bool) -> list[Token]:
    """A short word as letters side by side, any other token as it is."""
    if token.kind != "word" or not (len(token.text) < LONG_WORD or has_letters):
        return [token]
    return [
        token._replace(kind="symbol", text=character, space=token.space and not place)
        for place, character in enumerate(token.text)
    ]


def is_known(command: str) -> bool:
    """Whether a factor may begin with this command."""
    return (
        command in FRACTIONS
        or command in NAMED_CONSTANTS
        or command[1:] in FUNCTIONS
        or command in (r"\binom", r"\dbinom", r"\tbinom", r"\sum", r"\prod", r"\conj")
        or command in CLOSING
        or bool(GREEK_COMMAND.fullmatch(command))
    )


def letter(name: str) -> Node:
    return ("constant", name) if name in ("e", "i") else ("symbol", name)


def call(name: str, arguments: tuple[Node, ...], base: Node | None) -> Node:
    """A function of the names that people use, by the few that are evaluated."""
    if name == "sqrt":
        return ("power", arguments[0], HALF)
    if name == "cbrt":
        return ("power", arguments[0], number_node(Fraction(1, 3)))
    if name == "exp":
        return ("power", EULER, arguments[0])
    if name == "Rational" and len(arguments) == 2:
        return quotient(*arguments)
    if name == "log":
        base = arguments[1] if len(arguments) == 2 else base or TEN
        return quotient(("call", "ln", arguments[:1]), ("call", "ln", (base,)))
    return ("call", name, arguments)


def symbols_of(node: Node) -> set[str]:
    """The free symbols, and the names of functions that are applied."""
    match node[0]:
        case "symbol":
            return {node[1]}
        case "number" | "constant":
            return set()
        case "series":
            return (symbols_of(node[5]) - {node[2]}) | symbols_of(node[3]) | symbols_of(node[4])
        case "power":
            return symbols_of(node[1]) | symbols_of(node[2])
        case "sum" | "product":
            return set().union(*map(symbols_of, node[1]))
    inside: set[str] = set().union(*map(symbols_of, node[2]))
    return inside | {f"{node[1]}()"} if node[0] == "apply" else inside


def subtrees(node: Node) -> list[Node]:
    """The node and all nodes below it."""
    below = {
        "sum": lambda: node[1],
        "product": lambda: node[1],
        "power": lambda: node[1:],
        "call": lambda: node[2],
        "apply": lambda: node[2],
        "series": lambda: node[3:],
    }.get(node[0], tuple)()
    return [node, *(deeper for child in below for deeper in subtrees(child))]


def replaced(node: Node, old: Node, new: Node) -> Node:
    """The tree with another node wherever `old` stands."""
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
