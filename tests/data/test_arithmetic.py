"""Arithmetic problems: statements that a person can work out, with the steps that do so."""

import json
import re
from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.params import validate
from delta.data.arithmetic import ArithmeticParams, generate_problems
from delta.data.decontamination import terms_of
from delta.data.problems import ProblemSource, build_problems
from delta.data.steps import canonical_terms, find_operands, read_steps, to_step
from tests.helpers.benchmark_questions import benchmark_questions
from tests.helpers.user_tables import problems_params

KINDS = {"expression": 4, "product": 4, "words": 4, "story": 4, "sequence": 4}  # and terms


def source(kind: str = "expression", problems: int = 30, **options: Any) -> ArithmeticParams:
    defaults = {"terms": KINDS[kind], "operators": "+-", "lowest": 1, "highest": 9}
    content = {"kind": kind, "seed": 5, "problems": problems, "options": defaults | options}
    return validate("source", ArithmeticParams, content, "test")


def rows_of(params: ArithmeticParams) -> list[dict[str, Any]]:
    return generate_problems("problems.sources.toy.arithmetic", params, params.problems)


def answer_of(kind: str, statement: str) -> int:
    """Return the answer, worked out from the statement alone."""
    numbers = [int(number) for number in re.findall(r"\d+", statement)]
    if kind in ("expression", "product"):
        return int(eval(statement.removeprefix("What is ").removesuffix("?")))
    if kind == "sequence":
        return 2 * numbers[-1] - numbers[-2]
    losses = re.findall(r"(?:Subtract|gives) (\d+)", statement)
    return sum(numbers) - 2 * sum(map(int, losses))


@pytest.mark.parametrize("kind", KINDS)
def test_the_gold_answer_is_what_the_statement_asks(kind: str) -> None:
    rows = rows_of(source(kind))
    for row in rows:
        steps = read_steps(row["metadata"])
        assert steps is not None
        assert int(row["gold_answer"]) == steps[-1].result == answer_of(kind, row["statement"])
        assert min(step.result for step in steps) >= 0
        assert all(to_step(*step[:3]) == step for step in steps)
    assert len({terms_of(row["metadata"]) for row in rows}) == 30


def test_statements_of_each_kind() -> None:
    first = {kind: rows_of(source(kind, 1))[0]["statement"] for kind in KINDS}
    number, name = r"\d+", r"[A-Z][a-z]+"
    patterns = {
        "expression": rf"What is {number}( [+-] {number}){{3}}\?",
        "product": rf"What is {number} \* {number}( [+-] {number}){{2}}\?",
        "words": rf"Start with {number}\.( (Add|Subtract) {number}\.){{3}} What is the result\?",
        "story": rf"{name} has {number} [a-z]+\.( {name} (gets {number} more|gives {number} away)"
        rf"\.){{3}} How many [a-z]+s does {name} have now\?",
        "sequence": rf"What is the next number: {number}(, {number}){{3}}\?",
    }
    for kind, statement in first.items():
        assert re.fullmatch(patterns[kind], statement), statement


def test_each_step_uses_the_result_before_it() -> None:
    for kind in KINDS:
        for row in rows_of(source(kind)):
            steps = read_steps(row["metadata"]) or []
            operands = find_operands(steps)
            side = 1 if kind == "sequence" else 0
            assert [used[side] for used in operands] == [None, *range(len(steps) - 1)]
            assert all(used[1 - side] is None for used in operands)


def test_a_larger_number_keeps_the_problems_of_a_smaller_one() -> None:
    assert rows_of(source(problems=40))[:10] == rows_of(source(problems=10))
    other = generate_problems("x", source().model_copy(update={"seed": 6}), 30)
    assert other != rows_of(source())


def test_too_few_different_problems_are_an_error() -> None:
    # 1 + 1, 1 + 2 and 2 + 2: an order makes no other problem.
    two: dict[str, Any] = {"terms": 2, "operators": "+", "lowest": 1, "highest": 2}
    assert len(rows_of(source(problems=3, **two))) == 3
    with pytest.raises(InputError, match=r"toy\.arithmetic\.options .* 3 different problems") as e:
        rows_of(source(problems=4, **two))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("expression", {"terms": 1}, "options.terms = 1: should be greater than or equal to 2"),
        ("product", {"terms": 2}, "options.terms is 2; expected at least 3 for kind product"),
        ("sequence", {"terms": 2}, "options.terms is 2; expected at least 3 for kind sequence"),
        ("words", {"operators": "*"}, "options.operators = '*': should be"),
        ("story", {"lowest": 9, "highest": 3}, "highest is below lowest (9)"),
        ("expression", {"digits": 2}, "options.digits is not known; expected terms, operators"),
    ],
)
def test_an_impossible_option_is_an_error(kind: str, options: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        source(kind, **options)
    assert message in str(caught.value)


def test_terms_are_equal_where_only_the_order_or_the_words_differ() -> None:
    six = [to_step(6, "+", 4), to_step(10, "-", 1)]  # 6 + 4 - 1
    four = [to_step(4, "-", 1), to_step(3, "+", 6)]  # 4 - 1 + 6
    minus = [to_step(6, "-", 4), to_step(2, "+", 1)]  # 6 - 4 + 1
    assert canonical_terms(six) == canonical_terms(four) == "+4 +6 -1"
    assert canonical_terms(minus) == "+1 +6 -4"
    product = [to_step(3, "*", 4), to_step(12, "+", 5)]
    assert canonical_terms(product) == "+3*4 +5"
    assert canonical_terms([to_step(4, "*", 3), to_step(12, "+", 5)]) == "+3*4 +5"
    nested = [to_step(1, "+", 2), to_step(3, "*", 9)]  # (1 + 2) * 9
    assert canonical_terms(nested) == "+(+1 +2)*9"


@pytest.mark.parametrize(
    "metadata",
    [
        *({}, [], {"steps": []}, {"steps": ["6 + 1 = 7"]}, {"steps": [[6, "+", 1]]}),
        *({"steps": [[6, "+", 1, 8]]}, {"steps": [[6, "/", 1, 6]]}, {"steps": [[6, "+", True, 7]]}),
    ],
)
def test_metadata_without_steps_of_the_form_has_none(metadata: Any) -> None:
    assert read_steps(json.dumps(metadata)) is None
    assert terms_of(json.dumps(metadata)) is None


def test_a_problem_in_the_order_of_a_question_or_of_another_is_dropped_and_counted() -> None:
    two = source(problems=3, terms=2, operators="+", lowest=1, highest=2)  # 1 + 1, 1 + 2, 2 + 2
    sources = {
        "sums": ProblemSource(arithmetic=two),
        "words": ProblemSource(arithmetic=two.model_copy(update={"kind": "words"})),
    }
    rows, _, counts = build_problems(problems_params(sources=sources), {})
    assert rows.height == 3
    assert counts["dropped"] == {"duplicate": 3}
    asked = benchmark_questions("easy", ["What do 2 and 1 make?"])
    metadata = json.dumps({"steps": [[2, "+", 1, 3]]})
    asked["easy"] = asked["easy"].with_columns(metadata=pl.lit(metadata))
    rows, dropped, counts = build_problems(problems_params(sources=sources), asked)
    assert rows.height == 2
    assert counts["dropped"] == {"in_benchmark": 2, "duplicate": 2}
    assert dropped["words"].to_list() == ["+1 +2", "+1 +2"]
    assert dropped["question_id"].to_list() == ["easy.0", "easy.0"]


def test_the_origin_names_kind_and_seed() -> None:
    assert ProblemSource(arithmetic=source("story")).origin == "arithmetic, story, seed 5"
