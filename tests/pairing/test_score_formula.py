"""Formulas by which pairs are ranked, and texts that are refused."""

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.pairing import score_formula

COLUMNS = {"a": pl.col("a"), "b": pl.col("b"), "c": pl.col("c")}
ROW = pl.DataFrame({"a": [1.5], "b": [-2.0], "c": [None]}, schema=dict.fromkeys("abc", pl.Float64))

VALUES: dict[str, float | None] = {
    "a": 1.5,
    " a ": 1.5,
    "-a": -1.5,
    "a + b": -0.5,
    "a - b - 1": 2.5,
    "0.5 * a + b": -1.25,
    "0.5 * (a + b)": -0.25,
    "a / 2 / 3": 0.25,
    "1e1 * a": 15.0,
    "min(a, b)": -2.0,
    "max(a, b, 3)": 3.0,
    "abs(b)": 2.0,
    "max(a, min(b, 0), -b)": 2.0,
    # A null in any used column makes the score null.
    "c": None,
    "a + c": None,
    "0 * c": None,
    "c - c": None,
    "min(a, c)": None,
    "max(c, a)": None,
    "a / c": None,
    # Division by zero and overflow.
    "a / 0": None,
    "0 / (a - a)": None,
    "1 / (1 / (a - a))": None,
    "a * 1e308 * 10": None,
}


@pytest.mark.parametrize("text", VALUES)
def test_a_formula_evaluates_to_its_value(text: str) -> None:
    assert ROW.select(value=score_formula.to_expression(text, COLUMNS)).item() == VALUES[text]


REFUSED = {
    "": "'' is no formula",
    "a +": "'a +' is no formula",
    "a b": "is no formula",
    "a = b": "is no formula",
    "a; b": "is no formula",
    "a\x00": "is no formula",
    "d": "'d' is none of a, b, c",
    "a + clarity": "'clarity' is none of a, b, c",
    "__import__": "'__import__' is none of a, b, c",
    "__import__('os').system('true')": "__import__('os').system('true')\" is not accepted",
    "a.__class__": "'a.__class__' is not accepted",
    "a[0]": "'a[0]' is not accepted",
    "a ** 9": "'a ** 9' is not accepted",
    "a // 2": "'a // 2' is not accepted",
    "a % 2": "'a % 2' is not accepted",
    "a < b": "'a < b' is not accepted",
    "a and b": "'a and b' is not accepted",
    "not a": "'not a' is not accepted",
    "a if b else 1": "'a if b else 1' is not accepted",
    "lambda: a": "'lambda: a' is not accepted",
    "[a]": "'[a]' is not accepted",
    "(a := 1)": "'(a := 1)' is not accepted",
    "'a'": "\"'a'\" is not accepted",
    "f'{a}'": "is not accepted",
    "True": "'True' is not accepted",
    "a + 1j": "'1j' is not accepted",
    "a + 1e999": "is not accepted",
    "round(a)": "'round(a)' is not accepted",
    "eval(a)": "'eval(a)' is not accepted",
    "abs(a, b)": "'abs(a, b)' is not accepted",
    "min()": "'min()' is not accepted",
    "min(*a)": "'*a' is not accepted",
    "min(a, key=b)": "'min(a, key=b)' is not accepted",
    "min": "'min' is none of a, b, c",
    "1 + 1": "'1 + 1' names no dimension",
    "(" * 100 + "a" + ")" * 100: "201 characters; expected at most 200",
    "-" * 199 + "a" + "a": "201 characters",
}


@pytest.mark.parametrize("text", REFUSED)
def test_everything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        score_formula.to_expression(text, COLUMNS)
    assert REFUSED[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_deepest_nesting_within_the_length_limit_works() -> None:
    assert ROW.select(v=score_formula.to_expression("-" * 199 + "a", COLUMNS)).item() == -1.5
    assert (
        ROW.select(v=score_formula.to_expression("(" * 99 + "a" + ")" * 99, COLUMNS)).item() == 1.5
    )
