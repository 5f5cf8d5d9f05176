"""Selection in two passes equals select; the costs in docs/scaling.md are the printed ones."""

from pathlib import Path

import polars as pl
import pytest

from bench import scale, scale_selection, scale_store
from bench.scale_selection import stage_tables, synthetic_pairs
from delta.core.errors import InputError
from delta.pairing.select import SelectorParams, select


def write(folder: Path, scores: list[float | None], pairs_per_file: int = 3) -> list[Path]:
    ids = [f"p.{number}" for number in range(len(scores))]
    frame = pl.DataFrame({"pair_id": ids, "score": scores}, schema_overrides={"score": pl.Float64})
    files = []
    for start in range(0, frame.height, pairs_per_file):
        files.append(folder / f"{start}.parquet")
        frame.slice(start, pairs_per_file).write_parquet(files[-1])
    return files


def test_the_cut_is_found_by_counting_values(tmp_path: Path) -> None:
    files = write(tmp_path, [0.2, 1.0, None, 0.2, -0.4, 0.2])
    # One pair above 0.2, three at it: of k = 3 two of the three are in.
    assert scale_selection.find_cut(files, 3) == (0.2, 2, 3, 3)
    with pytest.raises(InputError, match="k = 6: expected 1 to 5"):
        scale_selection.find_cut(files, 6)


@pytest.mark.parametrize("k", [1, 700, 1_999, 2_000])
@pytest.mark.parametrize("seed", [6, 7])
def test_two_passes_take_the_pairs_that_select_takes(tmp_path: Path, k: int, seed: int) -> None:
    rows = synthetic_pairs(0, 2_000)
    pairs, ratings = stage_tables(rows)
    params = SelectorParams(mode="top", by="step_coherence", k=k, quantile=None, seed=seed)
    table, counts = select(params, pairs, ratings)
    rows.select("pair_id", "score").write_parquet(tmp_path / "rows.parquet")
    cut = scale_selection.top([tmp_path / "rows.parquet"], k, seed, tmp_path / "top.parquet")
    selected = pl.read_parquet(tmp_path / "top.parquet")["pair_id"]
    assert selected.len() == k
    assert set(selected) == set(table.filter("selected")["pair_id"])
    assert (cut.score, cut.tied, cut.needed) == (
        counts["delta_at_cut"],
        counts["tied_at_cut"],
        counts["tied_and_selected"],
    )


def test_a_wrong_window_is_noticed_and_all_ties_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(tmp_path, [1.0] * 200)
    right = tmp_path / "right.parquet"
    scale_selection.top(files, 50, 6, right)
    monkeypatch.setattr(scale_selection, "window", lambda *_: (0.9, 0.9))
    scale_selection.top(files, 50, 6, tmp_path / "again.parquet")
    again = pl.read_parquet(tmp_path / "again.parquet")
    assert set(again["pair_id"]) == set(pl.read_parquet(right)["pair_id"])
    assert again.height == 50


def test_the_window_is_narrow_if_many_pairs_tie() -> None:
    cut = scale_selection.Cut(0.2, needed=25_000_000, tied=100_000_000, values=41)
    low, high = scale_selection.window(cut, sigmas=8.0)
    assert low < 0.25 < high
    assert (high - low) * cut.tied < 100_000  # pairs in memory, of 10⁸ that tie


def test_the_costs_in_the_docs_are_the_printed_ones() -> None:
    page = scale.DOCUMENT.read_text(encoding="utf-8")
    for name, table in scale.computed_tables().items():
        assert f"<!-- {name} -->\n{table}\n<!-- /{name} -->" in page, name


def test_costs_grow_with_the_pairs_but_for_the_steps_of_training() -> None:
    small, large = (scale.stages(scale.lean(pairs)) for pairs in (1_000, 100_000))
    *asked, (once, hundredfold) = zip(small, large, strict=True)
    for few, many in asked:
        assert many.hours == pytest.approx(100 * few.hours, rel=1e-3)
    # 250 steps of 64 pairs in both; only the reference and the held-out pairs grow.
    assert once.hours < hundredfold.hours < 3 * once.hours
    requests = {stage.name: stage.requests for stage in small}
    # Two traces a problem; five votes on each.
    assert requests == {"generate": 2_000, "verify": 0, "judge": 10_000, "train": 0}


def test_a_limit_is_the_space_divided_by_that_of_a_pair() -> None:
    stored = scale_store.Measurement("", 100.0, 0.1, 0.05, 2e-5, 1_000.0)
    rows = scale_store.limits(stored, 2_000.0, [10**6]).split("\n")[2:]
    assert "| 1,000 bytes | 1.00 GB | 0.5 million (0.5 GiB) |" in rows[0]
    assert "| 2,000 bytes | 2.00 GB | 12.9 million (24.0 GiB) |" in rows[1]
    assert "| 800 bytes | 0.80 GB | 32.2 million (24.0 GiB) |" in rows[2]
    # Eight traces of 20 kB: 160 kB a pair, at 0.1 GB/s 1.6 ms.
    assert "| 1,600 µs | 0.44 h | 54 million (a day) |" in rows[3]
