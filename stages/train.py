"""Train the policy on the selected pairs and write it to data/models/policy/."""

from functools import partial

import polars as pl

from delta.core import fingerprint, params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, SIDES, TRACE, TRAINING_PAIR
from delta.inference import chat_formats
from delta.inference.reply_cache import open_reply_cache
from delta.training import checkpoints, dataset, launch
from delta.training.config import TrainParams


def main(console: Console) -> None:
    settings = params.load_section("train", TrainParams)
    chat_format = chat_formats.load(params.get(f"serving.{settings.base}.chat_format"))
    generators = sorted({params.get(f"pairing.{side}") for side in SIDES})
    base = paths.model(settings.base)
    base_fingerprint = fingerprint.read_fingerprint(base)
    selected = tables.read(paths.TRAINING_PAIRS, TRAINING_PAIR)
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    traces = pl.concat(tables.read(paths.traces(name), TRACE) for name in generators)
    pairs = dataset.join_texts(selected, problems, traces)

    console.status(f"{settings.method} on {pairs.height} pairs, about 20 s to the first step")
    # Importing torch takes seconds, so check the inputs first.
    from delta.training import model_io, policy_measures, reference_logps

    tokenizer = model_io.load_tokenizer(base)
    tokenized, counts = dataset.tokenize_pairs(settings, chat_format, pairs, tokenizer)
    parts = dataset.split_held_out(settings, tokenized)
    train, held_out = (dataset.to_trl_columns(settings, rows) for rows in parts)
    counts |= {"rows": len(train), "rows_held_out": len(held_out)}
    with open_reply_cache("reference", base_fingerprint, console.print) as cache:
        progress = partial(console.progress, label="reference")
        reference_logps.add_reference(
            settings, [*train, *held_out], base, base_fingerprint, cache, progress
        )
    console.status("loading the base")
    # The open cache is a lock: of two equal runs, only one writes checkpoints.
    key = launch.run_key(settings, train, held_out, base_fingerprint)
    with open_reply_cache("train", key, console.print) as cache:
        folder = cache.folder / "run"
        for checkpoint in launch.prepare_run(folder, settings, base, train, held_out):
            console.print(f"train: {checkpoint.name} is damaged; resuming before it")
        checkpoint, result = launch.train(folder, paths.TRAINING_HISTORY, paths.HELD_OUT, console)
        complete = partial(fingerprint.write_fingerprint, source="train")
        end_of_turn = chat_format.end_of_turn(tokenizer)
        policy = paths.model(paths.POLICY)
        changes = model_io.save(settings, base, checkpoint, policy, end_of_turn, complete)
        console.status("comparing the policy with the base")
        sample = policy_measures.sample_pairs(settings, parts[0], result["steps"])
        measured = policy_measures.measure(settings, (base, policy), sample, console.print)
        counts |= result | changes | measured | {"machine": launch.machine(settings)}
        write_counts(paths.counts("train"), counts, "train")
        checkpoints.remove_run(folder)  # the policy is complete, and DVC keeps it
    labels = {"last_loss": "loss", "last_margin": "margin", "held_out_loss": "held-out loss"}
    numbers = [f"{labels[key]} {counts[key]:.3g}" for key in labels if key in counts]
    console.finish(", ".join([f"{counts['pairs_kept']} pairs", *numbers]))


if __name__ == "__main__":
    run(main)
