r"""What an answer says, as a value of answer_types: "x = 3 \text{ or } x = -2" is a list with a name.

An answer may have several readings ("110,143" is one number or two, "\pm a \pm b" two values or
four); a text without any raises Unreadable.
"""

import re
from fractions import Fraction
from itertools import product as combinations

from delta.graders.answer_types import (
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
)
from delta.graders.expressions import ONE, TIMES, Node, product, read_formula, symbols_of
from delta.graders.latex_tokens import GROUPED, Token, Unreadable, shown, tokenize
from delta.graders.real_sets import EVERYTHING, combine, complement, to_set
from delta.graders.rounding import stored_decimal
from delta.graders.scalar_parser import (
    BLOCKED,
    parse_based,
    parse_scalar,
    parse_time,
    trees_of,
)

MAX_MEMBERS = 100  # of a list
MAX_SIGNS = 4  # of plus-minus in one member
MAX_DEPTH = 30  # of values in values
RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    r"\lt": "<",
    r"\gt": ">",
    r"\le": "<=",
    r"\leq": "<=",
    r"\leqslant": "<=",
    r"\ge": ">=",
    r"\geq": ">=",
    r"\geqslant": ">=",
    r"\ne": "!=",
    r"\neq": "!=",
    r"\approx": "=",
    r"\in": "in",
}
UNKNOWN_RELATIONS = frozenset((r"\equiv", r"\to", r"\rightarrow", r"\propto", r"\mid", r"\implies"))
OPENING = frozenset(("(", "[", "{", r"\{", r"\lfloor", r"\lceil", r"\begin"))
CLOSING = frozenset((")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\end"))
PLUS_MINUS = {r"\pm": "+-", r"\mp": "-+", "±": "+-", "∓": "-+"}
NUMBER_SETS = frozenset("ZNQC")
MATRICES = frozenset(("pmatrix", "bmatrix", "Bmatrix", "matrix", "array", "smallmatrix"))
SYSTEMS = frozenset(("cases", "aligned", "align", "align*", "gathered", "dcases", "rcases"))
NAME = re.compile(
    r"(?:\\vec|\\overline|m?\\angle|\\triangle)?[A-Z]{1,4}'*|\[[A-Z]{3,6}\]"
    r"|[a-zA-Z]'*\^-1\(.*\)|(?:[A-Z]|[a-z]|\\?Pr|Var|deg|dim|det|gcd|lcm|Res)\([^()]*\)"
)
STATEMENT = frozenset(
    [
        "the",
        "answer",
        "solution",
        "solutions",
        "is",
        "are",
        "so",
        "thus",
        "hence",
        "therefore",
        "final",
        "result",
        "value",
        "values",
        "equation",
        "we",
        "get",
        "have",
        "of",
        "general",
        "function",
        "line",
        "curve",
        "point",
        "set",
        "that",
        "and",
        "it",
    ]
)


def readings(text: str, is_gold: bool = False) -> list[Value]:
    """What a cleaned answer may say, the likeliest first. A gold's floats are short decimals."""
    found: list[Value] = []
    first_error: Unreadable | None = None
    for grouped in dict.fromkeys((True, not has_groups(text))):
        for is_linked in (False, True):
            try:
                tokens = splice_words(tokenize(text, grouped))
                parser = _Parser(text, is_linked)
                value = parser.value([short(token) for token in tokens] if is_gold else tokens)
            except (Unreadable, RecursionError) as error:
                first_error = first_error or Unreadable(str(error))
                continue
            if value not in found:
                found.append(value)
            if not parser.has_many_signs:
                break
    if not found:
        raise first_error or Unreadable(text)
    return found


def has_groups(text: str) -> bool:
    """Whether "110,143" stands in the text, which may be two numbers: no group begins with 0."""
    groups = GROUPED.findall(text)
    return bool(groups) and all(
        not part.startswith("0") for group in groups for part in group.split(",")
    )


def short(token: Token) -> Token:
    if token.kind != "number" or token.value is None:
        return token
    value, place = stored_decimal(token.value, token.place)
    return token._replace(value=value, place=place)


def splice_words(tokens: list[Token]) -> list[Token]:
    r"""The words of a \text{…} with a number in it, one by one: "\text{7 apples}"."""
    spliced: list[Token] = []
    for token in tokens:
        if token.kind == "text" and re.search(r"(?:^|[\s=(])-?\d", token.text):
            inner = tokenize(token.text, True)
            spliced += [t._replace(start=token.start, end=token.end) for t in inner]
        else:
            spliced.append(token)
    return spliced


def split(tokens: list[Token], separators: frozenset[str]) -> list[list[Token]]:
    """The parts between separators that stand in no brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        is_sign = token.kind in ("sign", "command")
        depth += (token.text in OPENING) - (token.text in CLOSING) if is_sign else 0
        if depth == 0 and token.text in separators and (is_sign or token.kind == "word"):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def marks(tokens: list[Token], texts: frozenset[str]) -> list[str]:
    """The signs of `texts` that stand in no brackets, in order."""
    depth, found = 0, []
    for token in tokens:
        is_sign = token.kind in ("sign", "command")
        depth += (token.text in OPENING) - (token.text in CLOSING) if is_sign else 0
        if depth == 0 and token.text in texts and (is_sign or token.kind == "word"):
            found.append(token.text)
    return found


SEPARATORS = frozenset((",", ";", "and", "or", r"\lor", r"\vee", r"\land", r"\wedge"))
ALL_REALS = frozenset(
    ("all real numbers", "all reals", "all real", "real numbers", "the real numbers")
)
BRACE = frozenset(("}",))
SET_SIGNS = frozenset((r"\cup", r"\cap", r"\setminus", r"\backslash"))


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
            raise Unreadable("too deep")
        value = self._value(trim(tokens))
        self.depth -= 1
        return value

    def _value(self, tokens: list[Token]) -> Value:
        if not tokens:
            raise Unreadable("nothing")
        if all(token.kind in ("text", "word") for token in tokens):
            text = " ".join(token.text for token in tokens).lower()
            return EVERYTHING if text in ALL_REALS else Words(text)
        tokens = without_lead(tokens)
        if len(parts := split(tokens, SEPARATORS)) > 1:
            return self.joined(parts, marks(tokens, SEPARATORS))
        if marks(tokens, frozenset(RELATIONS)):
            return self.expand(tokens, self.relation)
        if marks(tokens, UNKNOWN_RELATIONS):
            raise Unreadable("a relation")
        if marks(tokens, SET_SIGNS):
            return self.set_operation(tokens)
        return self.expand(tokens, self.single)

    def expand(self, tokens: list[Token], parse) -> Value:  # type: ignore[no-untyped-def]
        """Both values of each plus-minus."""
        places = [i for i, token in enumerate(tokens) if token.text in PLUS_MINUS]
        if not places or is_set(tokens):
            value: Value = parse(tokens)
            return value
        if len(places) > MAX_SIGNS:
            raise Unreadable("too many signs")
        self.has_many_signs |= len(places) > 1
        choices = combinations((0, 1), repeat=len(places))
        if self.is_linked or any(PLUS_MINUS[tokens[i].text] == "-+" for i in places):
            choices = iter([(0,) * len(places), (1,) * len(places)])
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
            raise Unreadable("too many members")
        if not parts:
            raise Unreadable("nothing")
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
            raise Unreadable("an open relation")
        if set(operators) <= {"=", "in"}:
            if (name := self.name(sides[0])) and (named := self.named(name, sides[1:])):
                return named
            if operators == ["="] and (name := self.name(sides[1])):
                if named := self.named(name, sides[:1]):
                    return named
        if "in" in operators or not (set(operators) == {"="} or "=" not in operators):
            raise Unreadable("a relation")
        return Relation(tuple(parse_scalar(trim(side)) for side in sides), tuple(operators))

    def name(self, tokens: list[Token]) -> tuple[str, Node | None] | None:
        """The name that the tokens are, and its formula where it is a symbol or f(x)."""
        if all(token.kind == "text" for token in tokens):
            words = re.findall("[a-z]+", " ".join(token.text for token in tokens).lower())
            return None if set(words) & BLOCKED else ("", None)
        plain = shown(tokens).replace(" ", "")
        if re.fullmatch(r"\(\\?\w+(?:,\\?\w+)+\)", plain):
            return plain, None
        try:
            tree = read_formula(tokens).tree
        except Unreadable:
            tree = ("none",)
        if tree[0] == "symbol" or tree in (("constant", "i"), ("constant", "e")):
            return tree[1], ("symbol", tree[1])
        if tree[0] == "apply":
            return tree[1], tree
        return (plain, None) if NAME.fullmatch(plain) else None

    def named(self, name: tuple[str, Node | None], sides: list[list[Token]]) -> Value | None:
        value = self.value(sides[-1])
        if name[1] is None and isinstance(value, Scalar) and re.fullmatch("[A-Z]{2,}", name[0]):
            if any(symbols_of(tree) for tree in value.trees):
                return None  # MR = SRMC is an equation
        if isinstance(value, Named | Relation):
            return None
        return Named(name[0], name[1], value)

    def set_operation(self, tokens: list[Token]) -> Value:
        operands = [to_set(self.value(part)) for part in split(tokens, SET_SIGNS)]
        result, *others = operands
        for mark, operand in zip(marks(tokens, SET_SIGNS), others, strict=True):
            if result is None or operand is None:
                raise Unreadable("a set")
            if mark in (r"\setminus", r"\backslash"):
                inverse = complement(operand)
                result = inverse and combine(result, inverse, is_union=False)
            else:
                result = combine(result, operand, is_union=mark == r"\cup")
        if result is None:
            raise Unreadable("a set")
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
        raise Unreadable(name)

    def matrix(
        self, rows: list[list[list[Token]]], before: list[Token], after: list[Token]
    ) -> Value:
        if before and after and (before[-1].text, after[0].text) in ((r"(", ")"), ("[", "]")):
            before, after = before[:-1], after[1:]  # \left[ \begin{array}…
        if after:
            raise Unreadable("something behind a matrix")
        entries = tuple(tuple(parse_scalar(trim(cell)) for cell in row) for row in rows)
        if len({len(row) for row in entries}) != 1:
            raise Unreadable("a matrix with holes")
        factors = self.factors(before)
        return Matrix(tuple(tuple(times(factors[0], cell) for cell in row) for row in entries))

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
            raise Unreadable("a factor of a matrix")
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
            raise Unreadable("no members")
        values = [self.value(part) for part in parts]
        if opening == r"\{":
            return unite(values, "set")
        if len(values) == 1 and not (opening == "[" and closing == ")"):
            return values[0]
        if (opening, closing) in (("(", "]"), ("[", ")")):
            if len(values) != 2 or not all(isinstance(value, Scalar) for value in values):
                raise Unreadable("an interval")
            low, high = (value for value in values if isinstance(value, Scalar))
            return RealSet((Piece(low, opening == "[", high, closing == "]"),))
        return Collection("tuple" if opening == "(" else "bracket", tuple(values))


def unite(values: list[Value], kind: str = "list") -> Value:
    """One list or set of the values and of the members of lists among them."""
    members: list[Value] = []
    for value in values:
        is_list = isinstance(value, Collection) and value.kind == "list"
        members += value.members if isinstance(value, Collection) and is_list else (value,)
    return join(members, []) if kind == "list" else Collection(kind, tuple(members))


def join(values: list[Value], joins: list[str]) -> Value:
    """Values side by side: inequalities make a set of numbers, names a record, others a list."""
    if len(values) == 1:
        return values[0]
    if any(isinstance(value, Relation) and "=" not in value.operators for value in values):
        if united := join_inequalities(values, joins):
            return united
    names = [value.name for value in values if isinstance(value, Named)]
    if len(names) == len(values) and len(set(names)) == len(names) and is_record(names):
        return Collection("record", tuple(values))
    if names and len(set(names)) == 1 and all(not isinstance(v, Relation) for v in values):
        tree = next(value.tree for value in values if isinstance(value, Named))
        bare = tuple(value.value if isinstance(value, Named) else value for value in values)
        return Named(names[0], tree, Collection("list", bare))
    return Collection("list", tuple(values))


def is_record(names: list[str]) -> bool:
    """Whether the names are those of different things: x and y, not x_1 and x_2."""
    return len({re.split("[_']", name)[0] for name in names}) > 1 or "" in names


def join_inequalities(values: list[Value], joins: list[str]) -> RealSet | None:
    sets = [to_set(value) for value in values]
    known = [each for each in sets if each is not None]
    if len(known) < len(sets):
        return None
    is_or = any(mark in ("or", r"\lor", r"\vee") for mark in joins)
    is_and = any(mark in ("and", r"\land", r"\wedge") for mark in joins)
    result = known[0]
    for other in known[1:]:
        both = combine(result, other, is_union=is_or)
        if both is None:
            return None
        result = both
    if not result.pieces and not is_or and not is_and:  # "x < -1, x > 1" can only mean "or"
        return join_inequalities(values, ["or"])
    return result


def times(factor: Node, cell: Scalar) -> Scalar:
    return Scalar(tuple(product(factor, tree) for tree in cell.trees))


def trim(tokens: list[Token]) -> list[Token]:
    """Without braces around everything, and without signs of sentences at its ends."""
    while tokens and tokens[-1].text in (".", ",", ";", ":"):
        tokens = tokens[:-1]
    while len(tokens) > 1 and tokens[0].text == "{" and closes_at_end(tokens):
        tokens = tokens[1:-1]
    return tokens


def position(tokens: list[Token], texts: frozenset[str], start: int = 0) -> int:
    """Where the first of `texts` stands from `start` on; Unreadable where none does."""
    for place in range(start, len(tokens)):
        if tokens[place].text in texts:
            return place
    raise Unreadable(f"no {'/'.join(texts)}")


def closes_at_end(tokens: list[Token]) -> bool:
    """Whether the bracket that opens first closes last."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.kind in ("sign", "command"):
            depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth == 0:
            return place == len(tokens) - 1
    return False


def is_set(tokens: list[Token]) -> bool:
    return tokens[0].text == r"\{" and closes_at_end(tokens)


def is_condition(tokens: list[Token]) -> bool:
    r"""Whether this only says what a letter stands for: k \in \mathbb{Z}."""
    plain = shown(tokens).replace(" ", "")
    first = plain.lower()
    return bool(re.fullmatch(r"(?:where|for)?[a-zA-Z]\\in\\mathbb[ZNQR].*", plain)) or (
        first.startswith(("where", "forall", "foranyinteger", "forinteger", "foreveryinteger"))
        and "integer" in first
    )


def without_lead(tokens: list[Token]) -> list[Token]:
    """Without the words before a number or a formula, unless they say more about it."""
    count = 0
    while count < len(tokens) and (
        tokens[count].kind == "text"
        or (
            tokens[count].kind == "word"
            and (count or len(tokens[count].text) >= 4 or is_lead(tokens))
        )
        or (count and tokens[count].text in (":", ".", ","))
    ):
        count += 1
    if not count or count == len(tokens) or tokens[count].text in RELATIONS:
        return tokens
    words = re.findall("[a-z]+", " ".join(t.text for t in tokens[:count]).lower())
    if set(words) & BLOCKED:
        raise Unreadable(" ".join(words))
    has_relation = bool(marks(tokens, frozenset(RELATIONS)))
    if has_relation and not set(words) <= STATEMENT:
        raise Unreadable(" ".join(words))
    if tokens[count].text in ("_", "^") or (tokens[count].text == "(" and count == 1):
        return tokens
    return tokens[count:]


def is_lead(tokens: list[Token]) -> bool:
    return tokens[0].text.lower() in ("is", "so", "we", "the", "it", "about", "only")
