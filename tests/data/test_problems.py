"""Problems: drawn by seed, never one that a benchmark asks, and every drop counted."""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from delta import prompts
from delta.core import tables
from delta.core.errors import InputError
from delta.core.schemas import PROBLEM, QUESTION
from delta.data import reasoning_gym
from delta.data.problems import DROPPED, ProblemSource, ProblemsParams, build_problems
from delta.data.reasoning_gym import TaskParams
from delta.data.sources import DataSource, LocalFiles
from delta.data.user_tables import TableProblems
from delta.prompts import WorkedExample
from tests.helpers.openr1_rows import local

TINY: dict[str, Any] = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
Frames = dict[str, pl.DataFrame]


def sums(problems: int = 20, seed: int = 12, **options: int) -> TaskParams:
    return TaskParams(task="chain_sum", seed=seed, problems=problems, options=TINY | options)


def asks(name: str, statements: list[str]) -> Frames:
    """A benchmark of these questions."""
    rows = [
        {
            "question_id": f"{name}.{number}",
            "statement": statement,
            "prompt": f"Solve: {statement}",
            "history": [],
            "gold_answer": "1",
            "grader": "math",
            "metadata": "{}",
        }
        for number, statement in enumerate(statements)
    ]
    return {name: tables.frame_of(rows, QUESTION)}


def drawn(task: TaskParams) -> list[str]:
    return [row["statement"] for row in reasoning_gym.generate_problems("task", task)]


def settings(**changes: Any) -> ProblemsParams:
    given = {"overlap_words": None, "sample": None, "seed": 1}
    return ProblemsParams(**{**given, **changes})


def built(
    task: TaskParams, questions: Frames | None = None, **changes: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    params = settings(sources={"sums": ProblemSource(task=task)}, **changes)
    problems, dropped, counts = build_problems(params, questions or {})
    assert problems.schema == PROBLEM.columns
    assert dropped.schema == DROPPED.columns
    assert counts["drawn"] == counts["kept"] + sum(counts["dropped"].values())
    return problems.to_dicts(), counts


def error(task: TaskParams, questions: Frames | None = None, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        built(task, questions, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_problem_that_a_benchmark_asks_is_dropped_and_listed() -> None:
    alone = [row["statement"] for row in built(sums())[0]]
    params = settings(sources={"sums": ProblemSource(task=sums())})
    asked = asks("hard", ["What else?", alone[3].upper()]) | asks("easy", [alone[3], alone[5]])
    problems, dropped, counts = build_problems(params, asked)
    assert [statement for statement in alone if statement not in problems["statement"]] == [
        alone[3],
        alone[5],
    ]
    assert counts["overlap"] == {"hard": 1, "easy": 2}
    assert counts["benchmark_questions"] == 4
    assert counts["in_a_benchmark"] == 0
    found = dropped.select("statement", "benchmark", "question_id").rows()
    assert found[:2] == [(alone[3], "hard", "hard.1"), (alone[3], "easy", "easy.0")]
    assert (alone[5], "easy", "easy.1") in found
    assert counts["dropped"]["in_benchmark"] == dropped["problem_id"].n_unique()


def test_shared_words_drop_a_problem_only_where_params_name_their_number() -> None:
    asked = asks("aime", ["Now state the final answer to the following and prove it."])
    statement = built(sums())[0][0]["statement"]
    assert statement.startswith("State the final answer to the following arithmetic problem: ")
    assert len(built(sums(), asked)[0]) == len(built(sums())[0])
    assert len(built(sums(), asked, overlap_words=8)[0]) == len(built(sums())[0])
    message = error(sums(), asked, overlap_words=7)
    assert message == (
        "problems.sources: 0 of 20 problems remain ({'in_benchmark': 20}); "
        "expected sources that leave one"
    )


def test_a_long_statement_is_listed_by_its_start(tmp_path: Path) -> None:
    data = written(tmp_path / "mine.jsonl", [{"q": "long " * 100}, {"q": "short"}])
    params = settings(sources={"mine": of_table(data, statement="q", gold_answer=None)})
    _, dropped, _ = build_problems(params, asks("aime", ["long " * 100]))
    assert dropped["statement"].to_list() == ["long " * 40]


def test_the_same_problem_twice_is_kept_once_and_counted() -> None:
    # Sums and differences of two one-digit numbers: fewer than 500 are there to be drawn.
    rows, counts = built(sums(problems=500))
    statements = [row["statement"] for row in rows]
    assert len(set(statements)) == len(statements)
    assert counts["dropped"] == {"duplicate": 500 - len(rows)}
    assert counts["dropped"]["duplicate"] > 300


def test_the_same_problem_in_two_sources_is_the_firsts() -> None:
    two = {"a": ProblemSource(task=sums(problems=5)), "b": ProblemSource(task=sums(problems=9))}
    problems, _, counts = build_problems(settings(sources=two), {})
    one, _ = built(sums(problems=9))
    assert problems["statement"].to_list() == [row["statement"] for row in one]
    in_a = counts["sources"]["a"]["kept"]
    assert problems["problem_id"].str.head(1).to_list() == ["a"] * in_a + ["b"] * (len(one) - in_a)
    assert counts["sources"]["b"]["duplicate"] >= in_a
    assert counts["kept"] == sum(source["kept"] for source in counts["sources"].values())


def test_a_worked_example_is_never_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn(sums())[3]
    monkeypatch.setattr(
        prompts, "worked_examples", lambda: [WorkedExample(shown.upper() + " ", "easy")]
    )
    rows, counts = built(sums())
    assert shown not in [row["statement"] for row in rows]
    assert counts["dropped"]["worked_example"] >= 1


def test_a_benchmark_that_asks_a_worked_example_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = drawn(sums())[3]
    monkeypatch.setattr(prompts, "worked_examples", lambda: [WorkedExample(shown, "easy")])
    message = error(sums(seed=99), asks("held-out", [shown]))
    assert message.startswith("benchmarks.held-out asks the worked example ")
    assert message.endswith("change its seed or the example")


def test_a_sample_is_at_random_and_stays_when_it_grows() -> None:
    everything = [row["problem_id"] for row in built(sums(problems=60))[0]]
    few, counts = built(sums(problems=60), sample=5)
    more, _ = built(sums(problems=60), sample=25)
    ids, more_ids = [row["problem_id"] for row in few], [row["problem_id"] for row in more]
    assert set(ids) < set(more_ids)
    assert ids == [one for one in everything if one in ids]  # in the order of the source
    assert ids != everything[:5]
    assert counts["dropped"]["not_sampled"] == len(everything) - 5
    assert ids != [row["problem_id"] for row in built(sums(problems=60), sample=5, seed=2)[0]]


def test_a_sample_is_drawn_after_all_filters_and_by_id_not_by_place() -> None:
    before = {row["problem_id"]: row["statement"] for row in built(sums(problems=60), sample=9)[0]}
    first = next(iter(before.values()))
    after = built(sums(problems=60), asks("aime", [first]), sample=9)[0]
    assert len(after) == 9
    assert set(before) - {row["problem_id"] for row in after} == {next(iter(before))}


def test_a_sample_of_more_than_there_is_names_what_is_left() -> None:
    message = error(sums(problems=10), sample=11)
    left = len(built(sums(problems=10))[0])
    assert message.startswith(f"problems.sample = 11: {left} of 10 problems remain (")
    assert message.endswith(f"expected 1 to {left}")


def test_a_larger_size_keeps_the_problems_there_were() -> None:
    few, _ = built(sums(problems=10))
    many, _ = built(sums(problems=40))
    assert many[: len(few)] == few
    assert len(many) > len(few)
    assert few[0]["problem_id"] == "sums.0"


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert built(sums()) == built(sums())
    assert built(sums(seed=13))[0] != built(sums())[0]


def test_a_problem_is_a_statement_with_its_answer_and_where_it_comes_from() -> None:
    row = built(sums())[0][0]
    left, sign, right = row["statement"].removesuffix("=").split()[-3:]
    assert int(row["gold_answer"]) == int(left) + int(f"{sign}{right}")
    assert row["source"] == "reasoning-gym 0.1.25 chain_sum seed 12"
    assert row["domain"] == "chain_sum"


def test_an_unknown_task_is_an_error_with_the_tasks_like_it() -> None:
    message = error(TaskParams(task="chain_sums", seed=1, problems=3, options={}))
    assert message.startswith(
        "problems.sources.sums.task.task = 'chain_sums': no such reasoning-gym task; "
        "expected one of "
    )
    assert "chain_sum" in message.partition("expected one of ")[2].split(", ")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"min_term": 2}, "min_term"),
        ({"min_terms": 0}, "min_terms"),
        ({"min_terms": 5, "max_terms": 4}, "max_terms"),
        ({"min_terms": "two"}, "two"),
        ({"min_terms": [2]}, "min_terms"),
        ({"seed": 3}, "seed"),
        ({"size": 3}, "size"),
    ],
)
def test_an_option_that_the_task_does_not_take_is_an_error(
    options: dict[str, Any], named: str
) -> None:
    task = TaskParams.model_construct(task="chain_sum", seed=1, problems=3, options=options)
    message = error(task)
    assert message.startswith(f"problems.sources.sums.task.options = {options}: ")
    assert named in message


@pytest.mark.parametrize("kinds", [[], ["task", "table"]])
def test_a_source_is_exactly_one_of_three(kinds: list[str]) -> None:
    file = {"path": "x", "sha256": "0" * 64}
    table = {"data": {"file": file}, "statement": "q", "gold_answer": None}
    every = {"task": sums().model_dump(), "table": table}
    with pytest.raises(ValidationError, match="expected exactly one of task, openr1, table"):
        ProblemSource.model_validate({kind: every[kind] for kind in kinds})


@pytest.mark.parametrize("changes", [{"overlap_words": 1}, {"sample": 0}, {"seed": -1}])
def test_a_number_that_means_nothing_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        settings(sources={"sums": ProblemSource(task=sums())}, **changes)


# Users' own tables.


def written(path: Path, rows: list[dict[str, Any]]) -> DataSource:
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return local(path)


def of_table(data: DataSource, **columns: Any) -> ProblemSource:
    return ProblemSource(table=TableProblems(data=data, **columns))


def turns(*contents: str) -> list[dict[str, str]]:
    roles = ["system", "user", "assistant", "user", "assistant"]
    return [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.parquet", "mine.csv"])
def test_a_table_of_texts_gives_problems_with_the_index_of_their_first_row(
    tmp_path: Path, name: str
) -> None:
    rows = [
        {"q": "One?", "a": "1", "x": "never read"},
        {"q": "", "a": "1", "x": ""},
        {"q": "Two?", "a": "2", "x": ""},
        {"q": "One?", "a": "1", "x": ""},
        {"q": "Three?", "a": "", "x": ""},
        {"q": "one? ", "a": "1", "x": ""},
    ]
    data = written(tmp_path / name, rows)
    params = settings(sources={"mine": of_table(data, statement="q", gold_answer="a")})
    problems, _, counts = build_problems(params, {})
    assert problems.select("problem_id", "statement", "gold_answer").rows() == [
        ("mine.0", "One?", "1"),
        ("mine.2", "Two?", "2"),
        ("mine.5", "one? ", "1"),
    ]
    assert counts["sources"]["mine"] == {
        "drawn": 6,
        "no_statement": 1,
        "tool_calls": 0,
        "not_text": 0,
        "no_answer": 1,
        "same_problem": 1,
        "in_benchmark": 0,
        "worked_example": 0,
        "duplicate": 0,
        "not_sampled": 0,
        "kept": 3,
    }
    assert data.file is not None
    assert problems["source"].to_list() == [f"sha256:{data.file.sha256}"] * 3


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.parquet"])
def test_of_chat_messages_the_last_turn_of_the_user_is_the_problem(
    tmp_path: Path, name: str
) -> None:
    rows = [
        {"prompt": turns("Be short.", "First?", "Yes.", "Second?", "No.")},
        {"prompt": turns("Be short.", "Third?")},
        {"prompt": turns("Nobody asks.")},
    ]
    data = written(tmp_path / name, rows)
    params = settings(sources={"mine": of_table(data, statement="prompt", gold_answer=None)})
    problems, _, counts = build_problems(params, {})
    assert problems["statement"].to_list() == ["Second?", "Third?"]
    assert problems["gold_answer"].to_list() == ["", ""]
    assert counts["dropped"] == {"no_statement": 1}


def test_a_gold_answer_may_be_a_number(tmp_path: Path) -> None:
    data = written(tmp_path / "mine.jsonl", [{"q": "One?", "a": 1}, {"q": "Half?", "a": 0.5}])
    params = settings(sources={"mine": of_table(data, statement="q", gold_answer="a")})
    assert build_problems(params, {})[0]["gold_answer"].to_list() == ["1", "0.5"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"b": "One?", "a": "1"}], "row 0 has no column 'q'; it has b, a"),
        ([{"q": 7, "a": "1"}], "row 0: q = 7; expected a text, or messages with role and content"),
        ([{"q": ["7"], "a": "1"}], "row 0: q: holds a list; expected messages with role and cont"),
        ([{"q": "One?", "a": True}], "row 0: a = True; expected a text or a number"),
        (
            [{"q": "One?", "a": "1"}, {"q": "One?", "a": "2"}],
            "row 1: a = '2': an earlier row has '1'; expected one gold answer for a statement",
        ),
    ],
)
def test_a_table_that_is_not_as_declared_is_one_line_with_row_and_value(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    data = written(tmp_path / "mine.jsonl", rows)
    params = settings(sources={"mine": of_table(data, statement="q", gold_answer="a")})
    with pytest.raises(InputError) as caught:
        build_problems(params, {})
    assert str(caught.value).startswith(f"problems.sources.mine.table.data: {message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    written(path, [{"q": "One?"}])
    data = DataSource(file=LocalFiles(path=str(path), sha256="0" * 64))
    params = settings(sources={"mine": of_table(data, statement="q", gold_answer=None)})
    with pytest.raises(InputError, match=r"problems\.sources\.mine\.table\.data\.file\.sha256 = 0"):
        build_problems(params, {})


@pytest.mark.parametrize(
    ("form", "row", "gold"),
    [
        ("gsm8k", {"question": "How many?", "answer": "2 + 2 = 4\n#### 1,004"}, "1004"),
        ("math-500", {"problem": "How many?", "answer": r"\frac{1}{2}"}, r"\frac{1}{2}"),
        ("olympiadbench", {"question": "How many?", "final_answer": ["$1$", "$2$"]}, "1, 2"),
        ("aime24", {"problem": "How many?", "solution": r"So \boxed{073}."}, "73"),
    ],
)
def test_problems_are_read_in_the_formats_of_benchmarks(
    tmp_path: Path, form: str, row: dict[str, Any], gold: str
) -> None:
    data = written(tmp_path / "train.jsonl", [row, row])
    source = ProblemSource.model_validate({"math": {"format": form, "data": data.model_dump()}})
    problems, _, counts = build_problems(settings(sources={"train": source}), {})
    columns = ["problem_id", "statement", "gold_answer", "domain"]
    assert problems.select(columns).rows() == [("train.0", "How many?", gold, form)]
    assert counts["dropped"] == {"duplicate": 1}


def test_a_row_that_the_format_of_a_benchmark_does_not_have_is_named(tmp_path: Path) -> None:
    rows = [{"question": "a", "answer": "#### 4"}, {"question": "b", "answer": "four"}]
    data = written(tmp_path / "train.jsonl", rows)
    source = ProblemSource.model_validate({"math": {"format": "gsm8k", "data": data.model_dump()}})
    said = r"^problems\.sources\.train\.math\.data: row 1: answer = 'four'; expected a solution"
    with pytest.raises(InputError, match=said):
        build_problems(settings(sources={"train": source}), {})
