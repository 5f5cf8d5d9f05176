"""Grade every trace and write the verdicts to data/verdicts/NAME.parquet."""

from functools import partial
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, VERDICT
from delta.grading import llm_equivalence, verify
from delta.grading.config import GradingParams
from delta.grading.llm_equivalence import ComparisonParams, UnresolvedAnswer
from delta.grading.verify import VerifyParams
from delta.inference.model_client import open_model


def main(console: Console, name: str) -> None:
    params.check_item(name, "generators")
    settings = params.load_section("verify", VerifyParams)
    grading = params.load_section("grading", GradingParams)
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    progress = partial(console.progress, label=f"verify {name}")
    graded = verify.grade_table(settings, grading, problems, paths.traces(name), progress)
    verdicts, fallback = graded.verdicts, dict[str, Any]()
    if settings.llm_fallback:
        verdicts, fallback = ask_model(console, name, settings.llm, graded.unresolved, verdicts)
    counts = verify.summarize(grading, verdicts) | graded.recorded | {"llm_fallback": fallback}
    tables.write(paths.verdicts(name), verdicts, VERDICT)
    write_counts(paths.counts("verify", name), counts, "verify", name)
    number = counts["graded"]
    console.finish(
        f"{counts['correct'] / max(1, number):.1%} of {number} traces right, "
        f"{counts['ungradable']} ungradable"
    )


def ask_model(
    console: Console,
    name: str,
    llm: ComparisonParams,
    unresolved: list[UnresolvedAnswer],
    verdicts: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    model = open_model(llm.model)
    max_prompt_tokens = model.max_prompt_tokens(llm.max_tokens)
    requests = list(
        llm_equivalence.build_requests(
            llm, model.engine, model.fingerprint, max_prompt_tokens, unresolved
        )
    )
    with model.replies(f"verify-{name}", console, f"compare {name}") as (generate, cache):
        answers, counts = llm_equivalence.ask_model(
            llm, requests, generate, model.engine.chat_format
        )
    verdicts, changed = llm_equivalence.apply_verdicts(verdicts, answers)
    return verdicts, counts | changed | {"failed": cache.failures()}


if __name__ == "__main__":
    run(main)
