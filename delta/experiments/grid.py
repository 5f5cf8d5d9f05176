"""Experiments as data: which parameters a table or figure of the paper varies, and what is run."""

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
    """A grid: one run for every choice of one entry from each axis; none where nothing varies."""

    always: Changes  # in every run
    # axis → entry → changes
    vary: dict[Name, Annotated[dict[Name, Changes], pydantic.Field(min_length=1)]]


class Cell(NamedTuple):
    """One run of an experiment."""

    experiment: str
    axes: dict[str, str]  # axis → entry
    changes: Changes
    key: str  # equal for runs that would train the same policy and ask it the same questions

    @property
    def name(self) -> str:
        """Of the DVC experiment: where it belongs, and the key, which makes it unique."""
        return "-".join([self.experiment, *self.axes.values(), self.key])


def cells(content: dict[str, Any], name: str, experiment: ExperimentParams) -> list[Cell]:
    """The runs of one experiment on the parameters `content`, the last axis varying fastest.

    InputError where a change names no parameter, two parts of the grid set the same one, or a
    section is changed into none.
    """
    if not experiment.vary:
        return []
    runs = []
    for entries in itertools.product(*experiment.vary.values()):
        at = dict(zip(experiment.vary, entries, strict=True))
        parts = [experiment.always, *(experiment.vary[axis][entry] for axis, entry in at.items())]
        changes = _merge(parts, f"experiments.{name}", f"at {', '.join(entries)}")
        new = with_changes(content, changes, f"experiments.{name}")
        try:
            runs.append(Cell(name, at, changes, cell_key(new)))
        except (LookupError, TypeError, AttributeError):
            raise InputError(
                f"{PARAMS_FILE}: experiments.{name}: {', '.join(changes)} at {', '.join(entries)} "
                "leave no valid parameters; expected: whole sections"
            ) from None
    return runs


def _merge(parts: list[Changes], where: str, at: str) -> Changes:
    """Merge the changes. Raise InputError where two of them set the same value."""
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

    Raise InputError where one is not a parameter.
    """
    new = copy.deepcopy(dict(content))
    for parameter, value in changes.items():
        *path, last = parameter.split(".")
        section: Any = new
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last not in section:
            there = f"; there are {', '.join(section)}" if isinstance(section, dict) else ""
            raise InputError(
                f"{PARAMS_FILE}: {where}: {parameter!r} is not a parameter{there}; expected: a "
                "dotted key that stands in the file"
            )
        if isinstance(section[last], dict) and not isinstance(value, dict | None):
            raise InputError(
                f"{PARAMS_FILE}: {where}: {parameter} = {value!r}: it is a section with "
                f"{', '.join(section[last])}; expected: a section, null, or one of its keys"
            )
        section[last] = copy.deepcopy(value)
    return new


def cell_key(content: dict[str, Any]) -> str:
    """A digest of all that shapes the policy and its answers.

    Left out: other models' evaluation, generators that are not paired, methods that do not train,
    where graders run, and how an engine is run (vLLM is the same on a cluster). Whose pairs are
    taken is told where a recording is paired: sampled traces have no pairs of their own.
    """
    shaping = copy.deepcopy(content)
    for section in ("experiments", "analysis"):
        shaping.pop(section, None)
    paired = {shaping["pairing"]["chosen"], shaping["pairing"]["rejected"]}
    for section in (shaping["generators"], shaping["judge"]["budget"]):
        for name in set(section) - paired:
            del section[name]
    if not any("recorded" in generator for generator in shaping["generators"].values()):
        shaping["pairing"].pop("use_table_pairs", None)
    for method in {"dpo", "kto", "sft"} - {shaping["train"]["method"]}:
        del shaping["train"][method]
    del shaping["grading"]["backend"]
    # What it was before 2026-12, when servers answered for all models or for none. What a server
    # shapes stands under `serving`.
    shaping["engine"] = {"kind": "vllm", "revision": None}
    for serving in shaping["serving"].values():
        if serving.get("endpoint") is None:
            serving.pop("endpoint", None)
    shaping["evaluation"]["models"] = shaping["evaluation"]["models"]["policy"]
    text = json.dumps(shaping, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
