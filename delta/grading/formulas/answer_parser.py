r"""What an answer says, as a value of answer_types: "x = 3 \text{ or } x = -2" is a named list.

An answer may have several readings ("110,143" is one number or two, "\pm a \pm b" two values or
four); a text without any raises UnreadableError.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import product as combinations

from delta.grading.formulas.answer_types import (
    BOUND_NAME,
    Cases,
    Collection,
    Matrix,
    Named,
    Piece,
    Ratio,
    RealSet,
    Relation,
    Scalar,
    SetBuilder,
    Value,
    Words,
    scalar_of,
)
from delta.grading.formulas.expressions import ONE, Node, product, quotient, symbols_of
from delta.grading.formulas.formula_reader import read_formula
from delta.grading.formulas.latex_tokens import Token, UnreadableError, shown, tokenize
from delta.grading.formulas.real_sets import EVERYTHING, combine, complement, to_set
from delta.grading.formulas.rounding import stored_decimal
from delta.grading.formulas.scalar_parser import parse_based, parse_scalar, parse_time, trees_of
from delta.grading.formulas.token_splitting import (
    closes_at_end,
    has_groups,
    is_condition,
    is_set,
    marks,
    position,
    splice_words,
    split,
    trim,
    without_lead,
)
from delta.grading.formulas.value_joining import join, unite
from delta.grading.formulas.vocabulary import (
    BLOCKED,
    LONG_WORD,
    MATRICES,
    OVER,
    PLUS_MINUS,
    RELATIONS,
    SYSTEMS,
    TIMES,
    UNKNOWN_RELATIONS,
)

MAX_MEMBERS = 100  # of a list
MAX_SIGNS = 4  # of plus-minus in one member
MAX_DEPTH = 30  # of values in values
NAME = re.compile(
    r"(?:\\vec|\\overline|m?\\angle|\\triangle)?[A-Z]{1,4}'*|\[[A-Z]{3,6}\]|\|[A-Z]{2}\|"
    r"|[a-zA-Z]'*\^-1\(.*\)|(?:[A-Z]|[a-z]|Var|Cov|[aA]rea)\([^()]*\)"
    r"|\\?(?:Pr|deg|dim|det|gcd|lcm|Res)\([^()]*\)"
    r"|(?:E|Var|Cov|\\?Pr)\[[^\[\]]*\]|\\mathbb[EP](?:\([^()]*\)|\[[^\[\]]*\])|\\\|[^=|]+\\\|"
)
SEPARATORS = frozenset((",", ";", "and", "or", r"\lor", r"\vee", r"\land", r"\wedge"))
ALL_REALS = frozenset(
    ("all real numbers", "all reals", "all real", "real numbers", "the real numbers")
)
BRACE = frozenset(("}",))
SET_SIGNS = frozenset((r"\cup", r"\cap", r"\setminus", r"\backslash"))


def readings(text: str, is_gold: bool = False) -> list[Value]:
    """What a cleaned answer may say, the likeliest first. A gold's floats are short decimals."""
    found: list[Value] = []
    first_error: UnreadableError | None = None
    for grouped in dict.fromkeys((True, not has_groups(text))):
        for is_linked in (False, True):
            try:
                tokens = splice_words(tokenize(text, grouped))
                parser = _Parser(text, is_linked)
                value = parser.value([short(token) for token in tokens] if is_gold else tokens)
            except (UnreadableError, RecursionError) as error:
                first_error = first_error or UnreadableError(str(error))
                continue
            if value not in found:
                found.append(value)
            if not parser.has_many_signs:
                break
    if not found:
        raise first_error or UnreadableError(text)
    return found


def short(token: Token) -> Token:
    if token.kind != "number" or token.value is None:
        return token
    value, place = stored_decimal(token.value, token.place)
    return token._replace(value=value, place=place)


class _Parser:
    """One reading of one text."""

    def __init__(self, text: str, is_linked: bool) -> None:
        self.text, self.is_linked = text, is_linked
        self.has_many_signs = False
        self.depth = 0

    def source(self, tokens: list[Token]) -> str:
        return self.text[tokens[0].start : tokens[-1].end] if tokens else ""

    def value(self, tokens: list[Token]) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("too deep")
        value = self._value(trim(tokens))
        self.depth -= 1
        return value

    def _value(self, tokens: list[Token]) -> Value:
        if not tokens:
            raise UnreadableError("nothing")
        if len(tokens) == 1 and (letter := re.fullmatch(r"\(?([a-zA-Z])\)?", tokens[0].text)):
            tokens = [tokens[0]._replace(kind="symbol", text=letter[1])]
        if all(token.kind in ("text", "word") for token in tokens):
            text = " ".join(token.text for token in tokens).lower()
            is_short = [token.kind for token in tokens] == ["word"] and text not in ("no", "on")
            trees = trees_of(tokens) if is_short and len(text) < LONG_WORD else ()
            return EVERYTHING if text in ALL_REALS else Words(text, trees)
        tokens = without_lead(tokens)
        if len(parts := split(tokens, SEPARATORS)) > 1:
            return self.joined(parts, marks(tokens, SEPARATORS))
        if marks(tokens, frozenset(RELATIONS)):
            return self.expand(tokens, self.relation)
        if marks(tokens, UNKNOWN_RELATIONS):
            raise UnreadableError("a relation")
        if marks(tokens, SET_SIGNS):
            return self.set_operation(tokens)
        return self.expand(tokens, self.single)

    def expand(self, tokens: list[Token], parse: Callable[[list[Token]], Value]) -> Value:
        """Both values of each plus-minus."""
        places = [i for i, token in enumerate(tokens) if token.text in PLUS_MINUS]
        if not places or is_set(tokens):
            value: Value = parse(tokens)
            return value
        if len(places) > MAX_SIGNS:
            raise UnreadableError("too many signs")
        self.has_many_signs |= len(places) > 1
        choices = list(combinations((0, 1), repeat=len(places)))
        if self.is_linked or any(PLUS_MINUS[tokens[i].text] == "-+" for i in places):
            choices = [(0,) * len(places), (1,) * len(places)]
        values = []
        for choice in choices:
            signed = tokens.copy()
            for place, side in zip(places, choice, strict=True):
                sign = PLUS_MINUS[tokens[place].text][side]
                signed[place] = tokens[place]._replace(kind="sign", text=sign)
            values.append(parse(signed))
        return unite(values)

    def joined(self, parts: list[list[Token]], joins: list[str]) -> Value:
        parts = [part for part in parts if part]
        if len(parts) > MAX_MEMBERS:
            raise UnreadableError("too many members")
        if not parts:
            raise UnreadableError("nothing")
        if len(parts) > 1:
            parts = [part for part in parts if not is_condition(part)] or parts
        values: list[Value] = []
        for part in parts:
            value = self.value(part)
            is_list = isinstance(value, Collection) and value.kind == "list"
            values += value.members if isinstance(value, Collection) and is_list else (value,)
        return join(values, joins)

    def relation(self, tokens: list[Token]) -> Value:
        sides = split(tokens, frozenset(RELATIONS))
        operators = [RELATIONS[mark] for mark in marks(tokens, frozenset(RELATIONS))]
        if not sides[0] and operators[0] == "=":
            sides, operators = sides[1:], operators[1:]
            if not operators:
                return self.value(sides[0])
        if any(not side for side in sides):
            raise UnreadableError("an open relation")
        if set(operators) <= {"=", "in"}:
            if (name := self.name(sides[0])) and (named := self.named(name, sides[1:])):
                return named
            behind = self.name(sides[1]) if operators == ["="] else None
            if behind and (named := self.named(behind, sides[:1])):
                return named
        if "in" in operators or not (set(operators) == {"="} or "=" not in operators):
            raise UnreadableError("a relation")
        return Relation(tuple(parse_scalar(trim(side)) for side in sides), tuple(operators))

    def name(self, tokens: list[Token]) -> tuple[str, Node | None] | None:
        """The name that the tokens are, and its formula where it is a symbol or f(x)."""
        if all(token.kind == "text" for token in tokens):
            words = re.findall("[a-z]+", " ".join(token.text for token in tokens).lower())
            return None if set(words) & BLOCKED else ("", None)
        plain = shown(tokens).replace(" ", "")
        if re.fullmatch(r"\(\\?\w+(?:,\\?\w+)+\)|\\?[a-zA-Z]+(?::\\?[a-zA-Z]+)+", plain):
            return plain, None
        try:
            tree = read_formula(tokens).tree
        except UnreadableError:
            tree = ("none",)
        if tree[0] == "symbol" or tree in (("constant", "i"), ("constant", "e")):
            return tree[1], ("symbol", tree[1])
        if tree[0] == "apply":
            return tree[1], tree
        if not NAME.fullmatch(plain):
            return None
        return plain.strip("|") if plain[0] == "|" else plain, None  # |AB| is AB

    def named(self, name: tuple[str, Node | None], sides: list[list[Token]]) -> Value | None:
        value = self.value(sides[-1])
        is_segment = name[1] is None and re.fullmatch("[A-Z]{2,}", name[0])
        scalar = scalar_of(value)
        if is_segment and scalar and any(map(symbols_of, scalar.trees)):
            return None  # MR = SRMC is an equation
        has_itself = name[1] is not None and scalar and name[0] in subjects(scalar)
        if has_itself or isinstance(value, Named | Relation):
            return None  # x^2 = x is an equation
        return Named(name[0], name[1], value)

    def set_operation(self, tokens: list[Token]) -> Value:
        operands = [to_set(self.value(part)) for part in split(tokens, SET_SIGNS)]
        result, *others = operands
        for mark, operand in zip(marks(tokens, SET_SIGNS), others, strict=True):
            if result is None or operand is None:
                raise UnreadableError("a set")
            if mark in (r"\setminus", r"\backslash"):
                inverse = complement(operand)
                result = inverse and combine(result, inverse, is_union=False)
            else:
                result = combine(result, operand, is_union=mark == r"\cup")
        if result is None:
            raise UnreadableError("a set")
        return result

    def single(self, tokens: list[Token]) -> Value:
        if special := self.special(tokens):
            return special
        if len(parts := split(tokens, frozenset((":",)))) > 1:
            return Ratio(tuple(parse_scalar(part) for part in parts))
        if tokens[0].text in ("(", "[", r"\{") and closes_at_end(tokens):
            return self.brackets(tokens)
        return parse_scalar(tokens)

    def special(self, tokens: list[Token]) -> Value | None:
        """Times, numbers with a base, matrices, the real numbers and the empty set."""
        source = self.source(tokens)
        if (time := parse_time(source)) or (based := parse_based(source)):
            return time or based
        plain = shown(tokens)
        if plain in (r"\mathbbR", "ℝ"):
            return EVERYTHING
        if plain in (r"\emptyset", r"\varnothing", r"\{\}", "∅"):
            return RealSet(())
        if re.fullmatch(r"\\mathbb[ZNQC]", plain):
            return Words(plain)
        if any(token.text == r"\begin" for token in tokens):
            return self.environment(tokens)
        return None

    def environment(self, tokens: list[Token]) -> Value:
        r"""A \\begin{…} … \\end{…} with what stands before and behind it."""
        start, end = (position(tokens, frozenset((mark,))) for mark in (r"\begin", r"\end"))
        opened, closed = position(tokens, BRACE, start), position(tokens, BRACE, end)
        name, body = shown(tokens[start + 1 : opened]), opened + 1
        if name == "array" and tokens[body].text == "{":
            body = position(tokens, BRACE, body) + 1
        rows = [
            split(row, frozenset("&"))
            for row in split(tokens[body:end], frozenset((r"\\",)))
            if row
        ]
        before, after = tokens[:start], tokens[closed + 1 :]
        if name in SYSTEMS and not before and not after:
            return self.cases(rows)
        if name in MATRICES:
            return self.matrix(rows, before, after)
        raise UnreadableError(name)

    def matrix(
        self, rows: list[list[list[Token]]], before: list[Token], after: list[Token]
    ) -> Value:
        if before and after and (before[-1].text, after[0].text) in ((r"(", ")"), ("[", "]")):
            before, after = before[:-1], after[1:]  # \left[ \begin{array}…
        entries = tuple(tuple(parse_scalar(trim(cell)) for cell in row) for row in rows)
        if len({len(row) for row in entries}) != 1:
            raise UnreadableError("a matrix with holes")
        factor = product(self.factors(before)[0], divisor(after))
        return Matrix(tuple(tuple(times(factor, cell) for cell in row) for row in entries))

    def factors(self, tokens: list[Token]) -> tuple[Node, ...]:
        """The factor before a matrix."""
        if tokens and tokens[-1].text in TIMES:
            tokens = tokens[:-1]
        if not tokens:
            return (ONE,)
        if tokens[-1].text == "-":
            one = Token("number", "1", False, tokens[-1].start, tokens[-1].end, Fraction(1))
            tokens = [*tokens, one]
        if not (factors := trees_of(tokens)):
            raise UnreadableError("a factor of a matrix")
        return factors

    def cases(self, rows: list[list[list[Token]]]) -> Value:
        if all(len(row) == 1 for row in rows):
            return self.joined([row[0] for row in rows], [","] * (len(rows) - 1))
        if any(len(row) != 2 for row in rows):
            joined = [[token for cell in row for token in cell] for row in rows]
            return self.joined(joined, [","] * (len(rows) - 1))
        return Cases(tuple((self.value(row[0]), self.condition(row[1])) for row in rows))

    def condition(self, tokens: list[Token]) -> Value:
        words = ("if", "for", "when", "where", "otherwise,", ",")
        while len(tokens) > 1 and tokens[0].text.strip().lower() in words:
            tokens = tokens[1:]
        return self.value(tokens)

    def set_builder(self, element: list[Token], condition: list[Token]) -> Value:
        element = split(element, frozenset((r"\in",)))[0]
        names = {token.text for token in element if token.kind == "symbol"}
        if len(names) == 1:
            element, condition = (
                [t._replace(text=BOUND_NAME) if t.text in names else t for t in tokens]
                for tokens in (element, condition)
            )
        return SetBuilder(self.value(element), self.value(condition))

    def brackets(self, tokens: list[Token]) -> Value:
        opening, closing, inside = tokens[0].text, tokens[-1].text, tokens[1:-1]
        if opening == r"\{":
            for sign in (":", r"\mid", "|"):
                if len(parts := split(inside, frozenset((sign,)))) == 2 and parts[0]:
                    return self.set_builder(*parts)
        parts = [part for part in split(inside, frozenset(",;")) if part]
        if len(parts) > MAX_MEMBERS or not parts:
            raise UnreadableError("no members")
        values = [self.value(part) for part in parts]
        if opening == r"\{":
            return unite(values, "set")
        if len(values) == 1 and not (opening == "[" and closing == ")"):
            return values[0]
        if (opening, closing) in (("(", "]"), ("[", ")")):
            if len(values) != 2 or not all(isinstance(value, Scalar) for value in values):
                raise UnreadableError("an interval")
            low, high = (value for value in values if isinstance(value, Scalar))
            return RealSet((Piece(low, opening == "[", high, closing == "]"),))
        return Collection("tuple" if opening == "(" else "bracket", tuple(values))


def subjects(scalar: Scalar) -> set[str]:
    """The symbols and the names of functions in a formula."""
    return {name.removesuffix("()") for tree in scalar.trees for name in symbols_of(tree)}


def divisor(tokens: list[Token]) -> Node:
    """What stands behind a matrix: nothing, a factor or a divisor."""
    if not tokens:
        return ONE
    trees = trees_of(tokens[1:]) if tokens[0].text in TIMES | OVER else ()
    if not trees:
        raise UnreadableError("something behind a matrix")
    return quotient(ONE, trees[0]) if tokens[0].text in OVER else trees[0]


def times(factor: Node, cell: Scalar) -> Scalar:
    return Scalar(tuple(product(factor, tree) for tree in cell.trees))
