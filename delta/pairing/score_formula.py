"""Translate a score formula, arithmetic over dimensions, into a Polars expression.

Only the syntax in SYNTAX is accepted. Nothing is evaluated as Python.
"""

import ast
import math
from collections.abc import Callable, Mapping

import polars as pl

from delta.core.errors import InputError

MAX_CHARACTERS = 200  # far more than a formula needs; bounds the depth of nesting
SYNTAX = "numbers, dimensions, + - * / ( ), min, max, abs"


def to_expression(text: str, columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """Translate the formula `text` over the named `columns`.

    The result is null where a column is null, where it divides by zero, and where it is not finite.
    Raises InputError that names the part that is not accepted.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{len(text)} characters; expected at most {MAX_CHARACTERS}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(f"{text!r} is no formula; expected {SYNTAX}") from None
    score = _translate(tree.body, columns)
    if not any(isinstance(node, ast.Name) and node.id in columns for node in ast.walk(tree)):
        raise InputError(f"{text!r} names no dimension; expected {', '.join(columns)}")
    return pl.when(score.is_finite()).then(score)


def _translate(node: ast.expr, columns: Mapping[str, pl.Expr]) -> pl.Expr:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(
            number, bool
        ) and math.isfinite(number):
            return pl.lit(float(number))
        case ast.Name(id=name):
            if name not in columns:
                raise InputError(f"{name!r} is none of {', '.join(columns)}")
            return columns[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_translate(operand, columns)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_translate(left, columns), _translate(right, columns))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
            name in _FUNCTIONS and args and (name != "abs" or len(args) == 1)
        ):
            return _FUNCTIONS[name]([_translate(arg, columns) for arg in args])
    raise InputError(f"{ast.unparse(node)!r} is not accepted; expected {SYNTAX}")


def _divide(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    return pl.when(right != 0).then(left / right)


def _if_none_is_null(values: list[pl.Expr], result: pl.Expr) -> pl.Expr:
    # Polars ignores nulls in a minimum, but a missing vote is not a high vote.
    return pl.when(pl.all_horizontal(value.is_not_null() for value in values)).then(result)


_OPERATIONS: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: _divide,
}
_FUNCTIONS: dict[str, Callable[[list[pl.Expr]], pl.Expr]] = {
    "min": lambda values: _if_none_is_null(values, pl.min_horizontal(values)),
    "max": lambda values: _if_none_is_null(values, pl.max_horizontal(values)),
    "abs": lambda values: values[0].abs(),
}
