"""Values side by side: what "x = 3 or x = -2" and "x > 1 and x < 3" are together."""

import re

from delta.grading.formulas.answer_types import Collection, Named, RealSet, Relation, Value
from delta.grading.formulas.real_sets import combine, to_set


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
    has_order = any(is_interval(value) for value in values)
    if has_order and (united := join_inequalities(values, joins)):
        return united
    names = [value.name for value in values if isinstance(value, Named)]
    if len(names) == len(values) and len(set(names)) == len(names) and is_record(names):
        return Collection("record", tuple(values))
    if names and len(set(names)) == 1 and all(not isinstance(v, Relation) for v in values):
        tree = next(value.tree for value in values if isinstance(value, Named))
        bare = tuple(value.value if isinstance(value, Named) else value for value in values)
        return Named(names[0], tree, Collection("list", bare))
    return Collection("list", tuple(values))


def is_interval(value: Value) -> bool:
    """Whether this can only be a set of numbers: x > 1, x in (1, 2)."""
    if isinstance(value, Named):
        is_pair = isinstance(value.value, Collection) and value.value.kind in ("tuple", "bracket")
        return isinstance(value.value, RealSet) or (is_pair and value.tree is not None)
    return isinstance(value, Relation) and "=" not in value.operators


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
