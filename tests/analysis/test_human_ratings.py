"""Sheets for people are blind and shuffled, run no formula, and are read strictly."""

import csv
import hashlib
import io
from pathlib import Path

import polars as pl
import pytest

from delta.analysis import human_ratings, rating_sheet
from delta.analysis.human_ratings import FileParams, HumanParams
from delta.core.errors import InputError
from delta.judging.rubric import DIMENSIONS

RATED = pl.DataFrame(
    {
        "trace_id": [f"p{place}/{name}/0" for name in ("weak", "strong") for place in range(6)],
        "generator": [name for name in ("weak", "strong") for _ in range(6)],
    }
)


def trace(
    trace_id: str, text: str = "It is \\boxed{2}.", statement: str = "1 + 1?"
) -> dict[str, object]:
    return {
        "trace_id": trace_id,
        "statement": statement,
        "history": [],
        "text": text,
        "reasoning_start": 0,
        "reasoning_end": 0,
        "answer_start": 0,
    }


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- the sheet ---


def test_every_generator_has_equally_many_rows_or_one_more() -> None:
    drawn = rating_sheet.draw_traces(RATED, 7, seed=1)
    assert len(set(drawn)) == 7
    assert sorted(sum(name in trace_id for trace_id in drawn) for name in ("weak", "strong")) == [
        3,
        4,
    ]
    assert drawn == rating_sheet.draw_traces(RATED.reverse(), 7, seed=1)
    assert drawn != rating_sheet.draw_traces(RATED, 7, seed=2)


def test_generators_are_shuffled() -> None:
    names = [trace_id.split("/")[1] for trace_id in rating_sheet.draw_traces(RATED, 12, seed=1)]
    assert names not in (sorted(names), sorted(names, reverse=True))


def test_more_rows_than_rated_traces_are_an_error_with_the_largest_number() -> None:
    with pytest.raises(
        InputError, match="N = 13: equally many by each generator; expected 1 to 12"
    ):
        rating_sheet.draw_traces(RATED, 13, seed=1)
    with pytest.raises(InputError, match="no trace is rated"):
        rating_sheet.draw_traces(RATED.clear(), 1, seed=1)


def test_the_sheet_has_no_generator_and_no_rating() -> None:
    lines, key = rating_sheet.sheet_and_key_rows([trace("p1/strong/0"), trace("p2/weak/0")], seed=1)
    text = rating_sheet.to_csv(rating_sheet.COLUMNS, lines)
    assert "strong" not in text
    assert "weak" not in text
    first = cells(text)[0]
    assert list(first) == ["sheet_id", "problem", "trace", *DIMENSIONS, "comment"]
    assert (first["problem"], first["trace"]) == ("1 + 1?", "It is \\boxed{2}.")
    assert {first[name] for name in (*DIMENSIONS, "comment")} == {""}
    assert [row["trace_id"] for row in key] == ["p1/strong/0", "p2/weak/0"]
    assert first["sheet_id"] == key[0]["sheet_id"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_model_text_never_starts_a_formula_in_a_spreadsheet(start: str) -> None:
    attack = start + 'HYPERLINK("http://example.org")'
    lines, _ = rating_sheet.sheet_and_key_rows([trace("p/g/0", attack, statement=attack)], seed=1)
    row = cells(rating_sheet.to_csv(rating_sheet.COLUMNS, lines))[0]
    assert row["problem"] == row["trace"] == "'" + attack


def test_quotes_commas_and_new_lines_in_a_trace_survive() -> None:
    text = 'so "a", b\nand c'
    lines, _ = rating_sheet.sheet_and_key_rows([trace("p/g/0", text)], seed=1)
    assert cells(rating_sheet.to_csv(rating_sheet.COLUMNS, lines))[0]["trace"] == text


def test_a_sheet_id_never_reads_as_a_number() -> None:
    _, key = rating_sheet.sheet_and_key_rows(
        [trace(f"p{place}/g/0") for place in range(200)], seed=1
    )
    assert len({row["sheet_id"] for row in key}) == 200
    assert all(row["sheet_id"].startswith("t") for row in key)


# --- the way back ---

SCORES = "3,4,5,1,2"


def write(folder: Path, name: str, content: str) -> FileParams:
    (folder / name).write_text(content, encoding="utf-8")
    digest = hashlib.sha256(content.encode()).hexdigest()
    return FileParams(path=str(folder / name), sha256=digest)


def params(
    folder: Path, *rows: str, header: str = ",".join(("sheet_id", *DIMENSIONS))
) -> HumanParams:
    """Return parameters for one person's sheet and a key with the rows t1 and t2."""
    key = f"sheet_id,trace_id,text_sha256\nt1,p/g/0,{human_ratings.text_sha256('a')}\nt2,p/h/0,00\n"
    filled = write(folder, "anna.csv", "\n".join([header, *rows]) + "\n")
    return HumanParams(key=write(folder, "key.csv", key), sheets=[filled])


def test_scores_come_back_as_votes_and_an_empty_cell_is_not_rated(tmp_path: Path) -> None:
    (table,), hashes = human_ratings.read_ratings(params(tmp_path, "t2,3,, 5 ,1,2", "t1,,,,,"))
    assert table.filter(pl.col("trace_id") == "p/h/0").select(
        "judge", "dimension", "votes", "refused"
    ).rows() == [
        ("anna.csv", "factuality", [3], 0),
        ("anna.csv", "strategy_coherence", [], 1),
        ("anna.csv", "step_coherence", [5], 0),
        ("anna.csv", "computational_precision", [1], 0),
        ("anna.csv", "signal_to_noise", [2], 0),
    ]
    assert table.filter(pl.col("trace_id") == "p/g/0")["refused"].to_list() == [1] * 5
    assert hashes == {"p/g/0": human_ratings.text_sha256("a"), "p/h/0": "00"}


def test_a_sheet_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    header = "comment,sheet_id,trace," + ",".join(reversed(DIMENSIONS))
    (table,), _ = human_ratings.read_ratings(
        params(tmp_path, 'fine,t1,"= a\nb",2,1,5,4,3', ",,,,,,,", header="\ufeff" + header)
    )
    assert table["votes"].to_list() == [[3], [4], [5], [1], [2]]


@pytest.mark.parametrize("cell", ["0", "6", "4.0", "4,5", "good", "-1", "٣"])
def test_a_cell_that_is_no_score_is_an_error_with_row_and_column(tmp_path: Path, cell: str) -> None:
    bad = params(tmp_path, f"t1,{SCORES}", f't2,3,4,"{cell}",1,2')
    with pytest.raises(InputError) as error:
        human_ratings.read_ratings(bad)
    assert str(error.value) == (
        f"{tmp_path}/anna.csv: row 3, column step_coherence: {cell!r}; "
        "expected a whole number from 1 to 5, or nothing where not rated"
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([f"t3,{SCORES}"], "row 2, column sheet_id: 't3' is not known"),
        ([f"t1,{SCORES}", "", f"t1,{SCORES}"], "row 4, column sheet_id: 't1' is in row 2 too"),
        ([f",{SCORES}"], "row 2, column sheet_id: '' is not known"),
        ([f't1,{SCORES},"'], "not CSV"),
    ],
)
def test_a_wrong_row_is_an_error_with_row_and_column(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        human_ratings.read_ratings(params(tmp_path, *rows))


def test_a_missing_or_doubled_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="column 'strategy_coherence' 0 times; expected once; it has sheet_id, f"
    ):
        human_ratings.read_ratings(params(tmp_path, header="sheet_id,factuality"))
    doubled = ",".join(("sheet_id", *DIMENSIONS, "factuality"))
    with pytest.raises(InputError, match="column 'factuality' 2 times"):
        human_ratings.read_ratings(params(tmp_path, header=doubled))


def test_a_file_that_is_missing_or_has_another_digest_is_an_error(tmp_path: Path) -> None:
    sheets = params(tmp_path, f"t1,{SCORES}")
    path = Path(sheets.sheets[0].path)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InputError, match=r"sheets\.0\.sha256 = \w+: .*anna.csv has \w+; if"):
        human_ratings.read_ratings(sheets)
    path.unlink()
    with pytest.raises(InputError, match=r"anna.csv: cannot be read \(No such file"):
        human_ratings.read_ratings(sheets)


def test_ratings_of_a_changed_text_are_left_out_and_counted(tmp_path: Path) -> None:
    people, hashes = human_ratings.read_ratings(params(tmp_path, f"t1,{SCORES}", f"t2,{SCORES}"))
    kept, counts = human_ratings.drop_changed_texts(
        people, hashes, {"p/g/0": "a", "p/h/0": "now another"}
    )
    assert kept[0]["trace_id"].unique().to_list() == ["p/g/0"]
    assert counts == {"people": 1, "sheet_rows": 2, "of_other_texts": 1}
