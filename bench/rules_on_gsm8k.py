"""Measure the rule judge on GSM8K's example solutions by four models (Cobbe et al. 2021).

    python -m bench.rules_on_gsm8k PATH_TO_gsm8k_example_model_solutions.jsonl

Two questions, per dimension and for the mean of the five: does the strong model score above the
weak one (the mean sample-level delta of arXiv 2604.08723), and does the score separate correct from
incorrect solutions (AUC)? The rules were designed on the first 400 questions; the rest is held out.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import results
from delta.judging.rubric import Vote
from delta.judging.rules.rate import NoVote, RulesParams, rate

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
WEAK, STRONG = MODELS.index("6b_finetuning"), MODELS.index("175b_verification")
DESIGN_QUESTIONS = 400
RESAMPLES = 1000
SEED = 0
VOTES = RulesParams(votes=5, seed=4)  # as the laptop profile

Scores = NDArray[np.float64]  # question x model x (five dimensions, then their mean); NaN: no vote
Outcomes = NDArray[np.bool_]  # question x model


class Interval(NamedTuple):
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def read_questions(path: Path) -> Iterator[dict[str, Any]]:
    # Iterating splits at "\n" only; str.splitlines() would also cut at U+2028 inside a solution.
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def rate_questions(path: Path) -> tuple[list[str], Scores, Outcomes]:
    """Rate every solution. Return the names of the dimensions and of their mean, and the scores."""
    names: list[str] = []
    scores, outcomes = [], []
    for question in read_questions(path):
        statement = question["question"]
        solutions = [question[model] for model in MODELS]
        ratings = [rate(statement, solution["solution"], VOTES) for solution in solutions]
        names = [*ratings[0], "mean of the five"]
        scores.append([[mean_vote(votes) for votes in each.values()] for each in ratings])
        outcomes.append([solution["is_correct"] for solution in solutions])
    five = np.array(scores, dtype=np.float64)
    return names, np.concatenate([five, five.mean(2, keepdims=True)], 2), np.array(outcomes)


def mean_vote(votes: list[Vote] | NoVote) -> float:
    """Return the mean score; NaN where there is no vote."""
    if isinstance(votes, NoVote):
        return float("nan")
    return float(np.mean([vote.score for vote in votes]))


def paired_delta(score: NDArray[np.float64]) -> Interval:
    """Return the mean of strong minus weak over questions, with a normal interval."""
    difference = score[:, STRONG] - score[:, WEAK]
    difference = difference[~np.isnan(difference)]
    half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return Interval(difference.mean(), difference.mean() - half, difference.mean() + half)


def auc(score: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the probability that a correct solution scores above a wrong one; ties count half."""
    score, is_correct = score[~np.isnan(score)], is_correct[~np.isnan(score)]
    _, level = np.unique(score, return_inverse=True)
    right = np.bincount(level[is_correct], minlength=level.max() + 1)
    wrong = np.bincount(level[~is_correct], minlength=level.max() + 1)
    wins = right * (np.cumsum(wrong) - wrong / 2)
    return float(wins.sum() / (right.sum() * wrong.sum()))


def bootstrap_auc(score: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> Interval:
    """Resample whole questions, because the four solutions of a question are correlated."""
    generator = np.random.default_rng(SEED)
    num = len(score)
    draws = []
    for _ in range(RESAMPLES):
        chosen = generator.integers(0, num, num)
        draws.append(auc(score[chosen].ravel(), is_correct[chosen].ravel()))
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(auc(score.ravel(), is_correct.ravel()), float(low), float(high))


def table(title: str, names: list[str], scores: Scores, outcomes: Outcomes) -> str:
    rows = [
        f"### {title}: {len(scores):,} questions, {outcomes.size:,} solutions, "
        f"{outcomes.mean():.1%} right",
        "",
        f"| dimension | rated | mean score | delta {MODELS[STRONG]} − {MODELS[WEAK]} "
        "| AUC, right/wrong |",
        "|---|---|---|---|---|",
    ]
    for place, name in enumerate(names):
        score = scores[:, :, place]
        rated = f"{(~np.isnan(score)).mean():.1%}"
        mean = f"{np.nanmean(score):.2f}"
        cells = (name, rated, mean, paired_delta(score), bootstrap_auc(score, outcomes))
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = results.argument_parser(__doc__)
    parser.add_argument("file", type=Path, help="gsm8k_example_model_solutions.jsonl")
    names, scores, outcomes = rate_questions(parser.parse_args().file)
    cut = DESIGN_QUESTIONS
    print(table("all", names, scores, outcomes), end="\n\n")
    print(table(f"design, the first {cut}", names, scores[:cut], outcomes[:cut]), end="\n\n")
    print(table("held out, the rest", names, scores[cut:], outcomes[cut:]))


if __name__ == "__main__":
    main()
