"""TeX formulas as MathML in a real Chromium; to add a case, add a line to a table here."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delta.report.viewer import pair_page
from tests.helpers.browser import open_page
from tests.helpers.example_pairs import RUN, example_pairs

pytestmark = pytest.mark.slow

# TeX -> MathML of an inline formula, without the <math> element and attributes of operators.
CASES = {
    "x": "<mi>x</mi>",
    "12": "<mn>12</mn>",
    "1,000.5": "<mn>1,000.5</mn>",
    "a-b": "<mrow><mi>a</mi><mo>−</mo><mi>b</mi></mrow>",
    r"\alpha\le\infty": "<mrow><mi>α</mi><mo>≤</mo><mi>∞</mi></mrow>",
    "x^2": "<msup><mi>x</mi><mn>2</mn></msup>",
    "x^10": "<mrow><msup><mi>x</mi><mn>1</mn></msup><mn>0</mn></mrow>",
    "x_{ij}": "<msub><mi>x</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub>",
    "x_1^2": "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>",
    "x^2_1": "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>",
    "f'": "<msup><mi>f</mi><mo>′</mo></msup>",
    "{}^3": "<msup><mrow></mrow><mn>3</mn></msup>",
    r"90^\circ": "<msup><mn>90</mn><mo>∘</mo></msup>",
    r"\frac{a}{b}": "<mfrac><mi>a</mi><mi>b</mi></mfrac>",
    r"\frac12": "<mfrac><mn>1</mn><mn>2</mn></mfrac>",
    r"\dfrac{1}{2}": '<mstyle displaystyle="true"><mfrac><mn>1</mn><mn>2</mn></mfrac></mstyle>',
    r"\binom{n}{k}": '<mrow><mo>(</mo><mfrac linethickness="0"><mi>n</mi><mi>k</mi></mfrac>'
    "<mo>)</mo></mrow>",
    r"\sqrt{2}": "<msqrt><mn>2</mn></msqrt>",
    r"\sqrt[3]{x}": "<mroot><mi>x</mi><mn>3</mn></mroot>",
    r"{a \over b + 1}": "<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>",
    r"1 \over 2": "<mfrac><mn>1</mn><mn>2</mn></mfrac>",
    r"{n \choose k}": '<mrow><mo>(</mo><mfrac linethickness="0"><mi>n</mi><mi>k</mi></mfrac>'
    "<mo>)</mo></mrow>",
    r"\cancelto{0}{x}": '<msup><mrow class="cancelled"><mi>x</mi></mrow><mn>0</mn></msup>',
    r"\boxed{42}": '<mrow class="boxed"><mn>42</mn></mrow>',
    r"\overline{AB}": '<mrow class="overlined"><mrow><mi>A</mi><mi>B</mi></mrow></mrow>',
    r"\hat x": '<mover accent="true"><mi>x</mi><mo>^</mo></mover>',
    r"\vec{v}": '<mover accent="true"><mi>v</mi><mo>→</mo></mover>',
    r"\mathbb{R}": "<mi>ℝ</mi>",
    r"\mathbb{F}": "<mi>𝔽</mi>",
    r"\mathbf{v}": "<mi>𝐯</mi>",
    r"\bold{v}": "<mi>𝐯</mi>",
    r"\mathcal{LB}": "<mi>ℒℬ</mi>",
    r"\mathrm{lcm}": "<mi>lcm</mi>",
    r"\mathrm{d}": '<mi mathvariant="normal">d</mi>',
    r"\operatorname{rank}": "<mi>rank</mi>",
    r"\text{ if }": "<mtext>&nbsp;if&nbsp;</mtext>",
    r"\text{a {b} c}": "<mtext>a {b} c</mtext>",
    r"\sin x": '<mrow><mi>sin</mi><mspace width="0.167em"></mspace><mi>x</mi></mrow>',
    r"\log(x)": "<mrow><mi>log</mi><mo>(</mo><mi>x</mi><mo>)</mo></mrow>",
    r"\log_2 8": '<mrow><msub><mi>log</mi><mn>2</mn></msub><mspace width="0.167em"></mspace>'
    "<mn>8</mn></mrow>",
    r"\sum_{i}^{n}": "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>",
    r"\int_0^1": "<msubsup><mo>∫</mo><mn>0</mn><mn>1</mn></msubsup>",
    r"\lim_{x}": "<munder><mo>lim</mo><mi>x</mi></munder>",
    r"\left( x \right]": "<mrow><mo>(</mo><mi>x</mi><mo>]</mo></mrow>",
    r"\left. x \right|": "<mrow><mi>x</mi><mo>|</mo></mrow>",
    r"\left\{ x \middle| y \right\}": "<mrow><mo>{</mo><mi>x</mi><mo>|</mo><mi>y</mi>"
    "<mo>}</mo></mrow>",
    r"\lfloor x \rfloor": "<mrow><mo>⌊</mo><mi>x</mi><mo>⌋</mo></mrow>",
    r"\{1\}": "<mrow><mo>{</mo><mn>1</mn><mo>}</mo></mrow>",
    r"10\%": "<mrow><mn>10</mn><mo>%</mo></mrow>",
    r"a\,b": '<mrow><mi>a</mi><mspace width="0.167em"></mspace><mi>b</mi></mrow>',
    r"x \not= y": "<mrow><mi>x</mi><mo>≠</mo><mi>y</mi></mrow>",
    r"\begin{matrix} a & b \\ c & d \end{matrix}": "<mtable><mtr><mtd><mi>a</mi></mtd><mtd>"
    "<mi>b</mi></mtd></mtr><mtr><mtd><mi>c</mi></mtd><mtd><mi>d</mi></mtd></mtr></mtable>",
    r"\begin{pmatrix}1\\2\end{pmatrix}": "<mrow><mo>(</mo><mtable><mtr><mtd><mn>1</mn></mtd></mtr>"
    "<mtr><mtd><mn>2</mn></mtd></mtr></mtable><mo>)</mo></mrow>",
    r"\begin{cases} 1 & x \end{cases}": '<mrow><mo>{</mo><mtable class="left"><mtr><mtd><mn>1</mn>'
    "</mtd><mtd><mi>x</mi></mtd></mtr></mtable></mrow>",
    r"\begin{aligned} a &= b \\[2pt] \end{aligned}": '<mtable class="aligned"><mtr><mtd><mi>a</mi>'
    "</mtd><mtd><mrow><mo>=</mo><mi>b</mi></mrow></mtd></mtr></mtable>",
    r"\begin{aligned} a \\ [b] \end{aligned}": '<mtable class="aligned"><mtr><mtd><mi>a</mi></mtd>'
    "</mtr><mtr><mtd><mrow><mo>[</mo><mi>b</mi><mo>]</mo></mrow></mtd></mtr></mtable>",
    r"\begin{array}{c|c} a & b \end{array}": '<mtable class="array"><mtr><mtd><mi>a</mi></mtd>'
    "<mtd><mi>b</mi></mtd></mtr></mtable>",
    r"\displaystyle x": "<mi>x</mi>",
    r"\textcolor{red}{x}": "<mi>x</mi>",
    "<b>": "<mrow><mo>&lt;</mo><mi>b</mi><mo>&gt;</mo></mrow>",
}

# Formulas that are not supported are shown as their source.
AS_SOURCE = (
    r"\foo{x}",
    r"\frac{1}{2",
    "x}",
    "{",
    "x^",
    "x^2^3",
    r"\left( x",
    r"{a \over b \over c}",
    r"x^\over 2",
    r"\cancelto{0}",
    r"\begin{unknown} x \end{unknown}",
    r"\begin{matrix} a",
    r"\begin{matrix} a \end{pmatrix}",
    r"\constructor",
    r"\begin{__proto__} x \end{__proto__}",
    "\\",
    r"\sqrt[3",
    r"\href{javascript:alert(1)}{x}",
    "x\u202ey",
    "{" * 100 + "x" + "}" * 100,
    r"\frac" * 5000,
)

PIECES = {
    r"a \(x\) b": ["a ", "=x", " b"],
    r"\[ x \] and $$y$$": ["= x ", " and ", "=y"],
    "cost $5 and $6": ["cost $5 and $6"],
    "cost $5, so $x=5$.": ["cost $5, so ", "=x=5", "."],
    "$x$5": ["$x$5"],
    r"\$5 and \$6": [r"\$5 and \$6"],
    "$a\n\nb$": ["$a\n\nb$"],
    r"\( a \( b \)": [r"\( a ", "= b "],
    r"so \boxed{\frac{1}{2}}.": ["so ", r"=\boxed{\frac{1}{2}}", "."],
    r"\boxed{1": [r"\boxed{1"],
    "$5 each.\nSo \\boxed{10}": ["$5 each.\nSo ", "=\\boxed{10}"],
    r"$a + \boxed{1}$": [r"=a + \boxed{1}"],
    r"\(\boxed{1}\)": [r"=\boxed{1}"],
    r"\begin{align*} a \\ b \end{align*}c": [r"=\begin{align*} a \\ b \end{align*}", "c"],
    r"\[ \begin{matrix} a \end{matrix} \]": [r"= \begin{matrix} a \end{matrix} "],
    r"\begin{figure} a": [r"\begin{figure} a"],
    r"a \\[2pt] b": [r"a \\[2pt] b"],
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("maths") / "pairs"
    pair_page.write(folder, RUN, *example_pairs([("a", "b")]))
    with open_page(Path(folder) / "index.html") as (page, errors):
        page.locator("#items li").wait_for()
        yield page
        assert errors == []


def render(page: Any, tex: str) -> str | None:
    """Return the MathML of a formula without operators' attributes; None if not supported."""
    text: str | None = page.evaluate("tex => formula(tex, false)?.outerHTML ?? null", tex)
    if text is None:
        return None
    inner = re.sub(r"<mo [^>]*>", "<mo>", text)
    match = re.fullmatch(r"<math[^>]*>(.*)</math>", inner, flags=re.DOTALL)
    assert match
    return match[1]


@pytest.mark.parametrize("tex", CASES)
def test_a_formula_becomes_mathml(page: Any, tex: str) -> None:
    assert render(page, tex) == CASES[tex]


@pytest.mark.parametrize("tex", AS_SOURCE, ids=lambda tex: tex[:40].encode("unicode_escape"))
def test_an_unsupported_formula_is_shown_as_its_source(page: Any, tex: str) -> None:
    classes = page.evaluate(
        "tex => renderText(`\\\\(${tex}\\\\)`).map(part => part.className ?? 'text').join()", tex
    )
    assert "source" in classes or classes == "text"
    assert page.evaluate("tex => formula(tex, false)", tex) is None or "\u202e" in tex


@pytest.mark.parametrize("text", PIECES)
def test_text_is_split_into_formulas_and_words(page: Any, text: str) -> None:
    pieces = page.evaluate(
        "text => pieces(text).map(part => part.tex === null ? part.source : '=' + part.tex)", text
    )
    assert pieces == PIECES[text]
    assert page.evaluate("text => pieces(text).map(part => part.source).join('')", text) == text


def test_adversarial_texts_take_linear_time(page: Any) -> None:
    marks = [r"\(", "$", "$$", "$a ", r"\begin{align}", r"\boxed{"]
    tokens = ["{", "x^{", r"\left(", r"\\", "&", r"\\[2", r"\mathbf{", r"\text{"]
    started = time.perf_counter()
    for part in [*marks, *tokens]:
        text = part * (200_000 // len(part))
        page.evaluate("text => renderText(text).length", text)
        page.evaluate("text => renderText(text).length", f"${text}")
        page.evaluate("text => formula(text, true) === null", text[:19_999])
    assert time.perf_counter() - started < 20  # 42 calls; 4 s where nothing else runs
