"""Write synthetic tables of a run at the paper's size, for measurements that need no model.

    python -m bench.synthetic_data FOLDER PROBLEMS SAMPLES NAME…
    python -m bench.synthetic_data --sources FOLDER ROWS PROGRAMS

The first form writes problems, and the traces, verdicts and ratings of each generator NAME, under
FOLDER (`data`). Texts are words in random order with an answer at the end, so they compress about
as well as prose. The first trace of each problem is rated; with one trace per problem, all are.

The second form writes under FOLDER: openr1.parquet with ROWS rows in the columns of
OpenR1-Math-220k that are read, two traces each; livecodebench.jsonl with PROGRAMS programs, each
with a megabyte of packed tests; and questions of benchmarks of their real sizes (data/questions).
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from bench import results
from delta.core import tables
from delta.core.schemas import PROBLEM, QUESTION, RATING, TRACE, VERDICT
from delta.core.tables import frame_of
from delta.data.openr1 import ProblemRow, TraceRow
from delta.judging.rubric import DIMENSIONS
from tests.helpers.benchmark_rows import LIVECODEBENCH, packed_by_livecodebench
from tests.helpers.openr1_rows import SCHEMA as OPENR1
from tests.helpers.openr1_rows import row as openr1_row
from tests.helpers.paper_results import REAL_SIZES

PROBLEMS = 16_500
CHARACTERS = 12_000  # of a trace
VOTES = 5
TESTS_BYTES = 750_000  # bytes of a program's tests
BATCH = 500  # problems
PROSE = (
    "let us then the number so that value where equation because sum hence ratio check twice "
    "first second times plus minus equals divide both sides root square angle triangle count"
)
WORDS = PROSE.split()


def write(data: Path, problems: int, samples: int, names: list[str]) -> None:
    rows = [
        {
            "problem_id": f"p.{number}",
            "statement": f"What is {number} + {number}? " + PROSE,
            "prompt": f"What is {number} + {number}? " + PROSE,
            "history": [],
            "gold_answer": str(2 * number),
            "source": "synthetic",
            "domain": "algebra",
            "metadata": "{}",
        }
        for number in range(problems)
    ]
    tables.write(data / "problems.parquet", frame_of(rows, PROBLEM), PROBLEM)
    for seed, name in enumerate(names):
        write_traces(data, problems, samples, name, np.random.default_rng(seed))
        votes = np.random.default_rng(100 + seed)
        tables.write(data / "ratings" / f"{name}.parquet", ratings(problems, name, votes), RATING)
        tables.write(data / "second_ratings" / f"{name}.parquet", frame_of([], RATING), RATING)


def write_traces(
    data: Path, problems: int, samples: int, name: str, chance: np.random.Generator
) -> None:
    """Write traces in batches, because their text takes gigabytes; every third answer is wrong."""
    path = data / "traces" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = frame_of([], TRACE).to_arrow().schema
    verdicts = []
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, problems, BATCH):
            numbers = range(start, min(problems, start + BATCH))
            places = [(number, sample) for number in numbers for sample in range(samples)]
            traces = [trace(name, number, sample, text(chance)) for number, sample in places]
            batch = frame_of(traces, TRACE).to_arrow().cast(schema)
            file.write_table(batch, row_group_size=tables.TEXT_ROWS)
            verdicts += [
                {
                    "trace_id": trace_row["trace_id"],
                    "outcome": "incorrect" if number % 3 == 0 else "correct",
                    "extracted": str(2 * number + (number % 3 == 0)),
                    "reason": "differs" if number % 3 == 0 else None,
                    "decided_by": "grader",
                }
                for trace_row, (number, _) in zip(traces, places, strict=True)
            ]
    tables.write(data / "verdicts" / f"{name}.parquet", frame_of(verdicts, VERDICT), VERDICT)


def text(chance: np.random.Generator) -> str:
    num_words = CHARACTERS // 5
    words = np.array(WORDS, dtype=object)[chance.integers(0, len(WORDS), num_words)]
    numbers = chance.integers(0, num_words, num_words // 4)
    words[numbers] = [str(number) for number in numbers]
    return " ".join(words)[: CHARACTERS - 40]


def trace(name: str, number: int, sample: int, reasoning: str) -> dict[str, object]:
    answer = f"So the answer is \\boxed{{{2 * number + (number % 3 == 0)}}}."
    return {
        "trace_id": f"p.{number}/{name}/{sample}",
        "problem_id": f"p.{number}",
        "generator": name,
        "sample": sample,
        "text": f"{reasoning}\n{answer}",
        "reasoning_start": 0,
        "reasoning_end": len(reasoning),
        "answer_start": len(reasoning) + 1,
        "finish_reason": "stop",
        "prompt_tokens": 60,
        "completion_tokens": CHARACTERS // 4,
    }


def ratings(problems: int, name: str, chance: np.random.Generator) -> pl.DataFrame:
    def rows() -> Iterator[dict[str, object]]:
        votes = chance.integers(1, 6, (problems, len(DIMENSIONS), VOTES)).tolist()
        for number, by_dimension in enumerate(votes):
            for dimension, scores in zip(DIMENSIONS, by_dimension, strict=True):
                yield {
                    "trace_id": f"p.{number}/{name}/0",
                    "judge": "synthetic",
                    "dimension": dimension,
                    "votes": scores,
                    "refused": 0,
                    "justification": " ".join(WORDS[:20]),
                    "deductions": ["unjustified leaps"],
                }

    return frame_of(list(rows()), RATING)


def write_openr1(path: Path, number: int) -> None:
    chance = np.random.default_rng(5)
    schema = {
        name: OPENR1[name]
        for name in OPENR1
        if name in (*ProblemRow.model_fields, *TraceRow.model_fields)
    }
    with pq.ParquetWriter(path, pl.DataFrame(schema=schema).to_arrow().schema) as file:
        for start in range(0, number, BATCH):
            rows = [
                openr1_row(f"What is {n} + {n}? {PROSE}", str(2 * n))
                | {"generations": [f"<think>\n{text(chance)}\n</think>\n\n{n}" for _ in range(2)]}
                for n in range(start, min(number, start + BATCH))
            ]
            file.write_table(pl.DataFrame(rows, schema=schema).to_arrow())


def questions(benchmark: str, number: int) -> pl.DataFrame:
    rows = [
        {
            "question_id": f"{benchmark}.{n}",
            "statement": f"Question {n} of {benchmark}: " + " ".join(reversed(WORDS)),
            "prompt": "",
            "history": [],
            "gold_answer": "1",
            "grader": "math",
            "metadata": "{}",
        }
        for n in range(number)
    ]
    return frame_of(rows, QUESTION)


def write_programs(path: Path, number: int) -> None:
    chance = np.random.default_rng(6)
    with path.open("w", encoding="utf-8") as file:
        for n in range(number):
            test_input = base64.b64encode(chance.bytes(TESTS_BYTES)).decode()
            tests = packed_by_livecodebench(
                [{"input": test_input, "output": "1", "testtype": "stdin"}]
            )
            fields = {"question_content": f"Program {n}?", "private_test_cases": tests}
            file.write(json.dumps(LIVECODEBENCH[0] | fields) + "\n")


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("--sources", action="store_true", help="FOLDER ROWS PROGRAMS")
    parser.add_argument("folder", type=Path)
    parser.add_argument("problems", type=int, help="or the rows of --sources")
    parser.add_argument("samples", type=int, help="or the programs of --sources")
    parser.add_argument("names", nargs="*", help="of generators")
    options = parser.parse_args()
    folder: Path = options.folder
    if options.sources:
        write_openr1(folder / "openr1.parquet", options.problems)
        write_programs(folder / "livecodebench.jsonl", options.samples)
        for name, size in REAL_SIZES.items():
            path = folder / "data" / "questions" / f"{name}.parquet"
            tables.write(path, questions(name, size), QUESTION)
        return
    write(folder, options.problems, options.samples, options.names)


if __name__ == "__main__":
    main()
