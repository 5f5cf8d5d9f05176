r"""Clean the content of a box: normalize signs, blanks, currencies and thousands.

Unicode, LaTeX and the syntax of programs become the same text. The mathematics is not changed.
"""

import re
import unicodedata

from delta.grading.formulas.boxes import closing_brace

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣ", "0123456789+-()nx")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙₓ", "0123456789+-nx")
VULGAR_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi"
)
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕ", GREEK_NAMES.split(), strict=True))
FULL_WIDTH = {chr(0xFEE0 + code): chr(code) for code in range(ord("!"), ord("~") + 1)}


def _as_fraction(character: str) -> str:
    above, below = unicodedata.normalize("NFKC", character).split("\u2044")
    return f"\\frac{{{above}}}{{{below}}}"


SIGNS = str.maketrans(
    FULL_WIDTH
    | {character: f"\\{name} " for character, name in GREEK.items()}
    | {character: _as_fraction(character) for character in VULGAR_FRACTIONS}
    | dict.fromkeys("\u2212\u2013\u2010\u2011", "-")
    | dict.fromkeys("\u00a0\u2009\u202f\u2003\u2002\u3000", " ")
    | dict.fromkeys("′’ʹ", "'")
    | {"、": ",", "。": ".", "∕": "/"}
    | {"″": "''", "⁄": "/", "÷": "/", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot "}
    | {"∗": "*", "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge "}
    | {"≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap "}
    | {"∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "∠": r"\angle ", "∂": r"\partial "}
    | {"∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "°": r"^\circ ", "º": r"^\circ "}
    | {"℃": r"^\circ \text{C}", "⟨": "(", "⟩": ")", "µ": r"\mu ", "Ω": r"\Omega "}
    | {"ℏ": r"\hbar ", "…": r"\ldots "}
)
RAISED = re.compile(f"[{''.join(map(chr, SUPERSCRIPTS))}]+")
LOWERED = re.compile(f"[{''.join(map(chr, SUBSCRIPTS))}]+")
REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"([√∛∜])\s*(\d+(?:\.\d+)?|[a-zA-Z])", r"\1{\2}"),
        ("√", r"\\sqrt "),
        ("∛", r"\\sqrt[3] "),
        ("∜", r"\\sqrt[4] "),
        (r"(?<![\\a-zA-Z])sqrt\s*(\d+(?:\.\d+)?)", r"\\sqrt{\1}"),
        (r"(?<=\d)\s?∘", r"^\\circ "),
        (r">=", r"\\ge "),
        (r"<=(?!>)", r"\\le "),
        (r"(?<=\s)!=", r"\\ne "),  # n!=6 is a factorial
        (r"==", "="),
        (r"(?<![a-zA-Z\\])log(2|10)(?=\()", r"\\log_{\1}"),
        (r"\\degree(?![a-zA-Z])", r"^\\circ "),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset "),
        (r"\\(?:approxeq|simeq|sim)(?![a-zA-Z])", r"\\approx "),
        (r"\\(?:textcolor|color)\s*\{[^{}]*\}|\\(?:display|text)style(?![a-z])|\\limits", ""),
        (r"\\(?:text|mathrm|textup)?\s*\\?_\{\}", ""),
        (r"(?<=\d)\s?(?:\{,\}|,?\\!|\\,)\s?(?=\d{3}(?!\d))", ""),  # 1{,}234 and 1\,234
        (r"\\!", ""),
        (r"(?<!\\)\\[,;:> ]|\\q?quad(?![a-z])|\\hspace\*?\{[^{}]*\}", " "),
        (r"(?<!\\)~", " "),
        (r"\{:\}", ":"),
        (r"\{\s?\\rm\s([^{}]*)\}", r"\\mathrm{\1}"),
        (r"\\(?:SI|qty|num)\s?\{([^{}]*)\}(?:\s?\{[^{}]*\})?", r"\1"),
        (r"\\(?:text|math)(?:bf|rm|it|sf)?\s*\{((?:[^{}a-zA-Z\\]|\\%)*)\}", r"\1"),  # \textbf{(12)}
        (r"(?<!\\);", ","),
        (r"\\(?:text|mathrm)\s*\{\s*(?:percent|\\?%)\s*\}|(?<!\\)%|(?<=\d)\s?percent\b", r"\\%"),
        (r"\\(?:text|mathrm)\s*\{\s*((?:thousand|[mbtr]+illion)\b[a-z ]*)\}", r" \1"),
        (r"(?<=[\w)}])\*\*(?=[\w({-])", "^"),  # a power, as in a program
        (r"\\\$|[€£¥]|\\(?:euro|pounds)\b|(?<!\\)\$|(?<!\\)\\[()\[\]]|\*\*", " "),
        (r"(?<=\d)\s?(?:\\[lc]?dots|\.\.\.)\s?$", ""),
        (r"(\d)\.(?![\d\\])", r"\1"),  # 5. and 1./3
        (r"\\langle(?![a-z])", "("),
        (r"\\rangle(?![a-z])", ")"),
        (r"\\\\\s?\[\d+[a-z]+\]", r"\\\\"),
        (r"(\\sqrt\s?\[[^\]]*\])\s?(\w)", r"\1{\2}"),
        # Names of functions as in a program, where log is the natural logarithm: np.arcsin(x)
        (r"(?<![a-zA-Z\\])(?:np|numpy|math|sympy|sp)\.log(?=\()", r"\\ln "),
        (r"(?<![a-zA-Z\\])(?:np|numpy|math|cmath|sympy|sp)\.(?=[a-zA-Z])", ""),
    )
]
WORDS = r"\\(?:text|textrm|textbf|textit|textsf|mathrm|mathbf|mathit|mathsf|mbox|operatorname|rm)"
# "5 \mathrm{~cm}^2", "3 \,\text{J}/\text{mol}", but not 2\mathrm{i}: units are not compared, as in
# Math-Verify.
_UNIT = (
    r"(?:\\(?:text|textrm|textbf|textit|mathrm|mbox|operatorname)\s*\{(?!\s*[eij]\s*\})[^{}]*\}"
    r"|\^\s*\{?\s*\\circ\s*\}?)(?:\s*\^\s*\{?\s*-?\d\s*\}?)?"
)
UNITS = re.compile(rf"(?<=[\d)\]}}a-zA-Z%])(?:(?:\s|\\cdot|/)*{_UNIT})+[\s.]*(?=$|,)")
# "18 dollars", "5 cm", "3.2 kg/m^3", "5m"; but not "2 sin x", and not "2t", which is no number.
PLAIN_UNITS = re.compile(
    r"(?:(?<=\d)\s*(?=[mgsNJWVKFL](?![\w({\\]))|(?<=[\d}])\s*(?=[a-zA-Z]{2}))"
    r"(?!(?:thousand|[mbtr]+illion|and|or|sin|cos|tan|log|ln|exp|sqrt|pi|mod|if|for|to)\b)"
    r"[a-zA-Z]+(?![\w({\\])(?:[\s./^a-zA-Z-]|\d(?=\s*$))*$"
)
LEADING_WORDS = re.compile(rf"^{WORDS}\s*\{{[^{{}}]*\}}\s*:?(?=\s*[\d\\.-])")
NAMED = re.compile(r"^[^=<>,]*?(?:=|\\approx)\s*([^=<>]*)$")  # "x = 5"


def clean(answer: str) -> str:
    """Return the answer with normalized signs, blanks, currencies and thousands."""
    answer = " ".join(answer.split()).translate(SIGNS)
    answer = RAISED.sub(lambda run: f"^{{{run[0].translate(SUPERSCRIPTS)}}}", answer)
    answer = LOWERED.sub(lambda run: f"_{{{run[0].translate(SUBSCRIPTS)}}}", answer)
    for pattern, replacement in REWRITES:
        answer = pattern.sub(replacement, answer)
    answer = " ".join(answer.split()).rstrip(".").strip()
    if answer.startswith("{") and closing_brace(answer, 1) == len(answer) - 1:
        answer = answer[1:-1].strip()
    return answer


def without_units(answer: str) -> str:
    """Remove words before a cleaned answer, and units at its end or before a comma."""
    return PLAIN_UNITS.sub("", UNITS.sub("", LEADING_WORDS.sub("", answer))).strip()


def without_name(answer: str) -> str:
    r"""Return 5 for "x = 5" and for "x \approx 5"; any other answer unchanged."""
    named = NAMED.match(answer)
    return named[1].strip() if named and named[1] else answer


def as_words(answer: str) -> str | None:
    r"""Return an answer that is only words in lower case; None for any other answer.

    "\text{Monday}" gives "monday".
    """
    plain = re.sub(rf"{WORDS}\s*(?=\{{)", "", answer)
    plain = " ".join(re.sub(r"[{}().,!?'’\"$]|\\[ ,;!]", " ", plain).split()).lower()
    return plain if re.fullmatch(r"[^\W\d_]{2,}(?:[\s-][^\W\d_]+)*", plain) else None
