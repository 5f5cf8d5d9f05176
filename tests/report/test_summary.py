"""The summary has few numbers, under short keys, and lists that DVC skips."""

import json

import polars as pl
from dvc.repo.metrics.show import _extract_metrics

from delta.core.types import Counts, Row
from delta.report.summary import Names, RunCounts, summarize
from delta.report.this_run import compare_scores, measure_run

SELECT = {"selected": 16, "mean_delta_selected": 4.0}
TRAIN = {
    "pairs_kept": 15,
    "last_loss": 0.5,
    "last_margin": 2.0,
    "policy_against_base": {"kl_per_token": 0.01},
}


def score(group: str, value: float, low: float, high: float, cut: int = 0) -> Row:
    interval = {"value": value, "low": low, "high": high}
    counts = {"n": 50, "samples": 1, "truncated": cut}
    return interval | {"group": group, "benchmark_version": "v"} | counts


SCORES = {
    "base": {
        "sums": score("easy", 0.2, 0.1, 0.3, cut=36)
        | {"asked_form": 0.9, "right_if_asked_form": 0.22, "mean_tokens": 52.25},
        "products": score("easy", 0.0, 0.0, 0.1),
        "code": score("code", 0.5, 0.4, 0.6),
    },
    "policy": {
        "sums": score("easy", 0.4, 0.3, 0.5, cut=3),
        "products": score("easy", 0.2, 0.1, 0.3),
        "code": score("code", 0.25, 0.2, 0.3),
    },
}
ANSWERS = dict.fromkeys(
    SCORES["base"],
    pl.DataFrame(
        [("1", "stop", "7", "correct", "correct"), ("2", "length", None, "incorrect", "correct")],
        ["question_id", "finish_reason", "extracted", "outcome", "flexible_outcome"],
        orient="row",
    ),
)
JUDGE = ({"votes": 30, "refused": 10}, {"votes": 60, "refused": 0})


def summary(train: Counts = TRAIN, judge: tuple[Counts, ...] = JUDGE) -> Counts:
    return summarize(
        Names("base", "smollm2-135m", "dpo"),
        SCORES,
        measure_run(ANSWERS, ANSWERS),
        compare_scores(SCORES, "base", "policy", (ANSWERS, ANSWERS)),
        RunCounts(judge, SELECT, train),
    )


def test_a_group_has_the_mean_of_its_benchmarks_with_interval_and_gain() -> None:
    policy = summary()["policy"]
    # Two independent intervals of 0.1 each way: the mean's is 0.1 / sqrt(2).
    # Of the answers to sums, 3 of 50 were cut, of those to products none.
    easy = {"score": 30.0, "low": 22.93, "high": 37.07, "gain": 20.0, "cut": 6.0}
    assert policy["easy"] == easy
    assert policy["code"] == {"score": 25.0, "low": 20.0, "high": 30.0, "gain": -25.0, "cut": 0.0}


def test_judge_selection_and_training_have_a_few_numbers_each() -> None:
    content = summary()
    assert content["judge"] == {"refused": 10.0}
    assert content["selection"] == {"pairs": 16, "mean_delta": 4.0}
    assert content["training"] == {"loss": 0.5, "margin": 2.0, "kl": 0.01}
    assert summary({"pairs_kept": 15, "last_loss": 0.5})["training"] == {
        "loss": 0.5,
        "margin": None,
        "kl": None,
    }


def test_no_vote_is_no_division_by_zero() -> None:
    assert summary(judge=({"votes": 0, "refused": 0},))["judge"] == {"refused": 0.0}


def test_the_lists_are_in_percent_and_name_what_they_compare() -> None:
    content = summary()
    (run,) = content["run"]
    assert run == {
        "base": "base",
        "model": "smollm2-135m",
        "method": "dpo",
        "sentence": "What DPO on 15 pairs taught smollm2-135m cannot be told apart from chance.",
    }
    finished, _, any_form, *_ = content["measures"]
    assert (finished["name"], finished["label"]) == ("finished", "finishes its answer")
    assert (finished["questions"], finished["base"], any_form["policy"]) == (6, 50.0, 100.0)
    assert list(content["comparisons"][0].items())[:8] == [
        ("benchmark", "sums"),
        ("group", "easy"),
        ("questions", 50),
        ("base_cut", 72.0),
        ("policy_cut", 6.0),
        ("base", 20.0),
        ("base_low", 10.0),
        ("base_high", 30.0),
    ]
    assert [row["benchmark"] for row in content["comparisons"]] == [
        *("sums", "products", None),
        *("code", None),
    ]
    assert content["comparisons"][0]["verdict"] == "cannot tell"
    assert content["scores"][0] == {
        "model": "base",
        "benchmark": "sums",
        "score": 20.0,
        "low": 10.0,
        "high": 30.0,
        "cut": 72.0,
        "group": "easy",
        "questions": 50,
        "samples": 1,
        "benchmark_version": "v",
        "measures": {
            "asked_form": 90.0,
            "right_if_asked_form": 22.0,
            "right_any_form": None,
            "mean_tokens": 52.25,
            "cut": 72.0,
        },
    }
    assert content["comparisons"][0]["base_measures"] == content["scores"][0]["measures"]
    assert content["comparisons"][2]["policy_measures"]["asked_form"] is None  # not known of one


def test_dvc_reads_the_numbers_and_not_the_lists() -> None:
    content = json.loads(json.dumps(summary()))
    assert [row["benchmark"] for row in content["scores"]] == 2 * ["sums", "products", "code"]
    metrics = _extract_metrics(content, "summary.json")
    assert set(metrics) == {*("policy", "judge", "selection", "training")}
    # Five numbers for each group, and six others: with the paper's five groups 31 columns.
    assert sum(map(len, metrics["policy"].values())) == 5 * 2
    assert sum(len(metrics[name]) for name in ("judge", "selection", "training")) == 6
