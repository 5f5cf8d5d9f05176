"""`python -m delta compare` shows the answers of both runs to the questions where they differ."""

import json
import shutil
from pathlib import Path

import pytest

from delta.cli import compare
from delta.cli.command_line import parse
from delta.core import paths, tables
from delta.core.errors import InputError
from delta.core.schemas import ANSWER, QUESTION
from delta.core.types import Row
from delta.experiments import results
from delta.experiments.results import Result
from tests.helpers.import_closure import ROOT

RIGHT = {"outcome": "correct", "text": "<think>hm</think>It is \\boxed{7}.", "answer_start": 17}
WRONG = {"outcome": "incorrect", "text": "I think\n" + 99 * "so " + "\x1b[31m8", "answer_start": 0}
CUT = {"outcome": "incorrect", "text": "hm", "answer_start": None, "reason": "cut"}


def write_answers(model: str, answers: dict[str, list[Row]]) -> None:
    """Write a model's answers and the questions, and scores with equal versions."""
    for benchmark, rows in answers.items():
        ids = [f"{benchmark}.{number}" for number in range(len(rows))]
        common = {"benchmark": benchmark, "sample": 0, "finish_reason": "stop"}
        table = [common | {"question_id": key} | row for key, row in zip(ids, rows, strict=True)]
        tables.write(paths.answers(model, benchmark), tables.frame_of(table, ANSWER), ANSWER)
        questions = [{"question_id": key, "statement": f"What is {key}?"} for key in ids]
        path = paths.questions(benchmark)
        tables.write(path, tables.frame_of(questions, QUESTION), QUESTION)
    counts = {"benchmark_version": "1", "samples": 1, "truncated": 0}
    scores = {name: counts | {"n": len(rows)} for name, rows in answers.items()}
    paths.score(model).parent.mkdir(parents=True, exist_ok=True)
    paths.score(model).write_text(json.dumps({model: scores}))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a workspace whose policy is right on 8 questions about products."""
    shutil.copy(ROOT / "profiles/smoke.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    runs = ["figure-1-sft-weak", "figure-1-sft-strong", *(f"figure-4-{n}" for n in range(40))]
    for key, name in enumerate(runs, 10):
        results.write(Result(str(key), f"{name}-{key}", {}, "8e7a677", "", 60, {}, {}, {}))
    same = {"long-sums": [WRONG], "humaneval": [WRONG]}
    write_answers("policy", {"products": [RIGHT] * 8 + [CUT]} | same)
    write_answers("zero-shot", {"products": [WRONG] * 8 + [RIGHT]} | same)
    return tmp_path


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    compare.main(parse(compare, ["policy", "zero-shot", *arguments]))
    return capsys.readouterr().out


@pytest.mark.usefixtures("workspace")
def test_the_answers_of_both_are_shown_shortened_and_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = show(capsys, "--show", "1")
    lines = output.split("\n")
    start = next(number for number, line in enumerate(lines) if "8 more often right" in line)
    assert lines[start].endswith(": 8 more often right in policy")
    assert lines[start + 1] == "  products.0: What is products.0?"
    assert lines[start + 2] == "    policy, 1 of 1 right: It is \\boxed{7}."
    theirs = lines[start + 3]
    assert theirs.startswith("    zero-shot, 0 of 1 right: I think so so so ")
    assert " [11 characters left out] " in theirs
    assert theirs.endswith(" so so \\x1b[31m8")
    assert lines[start + 4] == "  and 7 more; --show 8 shows all"
    assert "1 more often right in zero-shot" in output
    assert "    policy, 0 of 1 right (cut at the token limit): hm" in lines


@pytest.mark.usefixtures("workspace")
def test_all_or_no_questions_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    everything = show(capsys, "--show", "all")
    assert everything.count("    policy, 1 of 1 right") == 8
    assert "more; --show" not in everything
    assert show(capsys, "--show", "0").count("\n") == everything.split("\n\n")[0].count("\n") + 1


@pytest.mark.parametrize("text", ["-1", "1.5", "ALL", ""])
def test_another_number_of_questions_says_what_is_expected(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(compare, ["policy", "zero-shot", f"--show={text}"])
    assert f"argument --show: {text}; expected 0 or more, or all" in capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_a_wrong_name_lists_all_names_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"run 'polcy': 0 runs have this name; .* names above$"):
        compare.read_answers("polcy")
    names = capsys.readouterr().err.splitlines()
    assert names[:2] == ["zero-shot", "policy"] or names[:2] == ["policy", "zero-shot"]
    runs = [json.loads(path.read_text())["name"] for path in Path("metrics/runs").glob("*.json")]
    assert names[2:] == sorted(runs)
    with pytest.raises(InputError, match=r"2 runs have this name; expected one of figure-1-sft-"):
        compare.read_answers("figure-1-sft")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "(empty)"),
        ("one\n two", "one two"),
        ("0123456789", "0123456789"),
        ("0123456789a", "01234 [1 characters left out] 6789a"),
        ("0" * 5 + "1" * 1234 + "2" * 5, "00000 [1,234 characters left out] 22222"),
    ],
)
def test_a_long_text_says_what_is_left_out(text: str, shown: str) -> None:
    assert compare.shorten(text, 10) == shown
