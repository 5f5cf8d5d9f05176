"""Format numbers and rows in the templates as a person reads them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from delta.core.types import Counts, Row
from delta.evaluation import cut_answers
from delta.evaluation.answer_measures import AnswerMeasures, right_less_often_if_asked
from delta.report import certificate, training_facts
from delta.report.claims import formatting
from delta.report.experiment_table import cuts, is_right_less_often_in_form, training_cells
from delta.report.html.labels import label, words
from delta.report.this_run import Comparison
from delta.report.training_facts import TrainingSettings
from delta.stats.contrasts import BETTER, Contrast, format_difference, verdict

# Columns of a figure's rows that explain its number: they stand to its right.
EXPLANATIONS = (
    *("base", "seeds", "mean_delta", "without_delta", "mean_delta_selected"),
    *("chosen_rating", "rejected_rating"),
    *("chance", "chance_low", "chance_high", "spearman"),
)
NOT_KNOWN = "not known"
MEASURE_COLUMNS = {  # field of AnswerMeasures → header
    "asked_form": "In the asked form",
    "right_if_asked_form": "Right, of those",
    "right_any_form": "Last number right",
    "cut": "Cut",
    "mean_tokens": "Mean tokens",
}
HIDDEN = ("low", "high", "cut", "base_cut", "why", "spearman_low", "spearman_high")


def row_interval(row: Row | None, column: str, digits: int) -> str | None:
    """Return "value [low, high]"; the reason if the value is missing, None if the row is."""
    if row is None:
        return None
    if row[column] is None:
        return row.get("why") or "not run"
    text = f"{row[column]:.{digits}f}"
    if row.get("low") is not None:
        text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    return text.replace("-", "−")


def percent_interval(score: Any) -> str | None:
    """Return a score and its interval, which are fractions, in percent; None if there is none.

    A score is a mapping or has attributes: value, low, high.
    """
    if score is None:
        return None
    values = score if isinstance(score, dict) else score._asdict()
    return row_interval({name: 100 * values[name] for name in ("value", "low", "high")}, "value", 1)


def difference(contrast: Contrast) -> str:
    """Return a difference of two scores in points, with its interval."""
    return format_difference(contrast).replace("-", "−")


def number(value: Any, digits: int) -> str | None:
    """Return a number with so many digits after the point; None if there is none."""
    return None if value is None else f"{value:.{digits}f}".replace("-", "−")


def format_value(value: Any) -> Any:
    """Return a value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, int):
        return f"{value:,}"
    return words(value)


def columns_with_values(rows: Sequence[Row]) -> list[str]:
    """Return the columns in which at least one row has a value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def figure_columns(rows: Sequence[Row], value: str) -> tuple[list[str], list[str]]:
    """Return the columns that identify a row of a figure, and those that explain its `value`."""
    hidden = {value, *HIDDEN, *EXPLANATIONS, "overlap_own_ties"}
    hidden |= {"pairs"} if value == "overlap" else set()
    keys = [name for name in rows[0] if name not in hidden]
    return keys, [name for name in EXPLANATIONS if name in rows[0]]


def index_by(rows: Sequence[Row], *columns: str) -> dict[tuple[Any, ...], Row]:
    """Return the rows by their values in `columns`."""
    return {tuple(row[name] for name in columns): row for row in rows}


def marked(text: str | None, share: float | None) -> str | None:
    """Return a number as text with its mark of cut answers; None if there is no number."""
    return None if text is None else cut_answers.marked(text, share)


def cut_text(comparisons: Sequence[Comparison], side: str) -> str:
    """Return the benchmarks of which many answers were cut; `side` is base_cut or policy_cut."""
    shares = {row.benchmark: getattr(row, side) for row in comparisons if row.benchmark is not None}
    return cut_answers.describe(shares)


def measure_cells(measures: AnswerMeasures) -> dict[str, str]:
    """Return the measures beside a score as texts, by the names of their columns."""
    values = measures._asdict()
    tokens = values.pop("mean_tokens")
    shares = {
        MEASURE_COLUMNS[name]: NOT_KNOWN if value is None else f"{100 * value:.1f}%"
        for name, value in values.items()
    }
    return shares | {
        MEASURE_COLUMNS["mean_tokens"]: NOT_KNOWN if tokens is None else f"{tokens:.0f}"
    }


def fewer_right_in_form(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the groups and benchmarks that rose although less in the asked form is right."""
    return [
        row
        for row in comparisons
        if row.verdict == BETTER
        and right_less_often_if_asked(row.base_measures, row.policy_measures)
    ]


def is_rounded_away(counts: Counts, settings: TrainingSettings) -> bool:
    """Return whether the policy is served in a dtype that loses much of its update."""
    return training_facts.is_rounded_away(training_facts.served_share(counts, settings.dtype))


def count(number_of: int, noun: str) -> str:
    """Return "1 pair" or "2 pairs"."""
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"


FILTERS = {
    "certificate_matrix": certificate.matrix_rows,
    "certificate_noise": certificate.noise_and_length_rows,
    "certificate_verdicts": certificate.verdict_rows,
    "claim_interval": formatting.format_interval,
    "claim_explanation": formatting.explanation,
    "claim_margin": formatting.format_margin,
    "claim_number": formatting.format_number,
    "claim_p": formatting.format_p,
    "claim_result": formatting.format_result,
    "claim_sees": formatting.format_sees,
    "columns": columns_with_values,
    "count": count,
    "cut_notes": cut_answers.notes,
    "cuts": cuts,
    "cut_text": cut_text,
    "cut_share": cut_answers.cut_percent,
    "marked": marked,
    "measure_cells": measure_cells,
    "difference": difference,
    "fewer_right_in_form": fewer_right_in_form,
    "figure_columns": figure_columns,
    "fragment": urlencode,
    "index_by": index_by,
    "interval": row_interval,
    "is_right_less_often_in_form": is_right_less_often_in_form,
    "is_rounded_away": is_rounded_away,
    "label": label,
    "number": number,
    "percent": percent_interval,
    "training_cells": training_cells,
    "training_sentences": training_facts.sentences,
    "value": format_value,
    "verdict": verdict,
    "words": words,
}
