"""Try the raters of the run on pairs with known faults, and write data/counts/certify.json."""

from functools import partial

import polars as pl

from delta.certificate.certify import certify
from delta.certificate.config import CertifyParams
from delta.certificate.read import JUDGE, SECOND, summarize
from delta.certificate.sources import read_pairs
from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM
from delta.judging.judge import JudgeInput, JudgeParams, SecondJudgeParams
from delta.judging.rate_traces import rate_traces
from delta.judging.rubric import RUBRIC


def main(console: Console) -> None:
    settings = params.load_section("certify", CertifyParams)
    judge = params.load_section("judge", JudgeParams)
    pairs = read_pairs(settings, tables.read(paths.PROBLEMS, PROBLEM))
    raters: dict[str, JudgeParams | SecondJudgeParams] = {JUDGE: judge}
    if judge.second_judge.rater != "none":
        raters[SECOND] = judge.second_judge
    certificates = {}
    for name, rater in raters.items():
        rate = partial(rate_inputs, console, f"certify-{name}", rater, judge.max_refused)
        reads_rubric = rater.rater == "llm"
        certificate = certify(pairs, rate, reads_rubric, settings.smallest_delta)
        certificates[name] = {
            "rater": rater_name(rater),
            "smallest_delta": settings.smallest_delta,
        } | certificate
    write_counts(paths.counts("certify"), certificates, "certify")
    console.finish(summarize(certificates[JUDGE]))


def rater_name(rater: JudgeParams | SecondJudgeParams) -> str:
    """Return the name of a rater in the certificate."""
    return rater.llm.model if rater.rater == "llm" else rater.rater


def rate_inputs(
    console: Console,
    title: str,
    rater: JudgeParams | SecondJudgeParams,
    max_refused: float,
    inputs: list[JudgeInput],
    reverse: bool,
) -> pl.DataFrame:
    """Rate the inputs. `reverse`: with the dimensions of the rubric in reverse order."""
    order = RUBRIC[::-1] if reverse else RUBRIC
    ratings, _ = rate_traces(console, title, rater, max_refused, inputs, order)
    return ratings


if __name__ == "__main__":
    run(main)
