r"""One way to write signs, spaces, currencies and thousands: Unicode, programs and LaTeX alike."""

import re

from delta.grading.formulas.boxes import closing_brace

SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣ", "0123456789+-()nx", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙₓ", "0123456789+-nx", strict=True))
VULGAR = [
    "½",
    "1",
    "2",
    "⅓",
    "1",
    "3",
    "⅔",
    "2",
    "3",
    "¼",
    "1",
    "4",
    "¾",
    "3",
    "4",
    "⅕",
    "1",
    "5",
    "⅖",
    "2",
    "5",
    "⅗",
    "3",
    "5",
    "⅘",
    "4",
    "5",
    "⅙",
    "1",
    "6",
    "⅚",
    "5",
    "6",
    "⅛",
    "1",
    "8",
    "⅜",
    "3",
    "8",
    "⅝",
    "5",
    "8",
    "⅞",
    "7",
    "8",
]
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
            "phi",
        ],
        strict=True,
    )
)
FULL_WIDTH = {chr(0xFEE0 + code): chr(code) for code in range(ord("!"), ord("~") + 1)}
SIGNS = str.maketrans(
    FULL_WIDTH
    | {character: f"\\{name} " for character, name in GREEK.items()}
    | {
        VULGAR[place]: f"\\frac{{{VULGAR[place + 1]}}}{{{VULGAR[place + 2]}}}"
        for place in range(0, len(VULGAR), 3)
    }
    | dict.fromkeys("\u2212\u2013\u2010\u2011", "-")
    | dict.fromkeys("\u00a0\u2009\u202f\u2003\u2002\u3000", " ")
    | dict.fromkeys("′’ʹ", "'")
    | {"、": ",", "。": ".", "∕": "/"}
    | {"″": "''", "⁄": "/", "÷": "/", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot "}
    | {"∗": "*", "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge "}
    | {"≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap "}
    | {"∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "∠": r"\angle ", "∂": r"\partial "}
    | {"∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "°": r"^\circ ", "º": r"^\circ "}
    | {
        "℃": r"^\circ \text{C}",
        "⟨": "(",
        "⟩": ")",
        "µ": r"\mu ",
        "Ω": r"\Omega ",
        "ℏ": r"\hbar ",
        "…": r"\ldots ",
    }
)
RAISED = re.compile(f"[{''.join(SUPERSCRIPTS)}]+")
LOWERED = re.compile(f"[{''.join(SUBSCRIPTS)}]+")
CLEANED = [
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


def cleaned(answer: str) -> str:
    """One way to write spaces, signs, currencies and thousands; the mathematics is untouched."""
    answer = " ".join(answer.split()).translate(SIGNS)
    answer = RAISED.sub(lambda found: f"^{{{_plain(found[0], SUPERSCRIPTS)}}}", answer)
    answer = LOWERED.sub(lambda found: f"_{{{_plain(found[0], SUBSCRIPTS)}}}", answer)
    for pattern, replacement in CLEANED:
        answer = pattern.sub(replacement, answer)
    answer = " ".join(answer.split()).rstrip(".").strip()
    if answer.startswith("{") and closing_brace(answer, 1) == len(answer) - 1:
        answer = answer[1:-1].strip()
    return answer


def _plain(text: str, letters: dict[str, str]) -> str:
    return "".join(letters[character] for character in text)
