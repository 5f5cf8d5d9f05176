"""Write the newest commit of each hub source whose revision is `unpinned` into params.yaml.

Nothing else of the file changes: comments, order and spaces stay.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML, MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.error import YAMLError

from delta.core.errors import InputError
from delta.core.files import write_text
from delta.core.params import PARAMS_FILE
from delta.data import hub

NewestCommit = Callable[[str, str], str | None]  # repository, model or dataset → commit


class UnpinnedRevision(NamedTuple):
    """A revision that is `unpinned`, and where it is in the file."""

    key: str  # dotted
    repository: str
    repo_type: str  # model or dataset
    start: int  # of its characters in the text, quotes included
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
        pinned, lines = pin(path, text, hub.newest_commit)
        if pinned != text:
            write_text(path, pinned)
        print("\n".join(lines))


def pin(path: Path, text: str, newest_commit: NewestCommit) -> tuple[str, list[str]]:
    """Return the text with all commits, and a line for each.

    Raises InputError where the hub does not say one of them. Writing only the others would hide it.
    """
    unpinned = list(find_unpinned(path, text))
    commits: dict[tuple[str, str], str] = {}
    for entry in unpinned:
        repository = entry.repository, entry.repo_type
        commit = commits.get(repository) or newest_commit(*repository)
        if commit is None:
            raise InputError(
                f"{path}: {entry.key}: the hub does not say the newest commit of "
                f"{entry.repository}; expected a network, and a repository that HF_TOKEN may read"
            )
        commits[repository] = commit
    for entry in sorted(unpinned, key=lambda entry: entry.start, reverse=True):
        commit = commits[entry.repository, entry.repo_type]
        if not set(commit) & set("abcdf"):
            commit = f'"{commit}"'  # digits, perhaps with an e, are a number to YAML
        text = text[: entry.start] + commit + text[entry.end :]
    lines = [
        f"{path}: {entry.key}: {commits[entry.repository, entry.repo_type]} ({entry.repository})"
        for entry in unpinned
    ]
    return text, lines or [f"{path}: every revision is a commit"]


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
        is_model = len(keys) == 3 and (keys[0], keys[2]) == ("models", "hub")
        kind = "model" if is_model else "dataset"
        yield UnpinnedRevision(".".join([*keys, "revision"]), repository.value, kind, start, end)


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
