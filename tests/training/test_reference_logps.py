"""Log-probabilities of the base are computed once, cached, and checked when they are read."""

import gc
import math
import multiprocessing
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import IncompleteError
from delta.inference.reply_cache import ReplyCache
from delta.training.config import TrainParams
from delta.training.dataset import to_trl_columns
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import plain_log_prob, six_pairs

pytestmark = pytest.mark.slow


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
    # Of KTO's twelve mismatched completions two are the other side of the same pair.
    assert number == {"dpo": 12, "kto": 22}[method]
    for row in rows:
        for column, completion in REFERENCE_COLUMNS[method].items():
            expected = plain_log_prob(model, row["prompt_ids"], row[completion])
            assert row[column] == pytest.approx(expected, abs=1e-4)
    assert compute(params, "f")[0] == 0
    assert compute(params, "another base")[0] == number
    # KTO needs the traces that DPO needed, and the mismatched ones.
    assert compute(train_params(method="kto"), "f")[0] == (10 if method == "dpo" else 0)
    assert compute(train_params(method=method, bf16=True), "f")[0] == number


def test_a_nan_log_probability_is_an_error_and_is_not_cached(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training.reference_logps import add_reference

    monkeypatch.setattr(
        "delta.training.logps.completion_logps", lambda _, batch, __: [math.nan] * len(batch)
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


def test_nothing_of_the_model_is_alive_afterwards(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training import model_io
    from delta.training.reference_logps import add_reference

    parts: list[weakref.ref[Any]] = []
    load = model_io.load

    def load_and_watch(*args: Any) -> Any:
        model = load(*args)
        parts.extend(map(weakref.ref, [model, *model.parameters()]))
        return model

    monkeypatch.setattr(model_io, "load", load_and_watch)
    params = train_params(method="dpo")
    gc.disable()  # collecting by chance would hide a cycle
    try:
        with ReplyCache(tmp_path / "cache") as cache:
            add_reference(
                params, to_trl_columns(params, six_pairs()), base, "f", cache, no_progress
            )
    finally:
        gc.enable()
    assert parts
    assert not any(part() for part in parts)


def test_two_processes_give_the_log_probabilities_of_one_and_end(
    base: Path, tmp_path: Path
) -> None:
    from delta.training.reference_logps import add_reference

    totals, shown = [], []

    def progress(items: Any, total: int) -> Iterator[Any]:
        totals.append(total)
        for item in items:
            shown.append(item)
            yield item

    columns = {}
    for processes in (1, 2):
        params = train_params(method="kto", num_processes=processes, bf16=True)
        rows = to_trl_columns(train_params(method="kto"), six_pairs())
        with ReplyCache(tmp_path / str(processes)) as cache:
            assert add_reference(params, rows, base, "f", cache, progress) == len(cache) == 22
        columns[processes] = [(row["ref_logps"], row["ref_KL_logps"]) for row in rows]
    assert (totals, len(shown)) == ([22, 22], 44)
    assert columns[1] == columns[2]
    assert not multiprocessing.active_children()


def rows_for_two_processes(monkeypatch: pytest.MonkeyPatch) -> tuple[TrainParams, Any]:
    """Return parameters with two processes and the rows of six pairs; each sequence is a batch."""
    monkeypatch.setattr("delta.training.reference_logps.TOKENS_PER_BATCH", 1)
    params = train_params(method="dpo", num_processes=2)
    return params, to_trl_columns(params, six_pairs())


def test_what_two_processes_finished_is_kept_when_the_pass_is_interrupted(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training import reference_logps

    params, rows = rows_for_two_processes(monkeypatch)

    def interrupted(items: Any, _total: int) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 5:
                raise KeyboardInterrupt
            yield item

    with ReplyCache(tmp_path / "cache") as cache:
        with pytest.raises(KeyboardInterrupt):
            reference_logps.add_reference(params, rows, base, "f", cache, interrupted)
        assert len(cache) == 5
        assert not multiprocessing.active_children()
        alone = train_params(method="dpo")
        assert reference_logps.add_reference(alone, rows, base, "f", cache, no_progress) == 7


def test_a_killed_process_is_one_line_and_what_was_computed_is_kept(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training import reference_logps

    params, rows = rows_for_two_processes(monkeypatch)

    def kill(items: Any, _total: int) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == 1:
                for process in multiprocessing.active_children():
                    process.kill()
            yield item

    with ReplyCache(tmp_path / "cache") as cache:
        with pytest.raises(IncompleteError, match=r"was killed.*memory is full.*run again"):
            reference_logps.add_reference(params, rows, base, "f", cache, kill)
        assert len(cache) >= 2
        assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("gpus", "processes", "expected"),
    [
        (0, 1, ["cpu"]),
        (0, 2, ["cpu", "cpu"]),
        (3, 1, ["cuda:0", "cuda:1", "cuda:2"]),  # the others would be idle
        (3, 2, ["cuda:0", "cuda:1"]),
    ],
)
def test_the_pass_runs_on_all_gpus_or_on_those_that_train(
    gpus: int, processes: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from delta.training import logps

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert logps.devices(train_params(num_processes=processes)) == expected
