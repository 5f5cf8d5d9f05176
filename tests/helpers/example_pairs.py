"""Tables of a small run with pairs, for the tests of the pair viewer and the export."""

import base64
import gzip
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from delta.core import params, paths, tables
from delta.core.schemas import PROBLEM, RATING, SELECTED, TRACE, VERDICT
from delta.core.tables import frame_of
from delta.prompts import prompt_files
from delta.report.viewer import pair_page
from tests.helpers.import_closure import ROOT

TOY_PROFILE = ROOT / "profiles/smoke.yaml"
DELTAS = ("factuality", "step_coherence")
RUN = pair_page.RunSummary("strong > weak", "strong", "weak", "top", "factuality")


class ExamplePairs(NamedTuple):
    """In the order of the parameters of pair_page.write."""

    selected: pl.DataFrame
    problems: pl.DataFrame
    traces: list[pl.LazyFrame]
    verdicts: pl.DataFrame
    ratings: pl.DataFrame


def example_pairs(
    texts: Sequence[tuple[str, str]], statements: Sequence[str] = (), cut: int = 0
) -> ExamplePairs:
    """Return a run in which pair n has these texts, problem p.n and rank n + 1.

    Its delta is n - 1 in factuality and 0 in step coherence. The last `cut` pairs are not selected.
    Each generator has a second trace that is in no pair.
    """
    selected, problems, verdicts, ratings = [], [], [], []
    traces: dict[str, list[dict[str, Any]]] = {"strong": [], "weak": []}
    for number, pair_texts in enumerate(texts):
        problem = f"p.{number}"
        statement = statements[number] if statements else f"What is {number} + 1?"
        problems.append(problem_row(problem, statement, str(number + 1)))
        for name, text in zip(traces, pair_texts, strict=True):
            traces[name] += [
                trace_row(problem, name, 0, text),
                trace_row(problem, name, 1, "in no pair"),
            ]
        ids = [f"{problem}/{name}/0" for name in traces]
        outcomes = ("correct", "incorrect") if number % 2 == 0 else ("correct", "ungradable")
        for trace_id, outcome in zip(ids, outcomes, strict=True):
            verdicts.append(verdict_row(trace_id, outcome))
            ratings += [rating_row(trace_id, dimension) for dimension in DELTAS]
        selected.append(
            {
                "pair_id": ">".join(ids),
                "problem_id": problem,
                "chosen_id": ids[0],
                "rejected_id": ids[1],
                "chosen_outcome": outcomes[0],
                "rejected_outcome": outcomes[1],
                "length_difference": len(pair_texts[0]) - len(pair_texts[1]),
                "recipe": RUN.recipe,
                "rank": number + 1,
                "selected": number < len(texts) - cut,
                "why": "selected" if number < len(texts) - cut else "below the cut",
                "delta_factuality": number - 1.0,
                "delta_step_coherence": 0.0,
                "score": number - 1.0,
            }
        )
    deltas = dict.fromkeys(("delta_factuality", "delta_step_coherence", "score"), pl.Float64)
    return ExamplePairs(
        pl.DataFrame(selected, schema={**SELECTED.columns, **deltas}),
        frame_of(problems, PROBLEM),
        [frame_of(rows, TRACE).lazy() for rows in traces.values()],
        frame_of(verdicts, VERDICT),
        frame_of(ratings, RATING),
    )


def problem_row(problem_id: str, statement: str, gold_answer: str) -> dict[str, Any]:
    return {
        "problem_id": problem_id,
        "statement": statement,
        "prompt": prompt_files.with_instruction(statement),
        "history": [],
        "gold_answer": gold_answer,
        "source": "toy",
    }


def trace_row(problem: str, generator: str, sample: int, text: str) -> dict[str, Any]:
    """Return a trace without markers: all of it is the answer."""
    return {
        "trace_id": f"{problem}/{generator}/{sample}",
        "problem_id": problem,
        "generator": generator,
        "sample": sample,
        "text": text,
        "reasoning_start": 0,
        "reasoning_end": 0,
        "answer_start": 0,
        "finish_reason": "stop" if generator == "strong" else "length",
        "prompt_tokens": 10,
        "completion_tokens": 20,
    }


def verdict_row(trace_id: str, outcome: str) -> dict[str, Any]:
    return {
        "trace_id": trace_id,
        "outcome": outcome,
        "extracted": None if outcome == "ungradable" else "7",
        "reason": None if outcome == "correct" else "no_box",
        "decided_by": "grader",
    }


def rating_row(trace_id: str, dimension: str) -> dict[str, Any]:
    return {
        "trace_id": trace_id,
        "judge": "toy",
        "dimension": dimension,
        "votes": [4, 5, 3],
        "refused": 1,
        "justification": f"Of {trace_id}.",
        "deductions": ["magic numbers"],
    }


def write_workspace(folder: Path, run: ExamplePairs) -> None:
    """Write the tables of the run and the smoke profile, as a workspace has after `dvc repro`."""
    shutil.copy(TOY_PROFILE, folder / "params.yaml")
    pairing = params.get("pairing", folder / "params.yaml")
    data = folder / paths.DATA
    tables.write(data / "selected.parquet", run.selected, SELECTED)
    tables.write(data / "problems.parquet", run.problems, PROBLEM)
    for side, traces in zip(("chosen", "rejected"), run.traces, strict=True):
        rows = traces.collect()
        ids = rows["trace_id"].implode()
        file = f"{pairing[side]}.parquet"
        tables.write(data / "traces" / file, rows, TRACE)
        for kind, frame, table in (
            ("verdicts", run.verdicts, VERDICT),
            ("ratings", run.ratings, RATING),
        ):
            tables.write(data / kind / file, frame.filter(pl.col("trace_id").is_in(ids)), table)


def viewer_data(folder: Path, name: str, page: str = "pairs") -> Any:
    """Return the content of a data file of the page in `folder`."""
    text = (folder / page / "data" / f"{name}.js").read_text()
    match = re.fullmatch(rf'receive\("{name}","([A-Za-z0-9+/=]*)"\);\n', text)
    assert match, text[:80]
    return json.loads(gzip.decompress(base64.b64decode(match[1])))
