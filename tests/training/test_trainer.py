"""Train a tiny random model: losses, reference, resume, early stopping."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delta.core.console import Console
from delta.core.errors import IncompleteError, InputError
from delta.inference.reply_cache import ReplyCache
from delta.training.config import TrainParams
from delta.training.dataset import split_held_out, to_trl_columns
from delta.training.early_stopping import EarlyStoppingParams, decide
from tests.helpers.tiny_models import train_params, write_model

pytestmark = pytest.mark.slow
BETA = 0.5
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_model(folder)
    return folder


def two_epochs(**changes: Any) -> TrainParams:
    return train_params(**{"dpo": {"num_train_epochs": 2}} | changes)


def six_pairs() -> list[dict[str, Any]]:
    """Return six tokenized pairs of different lengths and different problems."""
    return [
        {
            "pair_id": f"p{i}",
            "problem_id": f"q{i}",
            "prompt_ids": [1, 10 + i, 20],
            "chosen_ids": [30 + i, 40, 41, 2][: 2 + i % 3],
            "rejected_ids": [50 + i, 60, 2],
        }
        for i in range(6)
    ]


def with_reference(params: TrainParams, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the method's rows with invented reference log-probabilities."""
    rows = to_trl_columns(params, pairs)
    columns = {"ref_chosen_logps": -10.0, "ref_rejected_logps": -12.0}
    if params.method == "kto":
        columns = {"ref_logps": -11.0, "ref_KL_logps": -18.0}
    if params.method == "sft":
        columns = {}
    for number, row in enumerate(rows):
        row |= {name: value - 0.3 * number for name, value in columns.items()}
    return rows


def quiet_console() -> Console:
    return Console(io.StringIO())


def plain_log_probs(model: Any, prompt: list[int], completion: list[int]) -> list[float]:
    """Return log p(token | all before) of each completion token, from one unpadded sequence."""
    import torch

    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        log_probs = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    positions = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
    return [log_probs[i, t].item() for i, t in zip(positions, completion, strict=True)]


def plain_log_prob(model: Any, prompt: list[int], completion: list[int]) -> float:
    return sum(plain_log_probs(model, prompt, completion))


def history(path: Path) -> list[dict[str, str]]:
    lines = [line.split("\t") for line in path.read_text().split("\n") if line]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def run(
    params: TrainParams, rows: Any, base: Path, folder: Path, console: Console, held_out: Any = ()
) -> tuple[Any, dict[str, Any]]:
    """Prepare and train; return the policy and the counts."""
    from delta.training import launch, model_io

    launch.prepare_run(folder / "run", params, base, rows, list(held_out))
    files = (folder / "history.tsv", folder / "held_out.tsv")
    checkpoint, counts = launch.train(folder / "run", *files, console)
    return model_io.load_checkpoint(params, base, checkpoint), counts


def first_loss(params: TrainParams, rows: Any, base: Path, folder: Path) -> float:
    run(params, rows, base, folder, quiet_console())
    return float(history(folder / "history.tsv")[0]["loss"])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dpo_loss(model: Any, rows: Any, beta: float) -> float:
    losses = []
    for row in rows:
        chosen = plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
        rejected = plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
        margin = (chosen - row["ref_chosen_logps"]) - (rejected - row["ref_rejected_logps"])
        losses.append(-math.log(sigmoid(beta * margin)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("beta", [0.5, 0.1])
def test_the_first_dpo_loss_equals_the_formula(beta: float, base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    params = train_params(dpo={"beta": beta})
    rows = with_reference(params, six_pairs()[:2])  # one batch, so its order does not matter
    expected = dpo_loss(model_io.load(base, "float32"), rows, beta)
    assert first_loss(params, rows, base, tmp_path) == pytest.approx(expected, abs=1e-4)


def kto_loss(model: Any, rows: Any, beta: float, weights: dict[bool, float]) -> float:
    def log_ratio(row: Any, completion: str, reference: str) -> float:
        return plain_log_prob(model, row["prompt_ids"], row[completion]) - float(row[reference])

    shift = [log_ratio(row, "KL_completion_ids", "ref_KL_logps") for row in rows]
    kl = max(0.0, sum(shift) / len(shift))
    losses = []
    for row in rows:
        gain = log_ratio(row, "completion_ids", "ref_logps") - kl
        value = sigmoid(beta * gain) if row["label"] else sigmoid(-beta * gain)
        losses.append(weights[row["label"]] * (1 - value))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    ("beta", "desirable", "undesirable", "swapped"),
    [(0.5, 1.0, 1.0, False), (0.1, 1.0, 1.0, False), (0.5, 2.0, 0.3, False), (0.5, 2.0, 0.3, True)],
)
def test_the_first_kto_loss_equals_the_formula(
    beta: float, desirable: float, undesirable: float, swapped: bool, base: Path, tmp_path: Path
) -> None:
    from delta.training import model_io

    method_params = {"beta": beta, "desirable_weight": desirable, "undesirable_weight": undesirable}
    params = train_params(method="kto", kto=method_params, per_device_train_batch_size=4)
    rows = with_reference(params, six_pairs()[:2])
    if swapped:
        rows = [row | {"label": not row["label"]} for row in rows]
    weights = {True: desirable, False: undesirable}
    model = model_io.load(base, "float32")
    kl = [plain_log_prob(model, r["prompt_ids"], r["KL_completion_ids"]) for r in rows]
    assert sum(kl) > sum(row["ref_KL_logps"] for row in rows)  # so that its term is not cut at 0
    expected = kto_loss(model, rows, beta, weights)
    assert first_loss(params, rows, base, tmp_path) == pytest.approx(expected, abs=1e-4)


def test_the_first_sft_loss_equals_the_formula(base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    params = train_params(method="sft")
    pairs = six_pairs()[:2]
    model = model_io.load(base, "float32")
    tokens = [
        log_prob
        for pair in pairs
        for log_prob in plain_log_probs(model, pair["prompt_ids"], pair["chosen_ids"])
    ]
    loss = first_loss(params, with_reference(params, pairs), base, tmp_path)
    assert loss == pytest.approx(-sum(tokens) / len(tokens), abs=1e-4)


def no_progress(items: Any, _total: int) -> Iterator[Any]:
    return iter(items)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_reference_log_probs_are_the_bases_and_are_computed_once(
    method: str, base: Path, tmp_path: Path
) -> None:
    from delta.training import model_io
    from delta.training.dataset import REFERENCE_COLUMNS
    from delta.training.reference_logps import add_reference

    params = train_params(method=method)
    model = model_io.load(base, "float32")

    def compute(params: TrainParams, fingerprint: str) -> tuple[int, Any]:
        rows = to_trl_columns(params, six_pairs())
        with ReplyCache(tmp_path / "cache") as cache:
            return add_reference(params, rows, base, fingerprint, cache, no_progress), rows

    number, rows = compute(params, "f")
    # Of KTO's twelve mismatched completions four are the other side of the same pair.
    assert number == {"dpo": 12, "kto": 20}[method]
    for row in rows:
        for column, completion in REFERENCE_COLUMNS[method].items():
            expected = plain_log_prob(model, row["prompt_ids"], row[completion])
            assert row[column] == pytest.approx(expected, abs=1e-4)
    assert compute(params, "f")[0] == 0
    assert compute(params, "another base")[0] == number
    # KTO needs the traces that DPO needed, and the mismatched ones.
    assert compute(train_params(method="kto"), "f")[0] == (8 if method == "dpo" else 0)
    assert compute(train_params(method=method, bf16=True), "f")[0] == number


def test_a_nan_log_probability_is_an_error_and_is_not_cached(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training.reference_logps import add_reference

    monkeypatch.setattr(
        "delta.training.reference_logps._logps", lambda _, batch, __: [math.nan] * len(batch)
    )
    params = train_params(method="dpo")
    with ReplyCache(tmp_path / "cache") as cache:
        with pytest.raises(IncompleteError, match=f"{base}: the log-probability .* is nan"):
            add_reference(
                params, to_trl_columns(params, six_pairs()), base, "f", cache, no_progress
            )
        assert len(cache) == 0


@pytest.mark.parametrize("logp", ["-3.5", None, [1.0], True, -3, {}])
def test_a_damaged_cached_log_probability_is_computed_again(
    base: Path, tmp_path: Path, logp: Any
) -> None:
    from delta.training.reference_logps import add_reference

    params = train_params(method="dpo")
    rows = to_trl_columns(params, six_pairs())
    with ReplyCache(tmp_path / "cache") as cache:
        assert add_reference(params, rows, base, "f", cache, no_progress) == 12
        first = [row["ref_chosen_logps"] for row in rows]
        key = next(iter(cache._locations))
        cache.put(key, {"logp": logp})
        assert add_reference(params, rows, base, "f", cache, no_progress) == 1
        assert [row["ref_chosen_logps"] for row in rows] == pytest.approx(first, abs=1e-4)
        assert add_reference(params, rows, base, "f", cache, no_progress) == 0


def test_sft_needs_no_reference_and_loads_no_model_for_it(tmp_path: Path) -> None:
    from delta.training.reference_logps import add_reference

    params = train_params(method="sft")
    rows = to_trl_columns(params, six_pairs())
    with ReplyCache(tmp_path / "cache") as cache:
        assert add_reference(params, rows, tmp_path / "nowhere", "f", cache, no_progress) == 0


def test_training_raises_the_margin_and_swapped_pairs_lower_it(base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    start = model_io.load(base, "float32")
    rows = with_reference(two_epochs(), six_pairs())
    swapped = [
        row | {"chosen_ids": row["rejected_ids"], "rejected_ids": row["chosen_ids"]} for row in rows
    ]

    def margin(model: Any) -> float:
        return sum(
            plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
            - plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
            for row in rows
        )

    forward, counts = run(two_epochs(), rows, base, tmp_path / "a", quiet_console())
    backward, _ = run(two_epochs(), swapped, base, tmp_path / "b", quiet_console())
    assert margin(forward) > margin(start) + 1
    assert margin(backward) < margin(start) - 1
    assert counts["options"]["beta"] == BETA
    assert counts["options"]["dtype"] == "float32"
    assert (
        0.1 < model_io.fraction_of_weights_changed(forward, base)["bfloat16"] < 0.9
    )  # unseen tokens keep their embeddings
    assert model_io.fraction_of_weights_changed(start, base) == {
        "float32": 0.0,
        "bfloat16": 0.0,
    }


OPTIONS: dict[str, dict[str, Any]] = {
    "dpo": {"trainer": "trl 1.16.0 DPOTrainer", "loss_type": "sigmoid", "label_smoothing": 0.0},
    "kto": {"trainer": "trl 1.16.0 KTOTrainer", "loss_type": "kto", "undesirable_weight": 0.7},
    "sft": {"trainer": "trl 1.16.0 SFTTrainer", "loss_type": "nll"},
}


@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_the_options_in_use_are_read_back_from_the_trainer(
    method: str, base: Path, tmp_path: Path
) -> None:
    params = train_params(
        method=method,
        kto={"undesirable_weight": 0.7},
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=0.5,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        gradient_checkpointing=True,
        bf16=True,
    )
    _, counts = run(params, with_reference(params, six_pairs()), base, tmp_path, quiet_console())
    expected = OPTIONS[method] | {
        "lr_scheduler_type": "constant_with_warmup",
        "learning_rate": 0.01,
        "mixed_precision": "bf16",
        "dtype": "float32",
        "trainable_parameters": 37_216,
        "gradient_accumulation_steps": 2,
        "gradient_checkpointing": True,
        "fsdp": False,
    }
    assert expected.items() <= counts["options"].items()
    rates = [float(row["learning_rate"]) for row in history(tmp_path / "history.tsv")]
    assert (rates[0], rates[-1]) == (0.0, 0.01)  # warmed up, then constant


class InterruptingConsole(Console):
    """A console that raises KeyboardInterrupt after so many training steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(io.StringIO())
        self.steps = steps

    def progress(self, items: Any, total: int, what: str) -> Iterator[Any]:  # noqa: ARG002
        for done, item in enumerate(items):
            if done == self.steps:
                raise KeyboardInterrupt
            yield item


def equal(first: Any, second: Any) -> bool:
    import torch

    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_an_interrupted_run_resumes_at_its_checkpoint_and_ends_the_same(
    method: str, lora: Any, base: Path, tmp_path: Path
) -> None:
    method_params = {"num_train_epochs": 2 if method != "kto" else 1}
    params = train_params(method=method, lora=lora, **{method: method_params})
    rows = with_reference(params, six_pairs())
    uninterrupted, _ = run(params, rows, base, tmp_path / "whole", quiet_console())
    with pytest.raises(KeyboardInterrupt):
        run(params, rows, base, tmp_path / "cut", InterruptingConsole(3))
    output = io.StringIO()
    resumed, counts = run(params, rows, base, tmp_path / "cut", Console(output))
    assert "checkpoint-2" in output.getvalue()
    assert counts["steps"] == counts["chosen_step"] == 6
    assert history(tmp_path / "cut/history.tsv") == history(tmp_path / "whole/history.tsv")
    assert equal(uninterrupted, resumed)


def write_checkpoints(folder: Path, *steps: int) -> None:
    from delta.training import checkpoints

    for step in steps:
        checkpoint = checkpoints.path_for_step(folder, step)
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(b"weights" * 100)
        (checkpoint / "optimizer.pt").write_bytes(b"moments" * 100)
        checkpoints.mark_complete(checkpoint)


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*"))


def test_an_unmarked_checkpoint_is_never_resumed(tmp_path: Path) -> None:
    from delta.training import checkpoints

    write_checkpoints(tmp_path, 2, 10, 12)
    (tmp_path / "checkpoint-12" / checkpoints.MARK).unlink()
    assert checkpoints.remove_incomplete(tmp_path) == []
    assert checkpoints.latest_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert steps_in(tmp_path) == [2, 10]


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt"])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone", "mark"])
def test_a_damaged_checkpoint_and_all_later_ones_are_removed(
    tmp_path: Path, file: str, damage: str
) -> None:
    """Early stopping must not choose a later checkpoint, whose earlier steps are lost."""
    from delta.training import checkpoints

    write_checkpoints(tmp_path, 2, 10, 12)
    path = tmp_path / "checkpoint-10" / (checkpoints.MARK if damage == "mark" else file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    match damage:
        case "gone":
            path.unlink()
        case "shorter":
            path.write_bytes(content[:-1])
        case _:
            path.write_bytes(content)
    assert checkpoints.remove_incomplete(tmp_path) == [tmp_path / "checkpoint-10"]
    assert steps_in(tmp_path) == [2]


RULE: dict[str, Any] = {"held_out": 0.34, "eval_steps": 2, "patience": 2, "min_improvement": 0.0}


def converging() -> tuple[TrainParams, Any, Any]:
    """Return params, rows and held-out rows, the swapped pairs, whose loss rises from the start."""
    params = two_epochs(
        early_stopping=RULE, dpo={"num_train_epochs": 20}, save_steps=3, logging_steps=4
    )
    train, held_out = split_held_out(params, six_pairs())
    assert (len(train), len(held_out)) == (4, 2)
    swapped = [
        pair | {"chosen_ids": pair["rejected_ids"], "rejected_ids": pair["chosen_ids"]}
        for pair in train
    ]
    return params, with_reference(params, train), with_reference(params, swapped)


def test_training_stops_when_converged_and_keeps_the_best_checkpoint(
    base: Path, tmp_path: Path
) -> None:
    params, rows, held_out = converging()
    chosen, counts = run(params, rows, base, tmp_path / "a", quiet_console(), held_out)
    curve = history(tmp_path / "a/held_out.tsv")
    assert [row["step"] for row in curve] == ["2", "4", "6"]
    losses = [float(row["loss"]) for row in curve]
    assert losses == sorted(losses)
    assert (counts["chosen_step"], counts["converged_at"], counts["steps"]) == (2, 6, 6)
    assert counts["held_out_loss"] == pytest.approx(losses[0], abs=1e-4)
    assert steps_in(tmp_path / "a/run/checkpoints") == [2, 6]

    # Two steps without early stopping, under the same learning rate schedule.
    plain = params.model_copy(update={"early_stopping": None, "save_steps": 2})
    with pytest.raises(KeyboardInterrupt):
        run(plain, rows, base, tmp_path / "b", InterruptingConsole(3))
    from delta.training import model_io

    two_steps = model_io.load_checkpoint(params, base, tmp_path / "b/run/checkpoints/checkpoint-2")
    assert equal(chosen, two_steps)


@pytest.mark.parametrize("interrupted_after", [1, 3, 5])
def test_an_interrupted_run_converges_at_the_same_step_to_the_same_policy(
    interrupted_after: int, base: Path, tmp_path: Path
) -> None:
    params, rows, held_out = converging()
    uninterrupted, counts = run(params, rows, base, tmp_path / "whole", quiet_console(), held_out)
    with pytest.raises(KeyboardInterrupt):
        run(params, rows, base, tmp_path / "cut", InterruptingConsole(interrupted_after), held_out)
    resumed, resumed_facts = run(params, rows, base, tmp_path / "cut", quiet_console(), held_out)
    assert resumed_facts == counts
    assert equal(uninterrupted, resumed)
    for name in ("history.tsv", "held_out.tsv"):
        assert history(tmp_path / "cut" / name) == history(tmp_path / "whole" / name)


def test_a_converged_run_is_not_trained_further(base: Path, tmp_path: Path) -> None:
    params, rows, held_out = converging()
    uninterrupted, counts = run(params, rows, base, tmp_path, quiet_console(), held_out)
    (tmp_path / "history.tsv").unlink()  # DVC deletes outputs before it runs a stage
    resumed, resumed_facts = run(params, rows, base, tmp_path, InterruptingConsole(0), held_out)
    assert resumed_facts == counts
    assert equal(uninterrupted, resumed)
    assert history(tmp_path / "history.tsv")


def test_a_run_without_convergence_keeps_the_lowest_held_out_loss(
    base: Path, tmp_path: Path
) -> None:
    rule = RULE | {"eval_steps": 3, "patience": 5}
    params = two_epochs(early_stopping=rule, dpo={"num_train_epochs": 4})
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    _, counts = run(params, train, base, tmp_path, quiet_console(), held_out)
    curve = [(int(r["step"]), float(r["loss"])) for r in history(tmp_path / "held_out.tsv")]
    assert [step for step, _ in curve] == [3, 6, 8]  # the last step is evaluated as well
    assert counts["converged_at"] is None
    assert counts["chosen_step"] == min(curve, key=lambda point: point[1])[0]


def test_the_held_out_loss_is_the_loss_of_the_held_out_pairs(base: Path, tmp_path: Path) -> None:
    params = two_epochs(early_stopping=RULE | {"eval_steps": 1}, dpo={"learning_rate": 1e-12})
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    run(params, train, base, tmp_path, quiet_console(), held_out)
    from delta.training import model_io

    expected = dpo_loss(model_io.load(base, "float32"), held_out, BETA)
    assert float(history(tmp_path / "held_out.tsv")[0]["loss"]) == pytest.approx(expected, abs=1e-4)


def test_only_adapters_are_trained_and_they_are_merged(base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    params = two_epochs(lora=LORA, dtype="bfloat16", bf16=True)
    rows = with_reference(params, six_pairs())
    merged, counts = run(params, rows, base, tmp_path, quiet_console())
    assert counts["options"]["trainable_parameters"] == 2 * 2 * (4 * 32 + 32 * 4)
    assert counts["options"]["lora"] == {"r": 4, "lora_alpha": 8}
    start = model_io.load(base, "float32").state_dict()
    after = merged.state_dict()
    assert after.keys() == start.keys()  # a complete model without adapters
    changed = {name for name in start if not after[name].equal(start[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_missing_target_modules_are_named(base: Path, tmp_path: Path) -> None:
    params = two_epochs(lora=LORA | {"target_modules": ["w_pack"]})
    with pytest.raises(InputError, match=r"train.lora.target_modules = \['w_pack'\]"):
        run(params, with_reference(params, six_pairs()), base, tmp_path, quiet_console())


def test_a_nan_loss_is_an_error(base: Path, tmp_path: Path) -> None:
    params = two_epochs()
    rows = [row | {"ref_chosen_logps": math.nan} for row in with_reference(params, six_pairs())]
    with pytest.raises(InputError, match=r"train.dpo.learning_rate = 0.01: the loss is no longer"):
        run(params, rows, base, tmp_path, quiet_console())


def test_fewer_rows_than_a_batch_are_refused(base: Path, tmp_path: Path) -> None:
    params = two_epochs(per_device_train_batch_size=7)
    with pytest.raises(InputError, match="only 6; expected 1 to 6"):
        run(params, with_reference(params, six_pairs()), base, tmp_path, quiet_console())


def test_no_telemetry_is_sent(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: Any, **__: Any) -> None:
        raise AssertionError("telemetry")

    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", send)
    params = two_epochs(dpo={"num_train_epochs": 1})
    run(params, with_reference(params, six_pairs()), base, tmp_path, quiet_console())


def test_8_bit_adam_trains_or_names_the_missing_package(base: Path, tmp_path: Path) -> None:
    import importlib.util

    params = two_epochs(optim="adamw_8bit")
    rows = with_reference(params, six_pairs())
    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(InputError, match="bitsandbytes is not installed"):
            run(params, rows, base, tmp_path, quiet_console())
        return
    _, counts = run(params, rows, base, tmp_path, quiet_console())
    assert counts["options"]["optim"] == "adamw_8bit"
    assert counts["last_margin"] > 0


def test_everything_that_shapes_a_run_changes_its_key() -> None:
    from delta.training.launch import run_key

    params = two_epochs()
    rows = with_reference(params, six_pairs())
    keys = [
        run_key(params, rows, [], "f"),
        run_key(params, rows[::-1], [], "f"),
        run_key(params, rows[:4], rows[4:], "f"),
        run_key(params, rows, [], "another base"),
        run_key(two_epochs(num_processes=2), rows, [], "f"),
        run_key(two_epochs(early_stopping=RULE), rows, [], "f"),
        run_key(two_epochs(num_processes=2, fsdp=True), rows, [], "f"),
    ]
    assert len(set(keys)) == len(keys)
    assert run_key(two_epochs(), with_reference(params, six_pairs()), [], "f") == keys[0]


def test_training_applies_the_early_stopping_rule() -> None:
    from delta.training import checkpoints

    log: list[dict[str, Any]] = [
        {"step": 2, "eval_loss": 0.5},
        {"step": 2, "loss": 0.4},
        {"step": 4, "eval_loss": 0.6},
        {"step": 6, "eval_loss": 0.6},
    ]
    decision = decide(checkpoints.held_out_curve(log), EarlyStoppingParams(**RULE))
    assert (decision.best.step, decision.converged_at) == (2, 6)
