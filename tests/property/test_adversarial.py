"""Hostile input of all kinds gives a one-line error or a counted drop, never a wrong number.

Ten inputs are tested with all adversarial texts, and with broken files. No text runs as code.
Invalid params.yaml files are in test_params.py, hostile programs in test_sandbox.py.
"""

import copy
import csv
import gzip
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from delta.analysis import rating_sheet
from delta.check import check_content
from delta.core import tables
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.core.schemas import PROBLEM, RECORDING
from delta.data.fetch import ModelParams, RecordingSource, fetch
from delta.data.formats.columns import ColumnsSource, columns_question
from delta.data.formats.question import RowError
from delta.data.problems import ProblemSource, ProblemsParams, build_problems
from delta.data.sources import DataSource, LocalFiles
from delta.data.user_tables import TableProblems, TableTraces
from delta.grading.config import CodeParams, GradingParams
from delta.grading.formulas.boxes import last_box
from delta.grading.grade_all import grade_all
from delta.grading.graders import Case
from delta.inference import chat_formats
from delta.inference.reply_cache import ReplyCache
from delta.judging import rubric
from delta.judging.rules.rate import NoVote, RulesParams, rate
from delta.prompts import trace_text
from tests.helpers.adversarial_texts import TEXTS
from tests.helpers.import_closure import ROOT
from tests.helpers.openr1_rows import local_source

MARKER = Path("/tmp/delta-was-here")  # a text that ran as code would create it
CONTENT = read_all(ROOT / "params.yaml")
every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


@pytest.fixture(autouse=True)
def _nothing_ran() -> Any:
    MARKER.unlink(missing_ok=True)
    yield
    assert not MARKER.exists()


def problems_at(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return problems and counts of a table with the columns q and a."""
    table = TableProblems(data=local_source(path), statement="q", gold_answer="a")
    sources = {"mine": ProblemSource(table=table)}
    problems, _, counts = build_problems(
        ProblemsParams(sources=sources, overlap_words=8, sample=None, seed=1), {}
    )
    return problems, counts


def traces_at(path: Path, folder: Path) -> pl.DataFrame:
    """Return the traces of a table as a recording, with traces in the column t."""
    table = TableTraces(data=local_source(path), statement="q", text="t", outcome=None, where={})
    fetch(
        "toy",
        ModelParams(recording=RecordingSource(source="mine", table=table)),
        folder,
        lambda _: None,
    )
    return tables.read(folder / "recording.parquet", RECORDING)


# --- texts ---


@every_text
def test_a_statement_is_kept_unchanged_or_dropped_and_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"q": text, "a": text}, {"q": "1 + 1?", "a": "2"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems, counts = problems_at(path)
    tables.write(tmp_path / "p.parquet", problems, PROBLEM)
    stored = tables.read(tmp_path / "p.parquet", PROBLEM)
    expected = [text] if text.strip() else []
    assert stored["statement"].to_list() == [*expected, "1 + 1?"]
    assert stored["gold_answer"].to_list() == [*(statement.strip() for statement in expected), "2"]
    assert counts["drawn"] == counts["kept"] + sum(counts["dropped"].values()) == 2


@every_text
def test_a_recorded_trace_is_kept_unchanged_or_left_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"q": ["1?", "2?"], "t": [text, "4"]}).write_parquet(path)
    traces = traces_at(path, tmp_path / "toy")
    assert traces["text"].to_list() == [*([text] if text.strip() else []), "4"]


@every_text
def test_every_chat_format_splits_inside_the_text(text: str) -> None:
    for chat_format in chat_formats.all_chat_formats().values():
        for trace in (text, chat_format.write(text, "so 4"), chat_format.write("so", text)):
            start, end, answer = chat_format.split(trace)
            assert 0 <= start <= end <= (len(trace) if answer is None else answer) <= len(trace)


@every_text
def test_escaping_adds_only_spaces_and_leaves_no_marker(text: str) -> None:
    escaped = trace_text.escape_markup(text)
    assert not re.search(r"<\||</?(?:problem|reference|solution|trace)\b", escaped)
    assert escaped.replace("< ", "<") == text.replace("< ", "<")


@every_text
def test_no_text_is_a_rating(text: str) -> None:
    assert rubric.parse_votes(text) is None


@every_text
def test_the_rules_rate_any_text_from_1_to_5_in_seconds(text: str) -> None:
    start = time.process_time()
    params = RulesParams(votes=2, seed=0)
    for ratings in (rate("What is 1 + 1?", text, params), rate(text, "1 + 1 = 2", params)):
        for votes in ratings.values():
            assert isinstance(votes, NoVote) or all(1 <= vote.score <= 5 for vote in votes)
    assert time.process_time() - start < 20


@every_text
def test_the_last_box_is_found_in_linear_time(text: str) -> None:
    start = time.process_time()
    box = last_box(text)
    assert box is None or box in text
    assert time.process_time() - start < 2


@every_text
def test_a_cell_of_a_sheet_is_read_back_and_never_a_formula(text: str) -> None:
    cell = rating_sheet.escape_formula(text)
    sheet = rating_sheet.to_csv(
        rating_sheet.COLUMNS, [dict.fromkeys(rating_sheet.COLUMNS, "") | {"trace": cell}]
    )
    csv.field_size_limit(100_000_000)
    (row,) = csv.DictReader(io.StringIO(sheet, newline=""))
    assert row["trace"] in (text, f"'{text}")
    assert not row["trace"].startswith(rating_sheet.FORMULA)


@every_text
def test_the_cache_returns_a_reply_unchanged(tmp_path: Path, text: str) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.put(text, {"text": text})
    with ReplyCache(tmp_path) as cache:
        assert cache.get(text) == {"text": text}
        assert cache.damaged_lines == []


@every_text
@pytest.mark.parametrize("section", ["models", "generators", "benchmarks", "problems.sources"])
def test_no_text_is_a_name(section: str, text: str) -> None:
    content = copy.deepcopy(CONTENT)
    inner = content
    for part in section.split("."):
        inner = inner[part]
    first = next(iter(inner.values()))
    for name in (text, f"good {text}", f"{text}\n", "good\n", "x" * 65):
        inner[name] = first
        with pytest.raises(InputError) as caught:
            check_content(content, "params.yaml")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 5_000
        del inner[name]


@every_text
@pytest.mark.parametrize("grader", ["math", "choice", "theorem", "code"])
def test_a_users_question_is_kept_unchanged_or_rejected_with_its_row(
    grader: Any, text: str
) -> None:
    """The text is the statement, the gold answer, or the answer inside a theorem's gold."""
    source = ColumnsSource(
        format="columns",
        data=DataSource(file=LocalFiles(path="own.jsonl", sha256="0" * 64)),
        statement="s",
        gold_answer="a",
        grader=grader,
        options="o" if grader == "choice" else None,
    )
    theorem = {"answer_type": "list of integer", "answer": text}
    good = {"math": "4", "choice": "A", "theorem": {"answer_type": "bool", "answer": "True"}}
    code = {"kind": "stdin", "tests": [{"input": "1", "output": "2"}]}
    rows: tuple[dict[str, Any], ...] = (
        {"s": text, "a": good.get(grader, code), "o": ["one", "two"]},
        {"s": "What?", "a": text, "o": ["one", "two"]},
        {"s": "What?", "a": theorem, "o": [text, text]},
    )
    for row in rows:
        try:
            question = columns_question(source, row)
        except RowError:
            continue
        assert not isinstance(question, str)
        assert question.statement == row["s"].strip()
        assert question.grader == grader
        if grader == "math":
            assert question.gold_answer == str(row["a"]).strip()


@pytest.mark.slow
def test_no_text_is_graded_correct_or_takes_long() -> None:
    """The text is the answer, the content of a box, or the gold answer."""
    code = CodeParams.model_validate(CONTENT["grading"]["code"])
    for extraction in ("last_box", "math_verify"):
        params = GradingParams(
            backend="local",
            workers=2,
            timeout_s=3,
            max_ungradable=1,
            extraction=extraction,
            code=code,
        )
        cases = [
            case
            for text in TEXTS.values()
            for case in (
                Case("math", "271", text, "stop"),
                Case("math", "271", f"So \\boxed{{{text}}}", "stop"),
                Case("math", text, "So \\boxed{271}", "stop"),
            )
        ]
        start = time.monotonic()
        verdicts = list(grade_all(params, cases))
        assert len(verdicts) == len(cases)
        graded = zip(cases, verdicts, strict=True)
        assert [case for case, verdict in graded if verdict.outcome == "correct"] == []
        assert time.monotonic() - start < 300


# --- files ---

GOOD = '{"q": "1 + 1?", "a": "2", "t": "2"}\n'


def parquet(path: Path, **columns: Any) -> None:
    pq.write_table(pa.table(columns), path)


def parquet_with_a_double_column(path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["q", "q"])
    pq.write_table(table, path)


def parquet_cut_short(path: Path) -> None:
    parquet(path, q=["1 + 1?"] * 100, a=["2"] * 100, t=["2"] * 100)
    path.write_bytes(path.read_bytes()[:-40])


def parquet_with_a_flipped_page(path: Path) -> None:
    parquet(path, q=[f"{n} + 1?" for n in range(100)], a=["2"] * 100, t=["2"] * 100)
    content = bytearray(path.read_bytes())
    content[10:60] = bytes(50)
    path.write_bytes(bytes(content))


WRITTEN = bytes | str | Callable[[Path], None]
FILES: dict[str, tuple[str, WRITTEN, str]] = {
    "no row": ("jsonl", "", "0 of 0 problems remain"),
    "blank lines": ("jsonl", "\n \n\t\n", "0 of 0 problems remain"),
    "no JSON": ("jsonl", "q: 1\n", "line 1: "),
    "half a line": ("jsonl", GOOD + '{"q": "2 + ', "line 2: "),
    "two values on a line": ("jsonl", GOOD.strip() * 2, "line 1: Extra data"),
    "a list": ("jsonl", "[1, 2]\n", "row 1 is list, expected an object"),
    "null": ("jsonl", "null\n", "row 1 is NoneType, expected an object"),
    "a text": ("jsonl", '"q"\n', "row 1 is str, expected an object"),
    "NaN": ("jsonl", '{"q": "1?", "a": NaN}\n', "it holds NaN, which is no JSON number"),
    "infinity": ("jsonl", '{"q": "1?", "a": -Infinity}\n', "it holds -Infinity"),
    "too large": ("jsonl", '{"q": "1?", "a": 1e999}\n', "a = inf; expected a finite number"),
    "the same name twice": ("jsonl", '{"q": "1?", "q": "2?", "a": "1"}\n', "it has 'q' twice"),
    "half a character": ("jsonl", '{"q": "\\ud800?", "a": "1"}\n', "surrogates not allowed"),
    "deep": ("jsonl", '{"q": ' + "[" * 200_000, "it is nested too deeply"),
    "UTF-16": ("jsonl", GOOD.encode("utf-16"), "line 1: "),
    "no UTF-8": ("jsonl", b'{"q": "\xff", "a": "1"}\n', "line 1: "),
    "NUL between lines": ("jsonl", GOOD + "\0\n", "line 2: "),
    "a number for a statement": ("jsonl", '{"q": 7, "a": "1"}\n', "q = 7; expected a text"),
    "true for a statement": ("jsonl", '{"q": true, "a": "1"}\n', "q = True; expected a text"),
    "an object": ("jsonl", '{"q": {"x": 1}, "a": "1"}\n', "q = {'x': 1}; expected a text"),
    "a list of texts": ("jsonl", '{"q": ["x"], "a": "1"}\n', "holds a list; expected messages"),
    "messages without role": ("jsonl", '{"q": [{"content": "x"}], "a": "1"}\n', "holds a list"),
    "content of a message": (
        "jsonl",
        '{"q": [{"role": "user", "content": 7}], "a": "1"}\n',
        "q = 7; expected a text",
    ),
    "true for an answer": ("jsonl", '{"q": "1?", "a": true}\n', "a = True; expected a text or"),
    "a list for an answer": ("jsonl", '{"q": "1?", "a": ["1"]}\n', "a = ['1']; expected a text"),
    "two answers": (
        "jsonl",
        '{"q": "1?", "a": "1"}\n{"q": "1?", "a": "2"}\n',
        "one gold answer for a statement",
    ),
    "no such column": ("jsonl", '{"Q": "1?", "a": "1"}\n', "row 0 has no column 'q'; it has Q, a"),
    "a column that ends": ("jsonl", GOOD + '{"a": "1"}\n', "row 1 has no column 'q'"),
    "null statements": ("jsonl", '{"q": null, "a": "1"}\n', "{'no_statement': 1}"),
    "null answers": ("jsonl", '{"q": "1?", "a": null}\n', "{'no_answer': 1}"),
    "no gzip": ("jsonl.gz", GOOD, "cannot be read: Not a gzipped file"),
    "half a gzip": ("jsonl.gz", gzip.compress(GOOD.encode() * 99)[:-9], "cannot be read: "),
    "an object of rows": ("json", '{"rows": []}', "it holds dict, expected a list of objects"),
    "rows of lists": ("json", "[[1]]", "row 1 is list, expected an object"),
    "half a JSON": ("json", '[{"q": "1?"', "cannot be read: "),
    "more cells": ("csv", "q,a\n1, or 2?,3\n", "row 1 has more cells than the first row has names"),
    "fewer cells": ("csv", "q,a\n1?\n", "row 1 has fewer cells than the first row has names"),
    "an open quotation": ("csv", 'q,a\n"1?,2\n', "unexpected end of data"),
    "a name twice in the first row": ("csv", "q,a,q\n1?,1,2?\n", "it has 'q' twice"),
    "no first row": ("csv", "", "0 of 0 problems remain"),
    "only a first row": ("csv", "q,a\n", "0 of 0 problems remain"),
    "Latin 1": ("csv", "q,a\nñ?,1\n".encode("latin-1"), "codec can't decode"),
    "no Parquet": ("parquet", GOOD, "cannot be read: "),
    "nothing": ("parquet", "", "cannot be read: "),
    "the first letters alone": ("parquet", b"PAR1PAR1", "cannot be read: "),
    "cut short": ("parquet", parquet_cut_short, "cannot be read: "),
    "a flipped page": ("parquet", parquet_with_a_flipped_page, "cannot be read: "),
    "a column twice": ("parquet", parquet_with_a_double_column, "it has 'q' twice"),
    "bytes": ("parquet", lambda path: parquet(path, q=[b"1?"], a=["1"]), "q = b'1?'; expected a"),
    "numbers": (
        "parquet",
        lambda path: parquet(path, q=[1.5], a=["1"]),
        "q = 1.5; expected a text",
    ),
    "NaN as an answer": (
        "parquet",
        lambda path: parquet(path, q=["1?"], a=[float("nan")]),
        "a = nan; expected a finite number",
    ),
    "a missing answer as some write it": (
        "csv",
        "q,a\n1?,nan\n",
        "a = 'nan'; expected a finite number",
    ),
    "nested": (
        "parquet",
        lambda path: parquet(path, q=[[{"role": "user", "text": "1?"}]], a=["1"]),
        "holds a list; expected messages with role and content",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_gives_a_one_line_error(tmp_path: Path, name: str) -> None:
    suffix, content, message = FILES[name]
    path = tmp_path / f"t.{suffix}"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        problems_at(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or str(caught.value).startswith("problems.sources")


@pytest.mark.parametrize(
    ("content", "statement"),
    [
        ('{"q": "1\u2028?", "a": "1"}\n', "1\u2028?"),
        ("\ufeff" + GOOD, "1 + 1?"),
        (GOOD[:-1], "1 + 1?"),
    ],
)
def test_only_a_newline_ends_a_line(tmp_path: Path, content: str, statement: str) -> None:
    (tmp_path / "t.jsonl").write_text(content, encoding="utf-8")
    assert problems_at(tmp_path / "t.jsonl")[0]["statement"].to_list() == [statement]


def test_a_cell_of_ten_megabytes_is_read_whole(tmp_path: Path) -> None:
    long = "1 + " * 2_500_000 + "1?"
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["q", "a"], [long, "2500001"]])
    problems, _ = problems_at(tmp_path / "t.csv")
    assert problems["statement"].to_list() == [long]
