"""train: a policy from the selected pairs → data/models/policy/"""

from functools import partial

import polars as pl

from delta import outputs, params, tables, weights
from delta.console import Console, run
from delta.records import PROBLEM, SELECTED, TRACE
from delta.replies import open_shelf
from delta.train import TrainParams, texts, tokenized


def main(console: Console, _argv: list[str]) -> None:
    chosen = params.section("train", TrainParams)
    sides = [params.value(f"pairing.{side}") for side in ("chosen", "rejected")]
    folder = outputs.model(chosen.base)
    fingerprint = weights.fingerprint(folder)
    selected = tables.read(outputs.SELECTED, SELECTED)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    traces = pl.concat(tables.read(outputs.traces(name), TRACE) for name in sides)
    pairs = texts(selected, problems, traces)

    console.say(f"train: {pairs.height} pairs; loading the base model, about 20 s")
    from delta import reference, trainer  # torch and TRL take seconds: only once the input holds

    base = trainer.load_base(folder)
    rows, counts = tokenized(chosen, pairs, base[1])
    with open_shelf("reference", fingerprint, console.say) as shelf:
        progress = partial(console.progress, what="reference")
        computed = reference.add_reference(rows, base[0], fingerprint, shelf, progress)
    console.say(f"train: {computed} reference log-probabilities computed, {2 * len(rows)} used")
    # This shelf is only a lock: one run writes these checkpoints, an equal one waits for it.
    key = trainer.run_key(chosen, rows, fingerprint)
    with open_shelf("train", key, console.say) as shelf:
        checkpoints = shelf.folder / "checkpoints"
        model, facts = trainer.train(chosen, rows, base, checkpoints, outputs.HISTORY, console)
        stamp = partial(weights.stamp, source="train")
        trainer.save(model, folder, outputs.model(outputs.POLICY), stamp)
        outputs.write_counts(outputs.METRICS / "train.json", counts | facts, "train")
        trainer.discard(checkpoints)  # the policy is whole: DVC keeps it from here


if __name__ == "__main__":
    run(main)
