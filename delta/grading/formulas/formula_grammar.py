r"""The grammar of formulas: sums, products, powers, numbers and brackets.

An ambiguous text is parsed in two ways (`is_greedy`): `1/2x` as (1/2)x and as 1/(2x), `\ln x/2` as
(ln x)/2 and as ln(x/2).
"""

import contextlib
from abc import ABC, abstractmethod
from fractions import Fraction

from delta.grading.formulas.tokens import Token, UnreadableError
from delta.grading.formulas.trees import (
    PI,
    Node,
    call,
    negative,
    number_node,
    power,
    product,
    quotient,
    total,
)
from delta.grading.formulas.vocabulary import CLOSING, FRACTIONS, LONG_WORD, OVER, TIMES

MAX_DEPTH = 60  # of nested brackets
DEGREE = number_node(Fraction(1, 180))
PERCENT = number_node(Fraction(1, 100))
BRACKETS = {r"\lfloor": "floor", r"\lceil": "ceil"}  # that are functions
BRACKETS |= {"|": "abs", r"\vert": "abs", r"\lvert": "abs"}


class Grammar(ABC):
    """A recursive descent over the tokens; each method reads what it is named after.

    FormulaParser adds the rules for names and commands.
    """

    @abstractmethod
    def name(self) -> Node:
        """Read a symbol with its index and primes, or a function of symbols."""

    @abstractmethod
    def command(self) -> Node:
        r"""Read a command with its arguments: \frac, \sqrt, \sum, a function, a Greek letter."""

    @abstractmethod
    def begins_command(self) -> bool:
        """Return whether a factor may begin with the next command."""

    def __init__(self, tokens: list[Token], is_greedy: bool) -> None:
        self.tokens = [part for token in tokens for part in _letters(token)]
        self.position = 0
        self.is_greedy = is_greedy
        self.is_ambiguous = False
        self.depth = 0
        self.closings: list[str] = []  # the closing signs of the open brackets
        self.trigonometric = 0  # depth of nested functions of an angle, where degrees count

    def peek(self, ahead: int = 0) -> Token | None:
        """Return the token `ahead` places after the current one; None where there is none."""
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def current(self) -> Token:
        """Return the current token. Raises UnreadableError after the last."""
        token = self.peek()
        if token is None:
            raise UnreadableError("nothing follows")
        return token

    def text(self, ahead: int = 0) -> str:
        """Return the text of a sign or command; "" where there is none."""
        token = self.peek(ahead)
        return token.text if token and token.is_sign else ""

    def accept(self, text: str) -> bool:
        """Step over a sign or command if it is next; return whether it is."""
        if self.text() != text:
            return False
        self.position += 1
        return True

    def expect(self, text: str) -> None:
        """Move past a sign or command. Raises UnreadableError where it is not the current token."""
        if not self.accept(text):
            raise UnreadableError(f"no {text}")

    def parse(self) -> Node:
        """Read all tokens as one formula. Raises UnreadableError where some are left."""
        tree = self.sum()
        if rest := self.peek():
            raise UnreadableError(rest.text)
        return tree

    def sum(self) -> Node:
        """Read terms joined by + and -. Raises UnreadableError above MAX_DEPTH."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("too deep")
        terms = [self.signed()]
        while self.text() in ("+", "-"):
            terms.append(self.signed())
        self.depth -= 1
        return terms[0] if len(terms) == 1 else total(*terms)

    def signed(self) -> Node:
        is_negative = False
        while self.text() in ("+", "-"):
            is_negative ^= self.text() == "-"
            self.position += 1
        term = self.term()
        return negative(term) if is_negative else term

    def term(self) -> Node:
        node = self.factors()
        while True:
            if self.text() in TIMES:
                self.position += 1
                is_negative = self.accept("-")
                if not is_negative:
                    self.accept("+")
                factors = self.factors()
                node = product(node, negative(factors) if is_negative else factors)
            elif self.text() in OVER:
                self.position += 1
                node = quotient(node, self.divisor())
            elif self.begins_factor():
                node = product(node, self.factors())
            else:
                return node

    def divisor(self) -> Node:
        """Read what a slash divides by, and mark a formula with two readings as ambiguous."""
        if self.accept("-"):
            return negative(self.divisor())
        node = self.factor()
        if self.begins_factor():
            self.is_ambiguous = True
            while self.is_greedy and self.begins_factor():
                node = product(node, self.factor())
        return node

    def factors(self) -> Node:
        """Read adjacent factors."""
        nodes = [self.factor()]
        while self.begins_factor():
            nodes.append(self.factor())
        return product(*nodes)

    def begins_factor(self) -> bool:
        """Return whether a factor without a sign of multiplication follows."""
        token = self.peek()
        if token is None:
            return False
        if token.kind == "number" and self.tokens[self.position - 1].kind == "number":
            raise UnreadableError("two numbers side by side")
        if not token.is_sign:
            return token.kind in ("number", "symbol", "vector")
        if token.text in ("|", r"\vert"):
            return self.closings[-1:] != [token.text]
        return token.text in CLOSING or self.begins_command()

    def factor(self) -> Node:
        node = self.atom()
        while True:
            if self.accept("!"):
                name = "double_factorial" if self.accept("!") else "factorial"
                node = call(name, (node,))
            elif self.text() == "^" and self.degree_sign():
                node = product(node, PI, DEGREE) if self.trigonometric else node
            elif self.accept("^"):
                node = power(node, self.exponent())
            elif self.accept(r"\%"):
                node = product(node, PERCENT)
            else:
                return node

    def exponent(self) -> Node:
        """Read an exponent; powers are right-associative: 2^3^2 is 2^9."""
        node = self.argument()
        return power(node, self.exponent()) if self.accept("^") else node

    def degree_sign(self) -> bool:
        """Step over a degree sign if it is next; return whether it is."""
        braces = self.text(1) == "{"
        if self.text(1 + braces) not in (r"\circ", r"\degree") or (braces and self.text(3) != "}"):
            return False
        self.position += 4 if braces else 2
        return True

    def argument(self) -> Node:
        r"""Read the argument of ^ or \frac: a group in braces, a number, symbol or command."""
        token = self.current()
        if self.text() == "{":
            return self.group()
        if self.accept("-"):
            return negative(self.argument())
        return self.number() if token.kind == "number" else self.atom()

    def digit_or_group(self) -> Node:
        r"""Read an argument of \frac: one digit, as in `\frac12`, or a group."""
        token = self.peek()
        if token is None or token.kind != "number" or len(token.text) == 1:
            return self.argument()
        if not token.text.isdigit():
            raise UnreadableError(token.text)
        rest = token.text[1:]
        self.tokens = self.tokens.copy()
        self.tokens[self.position] = token._replace(
            text=rest, value=Fraction(int(rest)), precision=None
        )
        return number_node(int(token.text[0]))

    def group(self) -> Node:
        r"""Read a formula in brackets; also `{n \choose k}` and `{a \over b}`."""
        opening = self.text()
        nodes = self.list_in_brackets(is_group=True)
        return call(BRACKETS[opening], nodes) if opening in BRACKETS else nodes[0]

    def list_in_brackets(self, is_group: bool = False) -> tuple[Node, ...]:
        """Read formulas in brackets, separated by commas; only one formula where `is_group`."""
        opening = self.text()
        closing = CLOSING[opening]
        self.position += 1
        self.closings.append(closing)
        nodes = [self.sum()]
        if opening == "{" and self.accept(r"\choose"):
            nodes = [call("binomial", (nodes[0], self.sum()))]
        elif opening == "{" and self.accept(r"\over"):
            nodes = [quotient(nodes[0], self.sum())]
        while not is_group and self.accept(","):
            nodes.append(self.sum())
        self.closings.pop()
        self.expect(closing)
        return tuple(nodes)

    def atom(self) -> Node:
        token = self.current()
        if token.kind == "number":
            return self.mixed()
        if not token.is_sign:
            return self.name()
        if token.kind == "command":
            return self.command()
        if token.text in ("(", "[", "{", "|"):
            return self.group()
        raise UnreadableError(token.text)

    def number(self) -> Node:
        token = self.current()
        assert token.value is not None
        self.position += 1
        if self.text() == "_":
            raise UnreadableError("a base")
        return number_node(token.value, token.precision)

    def mixed(self) -> Node:
        r"""Read a number, or a mixed number with its fraction: 2\frac12, 11 5/6."""
        first = self.current()
        node = self.number()
        if not first.text.isdigit():
            return node
        if self.text() in FRACTIONS and (fraction := self.proper_fraction()):
            return number_node(node.value + fraction)
        top, bottom = self.peek(), self.peek(2)  # numerator and denominator of "5/6"
        if self.text(1) == "/" and top and bottom and top.space and top.value and bottom.value:
            are_integers = top.text.isdigit() and bottom.text.isdigit()
            if are_integers and 0 < top.value < bottom.value:
                self.position += 3
                return number_node(node.value + top.value / bottom.value)
        return node

    def proper_fraction(self) -> Fraction | None:
        """Read a fraction of integers between 0 and 1 if it is next; else None."""
        start = self.position
        self.position += 1
        with contextlib.suppress(UnreadableError):
            match self.digit_or_group(), self.digit_or_group():
                case Node("number", top, _, None), Node("number", bottom, _, None):
                    if 0 < top < bottom and top.denominator == 1:
                        return Fraction(top / bottom)
        self.position = start
        return None


def _letters(token: Token) -> list[Token]:
    """Split a short word into its letters; return any other token unchanged."""
    if token.kind != "word" or len(token.text) >= LONG_WORD:
        return [token]
    return [
        token._replace(kind="symbol", text=character, space=token.space and not index)
        for index, character in enumerate(token.text)
    ]
