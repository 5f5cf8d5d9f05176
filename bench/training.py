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
ProblemTokens = list[tuple[list[int], list[list[int]]]]  # prompts and their traces, in tokens


class TrainingRun(NamedTuple):
    losses: list[float]
    seconds: float
    real: int  # tokens that the batches hold, and
    positions: int  # with what TRL's collator puts behind them


class _LossRecorder(DPOTrainer):
    """Trainer that keeps the losses before they are rounded for the log."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.losses: list[float] = []
        self.real = self.positions = 0

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        self.losses.append(loss.item())
        self.real += int(inputs["attention_mask"].sum())
        self.positions += inputs["attention_mask"].numel()
        return loss


class Theirs(_LossRecorder):
    """TRL's trainer, given tokenized rows with their reference log-probabilities."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    _precompute_ref_logps = _prepare_dataset


Ours = type("Ours", (_LossRecorder, TRAINERS["dpo"]), {})


def problems(num: int) -> ProblemTokens:
    draw = np.random.default_rng(0)
    deviation = SPREAD / np.sqrt(2)
    tokens_by_problem = []
    for hard in draw.normal(np.log(MEDIAN), deviation, num):
        lengths = np.exp(hard + draw.normal(0, deviation, TRACES)).astype(int).clip(8, LONGEST)
        tokens = [draw.integers(3, SHAPE["vocab_size"], size).tolist() for size in lengths]
        tokens_by_problem.append((draw.integers(3, SHAPE["vocab_size"], PROMPT).tolist(), tokens))
    return tokens_by_problem


def pairs(tokens_by_problem: ProblemTokens, chosen: int, rejected: int) -> list[Row]:
    return [
        {"prompt_ids": prompt, "chosen_ids": traces[chosen], "rejected_ids": traces[rejected]}
        for prompt, traces in tokens_by_problem
    ]


def laptop_params() -> TrainParams:
    """Return the laptop profile's training parameters with the benchmark's values."""
    train = params.get("train")
    values = train | {
        "method": "dpo",
        "dpo": train["dpo"]
        | {"learning_rate": RATE, "num_train_epochs": EPOCHS, "max_steps": None},
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


def new_references(
    sets: list[list[Row]], train_params: TrainParams, base: Path, folder: Path
) -> list[int]:
    """Return how many completions of each set of pairs were not computed for earlier sets."""

    def quietly(batches: Any, _total: int) -> Iterator[Any]:
        return iter(batches)

    with ReplyCache(folder / "cache") as cache:
        return [add_reference(train_params, rows, base, "bench", cache, quietly) for rows in sets]


def train(
    kind: Any, train_params: TrainParams, rows: list[Row], base: Path, folder: Path
) -> TrainingRun:
    options = trl_config(train_params, folder / "checkpoints")
    options.save_strategy = "no"
    trainer = kind(
        model=model_io.load(base, train_params.dtype),
        args=options,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=model_io.load_tokenizer(base),
    )
    trainer.remove_callback(PrinterCallback)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    assert len(trainer.losses) == STEPS
    return TrainingRun(trainer.losses, seconds, trainer.real, trainer.positions)


def in_turns(ways: dict[str, Any], *arguments: Any) -> dict[str, list[TrainingRun]]:
    """Return the runs of each way, in turns; only training is timed.

    Unlike results.in_turns, no turn is left out: each takes minutes, and loading warms up."""
    runs_by_way: dict[str, list[TrainingRun]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, kind in ways.items():
            runs_by_way[name].append(train(kind, *arguments))
    theirs, ours = (np.array(runs[0].losses) for runs in runs_by_way.values())
    assert np.abs(theirs - ours).max() < TOLERANCE, (theirs, ours)
    return runs_by_way


def padding_fraction(rows: list[Row], batch: int) -> float:
    """Return the fraction of padding in batches of `batch` pairs."""
    sizes = [
        [PROMPT + len(row[side]) for row in rows[start : start + batch] for side in SIDES]
        for start in range(0, len(rows), batch)
    ]
    return 1 - sum(map(sum, sizes)) / sum(len(lengths) * max(lengths) for lengths in sizes)


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    train_params = laptop_params()
    tokens = problems(STEPS * BATCH // EPOCHS)
    sets = [pairs(tokens, *traces) for traces in ((0, 1), (0, 2), (1, 2))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = random_weights(folder / "model")
        computed = new_references(sets, train_params, base, folder)
        ways = {"TRL's DPOTrainer": Theirs, "without padding": Ours}
        runs_by_way = in_turns(ways, train_params, sets[0], base, folder)
    results.record("training", "make bench NAME=training", report(runs_by_way, computed, sets))


def report(
    runs_by_way: dict[str, list[TrainingRun]], computed: list[int], sets: list[list[Row]]
) -> str:
    theirs, ours = runs_by_way.values()
    seconds = {name: [run.seconds for run in runs] for name, runs in runs_by_way.items()}
    rows = [
        (
            name,
            f"{runs[0].real / np.median(seconds[name]):,.0f}",
            *(f"{runs[0].losses[step]:.6f}" for step in (0, -1)),
        )
        for name, runs in runs_by_way.items()
    ]
    difference = max(abs(a - b) for a, b in zip(theirs[0].losses, ours[0].losses, strict=True))
    gain = results.ratio(*seconds.values())
    unsorted = pairs(problems(1_000), 0, 1)
    fractions = ", ".join(
        f"{padding_fraction(unsorted, size):.0%} at {size}" for size in (1, 2, 4, 8)
    )
    requested = sum(len(SIDES) * len(rows) for rows in sets)
    return "\n".join(
        [
            f"{STEPS} steps of {BATCH} pairs, {ours[0].real:,} real tokens; "
            f"{1 - ours[0].real / ours[0].positions:.0%} of TRL's positions are padding.",
            "",
            results.table(("", "real tokens/s", "loss 1", f"loss {STEPS}"), rows),
            "",
            f"Faster by {gain} × in {TURNS} turns (target: 1.5). The {STEPS} losses differ by at "
            f"most {difference:.1e} (target: {TOLERANCE}).",
            f"Padding by pairs per batch, of {len(unsorted):,} unsorted pairs: {fractions}.",
            f"Reference: {len(sets)} sets of pairs ask for {requested} log-probabilities of "
            f"{len(sets[0]) * TRACES} traces; computed: {', then '.join(map(str, computed))}.",
        ]
    )


if __name__ == "__main__":
    main()
