"""Training uses the pairs of a user's file, unless params ask for other pairs."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.check import check_content
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.core.schemas import RATING, TRACE, VERDICT
from delta.core.tables import frame_of
from delta.data import recorded_traces
from delta.data.fetch import fetch
from delta.data.user_tables import TableProblems
from delta.export import dataset
from delta.inference.chat_formats import load
from delta.inference.generate import recording_to_traces
from delta.judging.budget import Budget, within_budget
from delta.pairing.pair import pair
from delta.pairing.select import SelectorParams, select
from delta.training.dataset import join_texts, to_trl_columns, tokenize_pairs
from tests.helpers.character_tokenizer import CharacterTokenizer, text_of
from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_models import train_params
from tests.helpers.toy_export import exported_rows, toy_card_facts
from tests.helpers.toy_pairs import TracesAndVerdicts, ids, make_pairs, pairing, toy_traces
from tests.helpers.user_tables import build_from_sources, recording_params, write_table


def traces_of_file(generator: str, rows: dict[int, tuple[str, str]]) -> TracesAndVerdicts:
    """Return traces and verdicts of a file: row → (problem, "outcome text"), in its order."""
    samples: dict[str, list[str]] = {}
    numbers = []
    for row, (problem, written) in rows.items():
        samples.setdefault(problem, []).append(written)
        numbers.append((f"{problem}/{generator}/{len(samples[problem]) - 1}", row))
    traces, verdicts = toy_traces(generator, samples)
    placed = pl.DataFrame(numbers, schema=["trace_id", "source_row"], orient="row").lazy()
    return traces.drop("source_row").join(placed, on="trace_id").select(*TRACE.columns), verdicts


CHOSEN = {0: ("p.0", "n g0"), 1: ("p.0", "n g1"), 2: ("p.1", "n x"), 3: ("p.0", "n g2")}
REJECTED = {0: ("p.0", "n b0"), 1: ("p.0", "n b1"), 3: ("p.0", "n b2"), 4: ("p.1", "n y")}


@pytest.mark.parametrize("seed", range(4))
def test_the_pairs_of_a_file_are_kept(seed: int) -> None:
    chosen, rejected = traces_of_file("strong", CHOSEN), traces_of_file("weak", REJECTED)
    pairs, counts = make_pairs(pairing(seed=seed), chosen, rejected)
    assert ids(pairs) == [(f"p.0/strong/{n}", f"p.0/weak/{n}") for n in range(3)]
    assert pairs["recipe"].unique().to_list() == ["strong > weak, as given"]
    assert (counts["problems"], counts["with_pairs"], counts["pairs"]) == (4, 1, 3)
    assert counts["dropped"] == {"no row with both traces": 3}


def test_other_pairs_of_a_file_are_drawn_only_on_request() -> None:
    chosen, rejected = traces_of_file("strong", CHOSEN), traces_of_file("weak", REJECTED)
    pairs, counts = make_pairs(pairing(use_table_pairs=False), chosen, rejected)
    assert pairs["problem_id"].to_list() == ["p.0", "p.1"]
    assert counts["recipe"] == "strong > weak"
    drawn = {
        tuple(ids(make_pairs(pairing(use_table_pairs=False, seed=n), chosen, rejected)[0]))
        for n in range(9)
    }
    assert len(drawn) > 3


def test_a_text_that_a_file_pairs_twice_is_one_trace_in_both_pairs() -> None:
    rows = {0: ("p.0", "n good"), 1: ("p.0", "n good"), 2: ("p.0", "n good"), 3: ("p.0", "n same")}
    others = {0: ("p.0", "n b0"), 1: ("p.0", "n b1"), 2: ("p.0", "n b0"), 3: ("p.0", "n same")}
    chosen, rejected = traces_of_file("strong", rows), traces_of_file("weak", others)
    pairs, counts = make_pairs(pairing(), chosen, rejected)
    assert pairs.height == 2
    assert pairs["chosen_id"].n_unique() == 1
    assert counts["pairs_dropped"] == {"equal texts": 1, "the same pair again": 1}
    # Without a limit, a judge rates every trace of the pairs.
    for side, (traces, verdicts) in (("chosen", chosen), ("rejected", rejected)):
        everything = Budget(any=None, correct=0, incorrect=0)
        rated = within_budget(traces, verdicts, everything, 5, "random", "none").collect()
        assert set(pairs[f"{side}_id"]) <= set(rated["trace_id"])


def test_a_given_pair_needs_the_requested_outcomes_and_finish_reasons() -> None:
    chosen = traces_of_file("strong", {0: ("p.0", "c a"), 1: ("p.0", "i b"), 2: ("p.1", "c- c")})
    rejected = traces_of_file("weak", {0: ("p.0", "i d"), 1: ("p.0", "i e"), 2: ("p.1", "i f")})
    params = pairing(
        chosen_outcome="correct", rejected_outcome="incorrect", require_complete="chosen"
    )
    pairs, counts = make_pairs(params, chosen, rejected)
    assert ids(pairs) == [("p.0/strong/0", "p.0/weak/0")]
    assert counts["pairs_dropped"] == {"chosen not correct": 1}
    assert counts["dropped"]["chosen not complete"] == 1
    assert counts["recipe"] == "strong correct > weak incorrect, as given"


def test_traces_of_different_rows_are_drawn_at_random() -> None:
    chosen = traces_of_file("strong", {0: ("p.0", "n a"), 2: ("p.1", "n b")})
    rejected = traces_of_file("weak", {1: ("p.0", "n c"), 3: ("p.1", "n d")})
    pairs, counts = make_pairs(pairing(), chosen, rejected)
    assert ids(pairs) == [("p.0/strong/0", "p.0/weak/0"), ("p.1/strong/0", "p.1/weak/0")]
    assert counts["recipe"] == "strong > weak"


def test_several_pairs_of_a_prompt_reach_every_trainer_unchanged(
    tmp_path: Path,
) -> None:
    table = [
        {"prompt": "One?", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(3)
    ] + [{"prompt": "Two?", "chosen": "yes", "rejected": "no"}]
    data = write_table(tmp_path / "pairs.jsonl", table)
    source = {"table": TableProblems(data=data, statement="prompt", gold_answer=None)}
    problems = build_from_sources(mine=source)
    traces = {}
    for name, side in (("strong", "chosen"), ("weak", "rejected")):
        fetch(
            side,
            recording_params(data, statement="prompt", text=side),
            tmp_path / side,
            lambda _: None,
        )
        rows, counts = recorded_traces.read_recording(problems, tmp_path / side, None)
        assert counts["over_the_limit"] == 0
        traces[name] = recording_to_traces(name, pl.concat(rows), load("plain"))
    all_traces = pl.concat(traces.values())
    verdicts = frame_of(
        [{"trace_id": name, "outcome": "no_gold"} for name in all_traces["trace_id"]], VERDICT
    )
    pairs, _ = pair(pairing(), problems, traces["strong"].lazy(), traces["weak"].lazy(), verdicts)
    everything = SelectorParams(mode="all", by="mean", k=None, quantile=None, seed=1)
    selected, _ = select(everything, pairs, frame_of([], RATING))
    expected = {(row["chosen"], row["rejected"]) for row in table}

    texts = join_texts(selected, problems, all_traces)
    params, tokenizer = train_params(max_length=500), CharacterTokenizer()
    tokenized, _ = tokenize_pairs(params, load("plain"), texts, tokenizer)
    for method, columns in (("dpo", ("chosen_ids", "rejected_ids")), ("sft", ("input_ids",))):
        rows_of_method = to_trl_columns(train_params(method=method), tokenized)
        assert len(rows_of_method) == 4
        assert all(column in rows_of_method[0] for column in columns)
    trained = {
        (text_of(row["chosen_ids"])[:-5], text_of(row["rejected_ids"])[:-5]) for row in tokenized
    }
    assert trained == expected
    single = to_trl_columns(train_params(method="kto"), tokenized)
    assert sorted(text_of(row["completion_ids"])[:-5] for row in single) == sorted(
        text for both_sides in expected for text in both_sides
    )
    dataset.write_dataset(
        tmp_path / "out",
        toy_card_facts(),
        selected,
        problems,
        [frame.lazy() for frame in traces.values()],
    )
    exported = exported_rows(tmp_path / "out", "preference")
    assert {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in exported} == (
        expected
    )
    assert len(exported_rows(tmp_path / "out", "unpaired")) == 8


def params_with_pairs_file(**changes: Any) -> dict[str, Any]:
    """Return the smoke profile with the pairs of a file."""
    content = read_all(ROOT / "profiles" / "smoke.yaml")
    data = {"file": {"path": "pairs.jsonl", "sha256": "a" * 64}}
    table = {"data": data, "statement": "prompt", "outcome": None, "where": {}}
    for side in ("chosen", "rejected"):
        recording = {"source": "mine", "table": table | {"text": side}}
        content["models"][side] = {"recording": recording}
        content["serving"][side] = content["serving"]["policy"]
        content["generators"][side] = {
            "model": side,
            "recorded_samples": changes.get("recorded_samples"),
        }
        content["judge"]["budget"][side] = {
            "any": changes.get("budget"),
            "correct": 0,
            "incorrect": 0,
        }
        content["pairing"][side] = side
    problems = {"data": data, "statement": "prompt", "gold_answer": None}
    content["problems"]["sources"] = {"mine": {"table": problems}}
    return content


def test_a_selection_needs_ratings_of_every_pair_of_a_file() -> None:
    check_content(params_with_pairs_file(), "params.yaml")
    check_content(params_with_pairs_file(recorded_samples=3, budget=3), "params.yaml")
    with pytest.raises(InputError) as caught:
        check_content(params_with_pairs_file(budget=2), "params.yaml")
    assert str(caught.value) == (
        "params.yaml: judge.budget.chosen = {'any': 2, 'correct': 0, 'incorrect': 0}: pairing "
        "needs ratings of {'any': None, 'correct': 0, 'incorrect': 0} where selector.mode is "
        "'top'; expected that and more (any: null is all), or mode all"
    )
    drawn = params_with_pairs_file(budget=2)
    drawn["pairing"]["use_table_pairs"] = False
    check_content(drawn, "params.yaml")
