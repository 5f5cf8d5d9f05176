r"""Is a training problem also asked by a benchmark? Runs of n words in common, or all of it.

Texts are normalized first:
- Unicode's compatibility forms (NFKC), but `x²` is `x^2` and `x₂` is `x_2`, never `x2`; `x^{2}` is
  `x^2`, and `2^10` is `2^{10}`; curved quotes and long dashes are those of a keyboard
- case, but not in formulas: there it counts, and so it does of a letter that stands alone anywhere
  and is no article or pronoun
- LaTeX that only sets type or space (`\left`, `\displaystyle`, `\mathrm`, `\,`, `~`, `$` and the
  like) goes; `\dfrac` and `\tfrac` are `\frac`
- `1,000` and `1{,}000` are `1000`, but a comma in a bracket without words parts: `f(1,234)`

Two texts are *equal* where what remains, white space aside, is the same, so `3 + 4` and `3 - 4`
differ. A *word* is a run of letters or digits of what remains; signs, braces and backslashes only
part words, so `\frac{1}{2}` is the three words `frac 1 2`. Chinese and Japanese have no blanks:
each of their characters is a word, as BLEU counts them. Case counts in words of one letter only:
`ABC` is also written `$ABC$`.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_TYPE_ONLY = re.compile(
    r"\\(?:left|right|big[lrm]?|bigg[lrm]?|displaystyle|textstyle|limits|mathrm|mathbf|mathit|mathbb"
    r"|mathcal|mathsf|operatorname|text|textbf|textit|textrm|emph|mbox|hbox|quad|qquad)(?![a-z])"
    r"|\\[,;:!> ()\[\]]"  # space, and the delimiters of formulas
    r"|\\?\$|~"
)
_TYPED = str.maketrans("⁄−–—‘’“”", "/---''\"\"")  # typographic signs as on a keyboard
_FRACTION = re.compile(r"\\[dt]frac(?![a-z])")
_ABOVE = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ]+")
_BELOW = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ]+")
_VULGAR = re.compile(r"(\d?)([¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])")
_GROUP_OF_ONE = re.compile(r"([\^_])\s*\{\s*(\w)\s*\}")
_LONG_SCRIPT = re.compile(r"([\^_])(-?\d{2,}|-\d)")
_LATEX_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,)(?=\d{3}(?!\d))")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ANY_WORD = re.compile(r"(?<!\\)\b[^\W\d_]{2,}")
_GROUP_START = re.compile(r"[^\W_{]\{|[}\]^]\{")  # \frac{…}{…}, x^{…}; but no set and no index
MAX_ARGUMENTS = 300  # characters; a longer bracket is prose

MAX_FORMULA = 2_000  # characters; what is longer has lost its closing delimiter
_FORMULA = re.compile(
    rf"\$\$.{{1,{MAX_FORMULA}}}?\$\$"
    rf"|(?<![\\$])\$(?=[^\s$])[^$]{{0,{MAX_FORMULA}}}(?<=[^\s\\])\$(?!\d)"  # but: $5 and $6
    rf"|\\\(.{{1,{MAX_FORMULA}}}?\\\)|\\\[.{{1,{MAX_FORMULA}}}?\\\]"
    r"|\\begin\{(equation|align|gather|multline|eqnarray)\*?\}"
    rf".{{1,{MAX_FORMULA}}}?\\end\{{\1\*?\}}",
    re.DOTALL,
)
_TEXT = re.compile(r"(?<=\\)(?:text|textbf|textit|textrm|emph|mbox|hbox)\s*\{[^{}]*\}")
_NO_BLANKS = (  # Han, Hiragana, Katakana and their marks of repetition
    "\\u3005-\\u3007\\u3040-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff"
    "\\U00020000-\\U0003ffff"
)
_PROSE_WORD = re.compile(rf"\\[a-zA-Z]+|[^\W\d_{_NO_BLANKS}]+")
_OPERAND = re.compile(r"\s*[=+*^_<>]")  # AB = 5, without delimiters
# "A ball" and "I see", but not "A is", "if a = 2".
_ARTICLE = re.compile(
    r"\s+(?!(?:is|if|and|or|be|are|equals?|in|on|at|to|of|for|with|from|by|as|then|when|where|such|so"
    r"|than|the)\b)(?:[^\W\d_]{2}|\$?\d)|['’]"
)

_WORD = re.compile(rf"[{_NO_BLANKS}]|\\?[^\W_{_NO_BLANKS}]+")


class BenchmarkQuestion(NamedTuple):
    """One question of a benchmark."""

    benchmark: str
    question_id: str
    statement: str


class NgramMatch(NamedTuple):
    """What a problem has in common with a benchmark: the first run of words, and its question."""

    benchmark: str
    question_id: str
    words: str


def normalize(text: str) -> str:
    """Return the text as the module's first lines describe it, white space as it stands."""
    text = unicodedata.normalize("NFKC", _scripts(text)).translate(_TYPED)
    text = _LONG_SCRIPT.sub(r"\1{\2}", _GROUP_OF_ONE.sub(r"\1\2", text))
    text = _folded(_without_separators(text))
    return _TYPE_ONLY.sub(" ", _FRACTION.sub(r"\\frac", text))


def normalized_key(text: str) -> str:
    """The whole text for comparing it with another: two are equal where this is."""
    return "".join(normalize(text).split())


def ngrams(text: str, words: int | None) -> list[str]:
    """What two texts must not share: every run of `words` words; all of a text that has fewer.

    `words` null: all of it, always.
    """
    found = list(map(_word, _WORD.findall(normalize(text)))) if words is not None else []
    if words is None or len(found) < words:
        return [normalized_key(text)]
    return [" ".join(found[start : start + words]) for start in range(len(found) - words + 1)]


def _word(match: str) -> str:
    if match.startswith("\\"):
        return match[1:]
    return match if len(match) == 1 else match.casefold()


def _scripts(text: str) -> str:
    """Superscripts as powers, subscripts as indices, `3½` as 3 and a half: NFKC makes 32 of 3²."""
    text = _ABOVE.sub(r"^{\g<0>}", text)
    text = _BELOW.sub(r"_{\g<0>}", text)
    return _VULGAR.sub(lambda found: f"{found[1]}+{found[2]}" if found[1] else found[2], text)


def _without_separators(text: str) -> str:
    """Numbers without the commas that group their digits by three."""
    text = _LATEX_THOUSANDS.sub("", text)
    if _THOUSANDS.search(text) is None:
        return text
    between = _between_arguments(text)
    return _THOUSANDS.sub(lambda comma: "," if comma.start() in between else "", text)


def _between_arguments(text: str) -> set[int]:
    """The places of commas in brackets that hold no word: arguments, coordinates, indices."""
    places, opened = set[int](), list[tuple[int, list[int]]]()
    for place, character in enumerate(text):
        if character in "([{⟨":
            opened.append((place, []))
        elif character == "," and opened:
            opened[-1][1].append(place)
        elif character in ")]}⟩" and opened:
            start, commas = opened.pop()
            is_group = character == "}" and _GROUP_START.match(text, max(0, start - 1)) is not None
            if is_group and opened:  # of LaTeX: it shows no bracket
                opened[-1][1].extend(commas)
            elif commas and not is_group and _is_argument(text, start, place):
                places.update(commas)
    return places


def _is_argument(text: str, start: int, end: int) -> bool:
    return end - start <= MAX_ARGUMENTS and _ANY_WORD.search(text, start, end) is None


def _folded(text: str) -> str:
    """The text without the case of its prose; formulas keep theirs."""
    parts, end = list[str](), 0
    for formula in _FORMULA.finditer(text):
        parts.append(_PROSE_WORD.sub(_folded_word, text[end : formula.start()]))
        parts.append(_TEXT.sub(lambda words: words[0].casefold(), formula[0]))
        end = formula.end()
    return "".join([*parts, _PROSE_WORD.sub(_folded_word, text[end:])])


def _folded_word(word: re.Match[str]) -> str:
    letters = word[0]
    if letters.startswith("\\"):
        return letters
    is_name = len(letters) == 1 and word.string[word.start() - 1 : word.start()] not in ("'", "’")
    if len(letters) <= 3 and _OPERAND.match(word.string, word.end()):
        return letters
    if is_name and not (letters in "aAiI" and _ARTICLE.match(word.string, word.end())):
        return letters
    return letters.casefold()


class NgramIndex:
    """The questions by what must not be shared with them; built once, asked for every problem."""

    def __init__(self, questions: Iterable[BenchmarkQuestion], words: int | None) -> None:
        self.words = words
        self._held: dict[
            str, tuple[BenchmarkQuestion, ...]
        ] = {}  # of each benchmark its first question
        for question in questions:
            own = (question,)  # one tuple for all its runs: there are millions
            for key in ngrams(question.statement, words):
                there = self._held.get(key)
                if there is None:
                    self._held[key] = own
                elif all(other.benchmark != question.benchmark for other in there):
                    self._held[key] = there + own

    def shared(self, statement: str) -> list[NgramMatch]:
        """One entry for each benchmark that has something in common with the statement."""
        found: dict[str, NgramMatch] = {}
        for key in ngrams(statement, self.words):
            for question in self._held.get(key, ()):
                entry = NgramMatch(question.benchmark, question.question_id, key)
                found.setdefault(question.benchmark, entry)
        return list(found.values())
