"""Draw the scores of every evaluated model on every benchmark."""

from collections.abc import Sequence
from pathlib import Path

from delta.core import paths
from delta.report.figures import style
from delta.report.figures.svg import INK, MUTED, SERIES
from delta.report.this_run import Score

NAME = "accuracy"


def draw(scores: Sequence[Score], base: str, folder: Path) -> None:
    """Draw a point with its 95% interval for each model, side by side at each benchmark."""
    models = list(dict.fromkeys(score.model for score in scores))
    benchmarks = list(dict.fromkeys(score.benchmark for score in scores))
    others = [name for name in models if name not in (base, paths.POLICY)]
    step = 0.7 / len(models)
    width = min(14.0, max(7.0, 0.22 * len(models) * len(benchmarks)))
    with style.figure(folder, NAME, figsize=(width, 3.6)) as (drawing, axes):
        for number, model in enumerate(models):
            colour, marker, label = MUTED, "o", f"{model} (base)"
            if model == paths.POLICY:
                colour, marker, label = SERIES[0], "s", "policy"
            elif model != base:
                place = others.index(model)
                colour = SERIES[1 + place % 4]
                marker, label = style.MARKERS[1 + place % 4], model
            own = [score for score in scores if score.model == model]
            shift = (number - (len(models) - 1) / 2) * step
            xs = [benchmarks.index(score.benchmark) + shift for score in own]
            for x, score in zip(xs, own, strict=True):
                bounds = [100 * score.score.low, 100 * score.score.high]
                axes.plot([x, x], bounds, color=colour, linewidth=1.5)
                style.mark_cut(axes, (x, bounds[1]), score.cut, colour)
            values = [100 * score.score.value for score in own]
            axes.plot(xs, values, marker, color=colour, markersize=6, label=label)
        style.add_to_legend(axes, [score.cut for score in scores])
        for edge in range(1, len(benchmarks)):
            axes.axvline(edge - 0.5, color=INK, linewidth=0.3)
        tilt = {"rotation": 30, "ha": "right"} if len(benchmarks) > 6 else {}
        axes.set_xticks(range(len(benchmarks)), benchmarks, **tilt)
        axes.set_xlim(-0.5, len(benchmarks) - 0.5)
        axes.set_ylabel("correct answers (%), 95% interval")
        axes.margins(y=0.08)
        drawing.legend(loc="outside lower center", ncols=min(5, len(models)))
