"""Expand the grid of an experiment into its runs."""

import copy
import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import pydantic
from pydantic import JsonValue

from delta.core.errors import InputError
from delta.core.params import PARAMS_FILE, Name, StrictModel

Changes = dict[str, JsonValue]  # dotted parameter → value, null, list or section
KEY_LENGTH = 12


class ExperimentParams(StrictModel):
    """A grid with one run for every combination of entries, one from each axis."""

    always: Changes  # in every run
    # axis → entry → changes
    vary: dict[Name, Annotated[dict[Name, Changes], pydantic.Field(min_length=1)]]


class RunSpec(NamedTuple):
    """One run of an experiment, as its grid defines it."""

    experiment: str
    axes: dict[str, str]  # axis → entry
    changes: Changes
    key: str  # equal for runs that train the same policy and ask it the same questions

    @property
    def name(self) -> str:
        """Return the name of the DVC experiment. The key makes it unique."""
        return "-".join([self.experiment, *self.axes.values(), self.key])


def expand_grid(content: dict[str, Any], name: str, experiment: ExperimentParams) -> list[RunSpec]:
    """Return the runs of one experiment on the parameters `content`; the last axis varies fastest.

    Return none where nothing varies. Raises InputError where a change names an unknown parameter,
    two parts of the grid set the same one, or the changed parameters lack a section.
    """
    if not experiment.vary:
        return []
    runs = []
    for entries in itertools.product(*experiment.vary.values()):
        axes = dict(zip(experiment.vary, entries, strict=True))
        parts = [experiment.always, *(experiment.vary[axis][entry] for axis, entry in axes.items())]
        changes = _merge(parts, f"experiments.{name}", f"at {', '.join(entries)}")
        new = with_changes(content, changes, f"experiments.{name}")
        try:
            runs.append(RunSpec(name, axes, changes, result_key(new)))
        except (LookupError, TypeError, AttributeError):
            raise InputError(
                f"{PARAMS_FILE}: experiments.{name}: {', '.join(changes)} at {', '.join(entries)} "
                "leave no valid parameters; expected whole sections"
            ) from None
    return runs


def seed_axes(experiment: ExperimentParams) -> list[str]:
    """Return the axes that vary nothing but seeds, so that their runs are repetitions."""
    return [
        axis
        for axis, entries in experiment.vary.items()
        if all(changes and all(_is_seed(key) for key in changes) for changes in entries.values())
    ]


def _is_seed(parameter: str) -> bool:
    return parameter.rpartition(".")[2] == "seed"


def _merge(parts: list[Changes], where: str, at: str) -> Changes:
    """Merge the changes. Raises InputError where two of them set the same value."""
    changes: Changes = {}
    for part in parts:
        for parameter, value in part.items():
            for other in changes:
                if f"{parameter}.".startswith(f"{other}.") or other.startswith(f"{parameter}."):
                    inside = f", as {other}" if other != parameter else ""
                    raise InputError(
                        f"{PARAMS_FILE}: {where}: {parameter} is set twice{inside}, {at}; keep one"
                    )
            changes[parameter] = value
    return changes


def with_changes(content: Mapping[str, Any], changes: Changes, where: str) -> dict[str, Any]:
    """Return `content` with the dotted `changes`; a section replaces the whole section.

    Raises InputError where one is not a parameter.
    """
    new = copy.deepcopy(dict(content))
    for parameter, value in changes.items():
        *path, last = parameter.split(".")
        section: Any = new
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            known = f"; there are {', '.join(section)}" if isinstance(section, dict) else ""
            raise InputError(
                f"{PARAMS_FILE}: {where}: {parameter!r} is not a parameter{known}; expected a "
                "dotted key of that file"
            )
        if isinstance(section[last], dict) and not isinstance(value, dict | None):
            raise InputError(
                f"{PARAMS_FILE}: {where}: {parameter} = {value!r}: it is a section with "
                f"{', '.join(section[last])}; expected a section, null, or one of its keys"
            )
        section[last] = copy.deepcopy(value)
    return new


def training_key(content: dict[str, Any]) -> str:
    """Return a digest of all parameters of the result but those that only choose the pairs.

    Two runs with one training key and the same pairs (`pairs_sha256` of the counts of `select`)
    train the same policy. The traces' own parameters belong to it, because they have the same ids.
    """
    other = copy.deepcopy(content)
    other["pairing"] = {side: content["pairing"][side] for side in ("chosen", "rejected")}
    other["selector"] = None
    other["judge"]["budget"] = {}
    return result_key(other)


def result_key(content: dict[str, Any]) -> str:
    """Return a digest of all parameters that can change the policy or its answers.

    It leaves out the evaluation of other models, generators that are not paired, models of
    `sft_models` from which nothing of the run comes, the second judge, settings of raters and
    training methods that the run does not use, when training saves and logs, where graders run, and
    how the engine runs (a cluster gives the same replies).
    `pairing.use_table_pairs` counts only where a recording is paired.
    """
    relevant = copy.deepcopy(content)
    for section in ("experiments", "analysis", "certify", "engine"):
        relevant.pop(section, None)
    judge = relevant["judge"]
    for setting in {"second_judge", "llm", "rules"} - {judge["rater"]}:
        del judge[setting]
    if not relevant["verify"]["llm_fallback"]:
        del relevant["verify"]["llm"]
    paired = {relevant["pairing"]["chosen"], relevant["pairing"]["rejected"]}
    for section in (relevant["generators"], relevant["judge"]["budget"]):
        for name in set(section) - paired:
            del section[name]
    if not any("recorded_samples" in generator for generator in relevant["generators"].values()):
        relevant["pairing"].pop("use_table_pairs", None)
    _remove_unused_sft_models(relevant)
    for method in {"dpo", "kto", "sft"} - {relevant["train"]["method"]}:
        del relevant["train"][method]
    for setting in ("save_minutes", "logging_steps"):
        del relevant["train"][setting]
    del relevant["grading"]["backend"]
    for serving in relevant["serving"].values():  # with all that changes the replies of a server
        serving.pop("max_num_seqs", None)
    relevant["evaluation"]["models"] = relevant["evaluation"]["models"]["policy"]
    text = json.dumps(relevant, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def _remove_unused_sft_models(relevant: dict[str, Any]) -> None:
    """Remove the models of `sft_models` from which no answer, vote or weight of the run comes."""
    entries = relevant["sft_models"]
    askers = [*relevant["generators"].values(), relevant["judge"].get("llm", {})]
    askers.append(relevant["verify"].get("llm", {}))
    names = [relevant["train"]["base"], *(asker["model"] for asker in askers if asker)]
    used: set[str] = set()
    while names:
        name = names.pop()
        if name in entries and name not in used:
            used.add(name)
            names.append(entries[name]["base"])
    for name in set(entries) - used:
        del entries[name]
        del relevant["serving"][name]
