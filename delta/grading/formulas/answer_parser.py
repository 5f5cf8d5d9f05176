r"""Parse an answer into a value: "x = 3 \text{ or } x = -2" is a named list (values.py).

An answer may have several readings: "110,143" is one number or two, "\pm a \pm b" two values or
four.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import product as combinations

from delta.grading.formulas.formula_parser import parse_formula
from delta.grading.formulas.rounding import stored_decimal
from delta.grading.formulas.scalar_parser import (
    parse_number_in_base,
    parse_scalar,
    parse_time,
)
from delta.grading.formulas.sets import (
    EVERYTHING,
    combine,
    complement,
    join,
    members_of,
    to_set,
    unite,
)
from delta.grading.formulas.tokens import (
    Token,
    UnreadableError,
    closes_at_end,
    has_groups,
    index_of,
    is_condition,
    separator_texts,
    splice_words,
    split_at,
    strip_lead,
    strip_punctuation,
    text_of,
    tokenize,
)
from delta.grading.formulas.trees import (
    ONE,
    Node,
    product,
    quotient,
    symbol_node,
    symbols_of,
)
from delta.grading.formulas.values import (
    BOUND_NAME,
    Collection,
    Matrix,
    Named,
    Piecewise,
    Ratio,
    RealInterval,
    RealSet,
    Relation,
    Scalar,
    SetBuilder,
    Value,
    Words,
    scalar_of,
)
from delta.grading.formulas.vocabulary import LONG_WORD, OVER, QUALIFYING_WORDS, RELATIONS, TIMES

MATRICES = frozenset(("pmatrix", "bmatrix", "Bmatrix", "matrix", "array", "smallmatrix"))
SYSTEMS = frozenset(("cases", "aligned", "align", "align*", "gathered", "dcases", "rcases"))
PLUS_MINUS = {r"\pm": "+-", r"\mp": "-+", "±": "+-", "∓": "-+"}
UNKNOWN_RELATIONS = frozenset((r"\equiv", r"\to", r"\rightarrow", r"\propto", r"\mid", r"\implies"))
MAX_MEMBERS = 100  # of a list
MAX_SIGNS = 4  # of plus-minus in one member
MAX_DEPTH = 30  # of nested values
NAME = re.compile(
    r"(?:\\vec|\\overline|m?\\angle|\\triangle)?[A-Z]{1,4}'*|\[[A-Z]{3,6}\]|\|[A-Z]{2}\|"
    r"|[a-zA-Z]'*\^-1\(.*\)|(?:[A-Z]|[a-z]|Var|Cov|[aA]rea)\([^()]*\)"
    r"|\\?(?:Pr|deg|dim|det|gcd|lcm|Res)\([^()]*\)"
    r"|(?:E|Var|Cov|\\?Pr)\[[^\[\]]*\]|\\mathbb[EP](?:\([^()]*\)|\[[^\[\]]*\])|\\\|[^=|]+\\\|"
)
SEPARATORS = frozenset((",", ";", "and", "or", r"\lor", r"\vee", r"\land", r"\wedge"))
ALL_REALS = ("all real numbers", "all reals", "all real", "real numbers", "the real numbers")
RELATION_SIGNS = frozenset(RELATIONS)
SET_SIGNS = frozenset((r"\cup", r"\cap", r"\setminus", r"\backslash"))
CONDITION_WORDS = ("if", "for", "when", "where", "otherwise,", ",")


def parse_answer(text: str, is_gold: bool = False) -> list[Value]:
    """Return the possible readings of a cleaned answer, the likeliest first.

    It may have none. Floats in a gold answer are read as the short decimals that they store.
    """
    values: list[Value] = []
    for grouped in dict.fromkeys((True, not has_groups(text))):
        for is_linked in (False, True):
            try:
                tokens = splice_words(tokenize(text, grouped))
                parser = _Parser(text, is_linked)
                value = parser.value(list(map(_as_stored, tokens)) if is_gold else tokens)
            except (UnreadableError, RecursionError):
                continue
            if value not in values:
                values.append(value)
            if not parser.has_many_signs:
                break
    return values


def _as_stored(token: Token) -> Token:
    if token.kind != "number" or token.value is None:
        return token
    value, precision = stored_decimal(token.value, token.precision)
    return token._replace(value=value, precision=precision)


class _Parser:
    """One reading of a text. `is_linked`: all plus-minus signs of a member change together."""

    def __init__(self, text: str, is_linked: bool) -> None:
        self.text, self.is_linked = text, is_linked
        self.has_many_signs = False
        self.depth = 0

    def value(self, tokens: list[Token]) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnreadableError("too deep")
        value = self._value(strip_punctuation(tokens))
        self.depth -= 1
        return value

    def _value(self, tokens: list[Token]) -> Value:
        if not tokens:
            raise UnreadableError("nothing")
        if len(tokens) == 1 and (letter := re.fullmatch(r"\(?([a-zA-Z])\)?", tokens[0].text)):
            tokens = [tokens[0]._replace(kind="symbol", text=letter[1])]
        if all(token.kind in ("text", "word") for token in tokens):
            return _words(tokens)
        tokens = strip_lead(tokens)
        if len(parts := split_at(tokens, SEPARATORS)) > 1:
            return self.joined(parts, separator_texts(tokens, SEPARATORS))
        if separator_texts(tokens, RELATION_SIGNS):
            return self.expand(tokens, self.relation)
        if separator_texts(tokens, UNKNOWN_RELATIONS):
            raise UnreadableError("a relation")
        if separator_texts(tokens, SET_SIGNS):
            return self.set_operation(tokens)
        return self.expand(tokens, self.single)

    def expand(self, tokens: list[Token], parse: Callable[[list[Token]], Value]) -> Value:
        """Return the values for both signs of each plus-minus."""
        signs = [index for index, token in enumerate(tokens) if token.text in PLUS_MINUS]
        if not signs or (tokens[0].text == r"\{" and closes_at_end(tokens)):
            value: Value = parse(tokens)
            return value
        if len(signs) > MAX_SIGNS:
            raise UnreadableError("too many signs")
        self.has_many_signs |= len(signs) > 1
        choices = list(combinations((0, 1), repeat=len(signs)))
        if self.is_linked or any(PLUS_MINUS[tokens[index].text] == "-+" for index in signs):
            choices = [(0,) * len(signs), (1,) * len(signs)]
        values = []
        for choice in choices:
            signed = tokens.copy()
            for index, side in zip(signs, choice, strict=True):
                text = PLUS_MINUS[tokens[index].text][side]
                signed[index] = tokens[index]._replace(kind="sign", text=text)
            values.append(parse(signed))
        return unite(values)

    def joined(self, parts: list[list[Token]], joins: list[str]) -> Value:
        parts = [part for part in parts if part]
        if not 0 < len(parts) <= MAX_MEMBERS:
            raise UnreadableError("too many members or none")
        if len(parts) > 1:
            parts = [part for part in parts if not is_condition(part)] or parts
        return join(members_of([self.value(part) for part in parts]), joins)

    def relation(self, tokens: list[Token]) -> Value:
        sides = split_at(tokens, RELATION_SIGNS)
        operators = [RELATIONS[mark] for mark in separator_texts(tokens, RELATION_SIGNS)]
        if not sides[0] and operators[0] == "=":
            sides, operators = sides[1:], operators[1:]
            if not operators:
                return self.value(sides[0])
        if any(not side for side in sides):
            raise UnreadableError("an open relation")
        if set(operators) <= {"=", "in"}:
            if (name := _name(sides[0])) and (named := self.named(name, sides[-1])):
                return named
            right_name = _name(sides[1]) if operators == ["="] else None
            if right_name and (named := self.named(right_name, sides[0])):
                return named
        if "in" in operators or not (set(operators) == {"="} or "=" not in operators):
            raise UnreadableError("a relation")
        return Relation(
            tuple(parse_scalar(strip_punctuation(side)) for side in sides), tuple(operators)
        )

    def named(self, name: tuple[str, Node | None], side: list[Token]) -> Value | None:
        """Return the value with its name; None where name and value form an equation."""
        value = self.value(side)
        scalar = scalar_of(value)
        names = {name for tree in scalar.trees for name in symbols_of(tree)} if scalar else set()
        if name[1] is None and re.fullmatch("[A-Z]{2,}", name[0]) and names:
            return None  # MR = SRMC
        has_itself = name[1] is not None and name[0] in {n.removesuffix("()") for n in names}
        if has_itself or isinstance(value, Named | Relation):
            return None  # x^2 = x
        return Named(name[0], name[1], value)

    def set_operation(self, tokens: list[Token]) -> Value:
        result, *operands = [to_set(self.value(part)) for part in split_at(tokens, SET_SIGNS)]
        for mark, operand in zip(separator_texts(tokens, SET_SIGNS), operands, strict=True):
            if result is None or operand is None:
                raise UnreadableError("a set")
            if mark in (r"\setminus", r"\backslash"):
                others = complement(operand)
                result = others and combine(result, others, is_union=False)
            else:
                result = combine(result, operand, is_union=mark == r"\cup")
        if result is None:
            raise UnreadableError("a set")
        return result

    def single(self, tokens: list[Token]) -> Value:
        if special := self.special(tokens):
            return special
        if len(parts := split_at(tokens, frozenset((":",)))) > 1:
            return Ratio(tuple(parse_scalar(part) for part in parts))
        if tokens[0].text in ("(", "[", r"\{") and closes_at_end(tokens):
            return self.brackets(tokens)
        return parse_scalar(tokens)

    def special(self, tokens: list[Token]) -> Value | None:
        """Return a time, a number with a base, a matrix, the real numbers or the empty set."""
        source = self.text[tokens[0].start : tokens[-1].end]
        if (time := parse_time(source)) or (based := parse_number_in_base(source)):
            return time or based
        plain = text_of(tokens)
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
        r"""Return the value of a \begin{...} ... \end{...} with the factors around it."""
        start, end = index_of(tokens, r"\begin"), index_of(tokens, r"\end")
        opened, closed = index_of(tokens, "}", start), index_of(tokens, "}", end)
        name, body = text_of(tokens[start + 1 : opened]), opened + 1
        if name == "array" and tokens[body].text == "{":
            body = index_of(tokens, "}", body) + 1
        rows = [
            split_at(row, frozenset("&"))
            for row in split_at(tokens[body:end], frozenset((r"\\",)))
            if row
        ]
        before, after = tokens[:start], tokens[closed + 1 :]
        if name in SYSTEMS and not before and not after:
            return self.cases(rows)
        if name in MATRICES:
            return _matrix(rows, before, after)
        raise UnreadableError(name)

    def cases(self, rows: list[list[list[Token]]]) -> Value:
        if rows and all(len(row) == 2 for row in rows):
            return Piecewise(tuple((self.value(row[0]), self.condition(row[1])) for row in rows))
        joined = [[token for cell in row for token in cell] for row in rows]
        return self.joined(joined, [","] * (len(rows) - 1))

    def condition(self, tokens: list[Token]) -> Value:
        while len(tokens) > 1 and tokens[0].text.strip().lower() in CONDITION_WORDS:
            tokens = tokens[1:]
        return self.value(tokens)

    def set_builder(self, element: list[Token], condition: list[Token]) -> Value:
        element = split_at(element, frozenset((r"\in",)))[0]
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
                if len(parts := split_at(inside, frozenset((sign,)))) == 2 and parts[0]:
                    return self.set_builder(*parts)
        parts = [part for part in split_at(inside, frozenset(",;")) if part]
        if not 0 < len(parts) <= MAX_MEMBERS:
            raise UnreadableError("no members")
        values = [self.value(part) for part in parts]
        if opening == r"\{":
            return unite(values, "set")
        if len(values) == 1 and not (opening == "[" and closing == ")"):
            return values[0]
        if (opening, closing) in (("(", "]"), ("[", ")")):
            match values:
                case [Scalar() as low, Scalar() as high]:
                    return RealSet((RealInterval(low, opening == "[", high, closing == "]"),))
            raise UnreadableError("an interval")
        return Collection("tuple" if opening == "(" else "bracket", tuple(values))


def _words(tokens: list[Token]) -> Value:
    text = " ".join(token.text for token in tokens).lower()
    is_word = [token.kind for token in tokens] == ["word"] and text not in ("no", "on")
    trees = parse_formula(tokens) if is_word and len(text) < LONG_WORD else ()
    return EVERYTHING if text in ALL_REALS else Words(text, trees)


def _name(tokens: list[Token]) -> tuple[str, Node | None] | None:
    """Return the tokens as a name, with its formula where it is a symbol or f(x); else None."""
    if all(token.kind == "text" for token in tokens):
        words = re.findall("[a-z]+", " ".join(token.text for token in tokens).lower())
        return None if set(words) & QUALIFYING_WORDS else ("", None)
    plain = text_of(tokens).replace(" ", "")
    if re.fullmatch(r"\(\\?\w+(?:,\\?\w+)+\)|\\?[a-zA-Z]+(?::\\?[a-zA-Z]+)+", plain):
        return plain, None
    match parse_formula(tokens)[:1]:
        case [Node("symbol", name) | Node("constant", ("e" | "i") as name)]:
            return name, symbol_node(name)
        case [Node("apply", name) as tree]:
            return name, tree
    if not NAME.fullmatch(plain):
        return None
    return plain.strip("|") if plain[0] == "|" else plain, None  # |AB| is AB


def _matrix(rows: list[list[list[Token]]], before: list[Token], after: list[Token]) -> Matrix:
    if before and after and (before[-1].text, after[0].text) in (("(", ")"), ("[", "]")):
        before, after = before[:-1], after[1:]  # \left[ \begin{array}...
    entries = [[parse_scalar(strip_punctuation(cell)) for cell in row] for row in rows]
    if len({len(row) for row in entries}) != 1:
        raise UnreadableError("a matrix with holes")
    factor = product(_factor_before(before), _factor_after(after))
    return Matrix(
        tuple(
            tuple(Scalar(tuple(product(factor, tree) for tree in cell.trees)) for cell in row)
            for row in entries
        )
    )


def _factor_before(tokens: list[Token]) -> Node:
    if tokens and tokens[-1].text in TIMES:
        tokens = tokens[:-1]
    if not tokens:
        return ONE
    if tokens[-1].text == "-":
        unit = Token("number", "1", False, tokens[-1].start, tokens[-1].end, Fraction(1))
        tokens = [*tokens, unit]
    if not (trees := parse_formula(tokens)):
        raise UnreadableError("a factor of a matrix")
    return trees[0]


def _factor_after(tokens: list[Token]) -> Node:
    if not tokens:
        return ONE
    trees = parse_formula(tokens[1:]) if tokens[0].text in TIMES | OVER else ()
    if not trees:
        raise UnreadableError("something behind a matrix")
    return quotient(ONE, trees[0]) if tokens[0].text in OVER else trees[0]
