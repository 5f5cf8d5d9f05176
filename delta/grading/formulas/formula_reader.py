r"""Formulas read from tokens: `2\sin^2 x`, `sqrt(3)/2`, `\sum_{k=1}^{10} k`, `y'`.

What is written in two ways is read in both: `1/2x` as (1/2)x and as 1/(2x), `\ln x/2` as (ln x)/2
and as ln(x/2) (`Reader.is_greedy`). A letter before brackets is a function where it is one of
FUNCTION_LETTERS or its arguments are numbers or single symbols, as in I(0) and y(t); else a factor.
"""

from fractions import Fraction
from typing import NamedTuple

from delta.grading.formulas.expressions import PI, Node, negative, number_node, product, quotient
from delta.grading.formulas.formula_commands import (
    has_text_inside,
    is_known,
    read_choice,
    read_command,
    read_name,
)
from delta.grading.formulas.latex_tokens import Token, UnreadableError
from delta.grading.formulas.vocabulary import CLOSING, FRACTIONS, LONG_WORD, OVER, TIMES

MAX_DEPTH = 60  # of brackets in brackets


class Formula(NamedTuple):
    """A tree, and whether some of its text could be read in another way."""

    tree: Node
    is_ambiguous: bool


def read_formula(tokens: list[Token], is_greedy: bool = False) -> Formula:
    """The formula that all tokens make; else UnreadableError."""
    if any(token.text in (r"\choose", r"\over") for token in tokens):
        opening, closing = (Token("sign", brace, False, 0, 0) for brace in "{}")
        tokens = [opening, *tokens, closing]
    reader = Reader(tokens, is_greedy)
    tree = reader.sum()
    if rest := reader.peek():
        raise UnreadableError(rest.text)
    return Formula(tree, reader.is_ambiguous)


class Reader:
    """A recursive descent over the tokens."""

    def __init__(self, tokens: list[Token], is_greedy: bool) -> None:
        self.tokens = [part for token in tokens for part in letters_of(token)]
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
            raise UnreadableError(f"no {text}")

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("too deep")
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
            raise UnreadableError("two numbers side by side")
        if token.kind in ("number", "symbol", "vector"):
            return True
        if token.kind in ("text", "word"):
            return False
        if token.text in ("|", r"\vert"):
            return self.closings[-1:] != [token.text]
        if token.text in CLOSING:
            return True
        if token.kind == "command":
            return is_known(token.text) and not has_text_inside(self)
        return False

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
            raise UnreadableError("nothing follows")
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
            raise UnreadableError(token.text)
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
            raise UnreadableError("an interval")
        self.expect(closing)
        return node

    def base(self) -> Node:
        token = self.peek()
        if token is None:
            raise UnreadableError("nothing follows")
        match token.kind:
            case "number":
                return self.mixed()
            case "symbol" | "vector" | "word" | "text":
                return read_name(self)
            case "sign":
                return self.bracketed()
        return read_command(self)

    def bracketed(self) -> Node:
        text = self.text()
        if text in ("(", "[", "{"):
            if text == "{" and (choice := read_choice(self)):
                return choice
            return self.group()
        if text == "|":
            return ("call", "abs", (self.group(),))
        raise UnreadableError(text)

    def number(self) -> Node:
        token = self.peek()
        assert token is not None
        assert token.value is not None
        self.at += 1
        if self.text() == "_":
            raise UnreadableError("a base")
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
        if self.text(1) == "/" and above and below and above.space and above.value and below.value:
            is_whole = above.text.isdigit() and below.text.isdigit()
            if is_whole and 0 < above.value < below.value:
                self.at += 3
                return number_node(node[1] + above.value / below.value)
        return node

    def proper_fraction(self) -> Fraction | None:
        start = self.at
        self.at += 1
        try:
            above, below = self.digit(), self.digit()
        except UnreadableError:
            above = below = PI
        whole: list[Fraction] = [
            node[1] for node in (above, below) if node[0] == "number" and node[2] is None
        ]
        if len(whole) == 2 and 0 < whole[0] < whole[1] and whole[0].denominator == 1:
            return whole[0] / whole[1]
        self.at = start
        return None


def letters_of(token: Token) -> list[Token]:
    """A short word as letters side by side, any other token as it is."""
    if token.kind != "word" or len(token.text) >= LONG_WORD:
        return [token]
    return [
        token._replace(kind="symbol", text=character, space=token.space and not place)
        for place, character in enumerate(token.text)
    ]
