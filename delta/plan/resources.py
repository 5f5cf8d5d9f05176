"""Estimate the memory and disk of a run, and check that its sources are available."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from delta.check import Params
from delta.core import paths
from delta.data.sources import DataSource
from delta.inference.engine import ServingParams
from delta.plan import costs
from delta.plan.costs import GIB, Fit, Gpu
from delta.plan.model_sizes import BYTES, Size, Sizes
from delta.plan.render import Section, table, wrap
from delta.plan.requests import RequestGroup, Workspace

CPU_COPIES = 2  # of weights that are not in a hub cache
HUB_TIMEOUT_S = 5  # for one answer
REFUSED = "refused"
FOUND = "found"
NOT_CHECKED = "not checked"


def memory(
    params: Params, models: Iterable[str], sizes: Sizes, gpu: Gpu, training: bool
) -> Section:
    """Return the memory of every model that will be called, and of training."""
    section, rows = Section(), []
    uses = [(name, "answers") for name in models if params.serving[name].endpoint is None]
    if training:
        uses.append((params.train.base, f"train {params.train.method}"))
    for name, use in uses:
        size, serving = sizes[name], params.serving[name]
        if size is None:
            section.not_checked.append(f"memory for {name}: its size is known once it is fetched")
            continue
        assert isinstance(serving, ServingParams)  # its weights are here
        if use == "answers":
            fit = _serving_fit(params, serving, size, gpu)
            gpus = serving.tensor_parallel_size
            each = size.weights / gpus
        else:
            fit = _training_fit(params, size, gpu)
            gpus = params.train.num_processes
            each = costs.training_bytes(params.train, size)
        parameters = f"{size.parameters / 1e9:.3g}G"
        rows.append([name[:30], use, parameters, str(gpus), f"{each / GIB:.1f}", fit.words])
        if not fit.fits:
            section.blocks.append(f"{name} ({use}) {fit.words}")
    if rows:
        header = ("", "use", "parameters", "GPUs", "GiB each", "")
        section.lines += ["Memory", *table(header, rows)]
    return section


def _serving_fit(params: Params, serving: ServingParams, size: Size, gpu: Gpu) -> Fit:
    vllm = params.engine.vllm
    if vllm.gpu_memory_utilization is not None:
        return costs.serving_fit(serving, size, gpu, vllm.gpu_memory_utilization)
    return _ram_fit(size.weights + (vllm.kv_cache_memory_bytes or 0))


def _training_fit(params: Params, size: Size, gpu: Gpu) -> Fit:
    if costs.training_uses_gpu(params):
        return costs.training_fit(params.train, size, gpu)
    return _ram_fit(costs.training_bytes(params.train, size) * params.train.num_processes)


def _ram_fit(needed: float) -> Fit:
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    words = f"{needed / GIB:.1f} of this machine's {ram / GIB:.0f} GiB"
    return Fit(needed < ram, words if needed < ram else f"does not fit: {words}")


def disk(
    workspace: Workspace, groups: Sequence[RequestGroup], sizes: Sizes, training: bool
) -> Section:
    """Return the bytes that will be written, and the free space of the project's file system."""
    params, section, rows = workspace.params, Section(), []
    for name, model in params.models.items():
        if not model.has_weights or workspace.settled(f"fetch@{name}"):
            continue
        size = sizes[name]
        if size is None:
            section.not_checked.append(f"disk for {name}: its size is known once it is fetched")
        elif not paths.model(name).is_dir():
            copies = costs.COPIES.value if model.hub is not None else CPU_COPIES
            rows.append((f"weights of {name}, {copies:g} copies", copies * size.on_disk))
    written = sum(costs.tokens(params, group).written for group in groups)
    rows.append(("replies, in the cache and in tables", written * costs.CHARACTERS.value * 2))
    base = sizes[params.train.base]
    if training and base is not None:
        rows.append(("checkpoints while it trains", costs.checkpoint_bytes(params.train, base)))
        rows.append(("the policy, 2 copies", 2 * base.parameters * BYTES[params.train.dtype]))
    total, free = sum(size for _, size in rows), shutil.disk_usage(".").free
    rows += [("all", total), ("free here", free)]
    cells = [[what, f"{size / GIB:,.1f}"] for what, size in rows]
    section.lines += ["Disk", *table(("", "GiB"), cells)]
    if total > free:
        section.blocks.append(f"disk: {total / GIB:,.0f} GiB needed, {free / GIB:,.0f} GiB free")
    return section


class Source(NamedTuple):
    """A model, dataset, file or package that a stage reads from outside the project."""

    key: str  # in params.yaml
    stage: str
    kind: str  # model, dataset, path or package
    name: str  # repository, path or package
    revision: str = ""  # of a repository
    files: tuple[str, ...] = ()  # of a repository; (): not known by name


class Availability(NamedTuple):
    state: str  # FOUND, REFUSED or NOT_CHECKED
    words: str


class UnreachableError(Exception):
    """The hub did not answer."""


AskHub = Callable[[Source], Availability]  # raises UnreachableError
InCache = Callable[[Source], bool]


def sources(params: Params) -> Iterator[Source]:
    """Yield all sources of params.yaml, once for each stage that reads them."""
    for name, model in params.models.items():
        key, stage = f"models.{name}", f"fetch@{name}"
        if model.hub is not None:
            hub = model.hub.repository, model.hub.revision
            yield Source(f"{key}.hub", stage, "model", *hub, ("config.json",))
        elif model.folder is not None:
            yield Source(f"{key}.folder", stage, "path", model.folder.path)
        elif model.wheel is not None:
            yield Source(f"{key}.wheel", stage, "package", model.wheel.package)
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


def _data_source(key: str, stage: str, data: DataSource) -> Source:
    if data.hub is not None:
        return Source(key, stage, "dataset", data.hub.repository, data.hub.revision)
    if data.files is not None:
        files = data.files
        return Source(key, stage, "dataset", files.repository, files.revision, tuple(files.files))
    if data.wheel is not None:
        return Source(key, stage, "package", data.wheel.package)
    assert data.file is not None
    return Source(key, stage, "path", data.file.path)


def check_sources(
    needed: Sequence[Source], ask_hub: AskHub, in_cache: InCache, offline: bool
) -> dict[Source, Availability]:
    """Return the availability of each source.

    The hub is asked for one repository first. If it does not answer, it is asked for no other.
    """
    local = {source: _check_locally(source, in_cache, offline) for source in needed}
    unknown = [source for source, answer in local.items() if answer is None]
    try:
        answers = {source: ask_hub(source) for source in unknown[:1]}
    except UnreachableError:
        answers = dict.fromkeys(unknown, Availability(NOT_CHECKED, "no network"))
        unknown = []

    def ask(source: Source) -> Availability:
        try:
            return ask_hub(source)
        except UnreachableError:
            return Availability(NOT_CHECKED, "the hub did not answer")

    with ThreadPoolExecutor(8) as pool:
        answers |= zip(unknown[1:], pool.map(ask, unknown[1:]), strict=True)
    return {source: answer or answers[source] for source, answer in local.items()}


def _check_locally(source: Source, in_cache: InCache, offline: bool) -> Availability | None:
    """Return the availability of a local source; None if only the hub knows."""
    if source.kind == "path":
        exists = Path(source.name).exists()
        return (
            Availability(FOUND, "here")
            if exists
            else Availability(REFUSED, "no such file or folder")
        )
    if source.kind == "package":
        return Availability(NOT_CHECKED, "pip asks its index when the stage runs")
    if in_cache(source):
        return Availability(FOUND, "in the local cache")
    return Availability(REFUSED, "HF_HUB_OFFLINE is set, the cache lacks it") if offline else None


def ask_hub(source: Source) -> Availability:
    """Return whether the account of HF_TOKEN may read the repository at its revision."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api, name, kind = HfApi(), source.name, source.kind
    page = f"https://huggingface.co/{'datasets/' * (kind == 'dataset')}{name}"
    try:
        info = api.repo_info(name, revision=source.revision, repo_type=kind, timeout=HUB_TIMEOUT_S)
        if info.gated:  # its page can be read all the same
            api.auth_check(name, repo_type=kind)
    except GatedRepoError:
        return Availability(REFUSED, f"gated: accept its terms at {page}, and set HF_TOKEN")
    except RevisionNotFoundError:
        return Availability(REFUSED, f"no revision {source.revision[:12]} at {page}")
    except RepositoryNotFoundError:
        return Availability(REFUSED, f"not there, or private and HF_TOKEN lacks: {page}")
    except Exception as error:  # the hub's, or however the connection broke
        status = getattr(getattr(error, "response", None), "status_code", 500)
        if status >= 500:
            raise UnreachableError from error
        return Availability(REFUSED, f"{page}: HTTP {status}")
    existing = {file.rfilename for file in getattr(info, "siblings", None) or ()}
    if missing := [file for file in source.files if existing and file not in existing]:
        return Availability(REFUSED, f"{missing[0]} is not in {page}")
    return Availability(FOUND, "on the hub")


def in_cache(source: Source) -> bool:
    """Return whether the Hugging Face cache has the revision, or all of its named files."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    name, kind, revision = source.name, source.kind, source.revision
    if source.files:
        paths = [
            try_to_load_from_cache(name, file, revision=revision, repo_type=kind)
            for file in source.files
        ]
        return all(isinstance(path, str) for path in paths)
    try:
        snapshot_download(name, revision=revision, repo_type=kind, local_files_only=True)
    except LocalEntryNotFoundError:
        return _in_datasets_cache(source)
    return True


def _in_datasets_cache(source: Source) -> bool:
    """Return whether `datasets` has Arrow files of this commit, which it keeps by itself."""
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


def source_section(answers: dict[Source, Availability]) -> Section:
    """Return the available sources. Refused ones block the run."""
    section = Section()
    section.blocks += [
        f"{source.key} ({source.name}): {answer.words}"
        for source, answer in answers.items()
        if answer.state == REFUSED
    ]
    names: dict[Availability, dict[str, None]] = {}
    for source, answer in answers.items():
        names.setdefault(answer, {})[source.name] = None
    for answer, sources_ in names.items():
        line = f"{answer.words}: {', '.join(sources_)}"
        if answer.state == FOUND:
            section.lines += wrap(line)
        elif answer.state == NOT_CHECKED:
            section.not_checked.append(f"sources: {line}")
    if section.lines:
        section.lines.insert(0, "Sources")
    return section
