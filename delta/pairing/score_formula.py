"""What pairs are ranked by: arithmetic over dimensions, as text, into a Polars expression.

Parsed by a list of what is allowed and never evaluated as Python.
"""

import ast
import math
from collections.abc import Callable, Mapping

import polars as pl

from delta.core.errors import InputError

LONGEST = 200  # characters: far more than a formula needs, and no depth that could hurt
ALLOWED = "numbers, dimensions, + - * / ( ), min, max, abs"


def column(text: str, columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """`text` over the named `columns`: null where one of those it uses is null, where it divides
    by zero, and where the result is no finite number.

    Raises InputError naming the piece that is not allowed.
    """
    if len(text) > LONGEST:
        raise InputError(f"{len(text)} characters; allowed: at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(f"{text!r} is no formula; allowed: {ALLOWED}") from None
    found = _translated(tree.body, columns)
    if not any(isinstance(node, ast.Name) and node.id in columns for node in ast.walk(tree)):
        raise InputError(f"{text!r} names no dimension; allowed: {', '.join(columns)}")
    return pl.when(found.is_finite()).then(found)


def _translated(node: ast.expr, columns: Mapping[str, pl.Expr]) -> pl.Expr:
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
            return -_translated(operand, columns)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_translated(left, columns), _translated(right, columns))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
            name in _FUNCTIONS and args and (name != "abs" or len(args) == 1)
        ):
            return _FUNCTIONS[name]([_translated(arg, columns) for arg in args])
    raise InputError(f"{ast.unparse(node)!r} is not allowed; allowed: {ALLOWED}")


def _divided(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    return pl.when(right != 0).then(left / right)


def _where_all_known(values: list[pl.Expr], result: pl.Expr) -> pl.Expr:
    # Polars takes the least of the values that are there; a missing vote is not a high one.
    return pl.when(pl.all_horizontal(value.is_not_null() for value in values)).then(result)


_OPERATIONS: dict[type[ast.operator], Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: _divided,
}
_FUNCTIONS: dict[str, Callable[[list[pl.Expr]], pl.Expr]] = {
    "min": lambda values: _where_all_known(values, pl.min_horizontal(values)),
    "max": lambda values: _where_all_known(values, pl.max_horizontal(values)),
    "abs": lambda values: values[0].abs(),
}
