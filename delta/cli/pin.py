"""Write the newest commit of each hub source whose revision is `unpinned` into params.yaml.

Nothing else of the file changes: comments, order and spaces stay.
"""

import argparse
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML, MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.error import YAMLError

from delta.core.errors import InputError
from delta.core.files import write_text
from delta.core.params import PARAMS_FILE, read_all
from delta.data import hub

# The text of a revision: what stays before its value, such as an anchor, then the value.
REVISION = re.compile(rf"(.*?)(?:{hub.UNPINNED}|'{hub.UNPINNED}'|\"{hub.UNPINNED}\")", re.DOTALL)
Repository = tuple[str, str]  # name, model or dataset
NewestCommit = Callable[[str, str], str]  # repository, model or dataset → commit


class UnpinnedRevision(NamedTuple):
    """A revision that is `unpinned`, and where it is in the file."""

    key: str  # dotted
    repository: str
    repo_type: str  # model or dataset
    start: int  # of its characters in the text, with anchor and quotes
    end: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", type=Path, default=[PARAMS_FILE], metavar="FILE", help="(params.yaml)"
    )


def main(options: argparse.Namespace) -> None:
    for path in options.files:
        try:
            text = path.read_bytes().decode()  # read_text() would change line ends
        except (OSError, UnicodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        read_all(path)  # refuses endless aliases and nesting
        pinned, lines = pin(path, text, hub.ask_newest_commit)
        if pinned != text:
            write_text(path, pinned)
        print("\n".join(lines))


def pin(path: Path, text: str, newest_commit: NewestCommit) -> tuple[str, list[str]]:
    """Return the text with all commits, and a line for each.

    Raises InputError where the hub does not say one of them (writing only the others would hide
    it), or where the text would not have the same content but for these commits.
    """
    unpinned = list(find_unpinned(path, text))
    commits: dict[Repository, str] = {}
    for entry in unpinned:
        repository = entry.repository, entry.repo_type
        if repository in commits:
            continue
        try:
            commits[repository] = newest_commit(*repository)
        except Exception as error:  # offline, no such repository, a broken connection
            words = " ".join(str(error).split())
            reason = hub.advice(error, *repository) or f"{words}; expected a network"
            raise InputError(
                f"{path}: {entry.key}: the hub does not say the newest commit of "
                f"{entry.repository}: {reason}"
            ) from error
    pinned = text
    for entry in sorted(unpinned, key=lambda entry: entry.start, reverse=True):
        commit = commits[entry.repository, entry.repo_type]
        if not set(commit) & set("abcdf"):
            commit = f'"{commit}"'  # digits, perhaps with an e, are a number to YAML
        written = text[entry.start : entry.end]
        kept = REVISION.fullmatch(written)
        if kept is None:
            raise InputError(
                f"{path}: {entry.key}: written as {written!r}; "
                f"expected {hub.UNPINNED}, plain or in quotes"
            )
        pinned = pinned[: entry.start] + kept[1] + commit + pinned[entry.end :]
    if repr(_content(pinned)) != repr(_with_commits(_content(text), (), commits)):
        raise InputError(
            f"{path}: commits would change more than revisions; expected each revision to have a "
            "value of its own, without an alias or a merge"
        )
    lines = [
        f"{path}: {entry.key}: {commits[entry.repository, entry.repo_type]} ({entry.repository})"
        for entry in unpinned
    ]
    return pinned, lines or [f"{path}: every revision is a commit"]


def _content(text: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, PARAMS_FILE.name)
        path.write_bytes(text.encode())
        return read_all(path)


def _with_commits(value: Any, keys: tuple[str, ...], commits: Mapping[Repository, str]) -> Any:
    """Return the content with a commit, or None, as each revision that is unpinned."""
    if isinstance(value, list):
        return [_with_commits(item, (*keys, str(n)), commits) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    content = {key: _with_commits(item, (*keys, str(key)), commits) for key, item in value.items()}
    if "repository" in value and value.get("revision") == hub.UNPINNED:
        content["revision"] = commits.get((value["repository"], _repo_type(keys)))
    return content


def _repo_type(keys: tuple[str, ...]) -> str:
    """Return the kind of the repository that a mapping names."""
    is_model = len(keys) == 3 and (keys[0], keys[2]) == ("models", "hub")
    return "model" if is_model else "dataset"


def find_unpinned(path: Path, text: str) -> Iterator[UnpinnedRevision]:
    """Yield the unpinned revisions, each once, in the order of the file."""
    try:
        root = YAML().compose(text)
    except YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    seen: set[int] = set()
    for keys, node in _mappings(root, ()):
        values = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
        repository, revision = values.get("repository"), values.get("revision")
        if not isinstance(repository, ScalarNode) or not isinstance(revision, ScalarNode):
            continue
        start, end = revision.start_mark.index, revision.end_mark.index
        if revision.value != hub.UNPINNED or start in seen:  # seen: an alias of a mapping
            continue
        seen.add(start)
        key, kind = ".".join([*keys, "revision"]), _repo_type(keys)
        yield UnpinnedRevision(key, repository.value, kind, start, end)


def _mappings(node: Node | None, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield all mappings below `node`, each with its keys from the top of the file."""
    match node:
        case MappingNode():
            yield keys, node
            for key, value in node.value:
                yield from _mappings(value, (*keys, str(key.value)))
        case SequenceNode():
            for number, item in enumerate(node.value):
                yield from _mappings(item, (*keys, str(number)))
