"""Measure tokens per second of DPO without padding against TRL's trainer on the same batches.

    make bench NAME=training    # 20 minutes on two cores

The model has random weights in the shape of SmolLM2-135M. Both trainers get the same rows in the
same order, the same options and the same reference log-probabilities; TRL's pads every batch to its
longest trace. Lengths are log-normal with the spread of MATH-500's solutions (0.75 in the
logarithm); half of the variance is the problem's. The 20 losses, one per optimizer step, must agree
to 1e-4 before anything counts.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.trainer_callback import PrinterCallback
from trl import DPOTrainer

from bench import results
from delta.core import params
from delta.core.types import Row
from delta.inference.reply_cache import ReplyCache
from delta.training import model_io
from delta.training.config import TrainParams
from delta.training.reference_logps import add_reference
from delta.training.trl_adapter import TRAINERS, trl_config
from tests.helpers.tiny_models import write_model

STEPS, BATCH = 20, 2  # pairs a batch as in profiles/paper.yaml
EPOCHS = 2  # pairs seen again: their losses have moved
TURNS = 2
PROMPT, MEDIAN, SPREAD, LONGEST = 32, 96, 0.75, 512  # tokens; the last three of a completion
TRACES = 3  # a problem: three sets of pairs
RATE = 1e-4  # so that random weights move, too
TOLERANCE = 1e-4
SHAPE = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8_192,
    "tie_word_embeddings": True,
}
SIDES = ("chosen_ids", "rejected_ids")
Drawn = list[tuple[list[int], list[list[int]]]]  # prompts and their traces, in tokens


class Done(NamedTuple):
    losses: list[float]
    seconds: float
    real: int  # tokens that the batches hold, and
    places: int  # with what TRL's collator puts behind them


class _Watched(DPOTrainer):
    """Trainer that keeps the losses before they are rounded for the log."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.losses: list[float] = []
        self.real = self.places = 0

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        self.losses.append(loss.item())
        self.real += int(inputs["attention_mask"].sum())
        self.places += inputs["attention_mask"].numel()
        return loss


class Theirs(_Watched):
    """TRL's trainer, given tokenized rows with their reference log-probabilities."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    _precompute_ref_logps = _prepare_dataset


Ours = type("Ours", (_Watched, TRAINERS["dpo"]), {})


def problems(num: int) -> Drawn:
    draw = np.random.default_rng(0)
    deviation = SPREAD / np.sqrt(2)
    drawn_problems = []
    for hard in draw.normal(np.log(MEDIAN), deviation, num):
        lengths = np.exp(hard + draw.normal(0, deviation, TRACES)).astype(int).clip(8, LONGEST)
        tokens = [draw.integers(3, SHAPE["vocab_size"], size).tolist() for size in lengths]
        drawn_problems.append((draw.integers(3, SHAPE["vocab_size"], PROMPT).tolist(), tokens))
    return drawn_problems


def pairs(drawn: Drawn, chosen: int, rejected: int) -> list[Row]:
    return [
        {"prompt_ids": prompt, "chosen_ids": traces[chosen], "rejected_ids": traces[rejected]}
        for prompt, traces in drawn
    ]


def train_params() -> TrainParams:
    """Return the laptop profile's training parameters with the benchmark's values."""
    train = params.get("train")
    values = train | {
        "method": "dpo",
        "dpo": train["dpo"] | {"learning_rate": RATE, "num_train_epochs": EPOCHS},
        "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "max_length": PROMPT + LONGEST,
        "warmup_steps": 0.0,
    }
    return params.validate("train", TrainParams, values)


def random_weights(folder: Path) -> Path:
    write_model(folder)  # for its tokenizer, which nothing here asks for tokens
    LlamaForCausalLM(LlamaConfig(**SHAPE, pad_token_id=0)).save_pretrained(folder)
    return folder


def new_references(sets: list[list[Row]], own: TrainParams, base: Path, folder: Path) -> list[int]:
    """Return how many completions of each set of pairs were not computed for earlier sets."""

    def quietly(batches: Any, _total: int) -> Iterator[Any]:
        return iter(batches)

    with ReplyCache(folder / "shelf") as shelf:
        return [add_reference(own, rows, base, "bench", shelf, quietly) for rows in sets]


def train(kind: Any, own: TrainParams, rows: list[Row], base: Path, folder: Path) -> Done:
    options = trl_config(own, folder / "checkpoints")
    options.save_strategy = "no"
    trainer = kind(
        model=model_io.load(base, own.dtype),
        args=options,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=model_io.tokenizer(base),
    )
    trainer.remove_callback(PrinterCallback)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    assert len(trainer.losses) == STEPS
    return Done(trainer.losses, seconds, trainer.real, trainer.places)


def in_turns(ways: dict[str, Any], *about: Any) -> dict[str, list[Done]]:
    """Return the runs of each way, in turns; only training is timed.

    Unlike results.in_turns, no turn is left out: each takes minutes, and loading warms up."""
    done: dict[str, list[Done]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, kind in ways.items():
            done[name].append(train(kind, *about))
    theirs, ours = (np.array(runs[0].losses) for runs in done.values())
    assert np.abs(theirs - ours).max() < TOLERANCE, (theirs, ours)
    return done


def padding_share(rows: list[Row], batch: int) -> float:
    """Return the fraction of padding in batches of `batch` pairs."""
    sizes = [
        [PROMPT + len(row[side]) for row in rows[start : start + batch] for side in SIDES]
        for start in range(0, len(rows), batch)
    ]
    return 1 - sum(map(sum, sizes)) / sum(len(lengths) * max(lengths) for lengths in sizes)


def main() -> None:
    own = train_params()
    drawn = problems(STEPS * BATCH // EPOCHS)
    sets = [pairs(drawn, 0, 1), pairs(drawn, 0, 2), pairs(drawn, 1, 2)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = random_weights(folder / "model")
        computed = new_references(sets, own, base, folder)
        ways = {"TRL's DPOTrainer": Theirs, "without padding": Ours}
        done = in_turns(ways, own, sets[0], base, folder)
    results.record("training", "make bench NAME=training", report(done, computed, sets))


def report(done: dict[str, list[Done]], computed: list[int], sets: list[list[Row]]) -> str:
    theirs, ours = done.values()
    seconds = {name: [run.seconds for run in runs] for name, runs in done.items()}
    rows = [
        (
            name,
            f"{runs[0].real / np.median(seconds[name]):,.0f}",
            *(f"{runs[0].losses[step]:.6f}" for step in (0, -1)),
        )
        for name, runs in done.items()
    ]
    difference = max(abs(a - b) for a, b in zip(theirs[0].losses, ours[0].losses, strict=True))
    gain = results.ratio(*seconds.values())
    many = pairs(problems(1_000), 0, 1)
    shares = ", ".join(f"{padding_share(many, size):.0%} at {size}" for size in (1, 2, 4, 8))
    requested = sum(len(SIDES) * len(rows) for rows in sets)
    return "\n".join(
        [
            f"{STEPS} steps of {BATCH} pairs, {ours[0].real:,} real tokens; "
            f"{1 - ours[0].real / ours[0].places:.0%} of TRL's positions are padding.",
            "",
            results.table(("", "real tokens/s", "loss 1", f"loss {STEPS}"), rows),
            "",
            f"Faster by {gain} × in {TURNS} turns (target: 1.5). The {STEPS} losses differ by at "
            f"most {difference:.1e} (target: {TOLERANCE}).",
            f"Padding by pairs per batch, of {len(many):,} unsorted pairs: {shares}.",
            f"Reference: {len(sets)} sets of pairs ask for {requested} log-probabilities of "
            f"{len(sets[0]) * TRACES} traces; computed: {', then '.join(map(str, computed))}.",
        ]
    )


if __name__ == "__main__":
    main()
