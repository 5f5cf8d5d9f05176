"""The sections of the page: the figures, the controls, the judge, and how it was made."""

from pathlib import Path
from typing import Any, NamedTuple

from delta.core.types import Row
from delta.report.claims import ClaimResult
from delta.report.claims.format import humanize
from delta.report.context import ReportContext
from delta.report.figures import data as figure_rows
from delta.report.html import cells
from delta.report.html.inline_svg import inline
from delta.report.html.markup import Html, folded, records, table, tag

PAIRED = (
    "The thin lines are the interval of each score by itself. Runs answered the same questions "
    "and are compared question by question, so a difference can be sure where intervals overlap: "
    "the claims below say which are."
)


class FigureText(NamedTuple):
    """What is said of a figure."""

    title: str
    caption: str
    value: str  # the column of its number
    unit: str


FIGURES = {
    "figure-1": FigureText(
        "Figure 1: what preferences add to imitation",
        "Gain over the base at easy and hard math, after SFT on the chosen traces and after DPO, "
        "on pairs of a weak generator over a weaker one, and on a strong one's correct over "
        "incorrect traces.",
        "gain",
        "gain (points)",
    ),
    "figure-2": FigureText(
        "Figure 2: stronger and stronger chosen generators",
        "Scores by domain against the generator of the chosen traces, the weakest at math first; "
        "the rejected traces are always the same generator's. " + PAIRED,
        "score",
        "score (%)",
    ),
    "figure-3": FigureText(
        "Figure 3: does the outcome matter?",
        "DPO on pairs of one generator by the outcomes of chosen → rejected, all from the same "
        "problems. Bars stand on the base's score. " + PAIRED,
        "score",
        "score (%)",
    ),
    "figure-4": FigureText(
        "Figure 4: few pairs with a large delta",
        "Scores against the number of pairs with the largest delta in each dimension; all pairs "
        "at the right, as many random pairs as the grey band. " + PAIRED,
        "score",
        "score (%)",
    ),
    "figure-5": FigureText(
        "Figure 5: do the dimensions select the same pairs?",
        "Overlap (%) of the sets of k pairs with the largest delta in each two dimensions. Two "
        "random sets would share what stands over each map.",
        "overlap",
        "overlap (%)",
    ),
}


def figure(
    name: str, world: ReportContext, rows: list[Row], decided: list[ClaimResult], pictures: Path
) -> Html:
    about = FIGURES[name]
    lost, runs = figure_rows.missing(world, name)
    parts: list[Html] = [tag("h2", about.title)]
    if rows:
        drawn = inline(pictures / f"{name}.svg", f"{about.title}. {about.caption}")
        parts.append(
            tag(
                "div",
                drawn,
                class_="scroll picture",
                tabindex="0",
                role="region",
                aria_label=about.title,
            )
        )
        parts.append(tag("p", about.caption))
    else:
        parts.append(tag("p", "This profile has nothing for it."))
    if lost:
        parts.append(tag("p", f"{lost} of {runs} runs are not there yet.", class_="note"))
    parts += cells.verdicts(name, decided)
    if rows:
        parts.append(tag("div", folded("The numbers", _values(rows, about)), class_="values"))
    return tag("section", *parts, id=name)


def controls(world: ReportContext, rows: list[Row], decided: list[ClaimResult]) -> Html:
    """What the paper takes for granted, tested."""
    runs = [figure_rows.missing(world, name) for name in figure_rows.CONTROLS]
    lost, there = sum(one for one, _ in runs), sum(two for _, two in runs)
    parts = [
        tag("h2", "Controls that the paper lacks"),
        tag(
            "p",
            "Does a large delta select better pairs than chance, than a small delta, or than the "
            "same difference in length? And how far do trainings differ that have only another "
            "seed?",
        ),
        *cells.verdicts("controls", decided),
    ]
    if lost:
        parts.append(tag("p", f"{lost} of {there} runs are not there yet.", class_="note"))
    if rows:
        caption = "Scores (%) with 95 % intervals; those of several seeds count them as chance too."
        lines = [
            [
                humanize(row["control"]),
                *[cells.word(row.get(name)) for name in ("domain", "by", "k", "seeds")],
                cells.interval(row, "score", 1),
                row["spread"],
                row["base"],
            ]
            for row in rows
        ]
        headers = ["control", "domain", "by", "k", "seeds", "score", "spread of seeds", "base"]
        parts.append(
            tag("div", folded("The numbers", table(headers, lines, caption)), class_="values")
        )
    return tag("section", *parts, id="controls")


def judge(world: ReportContext) -> Html:
    tables = [records(rows, title) for title, rows in world.examined.items() if rows]
    return tag(
        "section",
        tag("h2", "The judge examined"),
        *(tables or [tag("p", "Nothing was examined.")]),
        id="judge",
    )


def made(world: ReportContext) -> Html:
    """Profile, code, revisions, counts, and every run with what it was made by."""
    origin = world.provenance
    commit = origin.commit + (" with changes that are not committed" if origin.changed else "")
    facts = {"profile": origin.profile, "commit": commit, "date": origin.date}
    runs = [
        {
            "experiment": name,
            "run": ", ".join(humanize(entry) for entry in cell.at.values()),
            "key": getattr(cell.result, "key", None),
            "commit": str(getattr(cell.result, "commit", "not run yet"))[:12],
            "date": getattr(cell.result, "date", None),
            "seconds": getattr(cell.result, "seconds", None),
        }
        for name, cells in world.experiments.items()
        for cell in cells
    ]
    lost = sum(cell.result is None for cells in world.experiments.values() for cell in cells)
    return tag(
        "section",
        tag("h2", "How it was made"),
        table(["what", "which"], list(facts.items()), "Code and parameters"),
        table(["what", "number"], _counts(origin.counts), "Counts"),
        table(["name", "revision"], list(origin.revisions.items()), "Models and data sets"),
        tag("p", f"{len(runs) - lost} of {len(runs)} runs of experiments are there."),
        *([folded("Every run", records(runs, "Runs of experiments"))] if runs else []),
        id="made",
    )


def _counts(counts: dict[str, Any]) -> list[list[Any]]:
    return [[name, f"{one:,}" if isinstance(one, int) else one] for name, one in counts.items()]


def _values(rows: list[Row], about: FigureText) -> Html:
    """The columns that place a number, the number, its interval, and what stands beside it."""
    beside = [
        name
        for name in ("base", "chance", "chance_low", "chance_high", "spearman")
        if name in rows[0]
    ]
    hidden = {about.value, "low", "high", *beside, "pairs" if about.value == "overlap" else ""}
    hidden |= {"why", "spearman_low", "spearman_high"}
    places = [name for name in rows[0] if name not in hidden]
    return table(
        [*[humanize(name) for name in places], about.unit, *[humanize(name) for name in beside]],
        [
            [
                *[cells.word(row[name]) for name in places],
                cells.interval(row, about.value, 1),
                *[row[name] for name in beside],
            ]
            for row in rows
        ],
        f"{about.title}: values with 95 % intervals where there are any",
    )
