"""Log-probabilities of the base are computed once, cached, and checked when they are read."""

import math
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
