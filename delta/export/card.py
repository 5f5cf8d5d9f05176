"""The data set's card, written from what ran: its numbers come from tables and counts."""

from pathlib import Path
from string import Template
from typing import Any

import polars as pl
import yaml

from delta.core.schemas import SIDES
from delta.export import provenance
from delta.export.provenance import UNKNOWN, Provenance, Source
from delta.export.rows import CONFIGS, Facts
from delta.inference import chat_formats
from delta.inference.generate import RecordedParams

TEMPLATE = Path(__file__).with_name("card.md")
PUSH = "hf upload ORG/NAME {folder} . --repo-type dataset"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def text(made: Provenance, selected: pl.DataFrame, sides: Facts, rows: dict[str, int]) -> str:
    pairs = selected.filter("selected")
    params, select = made.params, made.metrics["select"]
    used = provenance.sources_of(params)
    correlation = select["correlation_with_length_difference"]
    dimensions = [name for name in selected.columns if name.startswith("delta_")]
    prompts = provenance.prompt_hashes(params).items()
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        header=_header(used, rows),
        recipe=cell(selected["recipe"][0]),
        rows_preference=f"{rows['preference']:,}",
        rows_unpaired=f"{rows['unpaired']:,}",
        num_dimensions=len(dimensions),
        mode=params.selector.mode,
        by=params.selector.by,
        instruction=_instruction(made),
        markers=_markers(made),
        trained=_trained(made),
        generators=_table(_generators(made)),
        ingredients=_table([_ingredient(one, made.fingerprints) for one in used]),
        licence_note=_licence_note(used),
        funnel=_table([[name, counts_of(found)] for name, found in made.metrics.items()]),
        deltas=_table([_delta(pairs, selected, name) for name in dimensions] or [["none rated"]]),
        outcomes=_table(_outcomes(pairs)),
        sides=_table(
            [side, f"{facts['mean_length']:,}", counts_of(facts["ended"])]
            for side, facts in sides.items()
        ),
        length_mean=rounded(pairs["length_difference"].mean()),
        length_median=rounded(pairs["length_difference"].median()),
        pearson=rounded(correlation["pearson"]),
        spearman=rounded(correlation["spearman"]),
        limits="\n".join(f"- {line}" for line in _limits(made, sides)),
        commit=made.commit,
        dirty=" with changes that were not committed" if made.dirty else "",
        params_sha256=made.params_sha256,
        date=made.date,
        prompts=", ".join(f"`{name}` {digest}" for name, digest in prompts),
        judge=_judge(made),
        push=PUSH.format(folder="FOLDER"),
    )


def _header(used: list[Source], rows: dict[str, int]) -> str:
    licences = {one.licence for one in used}
    one_known = len(licences) == 1 and UNKNOWN not in licences
    content: dict[str, Any] = {
        "license": licences.pop().lower() if one_known else "unknown",
        "tags": ["preference", "dpo", "kto", "trl", "reasoning"],
        "size_categories": [
            next((name for most, name in SIZES if rows["preference"] < most), "100K<n<1M")
        ],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": f"{name}/train-*.parquet"}],
            }
            for name in CONFIGS
        ],
    }
    content["configs"][0]["default"] = True
    dumped: str = yaml.safe_dump(content, sort_keys=False)
    return dumped


def cell(value: object) -> str:
    """One cell of a table: names come from users' parameters."""
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def rounded(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def _table(rows: Any) -> str:
    return "\n".join("| " + " | ".join(cell(one) for one in row) + " |" for row in rows)


def counts_of(found: dict[str, Any]) -> str:
    """Counts in words: nested ones in brackets, in the order of the stage."""
    said = []
    for name, value in found.items():
        spoken = str(name).replace("_", " ")
        if isinstance(value, dict):
            said.append(f"{spoken} ({counts_of(value) or 'none'})")
        elif value is None or isinstance(value, bool | int | float | str):
            said.append(f"{spoken} {'none' if value is None else value}")
    return ", ".join(said)


def _ingredient(one: Source, fingerprints: dict[str, str]) -> list[str]:
    print_ = "" if one.role == "problems" else fingerprints.get(one.name, "its files were not here")
    return [one.role, one.name, one.origin, print_, one.licence]


def _licence_note(used: list[Source]) -> str:
    unknown = [one.name for one in used if one.licence == UNKNOWN]
    if not unknown:
        return f"All of it is under {' and '.join(sorted({one.licence for one in used}))}."
    return (
        f"**The licence of {', '.join(unknown)} is not known to this program.** Whether its texts "
        "may be passed on is yours to check before you publish."
    )


def _generators(made: Provenance) -> list[list[object]]:
    """How the traces of either side were asked for."""
    rows: list[list[object]] = []
    for side in SIDES:
        name = getattr(made.params.pairing, side)
        generator = made.params.generators[name]
        if isinstance(generator, RecordedParams):
            rows.append([side, name, generator.model, "recorded", *["as recorded"] * 4])
            continue
        sampled = (generator.samples, generator.examples, generator.temperature, generator.top_p)
        rows.append([side, name, generator.model, *sampled, generator.max_tokens])
    return rows


def _markers(made: Provenance) -> str:
    """How reasoning is marked in the traces of either side."""
    said = []
    for side in SIDES:
        name = getattr(made.params.pairing, side)
        serving = made.params.serving[made.params.generators[name].model]
        spoken = chat_formats.load(serving.protocol)
        if spoken.begins is None or spoken.ends is None:
            how = "has no marked reasoning"
        else:
            how = f"marks its reasoning by `{spoken.begins.strip()}` and `{spoken.ends.strip()}`"
        said.append(f"The {side} side (`{name}`, protocol {serving.protocol}) {how}.")
    return " ".join(said)


def _instruction(made: Provenance) -> str:
    """Which problems have the instruction before their statement."""
    sources = made.params.problems.sources
    boxed = [name for name, source in sources.items() if source.is_boxed]
    if not boxed:
        return "That turn is the problem's statement alone."
    parts = "the instruction (`instruction.txt`), a blank line, the statement"
    if len(boxed) == len(sources):
        return f"That turn is {parts}."
    return (
        f"For problems of {', '.join(boxed)} that turn is {parts}; for the others it is the "
        "statement alone."
    )


def _trained(made: Provenance) -> str:
    """What this repository's own trainer made of the texts."""
    train = made.params.train
    protocol = made.params.serving[train.base].protocol
    forms = {
        "raw": "as they are here",
        "policy": "with the markers of its own family in the place of the generators'",
    }
    system = chat_formats.load(protocol).system
    asked = f"the system prompt `{system}`" if system else "no system prompt"
    long = {"cut": "longer ones cut at the end", "drop": "pairs with a longer side left out"}
    return (
        f"This repository's own training ({train.method.upper()} of `{train.base}`, protocol "
        f"{protocol}) reads the same pairs with `train.form: {train.form}`, that is {asked}, the "
        f"prompt by the policy's chat template, and the traces {forms[train.form]}; at most "
        f"{train.max_length:,} tokens, {long[train.too_long]}."
    )


def _delta(pairs: pl.DataFrame, every: pl.DataFrame, name: str) -> list[str]:
    values = pairs[name]
    found = [values.mean(), values.std(), values.min(), values.max()]
    return [
        name.removeprefix("delta_"),
        *(rounded(value) for value in found),
        str(values.null_count()),
        rounded(every[name].mean()),
    ]


def _outcomes(pairs: pl.DataFrame) -> list[list[str]]:
    combination = pl.concat_str("chosen_outcome", pl.lit(" over "), "rejected_outcome")
    counted = pairs.group_by(combination.alias("name")).len().sort("name")
    return [[name, f"{number:,}"] for name, number in counted.iter_rows()]


def _judge(made: Provenance) -> str:
    judge = made.params.judge
    if judge.rater == "rules":
        return (
            "deterministic rules (`delta/judging/rules/rate.py`), one vote a trace and dimension, "
            "no model"
        )
    llm = judge.llm
    return f"`{llm.model}`, {llm.votes} votes a trace at temperature {llm.temperature}"


def _limits(made: Provenance, sides: Facts) -> list[str]:
    params, select = made.params, made.metrics["select"]
    words = params.problems.overlap_words
    kind = "whole equal statements" if words is None else f"{words} equal words in a row"
    said = [
        "A verdict compares final answers only: a correct outcome does not say that the reasoning "
        "holds.",
        f"Problems that a benchmark of this repository asks were dropped where they share {kind} "
        "with it. Paraphrases and translations are not found, nor are other benchmarks.",
    ]
    if params.judge.second.rater == "none" and params.analysis.human is None:
        said.append("The judge was not validated: no human ratings, and no other judge, back it.")
    if params.judge.rater == "rules":
        said.append("The ratings are by rules, made for arithmetic; they are no model's judgement.")
    if select["tied_at_cut"]:
        said.append(
            f"Mean votes lie on a grid: {select['tied_at_cut']} pairs tie at the cut, and which "
            f"{select['tied_and_selected']} of them are in was drawn by seed."
        )
    if select["with_refused_votes"]:
        said.append(
            f"{select['with_refused_votes']} of all pairs have a side with fewer votes than were "
            "asked for."
        )
    cut = {side: facts["ended"].get("length", 0) for side, facts in sides.items()}
    said.append(
        f"Cut at the limit of tokens: {cut['chosen']} chosen and {cut['rejected']} rejected traces."
    )
    return said
