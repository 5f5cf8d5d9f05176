"""What a run taught, with numbers that a person chose: for pages and figures."""

from pathlib import Path

import polars as pl

from delta.report.claims.decide import decide
from delta.report.context import ChangedAnswers, ReportContext, WorkspaceRun
from delta.report.example import Example, ShownAnswer
from delta.report.figures import data, draw
from delta.report.html import page
from delta.report.paper.claims import read_claims
from delta.report.this_run import LABELS, Comparison, Measure, Score, ThisRun
from delta.report.training_facts import TrainingSettings
from delta.stats.contrasts import Contrast
from delta.stats.intervals import Interval

SENTENCE = "DPO on 16 pairs taught toy to finish more of its answers."
BASE, POLICY = Interval(0.2, 0.1, 0.3), Interval(0.5, 0.4, 0.6)
BETTER, UNKNOWN = Contrast(0.3, 0.1, 0.45, 0.001), Contrast(0.05, -0.1, 0.2, 0.4)


def example_run(groups: dict[str, str], base: str = "base") -> WorkspaceRun:
    """Return a run on these benchmarks: it finishes more answers, the rest cannot be told."""
    measures = [
        Measure(name, label, 40, BASE, POLICY, BETTER, "better")
        if name == "finished"
        else Measure(name, label, 40, BASE, Interval(0.25, 0.15, 0.35), UNKNOWN, "cannot tell")
        for name, label in LABELS.items()
    ]
    comparisons = [
        Comparison(benchmark, group, 40, BASE, POLICY, 72.5, 5.0, BETTER, "better")
        for group in dict.fromkeys(groups.values())
        for benchmark in [*(name for name in groups if groups[name] == group), None]
    ]
    scores = [
        Score(model, benchmark, group, score, cut, 40, 1, f"{benchmark}: made up")
        for model, score, cut in ((base, BASE, 72.5), ("policy", POLICY, 5.0))
        for benchmark, group in groups.items()
    ]
    before = ShownAnswer("2 + 2 = 5 and", "incorrect", "no_box", "length")
    after = ShownAnswer("\\boxed{4}", "correct", None, "stop")
    return WorkspaceRun(
        summary=ThisRun(SENTENCE, base, "toy", "dpo", measures, comparisons, scores, numbers={}),
        changed={name: ChangedAnswers(13, 2) for name in groups},
        example=Example("right", next(iter(groups)), "What is 2 + 2?", "4", before, after),
        selector={"mode": "top", "by": "strategy_coherence"},
        selection={
            "pairs": 53,
            "selected": 16,
            "delta_at_cut": 3.0,
            "tied_at_cut": 24,
            "tied_and_selected": 9,
            "mean_delta": {"strategy_coherence": 2.2},
            "mean_delta_selected": 3.6,
        },
        training={
            "pairs_kept": 16,
            "steps": 16,
            "rows_held_out": 0,
            "first_loss": 0.6931,
            "last_loss": 0.0652,
            "last_margin": 2.6969,
        },
        training_settings=TrainingSettings("dpo", has_stopping_rule=False, dtype="float32"),
    )


def draw_figures(context: ReportContext, folder: Path) -> dict[str, str]:
    """Draw all figures of a context to `folder`, with small curves; return their titles."""
    pairs = pl.DataFrame({"selected": [True, False], "delta_factuality": [2.0, -1.0]})
    curves = pl.DataFrame({"step": [1, 2], "loss": [0.7, 0.4], "rewards_margins": [0.1, 0.9]})
    return draw.draw_all(context, data.build_rows(context), pairs, curves, folder)


def render_page(context: ReportContext, folder: Path) -> str:
    """Draw all figures of a context to `folder`, and return the page."""
    titles, results = draw_figures(context, folder), decide(read_claims(), context)
    return page.render(context, data.build_rows(context), results, titles, folder)
