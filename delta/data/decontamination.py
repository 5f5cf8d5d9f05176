r"""Find training problems that a benchmark asks too, by common n-grams or by equal texts.

Texts are normalized first:
- Unicode is put into its compatibility form (NFKC), except that `x²` becomes `x^2` and `x₂` becomes
  `x_2`. `x^{2}` becomes `x^2`, and `2^10` becomes `2^{10}`. Quotes and dashes become ASCII.
- Prose becomes lower case. Formulas keep their case, and so does a single letter that is no article
  or pronoun.
- LaTeX for type or space only (`\left`, `\displaystyle`, `\mathrm`, `\,`, `~`, `$`) is removed;
  `\dfrac` and `\tfrac` become `\frac`.
- `1,000` and `1{,}000` become `1000`. In a bracket without words a comma separates: `f(1,234)`.

Two texts are *equal* where their normalized texts are, white space aside: `3 + 4` and `3 - 4`
differ. A *word* is a run of letters or digits of the normalized text, so `\frac{1}{2}` is the three
words `frac 1 2`. Each Chinese or Japanese character is a word, as BLEU counts them. Case counts in
words of one letter only: `ABC` is also written `$ABC$`.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from delta.data.steps import canonical_terms, read_steps

_TYPESETTING = re.compile(
    r"\\(?:left|right|big[lrm]?|bigg[lrm]?|displaystyle|textstyle|limits|mathrm|mathbf|mathit|mathbb"
    r"|mathcal|mathsf|operatorname|text|textbf|textit|textrm|emph|mbox|hbox|quad|qquad)(?![a-z])"
    r"|\\[,;:!> ()\[\]]"  # space, and the delimiters of formulas
    r"|\\?\$|~"
)
_ASCII_SIGNS = str.maketrans("⁄−–—‘’“”", "/---''\"\"")  # typographic → ASCII
_FRACTION = re.compile(r"\\[dt]frac(?![a-z])")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ]+")
_SUBSCRIPTS = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ]+")
_VULGAR_FRACTION = re.compile(r"(\d?)([¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])")
_SINGLE_GROUP = re.compile(r"([\^_])\s*\{\s*(\w)\s*\}")
_LONG_SCRIPT = re.compile(r"([\^_])(-?\d{2,}|-\d)")
_LATEX_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,)(?=\d{3}(?!\d))")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ANY_WORD = re.compile(r"(?<!\\)\b[^\W\d_]{2,}")
_GROUP_START = re.compile(r"[^\W_{]\{|[}\]^]\{")  # \frac{…}{…}, x^{…}; not a set or an index
MAX_ARGUMENTS = 300  # characters; a longer bracket is prose

MAX_FORMULA = 2_000  # characters; a longer one lacks its closing delimiter
_FORMULA = re.compile(
    rf"\$\$.{{1,{MAX_FORMULA}}}?\$\$"
    rf"|(?<![\\$])\$(?=[^\s$])[^$]{{0,{MAX_FORMULA}}}(?<=[^\s\\])\$(?!\d)"  # not: $5 and $6
    rf"|\\\(.{{1,{MAX_FORMULA}}}?\\\)|\\\[.{{1,{MAX_FORMULA}}}?\\\]"
    r"|\\begin\{(equation|align|gather|multline|eqnarray)\*?\}"
    rf".{{1,{MAX_FORMULA}}}?\\end\{{\1\*?\}}",
    re.DOTALL,
)
_TEXT = re.compile(r"(?<=\\)(?:text|textbf|textit|textrm|emph|mbox|hbox)\s*\{[^{}]*\}")
_CJK = (  # Han, Hiragana, Katakana and their marks of repetition
    "\\u3005-\\u3007\\u3040-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff"
    "\\U00020000-\\U0003ffff"
)
_PROSE_WORD = re.compile(rf"\\[a-zA-Z]+|[^\W\d_{_CJK}]+")
_OPERAND = re.compile(r"\s*[=+*^_<>]")  # AB = 5, without delimiters
# "A ball" and "I see", not "A is" or "if a = 2".
_ARTICLE = re.compile(
    r"\s+(?!(?:is|if|and|or|be|are|equals?|in|on|at|to|of|for|with|from|by|as|then|when|where|such|so"
    r"|than|the)\b)(?:[^\W\d_]{2}|\$?\d)|['’]"
)

_WORD = re.compile(rf"[{_CJK}]|\\?[^\W_{_CJK}]+")


class BenchmarkQuestion(NamedTuple):
    """The bare text of a question that no training problem may repeat."""

    benchmark: str
    question_id: str
    statement: str
    terms: str | None = None  # of its answer, where its steps are known (`terms_of`)


class NgramMatch(NamedTuple):
    """The first n-gram that a problem shares with a benchmark, and its question."""

    benchmark: str
    question_id: str
    words: str


def normalize(text: str) -> str:
    """Return the text as the module's docstring describes it, with its white space."""
    text = unicodedata.normalize("NFKC", _spell_scripts(text)).translate(_ASCII_SIGNS)
    text = _LONG_SCRIPT.sub(r"\1{\2}", _SINGLE_GROUP.sub(r"\1\2", text))
    text = _casefold_prose(_remove_thousands_separators(text))
    return _TYPESETTING.sub(" ", _FRACTION.sub(r"\\frac", text))


def normalized_key(text: str) -> str:
    """Return the normalized text without white space: equal texts have equal keys."""
    return "".join(normalize(text).split())


def terms_of(metadata: str) -> str | None:
    """Return the terms of a problem's answer, sorted: `+4 +6 -1` for `6 + 4 - 1`.

    Two problems with the same terms differ in their order and their words only. None where the
    metadata (JSON) has no steps (delta.data.steps).
    """
    steps = read_steps(metadata)
    return None if steps is None else canonical_terms(steps)


def ngrams(text: str, words: int | None) -> list[str]:
    """Return all n-grams of `words` words; the text's key if it is shorter or `words` is None."""
    if words is None:
        return [normalized_key(text)]
    tokens = [_casefold_word(word) for word in _WORD.findall(normalize(text))]
    if len(tokens) < words:
        return [normalized_key(text)]
    return [" ".join(tokens[start : start + words]) for start in range(len(tokens) - words + 1)]


def _casefold_word(word: str) -> str:
    if word.startswith("\\"):
        return word[1:]
    return word if len(word) == 1 else word.casefold()


def _spell_scripts(text: str) -> str:
    """Write superscripts as powers, subscripts as indices, `3½` as a sum. NFKC makes 32 of 3²."""
    text = _SUPERSCRIPTS.sub(r"^{\g<0>}", text)
    text = _SUBSCRIPTS.sub(r"_{\g<0>}", text)
    return _VULGAR_FRACTION.sub(
        lambda match: f"{match[1]}+{match[2]}" if match[1] else match[2], text
    )


def _remove_thousands_separators(text: str) -> str:
    text = _LATEX_THOUSANDS.sub("", text)
    if _THOUSANDS.search(text) is None:
        return text
    separators = _argument_commas(text)
    return _THOUSANDS.sub(lambda comma: "," if comma.start() in separators else "", text)


def _argument_commas(text: str) -> set[int]:
    """Return the positions of commas in brackets without words: arguments, coordinates, indices."""
    positions, opened = set[int](), list[tuple[int, list[int]]]()
    for position, character in enumerate(text):
        if character in "([{⟨":
            opened.append((position, []))
        elif character == "," and opened:
            opened[-1][1].append(position)
        elif character in ")]}⟩" and opened:
            start, commas = opened.pop()
            is_group = character == "}" and _GROUP_START.match(text, max(0, start - 1)) is not None
            if is_group and opened:  # LaTeX's braces are not printed
                opened[-1][1].extend(commas)
            elif commas and not is_group and _is_argument(text, start, position):
                positions.update(commas)
    return positions


def _is_argument(text: str, start: int, end: int) -> bool:
    return end - start <= MAX_ARGUMENTS and _ANY_WORD.search(text, start, end) is None


def _casefold_prose(text: str) -> str:
    parts, end = list[str](), 0
    for formula in _FORMULA.finditer(text):
        parts.append(_PROSE_WORD.sub(_casefold_prose_word, text[end : formula.start()]))
        parts.append(_TEXT.sub(lambda words: words[0].casefold(), formula[0]))
        end = formula.end()
    return "".join([*parts, _PROSE_WORD.sub(_casefold_prose_word, text[end:])])


def _casefold_prose_word(match: re.Match[str]) -> str:
    word, text = match[0], match.string
    if word.startswith("\\") or (len(word) <= 3 and _OPERAND.match(text, match.end())):
        return word
    is_article = word in "aAiI" and _ARTICLE.match(text, match.end())
    is_suffix = text[match.start() - 1 : match.start()] in ("'", "’")
    if len(word) == 1 and not is_article and not is_suffix:
        return word
    return word.casefold()


class NgramIndex:
    """The benchmarks' questions by n-gram. It is built once and searched for every problem."""

    def __init__(self, questions: Iterable[BenchmarkQuestion], words: int | None) -> None:
        self.words = words
        # Each n-gram's first question of every benchmark.
        self._questions: dict[str, tuple[BenchmarkQuestion, ...]] = {}
        self._by_terms: dict[str, dict[str, BenchmarkQuestion]] = {}  # terms → benchmark → first
        for question in questions:
            if question.terms is not None:
                benchmarks = self._by_terms.setdefault(question.terms, {})
                benchmarks.setdefault(question.benchmark, question)
            single = (question,)  # one tuple for all its n-grams: there are millions
            for key in ngrams(question.statement, words):
                others = self._questions.get(key)
                if others is None:
                    self._questions[key] = single
                elif all(other.benchmark != question.benchmark for other in others):
                    self._questions[key] = others + single

    def matches(self, statement: str) -> list[NgramMatch]:
        """Return one match for each benchmark that shares an n-gram with the statement."""
        matches: dict[str, NgramMatch] = {}
        for key in ngrams(statement, self.words):
            for question in self._questions.get(key, ()):
                match = NgramMatch(question.benchmark, question.question_id, key)
                matches.setdefault(question.benchmark, match)
        return list(matches.values())

    def matches_of_terms(self, terms: str | None) -> list[NgramMatch]:
        """Return one match for each benchmark with a question of the same terms (`terms_of`)."""
        questions = self._by_terms.get(terms, {}) if terms is not None else {}
        return [NgramMatch(name, own.question_id, str(terms)) for name, own in questions.items()]
