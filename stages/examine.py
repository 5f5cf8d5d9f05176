"""examine: the judge and the deltas examined → metrics/examine.json, metrics/plots/…"""

import json

import polars as pl

from delta import outputs, params, tables
from delta.console import Console, run
from delta.examine import human
from delta.examine.examination import Inputs, examine
from delta.examine.settings import ExaminationParams
from delta.records import RATING, SELECTED, TRACE, VERDICT

VOTES = [name for name in RATING.columns if name not in ("justification", "deductions")]


def main(console: Console, _argv: list[str]) -> None:
    settings = params.section("examination", ExaminationParams)
    names = list(params.value("generators"))
    ids = ["trace_id", "problem_id", "generator"]
    people, counts = read_people(settings, names)
    inputs = Inputs(
        pl.concat(tables.read(outputs.traces(name), TRACE, ids) for name in names),
        pl.concat(tables.read(outputs.verdicts(name), VERDICT) for name in names),
        pl.concat(tables.read(outputs.ratings(name), RATING, VOTES) for name in names),
        pl.concat(tables.read(outputs.second_ratings(name), RATING, VOTES) for name in names),
        tables.read(outputs.SELECTED, SELECTED),
        people,
    )
    console.say(f"examine: {inputs.ratings.height} ratings of {len(names)} generators")
    rows, found = examine(settings, params.value("selector.seed"), inputs)
    for name, content in rows.items():
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        outputs.write_text(outputs.METRICS / "plots" / f"{name}.json", text)
    outputs.write_counts(outputs.METRICS / "examine.json", found | counts, "examine")
    console.say(f"examine: {found['pairs_with_all_deltas']} of {found['pairs']} pairs with deltas")


def read_people(
    settings: ExaminationParams, names: list[str]
) -> tuple[list[pl.DataFrame], dict[str, int]]:
    if settings.human is None:
        return [], {}
    people, hashes = human.ratings(settings.human)
    texts: dict[str, str] = {}
    for name in names:
        rows = tables.scan(outputs.traces(name), TRACE).select("trace_id", "text")
        rated = rows.filter(pl.col("trace_id").is_in(list(hashes)))
        texts |= dict(rated.collect(engine="streaming").iter_rows())
    return human.unchanged(people, hashes, texts)


if __name__ == "__main__":
    run(main)
