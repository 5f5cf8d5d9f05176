"""Tokens cut at separators that stand in no brackets, and freed of what says nothing."""

import re

from delta.grading.formulas.latex_tokens import GROUPED, Token, UnreadableError, shown, tokenize
from delta.grading.formulas.vocabulary import BLOCKED, RELATIONS, STATEMENT

OPENING = frozenset(("(", "[", "{", r"\{", r"\lfloor", r"\lceil", r"\begin"))
CLOSING = frozenset((")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\end"))


def has_groups(text: str) -> bool:
    """Whether "110,143" stands in the text, which may be two numbers: no group begins with 0."""
    groups = GROUPED.findall(text)
    return bool(groups) and all(
        not part.startswith("0") for group in groups for part in group.split(",")
    )


def splice_words(tokens: list[Token]) -> list[Token]:
    r"""The words of a \text{…} with a number in it, one by one: "\text{7 apples}"."""
    spliced: list[Token] = []
    is_words = all(token.kind in ("text", "word") for token in tokens)
    for token in tokens:
        has_join = not is_words and re.search(r"\b(?:and|or)\b", token.text)
        has_number = re.search(r"(?:^|[\s=(])-?\d", token.text)
        if token.kind == "text" and (has_number or has_join):
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


def position(tokens: list[Token], texts: frozenset[str], start: int = 0) -> int:
    """Where the first of `texts` stands from `start` on; UnreadableError where none does."""
    for place in range(start, len(tokens)):
        if tokens[place].text in texts:
            return place
    raise UnreadableError(f"no {'/'.join(texts)}")


def trim(tokens: list[Token]) -> list[Token]:
    """Without braces around everything, and without signs of sentences at its ends."""
    while tokens and tokens[-1].text in (".", ",", ";", ":"):
        tokens = tokens[:-1]
    while len(tokens) > 1 and tokens[0].text == "{" and closes_at_end(tokens):
        tokens = tokens[1:-1]
    return tokens


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
        raise UnreadableError(" ".join(words))
    if tokens[count].text in ("_", "^") or (tokens[count].text in ("(", "[") and count == 1):
        return tokens
    has_relation = bool(marks(tokens, frozenset(RELATIONS)))
    if has_relation and not set(words) <= STATEMENT:
        raise UnreadableError(" ".join(words))
    return tokens[count:]


def is_lead(tokens: list[Token]) -> bool:
    return tokens[0].text.lower() in ("is", "so", "we", "the", "it", "about", "only")
