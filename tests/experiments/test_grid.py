"""Grids become distinct runs, each a valid params.yaml, and their results stay in Git."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from delta import check
from delta.core import paths
from delta.core.errors import InputError
from delta.core.params import load_sections, read_all, validate
from delta.experiments import results
from delta.experiments.grid import (
    ExperimentParams,
    RunSpec,
    expand_grid,
    result_key,
    training_key,
    with_changes,
)
from delta.experiments.results import AnswerCounts, Result
from tests.helpers.import_closure import ROOT

PROFILES = ("params.yaml", *(f"profiles/{name}.yaml" for name in ("smoke", "paper", "gpu")))
SMOKE = read_all(ROOT / "profiles/smoke.yaml")


def grid(**axes: dict[str, Any]) -> ExperimentParams:
    return ExperimentParams(always={"train.method": "dpo"}, vary=axes)


def test_a_grid_has_one_run_for_every_choice_of_entries() -> None:
    runs = expand_grid(
        SMOKE,
        "mine",
        grid(
            k={"4": {"selector.k": 4}, "6": {"selector.k": 6}},
            chosen={name: {"pairing.chosen": name} for name in ("one-shot", "three-shot")},
        ),
    )
    assert [spec.axes for spec in runs] == [
        {"k": "4", "chosen": "one-shot"},
        {"k": "4", "chosen": "three-shot"},
        {"k": "6", "chosen": "one-shot"},
        {"k": "6", "chosen": "three-shot"},
    ]
    assert runs[1].changes == {
        "train.method": "dpo",
        "selector.k": 4,
        "pairing.chosen": "three-shot",
    }
    assert len({spec.key for spec in runs}) == 4
    assert runs[1].name == f"mine-4-three-shot-{runs[1].key}"


def test_where_nothing_varies_there_is_nothing_to_run() -> None:
    assert expand_grid(SMOKE, "mine", grid()) == []


def test_the_same_run_in_two_grids_has_one_key() -> None:
    same = {"selector.k": SMOKE["selector"]["k"]}
    assert result_key(SMOKE) == result_key(with_changes(SMOKE, same, "mine"))


@pytest.mark.parametrize(
    ("parameter", "value", "same"),
    [
        ("train.dpo.beta", 0.3, False),
        ("train.kto.beta", 0.3, True),  # the smoke profile trains by DPO
        ("generators.three-shot.seed", 99, False),
        ("generators.one-shot.seed", 99, True),  # not paired
        ("evaluation.sampling.seed", 99, False),
        ("evaluation.models.zero-shot.examples", 1, True),  # not the policy
        ("benchmarks.products.questions", 2, False),
        ("selector.seed", 99, False),
        ("engine.max_failed", 0.5, True),
        ("serving.smollm2-135m.max_num_seqs", 3, True),
        ("engine.kind", "ray", True),  # vLLM all the same
        ("engine.ray.replicas", 3, True),
        ("grading.backend", "ray", True),
        ("grading.extraction", "math_verify", False),
    ],
)
def test_the_key_depends_only_on_what_changes_the_policy_or_its_answers(
    parameter: str, value: Any, same: bool
) -> None:
    changed = with_changes(SMOKE, {parameter: value}, "mine")
    assert (result_key(changed) == result_key(SMOKE)) == same


@pytest.mark.parametrize(
    ("parameter", "value", "same"),
    [
        ("selector.by", "mean", True),
        ("selector.seed", 99, True),
        ("pairing.chosen_outcome", "correct", True),
        ("judge.budget.three-shot", {"any": 0, "correct": 1, "incorrect": 0}, True),
        ("pairing.chosen", "one-shot", False),
        ("generators.three-shot.temperature", 1.0, False),  # other traces of the same ids
        ("train.seed", 99, False),
        ("train.dpo.beta", 0.3, False),
        ("benchmarks.products.questions", 2, False),
    ],
)
def test_runs_of_one_training_key_train_the_same_policy_if_their_pairs_are_equal(
    parameter: str, value: Any, same: bool
) -> None:
    changed = with_changes(SMOKE, {parameter: value}, "mine")
    assert (training_key(changed) == training_key(SMOKE)) == same


def test_training_reads_nothing_of_the_selection_but_the_ids_of_its_pairs() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = stages["select"]["outs"]
    assert [out for out in outs if out in stages["train"]["deps"]] == [str(paths.TRAINING_PAIRS)]
    assert not [name for name in stages["train"]["params"] if name.startswith("selector")]


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("train.methd", "'train.methd' is not a parameter; there are base, method, dpo"),
        ("train.dpo", "train.dpo = 1: it is a section with learning_rate, beta, num_train_epochs"),
        ("train.dpo.beta.x", "'train.dpo.beta.x' is not a parameter"),
    ],
)
def test_a_change_of_an_unknown_parameter_is_refused(parameter: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand_grid(SMOKE, "mine", grid(one={"a": {parameter: 1}}))


def test_a_parameter_set_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"experiments\.mine: train\.method is set twice"):
        expand_grid(SMOKE, "mine", grid(method={"sft": {"train.method": "sft"}}))


def test_a_value_and_the_section_around_it_cannot_both_be_set() -> None:
    section = {"train.dpo": {"learning_rate": 1e-5, "beta": 0.1, "num_train_epochs": 1}}
    with pytest.raises(InputError, match=r"train\.dpo\.beta is set twice, as train\.dpo, at a, b"):
        expand_grid(SMOKE, "mine", grid(one={"a": section}, two={"b": {"train.dpo.beta": 0.3}}))


def test_a_section_of_a_grid_replaces_the_whole_section() -> None:
    tables: dict[str, Any] = {"always": {}, "vary": {}}
    new = with_changes({"a": {"b": {"c": 1, "d": 2}}}, {"a.b": {"d": 3}}, "mine")
    assert new == {"a": {"b": {"d": 3}}}
    assert with_changes({"a": {"b": tables}}, {"a.b": None}, "mine") == {"a": {"b": None}}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *((section, None) for section in ("train", "pairing", "generators", "judge", "grading")),
        *((section, None) for section in ("judge.budget", "evaluation", "serving")),
        ("grading", {}),
        ("evaluation.models", {}),
        ("pairing.chosen", ["one-shot"]),
    ],
)
def test_a_section_cannot_become_another_type(parameter: str, value: Any) -> None:
    mine = ExperimentParams(always={parameter: value}, vary={"k": {"4": {"selector.k": 4}}})
    message = rf"experiments\.mine: {parameter}, selector\.k at 4 leave no valid parameters"
    with pytest.raises(InputError, match=message):
        expand_grid(SMOKE, "mine", mine)


def test_an_axis_without_entries_is_refused() -> None:
    with pytest.raises(InputError, match=r"mine\.vary\.k = \{\}: .* at least 1"):
        validate("mine", ExperimentParams, {"always": {}, "vary": {"k": {}}})


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_of_every_experiment_is_a_valid_params_yaml(profile: str) -> None:
    content = read_all(ROOT / profile)
    declared = load_sections("experiments", ExperimentParams, ROOT / profile)
    for name, experiment in declared.items():
        for spec in expand_grid(content, name, experiment):
            new = with_changes(content, spec.changes, name)
            check.check_content(new, f"{profile}: {name} {spec.axes}")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_profiles_have_the_papers_figures_and_the_controls(profile: str) -> None:
    assert list(read_all(ROOT / profile)["experiments"]) == [
        *("table-1", "table-2", "figure-5", "figure-1", "figure-2", "figure-3", "figure-4"),
        *("full", "top", "random", "bottom", "length-matched"),
        *("gap-by-delta", "dose", "outcome-matched"),
    ]


@pytest.mark.parametrize(
    "profile", ["params.yaml", "profiles/gpu.yaml", "profiles/paper.yaml", "profiles/smoke.yaml"]
)
def test_every_pair_of_figure_3_is_rated(profile: str) -> None:
    content = read_all(ROOT / profile)
    experiment = ExperimentParams.model_validate(content["experiments"]["figure-3"])
    name = experiment.always["pairing.chosen"]
    specs = {spec.axes["pairs"]: spec for spec in expand_grid(content, "figure-3", experiment)}
    assert len(specs) == 4
    for pairs, too_small in (
        ("correct-correct", {"any": 0, "correct": 1, "incorrect": 2}),
        ("incorrect-incorrect", {"any": 0, "correct": 2, "incorrect": 1}),
        ("incorrect-correct", {"any": 1, "correct": 0, "incorrect": 0}),
    ):
        changed = with_changes(content, specs[pairs].changes, "experiments.figure-3")
        check.check_content(changed, profile)
        changed["judge"]["budget"][name] = too_small
        message = f"judge.budget.{name} = .* pairing.four_way is true: figure 3 shows the deltas"
        with pytest.raises(InputError, match=message):
            check.check_content(changed, profile)


def runs_of(profile: str) -> dict[str, list[RunSpec]]:
    declared = load_sections("experiments", ExperimentParams, ROOT / profile)
    content = read_all(ROOT / profile)
    by_name = {name: expand_grid(content, name, grid) for name, grid in declared.items()}
    return {name: runs for name, runs in by_name.items() if runs}


def test_the_papers_grids_have_its_numbers_of_runs_three_times() -> None:
    by_name = runs_of("profiles/paper.yaml")
    assert {name: len(runs) / 3 for name, runs in by_name.items()} == {
        "figure-1": 4,
        "figure-2": 12,
        "figure-3": 4,
        "figure-4": 15,
        "full": 1,
        "top": 1,
        "random": 3,
        "bottom": 1,
        "length-matched": 1,
        "gap-by-delta": 4,
        "dose": 5,
        "outcome-matched": 2,
    }
    # Shared: DPO on s1-7B (figures 1 and 2), on s1-32B (figure 2 and full), and both with the large
    # gap (top, bottom and gap-by-delta).
    assert len({spec.key for runs in by_name.values() for spec in runs}) == 3 * (53 - 4)


def test_the_grids_of_one_gpu_have_two_sizes_and_five_chosen_generators() -> None:
    by_name = runs_of("profiles/gpu.yaml")
    assert {name: len(runs) / 3 for name, runs in by_name.items()} == {
        "figure-1": 4,
        "figure-2": 10,
        "figure-3": 4,
        "figure-4": 10,
        "full": 1,
        "top": 1,
        "random": 2,
        "bottom": 1,
        "length-matched": 1,
        "gap-by-delta": 4,
        "dose": 5,
        "outcome-matched": 2,
    }
    # Shared: as in the paper's profile.
    assert len({spec.key for runs in by_name.values() for spec in runs}) == 3 * (45 - 4)


# The smoke profile repeats only the runs whose tests need two seeds.
SMOKE_SEEDS = {"figure-1": 2, "random": 2}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_is_repeated_with_other_seeds_of_training(profile: str) -> None:
    by_name = runs_of(profile)
    assert by_name.keys() >= SMOKE_SEEDS.keys()
    for name, runs in by_name.items():
        number = SMOKE_SEEDS.get(name, 1) if profile == "profiles/smoke.yaml" else 3
        seeds: dict[tuple[str, ...], set[Any]] = {}
        for spec in runs:
            configuration = tuple(spec.axes[axis] for axis in spec.axes if axis != "seed")
            seeds.setdefault(configuration, set()).add(spec.changes["train.seed"])
            assert spec.changes["train.seed"] == int(spec.axes["seed"]), name
        assert {len(own) for own in seeds.values()} == {number}, name


# --- results ---


RESULT = Result(
    key="0123456789ab",
    name="figure-1-sft-weak-0123456789ab",
    changes={"train.method": "sft", "selector.k": None},
    commit="abcdef0",
    date="2026-11-21",
    seconds=130,
    counts={"select": {"selected": 8}, "train": {"margins": [0.5, -1e-7], "why": "[\n 1, 2]"}},
    scores={"sums": {"value": 0.5, "n": 3}},
    answers={"sums": AnswerCounts(1_000, (1_000, 0, 256))},
)


def test_a_result_survives_a_round_trip_with_its_lists_of_numbers_on_one_line(
    tmp_path: Path,
) -> None:
    path = results.write(RESULT, tmp_path)
    text = path.read_text()
    assert '\n   "correct": [1000,0,256]\n' in text
    assert '"margins": [0.5,-1e-07]' in text
    assert json.loads(text)["answers"] == {"sums": {"samples": 1_000, "correct": [1_000, 0, 256]}}
    assert results.read(RESULT.key, tmp_path) == RESULT
    assert results.read("ffffffffffff", tmp_path) is None


def test_counts_above_255_stay_what_they_are_in_the_array() -> None:
    assert RESULT.answers["sums"].array.tolist() == [1_000, 0, 256]


@pytest.mark.parametrize("correct", ['"10"', "[1001]", "[-1]", "[0.5]", "[null]", "[true]", "1"])
def test_a_count_that_is_no_number_of_answers_is_refused(tmp_path: Path, correct: str) -> None:
    path = results.write(RESULT, tmp_path)
    path.write_text(path.read_text().replace("[1000,0,256]", correct))
    with pytest.raises(InputError, match=r"0123456789ab\.json: damaged"):
        results.read(RESULT.key, tmp_path)


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    path = results.write(RESULT, tmp_path)
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match=r"0123456789ab\.json: damaged"):
        results.read(RESULT.key, tmp_path)
