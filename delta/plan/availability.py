"""Check that the models, datasets, files and packages that a run reads from outside are there."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from delta.check import Params
from delta.data import hub
from delta.data.fetch import ALLOW_PATTERNS, IGNORE_PATTERNS
from delta.data.sources import DataSource

REFUSED = "refused"
FOUND = "found"
NOT_CHECKED = "not checked"


class ExternalSource(NamedTuple):
    """A model, dataset, file or package that a stage reads from outside the project."""

    key: str  # in params.yaml
    stage: str
    kind: str  # model, dataset, path or package
    name: str  # repository, path or package
    revision: str = ""  # of a repository
    files: tuple[str, ...] = ()  # of a repository; (): not known by name


class Availability(NamedTuple):
    state: str  # FOUND, REFUSED or NOT_CHECKED
    message: str


NO_ANSWER = Availability(NOT_CHECKED, "the hub did not answer")
AskHub = Callable[[ExternalSource], Availability]
InCache = Callable[[ExternalSource], bool]


def external_sources(params: Params) -> Iterator[ExternalSource]:
    """Yield all sources of params.yaml, once for each stage that reads them."""
    for name, model in params.models.items():
        key, stage = f"models.{name}", f"fetch@{name}"
        if model.hub is not None:
            repository = model.hub.repository, model.hub.revision
            yield ExternalSource(f"{key}.hub", stage, "model", *repository, ("config.json",))
        elif model.folder is not None:
            yield ExternalSource(f"{key}.folder", stage, "path", model.folder.path)
        elif model.wheel is not None:
            yield ExternalSource(f"{key}.wheel", stage, "package", model.wheel.package)
        elif model.recording is not None:
            recording = model.recording.openr1 or model.recording.table
            assert recording is not None
            yield _data_source(f"{key}.recording", stage, recording.data)
    for name, source in params.problems.sources.items():
        if part := source.openr1 or source.table or source.math:
            yield _data_source(f"problems.sources.{name}", "problems", part.data)
    for name, benchmark in params.benchmarks.items():
        for field in ("data", "examples"):  # MMLU-Pro's examples come from another split
            if data := getattr(benchmark.source, field, None):
                key = f"benchmarks.{name}.source.{field}"
                yield _data_source(key, f"questions@{name}", data)
    yield from _pair_sources(params)


def _pair_sources(params: Params) -> Iterator[ExternalSource]:
    for name, source in params.certify.sources.items():
        if data := getattr(source, "data", None):
            yield _data_source(f"certify.sources.{name}.data", "certify", data)


def _data_source(key: str, stage: str, data: DataSource) -> ExternalSource:
    if data.hub is not None:
        return ExternalSource(key, stage, "dataset", data.hub.repository, data.hub.revision)
    if data.files is not None:
        repository = data.files.repository, data.files.revision
        return ExternalSource(key, stage, "dataset", *repository, tuple(data.files.files))
    if data.wheel is not None:
        return ExternalSource(key, stage, "package", data.wheel.package)
    assert data.file is not None
    return ExternalSource(key, stage, "path", data.file.path)


def check_sources(
    sources: Sequence[ExternalSource], ask_hub: AskHub, in_cache: InCache, offline: bool
) -> dict[ExternalSource, Availability]:
    """Return the availability of each source.

    The hub is asked for one repository first. If it does not answer, it is asked for no other.
    """
    local = {source: _check_locally(source, in_cache, offline) for source in sources}
    unknown = [source for source, answer in local.items() if answer is None]
    answers = {source: ask_hub(source) for source in unknown[:1]}
    if NO_ANSWER in answers.values():
        answers = {source: _without_network(source) for source in unknown}
    else:
        with ThreadPoolExecutor(8) as pool:
            answers |= zip(unknown[1:], pool.map(ask_hub, unknown[1:]), strict=True)
    return {source: answer or answers[source] for source, answer in local.items()}


def refusals(answers: Mapping[ExternalSource, Availability]) -> list[str]:
    """Return a line for each source that a run may not read, with what to do about it."""
    return [
        f"{source.key} ({source.name}): {answer.message}"
        for source, answer in answers.items()
        if answer.state == REFUSED
    ]


def _check_locally(source: ExternalSource, in_cache: InCache, offline: bool) -> Availability | None:
    """Return the availability of a local source; None if only the hub knows."""
    if source.kind == "path":
        if Path(source.name).exists():
            return Availability(FOUND, "here")
        return Availability(REFUSED, "no such file or folder")
    if source.kind == "package":
        return Availability(NOT_CHECKED, "pip asks its index when the stage runs")
    if source.revision == hub.UNPINNED:
        return _without_network(source) if offline else None
    if in_cache(source):
        return Availability(FOUND, "in the local cache")
    return Availability(REFUSED, "HF_HUB_OFFLINE is set, the cache lacks it") if offline else None


def _without_network(source: ExternalSource) -> Availability:
    if source.revision == hub.UNPINNED:
        return Availability(REFUSED, f"unpinned: {hub.how_to_pin(None)}")
    return Availability(NOT_CHECKED, "no network")


def ask_hub(source: ExternalSource) -> Availability:
    """Return whether the account of HF_TOKEN may read the repository; NO_ANSWER: not known."""
    page = hub.page_of(source.name, source.kind)
    try:
        answer = hub.ask(source.name, source.kind, source.revision)
    except (AttributeError, ImportError, NameError, TypeError):
        raise  # a fault of the code or of the library's version, and no broken connection
    except Exception as error:  # noqa: BLE001 - however the connection broke
        if wait := hub.seconds_to_wait(error):
            return Availability(NOT_CHECKED, f"the hub limits requests; ask again in {wait} s")
        status = getattr(getattr(error, "response", None), "status_code", 500)
        if status >= 500:
            return NO_ANSWER
        advice = hub.advice(error, source.name, source.kind)
        return Availability(REFUSED, advice or f"{page}: HTTP {status}")
    if missing := [file for file in source.files if answer.files and file not in answer.files]:
        return Availability(REFUSED, f"{missing[0]} is not in {page}")
    if source.revision == hub.UNPINNED:
        return Availability(REFUSED, f"unpinned: {hub.how_to_pin(answer.commit)}")
    return Availability(FOUND, "on the hub")


def in_cache(source: ExternalSource) -> bool:
    """Return whether the Hugging Face cache has all that an offline run reads of the revision."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    name, kind, revision = source.name, source.kind, source.revision
    if not source.files:  # offline, `datasets` reads only the tables that it has made of the files
        return _in_datasets_cache(source)
    paths = [
        try_to_load_from_cache(name, file, revision=revision, repo_type=kind)
        for file in source.files
    ]
    if not all(isinstance(path, str) for path in paths):
        return False
    if kind == "model":
        try:  # after an interrupted download some weights are missing
            snapshot_download(
                name,
                revision=revision,
                local_files_only=True,
                allow_patterns=ALLOW_PATTERNS,
                ignore_patterns=IGNORE_PATTERNS,
            )
        except LocalEntryNotFoundError:
            return False
    return True


def _in_datasets_cache(source: ExternalSource) -> bool:
    """Return whether `datasets` has Arrow files of this commit, in a cache of its own."""
    from huggingface_hub.constants import HF_HOME

    cache = Path(os.environ.get("HF_DATASETS_CACHE", Path(HF_HOME, "datasets")))
    # Upper case and punctuation differ: open-r1/OpenR1-Math is in open-r1___open_r1-math.
    name = _letters(source.name)
    return any(
        _letters(folder.name) == name and any(folder.glob(f"*/*/{source.revision}"))
        for folder in cache.glob("*")
    )


def _letters(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
