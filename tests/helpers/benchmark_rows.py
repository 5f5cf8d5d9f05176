"""Toy rows of every benchmark in its exact columns; none is a real row."""

import base64
import json
import pickle
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.core.digests import sha256_of
from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.core.types import Row
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.questions import question_batches, summarize_counts

Rows = list[Row]
TINY: dict[str, Any] = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


def packed_by_livecodebench(tests: list[Row]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


MATH_500: list[Row] = [
    {
        "problem": r"What is $\frac{1}{2} + \frac{1}{3}$?",
        "solution": r"It is $\frac{3 + 2}{6} = \boxed{\frac{5}{6}}$.",
        "answer": r"\frac{5}{6}",
        "subject": "Prealgebra",
        "level": 1,
        "unique_id": "test/prealgebra/1.json",
    },
    {
        "problem": "How many primes are below $20$?\u2028Count them all.",
        "solution": r"There are $\boxed{8}$.",
        "answer": "8",
        "subject": "Number Theory",
        "level": 2,
        "unique_id": "test/number_theory/2.json",
    },
]

GSM8K: list[Row] = [
    {
        "question": "A shelf holds 4 rows of 6 cups. How many cups is that?",
        "answer": "It is 4*6=<<4*6=24>>24 cups.\n#### 24",
    },
    {
        "question": "A town buys 5 buses for $250,000 each. What does it pay, in dollars?",
        "answer": "It pays 5*250000=$<<5*250000=1250000>>1,250,000.\n#### 1,250,000",
    },
    {
        "question": "A pump loses 3 litres and gains none. By how much does it change?",
        "answer": "By 0-3=<<0-3=-3>>-3.\n#### -3",
    },
]

AMC23: list[Row] = [
    {"id": 0, "answer": "27.0", "url": "https://example.org/1", "question": "What is $3^3$?"},
    {"id": 1, "answer": 36.0, "url": "https://example.org/2", "question": "What is $6^2$?"},
    {"id": 2, "answer": "45", "url": "https://example.org/3", "question": "What is $9 \\cdot 5$?"},
]

MINERVA: list[Row] = [
    {
        "question": "Light goes $3.0 \\times 10^8$ m/s. How many metres does it go in 2 s?",
        "answer": "6.0e8",
    },
    {"question": "Differentiate $x^2$ by $x$.", "answer": "2x"},
]


def _olympiad(question: str, answer: list[str], **changes: Any) -> Row:
    return {
        "id": 1,
        "question": question,
        "solution": ["It follows at once."],
        "final_answer": answer,
        "context": None,
        "modality": "Text-only",
        "difficulty": "Competition",
        "is_multiple_answer": False,
        "unit": None,
        "answer_type": "Numerical",
        "error": None,
        "question_type": "Open-ended",
        "subfield": "Algebra",
        "subject": "Math",
        "language": "English",
    } | changes


OLYMPIADBENCH: list[Row] = [
    _olympiad("Find all real $x$ with $x^2 = 9$.", ["$3$, $-3$"], is_multiple_answer=True),
    _olympiad("A cube has edge 2 cm. What is its volume?", ["$8$"], unit="$\\mathrm{~cm}^3$"),
    _olympiad("What is the price?", [r"\$5"], context="A pen costs as much as five pencils."),
]

AIME24: list[Row] = [
    {
        "id": 60,
        "problem": "What is $10^2 - 27$?",
        "solution": r"\boxed{073}",
        "url": "https://example.org/aime/1",
    },
    {
        "id": 61,
        "problem": "What is $20 \\cdot 10 + 4$?",
        "solution": r"Not \boxed{200}, but \boxed{204}",
        "url": "https://example.org/aime/2",
    },
]

AIME25: list[Row] = [
    {"problem": "What is $7 \\cdot 10$?", "answer": "70", "id": "0"},
    {"problem": "How many degrees are in 0.9 of a turn?", "answer": r"324^\circ", "id": "1"},
]

MMLU_PRO: list[Row] = [
    {
        "question_id": 70,
        "question": "Which of these is a prime?",
        "options": ["4", "6", "7", "9", "10", "12", "14", "15", "16", "18"],
        "answer": "C",
        "answer_index": 2,
        "cot_content": "",
        "category": "math",
        "src": "ours",
    },
    {
        "question_id": 71,
        "question": "Which metal is liquid at room temperature?",
        "options": ["Iron", "Mercury", "Lead", *["N/A"] * 7],
        "answer": "B",
        "answer_index": 1,
        "cot_content": "",
        "category": "chemistry",
        "src": "ours",
    },
    {
        "question_id": 3983,  # as its namesake on the hub: only the letter is right
        "question": "Which number is even?",
        "options": ["1", "3", "4"],
        "answer": "C",
        "answer_index": 1,
        "cot_content": "",
        "category": "math",
        "src": "ours",
    },
]

# Its validation split: five worked examples of each category.
MMLU_PRO_EXAMPLES: list[Row] = [
    {
        "question_id": number,
        "question": f"Which {noun} stands at place {number}?",
        "options": ["the first", "the other", "none"],
        "answer": "AB"[number % 2],
        "answer_index": number % 2,
        "cot_content": f"A: Let's think step by step. Place {number} says it. "
        f"The answer is ({'AB'[number % 2]}).",
        "category": category,
        "src": "ours",
    }
    for category, noun in (("math", "number"), ("chemistry", "element"))
    for number in range(5)
]

THEOREMQA: list[Row] = [
    {"Question": question, "Answer": answer, "Answer_type": answer_type, "Picture": picture}
    for question, answer, answer_type, picture in (
        ("In how many orders can 4 books stand?", "24", "integer", None),
        ("What is the square root of 2?", "1.414", "float", None),
        ("Is every square a rectangle?", "True", "bool", None),
        ("Which integers solve x^2 = 4, in rising order?", "[-2, 2]", "list of integer", None),
        ("Solve 2x = 1 and 4y = 5.", "[0.5, 1.25]", "list of float", None),
        ("What is 1 + 1? (a) 1 (b) 2 (c) 3. Which option is correct?", "(b)", "option", None),
        ("What is the area in the figure?", "12.0", "float", {"bytes": "iVBO", "path": None}),
    )
]

GPQA: list[Row] = [
    {
        "Record ID": f"rec{number}",
        "Question": question,
        "Correct Answer": right + "\n",
        "Incorrect Answer 1": " never",
        "Incorrect Answer 2": "twice",
        "Incorrect Answer 3": "always ",
        "High-level domain": "Physics",
        "Subdomain": "Toy physics",
    }
    for number, (question, right) in enumerate(
        (
            ("How often does a stopped clock tell the time in 12 hours?", "once"),
            ("How often does a coin without heads show heads?", "not at all"),
            ("How often does a wheel of 10 m turn on 30 m?", "3 times"),
        )
    )
]


def _livecodebench(number: int, content: str, **changes: Any) -> Row:
    return {
        "question_title": f"problem {number}",
        "question_content": content,
        "platform": "atcoder",
        "question_id": f"toy_{number}",
        "contest_id": "toy",
        "contest_date": f"2024-0{number}-15T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": "[]",
        "private_test_cases": "[]",
        "metadata": "{}",
    } | changes


LIVECODEBENCH: list[Row] = [
    _livecodebench(
        1,
        "Read two integers from one line and print their sum.",
        public_test_cases='[{"input": "1 2\\n", "output": "3\\n", "testtype": "stdin"}]',
        private_test_cases=packed_by_livecodebench(
            [{"input": "5 6\n", "output": "11\n", "testtype": "stdin"}]
        ),
    ),
    _livecodebench(
        2,
        "Return the larger of two integers.",
        platform="leetcode",
        starter_code="class Solution:\n    def larger(self, a: int, b: int) -> int:\n        ",
        metadata='{"func_name": "larger"}',
        public_test_cases='[{"input": "1\\n2", "output": "2", "testtype": "functional"}]',
        private_test_cases='[{"input": "9\\n7", "output": "9", "testtype": "functional"}]',
    ),
    _livecodebench(
        3,
        "Print the number that is read.",
        public_test_cases='[{"input": "4\\n", "output": "4\\n", "testtype": "stdin"}]',
    ),
]

HUMANEVAL: list[Row] = [
    {
        "task_id": "Toy/0",
        "prompt": 'def double(x: int) -> int:\n    """ Twice x.\n\n    >>> double(2)\n    4\n'
        '    """\n',
        "entry_point": "double",
        "canonical_solution": "    return 2 * x\n",
        "test": "\n\ndef check(candidate):\n    assert candidate(2) == 4\n",
    },
    {
        "task_id": "Toy/1",
        "prompt": '\ndef first(xs: list) -> int:\n    """ The first of xs."""\n',
        "entry_point": "first",
        "canonical_solution": "    return xs[0]\n",
        "test": "def check(candidate):\n    assert candidate([3, 1]) == 3\n",
    },
]

COLUMNS: list[Row] = [
    {"ask": "Which is larger?", "gold": "B", "choices": ["one", "two"], "note": "not read"},
    {"ask": "Which is smaller?", "gold": "A", "choices": ["one", "two", "three"], "note": ""},
]

# Benchmark → group, samples, the keys of its format, and rows.
BENCHMARKS: dict[str, tuple[str, int, Row, list[Row]]] = {
    "math-500": ("easy", 1, {}, MATH_500),
    "gsm8k": ("easy", 1, {}, GSM8K),
    "amc23": ("easy", 16, {}, AMC23),
    "minerva": ("hard", 1, {}, MINERVA),
    "olympiadbench": ("hard", 1, {}, OLYMPIADBENCH),
    "aime24": ("hard", 16, {}, AIME24),
    "aime25": ("hard", 16, {}, AIME25),
    "mmlu-pro": ("stem", 1, {"shots": 5}, MMLU_PRO),
    "theoremqa": ("stem", 1, {"pictures": "drop"}, THEOREMQA),
    "gpqa": ("stem", 1, {"seed": 17}, GPQA),
    "livecodebench": ("code", 1, {"from_date": None, "to_date": None}, LIVECODEBENCH),
    "humaneval": ("code", 1, {}, HUMANEVAL),
    "columns": (
        "other",
        1,
        {"statement": "ask", "gold_answer": "gold", "grader": "choice", "options": "choices"},
        COLUMNS,
    ),
}


def write_file_source(path: Path, rows: list[Row]) -> Row:
    """Write `rows` as JSON Lines and return the `data` of params.yaml that reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(lines, encoding="utf-8")
    return {"file": {"path": str(path), "sha256": sha256_of(path)}}


def benchmark_section(folder: Path, form: str, rows: list[Row] | None = None, **source: Any) -> Row:
    """Return an entry of `benchmarks` in params.yaml that asks a format's toy rows, or `rows`."""
    group, samples, keys, toy = BENCHMARKS[form]
    data = write_file_source(folder / f"{form}.jsonl", toy if rows is None else rows)
    if form == "mmlu-pro":
        examples = write_file_source(folder / "mmlu-pro-examples.jsonl", MMLU_PRO_EXAMPLES)
        keys = keys | {"examples": examples}
    return {
        "group": group,
        "samples": samples,
        "questions": None,
        "max_tokens": 64,
        "source": {"format": form, "data": data} | keys | source,
    }


def sums_benchmark(questions: int | None = 5, seed: int = 12, **options: Any) -> dict[str, Any]:
    source = {"format": "task", "task": "chain_sum", "seed": seed, "options": TINY | options}
    return {
        "group": "easy",
        "samples": 1,
        "questions": questions,
        "max_tokens": 64,
        "source": source,
    }


def read_questions(entry: dict[str, Any], name: str = "toy") -> tuple[Rows, dict[str, Any]]:
    """Return questions with parsed metadata, and the counts, which add up."""
    counter = Counter[str]()
    frame = pl.concat(question_batches(name, BenchmarkParams.model_validate(entry), counter))
    counts = summarize_counts(counter)
    assert frame.schema == QUESTION.columns
    dropped = sum(counts["dropped"].values())
    assert counts["read"] == counts["kept"] + dropped + counts["beyond_size"]
    assert counts["kept"] == frame.height
    rows = frame.to_dicts()
    for row in rows:
        row["metadata"] = json.loads(row["metadata"])
    return rows, counts


def gold_answers(rows: Rows) -> list[Any]:
    return [row["gold_answer"] for row in rows]


def questions_error(entry: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        read_questions(entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)
