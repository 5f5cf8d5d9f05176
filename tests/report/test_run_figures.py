"""What the figures of a run draw: curves with held-out losses, deltas with the selected pairs."""

import re
from pathlib import Path

import polars as pl
import pytest

from delta.report.figures import deltas, this_run, training
from delta.report.this_run import LABELS
from tests.helpers.this_run import example_run

FONT_SIZE = 8  # points
HISTORY = """step\tloss\trewards_margins\trewards_chosen\trewards_rejected
2\t0.5\t1.5\t-0.5\t-2
1\t0.7\t0\t0\t0
"""


def test_the_change_of_a_log_probability_is_the_reward_over_beta(tmp_path: Path) -> None:
    (tmp_path / "training.tsv").write_text(HISTORY)
    (tmp_path / "held_out.tsv").write_text("step\tloss\n2\t0.6\n")
    curves = training.read_curves(tmp_path / "training.tsv", tmp_path / "held_out.tsv", 0.1)
    assert curves["step"].to_list() == [1, 2]
    assert curves["held_out_loss"].to_list() == [None, 0.6]
    assert curves["chosen_change"].to_list() == pytest.approx([0, -5])
    assert curves["rejected_change"].to_list() == pytest.approx([0, -20])


def test_sft_has_only_the_loss(tmp_path: Path) -> None:
    (tmp_path / "training.tsv").write_text("step\tloss\trewards_margins\n1\t2.5\t\n")
    (tmp_path / "held_out.tsv").write_text("step\tloss\n")
    curves = training.read_curves(tmp_path / "training.tsv", tmp_path / "held_out.tsv", None)
    training.draw(curves, tmp_path)
    picture = (tmp_path / "training.svg").read_text()
    assert ">loss</text>" in picture
    assert "reward margin" not in picture
    assert "log-probability" not in picture


def test_deltas_are_counted_by_dimension_and_a_pair_without_one_is_not_a_zero() -> None:
    pairs = pl.DataFrame(
        {"selected": [True, False, False], "delta_factuality": [1.04, 1.0, None]},
        schema_overrides={"delta_factuality": pl.Float64},
    )
    assert deltas.count_deltas(pairs) == [
        {"dimension": "factuality", "delta": 1.0, "pairs": 2, "selected": 1}
    ]
    assert deltas.count_deltas(pairs.drop("delta_factuality")) == []


def test_this_run_has_each_measure_with_both_values_and_the_difference(tmp_path: Path) -> None:
    this_run.draw(example_run({"sums": "easy"}).summary, tmp_path)
    picture = (tmp_path / "this-run.svg").read_text()
    for text in ("base: base", "finishes its answer", "20.0%", "50.0%"):
        assert f">{text}</text>" in picture
    assert ">+30.0 [+10.0, +45.0] better</text>" in picture
    assert ">+5.0 [−10.0, +20.0] cannot tell</text>" in picture


def test_no_two_texts_of_this_run_share_a_line_but_those_of_the_axis_and_legend(
    tmp_path: Path,
) -> None:
    this_run.draw(example_run({"sums": "easy"}).summary, tmp_path)
    picture = (tmp_path / "this-run.svg").read_text()
    heights = {
        text: float(height)
        for height, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)<', picture)
    }
    for label in LABELS.values():
        shared = [text for text in heights if abs(heights[text] - heights[label]) < FONT_SIZE]
        assert shared == [label]
