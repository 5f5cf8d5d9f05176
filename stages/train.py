"""train: a policy from the selected pairs → data/models/policy/"""

from functools import partial

import polars as pl

from delta.core import fingerprint as weights
from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, SELECTED, SIDES, TRACE
from delta.inference import chat_formats
from delta.inference.reply_cache import open_reply_cache
from delta.training import checkpoints, dataset, launch
from delta.training.config import TrainParams


def main(console: Console, _argv: list[str]) -> None:
    chosen = params.load_section("train", TrainParams)
    protocol = chat_formats.load(params.get(f"serving.{chosen.base}.chat_format"))
    generators = sorted({params.get(f"pairing.{side}") for side in SIDES})
    base = paths.model(chosen.base)
    fingerprint = weights.read_fingerprint(base)
    selected = tables.read(paths.SELECTED, SELECTED)
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    traces = pl.concat(tables.read(paths.traces(name), TRACE) for name in generators)
    pairs = dataset.join_texts(selected, problems, traces)

    console.print(f"train: {chosen.method} on {pairs.height} pairs; about 20 s to the first step")
    from delta.training import model_io, reference_logps

    tokenizer = model_io.tokenizer(base)
    tokenized, counts = dataset.tokenize_pairs(chosen, protocol, pairs, tokenizer)
    train, held_out = (
        dataset.to_trl_columns(chosen, part) for part in dataset.split_held_out(chosen, tokenized)
    )
    counts |= {"rows": len(train), "rows_held_out": len(held_out)}
    with open_reply_cache("reference", fingerprint, console.print) as shelf:
        progress = partial(console.progress, label="reference")
        every = [*train, *held_out]
        computed = reference_logps.add_reference(chosen, every, base, fingerprint, shelf, progress)
    console.print(f"train: {computed} reference log-probabilities computed, the rest was there")
    # This shelf is only a lock: one run writes these checkpoints, an equal one waits for it.
    key = launch.run_key(chosen, train, held_out, fingerprint)
    with open_reply_cache("train", key, console.print) as shelf:
        folder = shelf.folder / "run"
        for damaged in launch.prepare(folder, chosen, base, train, held_out):
            console.print(f"train: {damaged.name} is damaged; training goes on before it")
        checkpoint, facts = launch.train(folder, paths.HISTORY, paths.HELD_OUT, console)
        stamp = partial(weights.write_fingerprint, source="train")
        end = protocol.end_of_turn(tokenizer)
        moved = model_io.save(chosen, base, checkpoint, paths.model(paths.POLICY), end, stamp)
        counts |= facts | {"moved": moved}
        write_counts(paths.counts("train"), counts, "train")
        checkpoints.discard(folder)  # the policy is whole: DVC keeps it from here


if __name__ == "__main__":
    run(main)
