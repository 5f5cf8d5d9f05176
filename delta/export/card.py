"""Write the cards of the dataset and of the policy from the tables and counts of the run."""

import math
from pathlib import Path
from typing import Any

import polars as pl
from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from delta.core.schemas import FINISH_REASONS, SIDES, delta_columns
from delta.core.types import Counts
from delta.evaluation.cut_answers import cut_percent, marked, notes
from delta.export.provenance import UNKNOWN, CardFacts, LicensedSource, prompt_hashes, sources_of
from delta.inference import chat_formats
from delta.training.sft_models import base_of

CONFIGS = ("preference", "unpaired")
PUSH_DATASET = "hf upload ORG/NAME {folder} . --repo-type dataset"
PUSH_POLICY = "hf upload ORG/NAME {model} . && hf upload ORG/NAME {folder}/README.md README.md"
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", math.inf: "100K<n<1M"}


class Code(str):
    """A text between backticks, which `escape_cell` must not escape."""

    __slots__ = ()


def dataset_card(
    facts: CardFacts, selected: pl.DataFrame, sides: dict[str, Counts], rows: dict[str, int]
) -> str:
    """Return the dataset's README. `sides` and `rows` are those of delta.export.dataset."""
    params, pairs = facts.params, selected.filter("selected")
    sources = sources_of(facts)
    licences = {source.licence for source in sources}
    is_known = len(licences) == 1 and UNKNOWN not in licences
    files = {name: [{"split": "train", "path": f"{name}/train-*.parquet"}] for name in CONFIGS}
    configs: list[dict[str, Any]] = [
        {"config_name": name, "data_files": paths} for name, paths in files.items()
    ]
    configs[0]["default"] = True
    data = DatasetCardData(
        license=licences.pop().lower() if is_known else "unknown",
        tags=["preference", "dpo", "kto", "trl", "reasoning"],
        size_categories=[next(name for size, name in SIZES.items() if rows["preference"] < size)],
        configs=configs,
    )
    text = _render(
        "dataset_card.md",
        facts=facts,
        params=params,
        select=facts.counts["select"],
        rows=rows,
        selected=selected,
        delta_columns=delta_columns(selected),
        pairs=pairs,
        finish_reasons=FINISH_REASONS,
        outcomes=pairs.group_by("chosen_outcome", "rejected_outcome").len().sort(pl.all()).rows(),
        sides=sides,
        generators={side: getattr(params.pairing, side) for side in SIDES},
        chat_format=lambda model: chat_formats.load(params.serving[model].chat_format),
        boxed=[name for name, source in params.problems.sources.items() if source.is_boxed],
        sources=sources,
        unknown=[source.name for source in sources if source.licence == UNKNOWN],
        prompts=prompt_hashes(params),
        push=PUSH_DATASET.format(folder="FOLDER"),
    )
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def model_card(facts: CardFacts, scores: dict[str, Counts], base: dict[str, Counts]) -> str:
    """Return the policy's README, with a model-index of its scores by benchmark."""
    params = facts.params
    model = params.models[base_of(params.train.base, params.sft_models)]
    source = LicensedSource("base", params.train.base, params.origin(params.train.base), "")
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=name,
            dataset_name=score["benchmark_version"],
            metric_type="accuracy",
            metric_name=f"avg@{score['samples']}",
            metric_value=score["value"],
            metric_args={key: score[key] for key in ("low", "high", "n")}
            | {"cut_percent": cut_percent(score)},
        )
        for name, score in scores.items()
    ]
    data = ModelCardData(
        model_name=f"{params.train.base}-{params.train.method}",
        license=None if source.licence == UNKNOWN else source.licence.lower(),
        base_model=model.hub.repository if model.hub is not None else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["trl", params.train.method, "reasoning"],
        eval_results=results,
    )
    text = _render(
        "model_card.md",
        facts=facts,
        params=params,
        source=source,
        scores=scores,
        base=base,
        notes=notes(
            cut_percent(score)
            for name, policy in scores.items()
            for score in filter(None, (policy, base.get(name)))
        ),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def _render(name: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Code) else escape_cell(value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": Code,
        "number": format_number,
        "counts": format_counts,
        "score": format_score,
    }
    return environment.get_template(name).render(**values)


def escape_cell(value: object) -> str:
    """Return the text escaped for a cell of a Markdown table. Names come from users' parameters."""
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def format_number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def format_score(score: Counts) -> str:
    """Return a score in percent, with a mark where many of its answers were cut."""
    return marked(f"{score['value']:.1%}", cut_percent(score))


def format_counts(counts: Counts) -> str:
    """Return the counts of a stage as text, nested ones in parentheses."""
    parts = []
    for name, value in counts.items():
        words = str(name).replace("_", " ")
        if isinstance(value, dict):
            parts.append(f"{words} ({format_counts(value) or 'none'})")
        elif value is None or isinstance(value, bool | int | float | str):
            parts.append(f"{words} {'none' if value is None else value}")
    return ", ".join(parts)
