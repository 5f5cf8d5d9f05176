"""The trainer, on a tiny random model: its loss, its reference, its resume."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delta.console import Console
from delta.params import section
from delta.replies import Shelf
from delta.train import TrainParams
from tests.tiny import write_model

pytestmark = pytest.mark.slow
BETA = 0.5


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_model(folder)
    return folder


def some_params(**changes: Any) -> TrainParams:
    values = section("train", TrainParams).model_dump() | {
        "learning_rate": 1e-2,
        "beta": BETA,
        "batch_size": 2,
        "epochs": 2,
        "save_every": 2,
        "warmup_share": 0.0,
    }
    return TrainParams(**(values | changes))


def some_rows() -> list[dict[str, Any]]:
    """Six pairs of token ids of different lengths; reference log-probabilities are 0 for now."""
    return [
        {
            "pair_id": f"p{i}",
            "prompt_ids": [1, 10 + i, 20],
            "chosen_ids": [30 + i, 40, 41, 2][: 2 + i % 3],
            "rejected_ids": [50 + i, 60, 2],
            "ref_chosen_logps": -10.0 - i,
            "ref_rejected_logps": -12.0,
        }
        for i in range(6)
    ]


def screen() -> Console:
    return Console(io.StringIO())


def plain_log_prob(model: Any, prompt: list[int], completion: list[int]) -> float:
    """Σ log p(token | before) over the completion, one sequence, no padding, no tricks."""
    import torch

    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        logs = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    places = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
    return float(sum(logs[i, t].item() for i, t in zip(places, completion, strict=True)))


def history(path: Path) -> list[dict[str, str]]:
    lines = [line.split("\t") for line in path.read_text().split("\n") if line]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def train_once(params: TrainParams, rows: Any, base: Path, folder: Path, console: Console) -> Any:
    from delta import trainer

    loaded = trainer.load_base(base)
    return trainer.train(params, rows, loaded, folder / "ck", folder / "history.tsv", console)


def test_the_first_loss_is_the_dpo_loss_computed_by_hand(base: Path, tmp_path: Path) -> None:
    from delta import trainer

    rows = some_rows()[:2]  # one batch, so its order does not matter
    model, _ = trainer.load_base(base)
    losses = []
    for row in rows:
        chosen = plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
        rejected = plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
        margin = (chosen - row["ref_chosen_logps"]) - (rejected - row["ref_rejected_logps"])
        losses.append(math.log(1 + math.exp(-BETA * margin)))
    train_once(some_params(epochs=1), rows, base, tmp_path, screen())
    first = float(history(tmp_path / "history.tsv")[0]["loss"])
    assert first == pytest.approx(sum(losses) / 2, abs=1e-4)


def test_reference_log_probs_are_those_of_the_base_and_are_computed_once(
    base: Path, tmp_path: Path
) -> None:
    from delta import reference, trainer

    model, _ = trainer.load_base(base)
    rows = some_rows()

    def quietly(items: Any, _total: int) -> Iterator[Any]:
        return iter(items)

    with Shelf(tmp_path / "shelf") as shelf:
        assert reference.add_reference(rows, model, "f", shelf, quietly) == 12
    for row in rows:
        for side in ("chosen", "rejected"):
            expected = plain_log_prob(model, row["prompt_ids"], row[f"{side}_ids"])
            assert row[f"ref_{side}_logps"] == pytest.approx(expected, abs=1e-4)
    with Shelf(tmp_path / "shelf") as shelf:
        assert reference.add_reference(some_rows(), model, "f", shelf, quietly) == 0
        assert reference.add_reference(some_rows(), model, "other base", shelf, quietly) == 12


def test_training_moves_the_margin_towards_chosen_and_swapped_pairs_the_other_way(
    base: Path, tmp_path: Path
) -> None:
    from delta import trainer

    start, _ = trainer.load_base(base)
    rows = some_rows()
    swapped = [
        row | {"chosen_ids": row["rejected_ids"], "rejected_ids": row["chosen_ids"]} for row in rows
    ]

    def margin(model: Any) -> float:
        return sum(
            plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
            - plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
            for row in rows
        )

    forward, facts = train_once(some_params(), rows, base, tmp_path / "a", screen())
    backward, _ = train_once(some_params(), swapped, base, tmp_path / "b", screen())
    assert margin(forward) > margin(start) + 1
    assert margin(backward) < margin(start) - 1
    assert facts["options"]["beta"] == BETA
    assert facts["options"]["weights"] == "torch.float32"


class Interrupted(Console):
    """A screen that is closed after so many training steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(io.StringIO())
        self.steps = steps

    def progress(self, items: Any, total: int, what: str) -> Iterator[Any]:  # noqa: ARG002
        for done, item in enumerate(items):
            if done == self.steps:
                raise KeyboardInterrupt
            yield item


def test_a_run_that_was_stopped_goes_on_at_its_checkpoint_and_ends_the_same(
    base: Path, tmp_path: Path
) -> None:
    import torch

    rows = some_rows()
    whole, _ = train_once(some_params(), rows, base, tmp_path / "whole", screen())
    with pytest.raises(KeyboardInterrupt):
        train_once(some_params(), rows, base, tmp_path / "cut", Interrupted(3))
    said = io.StringIO()
    again, facts = train_once(some_params(), rows, base, tmp_path / "cut", Console(said))
    assert "checkpoint-2" in said.getvalue()
    assert facts["steps"] == 6
    assert history(tmp_path / "cut/history.tsv") == history(tmp_path / "whole/history.tsv")
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_without_its_mark_is_never_resumed(tmp_path: Path) -> None:
    from delta import trainer

    for step, marked in ((2, True), (10, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if marked:
            (folder / trainer.MARK).touch()
    found = trainer.last_whole_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-10"
    assert not (tmp_path / "checkpoint-12").exists()
