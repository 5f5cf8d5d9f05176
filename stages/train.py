"""train: a policy from the selected pairs → data/models/policy/"""

from functools import partial

import polars as pl

from delta import checkpoints, launch, outputs, params, protocols, rows, tables, weights
from delta.console import Console, run
from delta.records import PROBLEM, SELECTED, SIDES, TRACE
from delta.replies import open_shelf
from delta.train import TrainParams


def main(console: Console, _argv: list[str]) -> None:
    chosen = params.section("train", TrainParams)
    protocol = protocols.load(params.value(f"serving.{chosen.base}.protocol"))
    generators = sorted({params.value(f"pairing.{side}") for side in SIDES})
    base = outputs.model(chosen.base)
    fingerprint = weights.fingerprint(base)
    selected = tables.read(outputs.SELECTED, SELECTED)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    traces = pl.concat(tables.read(outputs.traces(name), TRACE) for name in generators)
    pairs = rows.texts(selected, problems, traces)

    console.say(f"train: {chosen.method} on {pairs.height} pairs; about 20 s to the first step")
    from delta import policy, reference  # torch takes seconds: only once the input holds

    tokenizer = policy.tokenizer(base)
    tokenized, counts = rows.tokenized(chosen, protocol, pairs, tokenizer)
    train, held_out = (rows.of_method(chosen, part) for part in rows.held_out(chosen, tokenized))
    counts |= {"rows": len(train), "rows_held_out": len(held_out)}
    with open_shelf("reference", fingerprint, console.say) as shelf:
        progress = partial(console.progress, what="reference")
        every = [*train, *held_out]
        computed = reference.add_reference(chosen, every, base, fingerprint, shelf, progress)
    console.say(f"train: {computed} reference log-probabilities computed, the rest was there")
    # This shelf is only a lock: one run writes these checkpoints, an equal one waits for it.
    key = launch.run_key(chosen, train, held_out, fingerprint)
    with open_shelf("train", key, console.say) as shelf:
        folder = shelf.folder / "run"
        for damaged in launch.prepare(folder, chosen, base, train, held_out):
            console.say(f"train: {damaged.name} is damaged; training goes on before it")
        checkpoint, facts = launch.train(folder, outputs.HISTORY, outputs.HELD_OUT, console)
        stamp = partial(weights.stamp, source="train")
        end = protocol.end_of_turn(tokenizer)
        moved = policy.save(chosen, base, checkpoint, outputs.model(outputs.POLICY), end, stamp)
        counts |= facts | {"moved": moved}
        outputs.write_counts(outputs.METRICS / "train.json", counts, "train")
        checkpoints.discard(folder)  # the policy is whole: DVC keeps it from here


if __name__ == "__main__":
    run(main)
