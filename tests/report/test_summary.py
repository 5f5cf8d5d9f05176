"""The summary has few numbers, under short keys, and the table of all scores."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from dvc.repo.metrics.show import _extract_metrics

from delta.core.types import Counts, Row
from delta.report.figures import style
from delta.report.summary import summarize

SELECT = {"selected": 16, "mean_delta_selected": 4.0}
TRAIN = {"last_loss": 0.5, "last_margin": 2.0}


def score(group: str, value: float, low: float, high: float) -> Row:
    interval = {"value": value, "low": low, "high": high}
    return interval | {"group": group, "n": 50, "samples": 1, "benchmark_version": "v"}


def summary(train: Counts = TRAIN) -> Counts:
    scores = {
        "base": {
            "sums": score("easy", 0.2, 0.1, 0.3),
            "products": score("easy", 0.0, 0.0, 0.1),
            "code": score("code", 0.5, 0.4, 0.6),
        },
        "policy": {
            "sums": score("easy", 0.4, 0.3, 0.5),
            "products": score("easy", 0.2, 0.1, 0.3),
            "code": score("code", 0.25, 0.2, 0.3),
        },
    }
    judge = [{"votes": 30, "refused": 10}, {"votes": 60, "refused": 0}]
    return summarize(scores, "base", "policy", judge, SELECT, train)


def test_a_group_has_the_mean_of_its_benchmarks_with_interval_and_gain() -> None:
    policy = summary()["policy"]
    # Two independent intervals of 0.1 each way: the mean's is 0.1 / sqrt(2).
    assert policy["easy"] == {"score": 30.0, "low": 22.93, "high": 37.07, "gain": 20.0}
    assert policy["code"] == {"score": 25.0, "low": 20.0, "high": 30.0, "gain": -25.0}


def test_judge_selection_and_training_have_a_few_numbers_each() -> None:
    content = summary()
    assert content["judge"] == {"refused": 10.0}
    assert content["selection"] == {"pairs": 16, "mean_delta": 4.0}
    assert content["training"] == {"loss": 0.5, "margin": 2.0}
    assert summary({"last_loss": 0.5})["training"] == {"loss": 0.5, "margin": None}


def test_no_vote_is_no_division_by_zero() -> None:
    judge = [{"votes": 0, "refused": 0}]
    content = summarize({"base": {}, "policy": {}}, "base", "policy", judge, SELECT, TRAIN)
    assert content["judge"] == {"refused": 0.0}


def test_dvc_reads_the_numbers_and_not_the_table_of_scores() -> None:
    content = json.loads(json.dumps(summary()))
    assert [row["benchmark"] for row in content["scores"]] == 2 * ["sums", "products", "code"]
    assert set(_extract_metrics(content, "summary.json")) == {
        *("policy", "judge", "selection", "training")
    }


@pytest.mark.parametrize("name", [f"figure-{number}" for number in range(1, 6)])
def test_a_figure_with_its_title_is_the_figure_below_a_line(name: str) -> None:
    figure = Path(__file__).parents[2] / "docs/results" / f"{name}.svg"
    root = ElementTree.fromstring(style.add_title(figure, "What <is> shown"))
    before = ElementTree.parse(figure).getroot()
    background, title, inner = root
    assert (background.attrib["height"], title.text) == ("100%", "What <is> shown")
    assert len(list(inner.iter())) == len(list(before.iter()))
    assert inner.attrib["viewBox"] == before.attrib["viewBox"]
    height = float(before.attrib["height"].removesuffix("pt"))
    assert float(root.attrib["height"].removesuffix("pt")) == height + style.TITLE_HEIGHT
