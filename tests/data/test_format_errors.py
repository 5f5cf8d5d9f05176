"""A row that does not become a question is an error with its column and value."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers import benchmark_rows
from tests.helpers.benchmark_rows import BENCHMARKS, benchmark_section, questions_error

# Format, changes to its second row, and the expected message.
INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("math-500", {"answer": None}, "answer = None; expected a text"),
    ("math-500", {"answer": " "}, "answer = ' '; expected a text"),
    ("math-500", {"answer": 8}, "answer = 8; expected a text"),
    ("math-500", {"problem": None}, "problem = None; expected a value there or in question"),
    ("gsm8k", {"answer": "So 24."}, "answer = 'So 24.'; expected a solution that ends in '#### '"),
    ("amc23", {"answer": True}, "answer = True; expected a number or a text"),
    ("amc23", {"answer": ""}, "answer = ''; expected a number or a text"),
    ("minerva", {"answer": None}, "answer = None; expected a text"),
    ("olympiadbench", {"final_answer": "$3$"}, "final_answer = '$3$'; expected a list of texts"),
    ("olympiadbench", {"final_answer": ["$$"]}, "final_answer = ['$$']; expected a list with an"),
    ("aime24", {"solution": "It is 204."}, "solution = 'It is 204.'; expected an integer from 0"),
    ("aime25", {"answer": "1000"}, "answer = '1000'; expected an integer from 0 to 999"),
    ("aime25", {"answer": "7.5"}, "answer = '7.5'; expected an integer from 0 to 999"),
    ("mmlu-pro", {"answer": "D"}, "answer = 'D'; expected a letter from A to C"),
    ("mmlu-pro", {"answer": "AB"}, "answer = 'AB'; expected a letter from A to C"),
    ("mmlu-pro", {"answer": 1}, "answer = 1; expected a letter from A to C"),
    ("mmlu-pro", {"options": ["one"]}, "options = ['one']; expected a list of 2 to 10 texts"),
    ("mmlu-pro", {"options": "['a']"}, "options = \"['a']\"; expected a list of 2 to 10 texts"),
    ("mmlu-pro", {"options": ["a", ""]}, "options = ['a', '']; expected a list of 2 to 10 texts"),
    ("mmlu-pro", {"category": "law"}, "category = 'law'; expected one of `examples`"),
    (
        "theoremqa",
        {"Answer_type": "word"},
        "Answer_type = 'word'; expected one of integer, float, bool",
    ),
    ("theoremqa", {"Answer": "a few"}, "Answer = 'a few'; expected an answer of type float"),
    ("theoremqa", {"Answer": "True"}, "Answer = 'True'; expected an answer of type float"),
    ("theoremqa", {"Answer": None}, "Answer = None; expected an answer of type float"),
    (
        "theoremqa",
        {"Answer": "1.5", "Answer_type": "integer"},
        "Answer = '1.5'; expected an answer of type integer",
    ),
    (
        "theoremqa",
        {"Answer": "[1, 'x']", "Answer_type": "list of float"},
        "Answer = \"[1, 'x']\"; expected an answer of type list of float",
    ),
    ("gpqa", {"Correct Answer": None}, "Correct Answer = None; expected a text"),
    ("gpqa", {"Incorrect Answer 3": ""}, "Incorrect Answer 3 = ''; expected a text"),
    ("livecodebench", {"metadata": "[]"}, "metadata = '[]'; expected JSON of an object"),
    ("livecodebench", {"metadata": "{}"}, "starter_code = 'class Solution"),
    ("livecodebench", {"public_test_cases": "[1]"}, "public_test_cases = '[1]'; expected LiveCode"),
    ("livecodebench", {"private_test_cases": None}, "private_test_cases = None; expected a text"),
    ("livecodebench", {"question_content": ""}, "question_content = ''; expected a text"),
    ("livecodebench", {"contest_date": None}, "contest_date = None; expected a day"),
    (
        "livecodebench",
        {"public_test_cases": "[]", "private_test_cases": "[]"},
        "public_test_cases = '[]'; expected a test there or in private_test_cases",
    ),
    ("humaneval", {"entry_point": None}, "entry_point = None; expected a text"),
    ("humaneval", {"test": "assert 1"}, "test = 'assert 1'; expected Python that defines check"),
    ("humaneval", {"prompt": None}, "prompt = None; expected a text"),
    ("columns", {"gold": "D"}, "gold = 'D'; expected a letter from A to C"),
    ("columns", {"choices": "one, two"}, "choices = 'one, two'; expected a list of 2 to 10 texts"),
]


@pytest.mark.parametrize(("form", "changes", "message"), INVALID)
def test_an_invalid_row_is_named_with_its_value(
    form: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    rows = list(BENCHMARKS[form][3])
    rows[1] = rows[1] | changes
    error = questions_error(benchmark_section(tmp_path, form, rows))
    assert error.startswith(f"benchmarks.toy: row 1: {message}")


@pytest.mark.parametrize(
    ("grader", "gold", "message"),
    [
        ("math", None, "gold = None; expected a number or LaTeX"),
        ("math", [1], "gold = [1]; expected a number or LaTeX"),
        ("theorem", "4", 'gold = \'4\'; expected {"answer_type": …, "answer": …}'),
        (
            "code",
            {"kind": "file"},
            "gold = {'kind': 'file'}; expected an object with {kind, tests}",
        ),
        ("code", {"kind": "stdin", "tests": []}, "gold = []; expected at least one test"),
        ("code", {"kind": "stdin", "tests": "x"}, "gold = 'x'; expected tests as a list of"),
    ],
)
def test_a_custom_gold_answer_must_fit_its_grader(
    grader: str, gold: Any, message: str, tmp_path: Path
) -> None:
    rows = [{"ask": "What?", "gold": gold}]
    error = questions_error(
        benchmark_section(tmp_path, "columns", rows, grader=grader, options=None)
    )
    assert error.startswith(f"benchmarks.toy: row 0: {message}")


def test_too_few_shots_are_an_error(tmp_path: Path) -> None:
    entry = benchmark_section(tmp_path, "mmlu-pro")
    few = benchmark_rows.write_file_source(
        tmp_path / "few.jsonl", benchmark_rows.MMLU_PRO_EXAMPLES[:8]
    )
    message = questions_error(entry | {"source": entry["source"] | {"examples": few}})
    assert message == (
        "benchmarks.toy.source.shots = 5: `examples` has 3 of category 'chemistry'; expected 0 to 3"
    )
    bad = benchmark_rows.MMLU_PRO_EXAMPLES[0] | {"cot_content": ""}
    empty = benchmark_rows.write_file_source(tmp_path / "empty.jsonl", [bad])
    message = questions_error(entry | {"source": entry["source"] | {"examples": empty}})
    assert message == ("benchmarks.toy.source.examples: row 0: cot_content = ''; expected a text")
