"""Convert the changes of an experiment to arguments of `dvc exp run --set-param`.

The arguments are in Hydra's grammar, which reads `max(a, b)` as a call and commas as a sweep, and
merges a mapping into an existing one. https://hydra.cc/docs/1.3/advanced/override_grammar/basic/
"""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delta.core import params
from delta.core.errors import InputError
from delta.experiments.grid import Changes, with_changes

PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*|0|[1-9][0-9]*", re.ASCII)  # a part of a dotted key
SPECIAL_IN_KEY = re.compile(r"([()\[\]{}:=, \t\\])")  # escaped in the key of a mapping


def set_param_arguments(content: Mapping[str, Any], changes: Changes) -> list[str]:
    """Return the Hydra overrides that turn the parameters `content` into those with `changes`."""
    new = with_changes(content, changes, "experiments")
    arguments = []
    for key, value in changes.items():
        path, nested = key.split("."), value
        is_replaced = isinstance(value, dict) and isinstance(_value_at(content, path), dict | list)
        # Hydra refuses a part such as `70B-it` before "=", but not inside a mapping.
        while not all(map(PLAIN_KEY.fullmatch, path)):
            nested = {path.pop(): nested}
        dotted = ".".join(path)
        if is_replaced:  # without the deletion, Hydra would merge them
            arguments += [f"~{dotted}", f"+{dotted}={_value_text(_value_at(new, path))}"]
        else:
            arguments.append(f"{dotted}={_value_text(nested)}")
    return arguments


def check_set_params(changes: Changes, where: str, path: Path = params.PARAMS_FILE) -> None:
    """Let DVC write `changes` into a copy of the file `path`. Raise InputError if it writes others.

    `where` begins the message.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides
    from omegaconf.errors import OmegaConfBaseException

    content = params.read_all(path)
    arguments = set_param_arguments(content, changes)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        try:
            apply_overrides(copy, arguments)
        except (DvcException, OmegaConfBaseException) as error:
            reason = str(error.__cause__ or error).split("\nSee ")[0]
            raise InputError(
                f"{where}: DVC cannot set {', '.join(changes)}: {' '.join(reason.split())}"
            ) from error
        try:
            written = params.read_all(copy)
        except InputError as error:
            raise InputError(
                f"{where}: DVC would write {', '.join(changes)} into a file that cannot be read"
                f"{str(error).removeprefix(str(copy))}"
            ) from error
    expected = with_changes(content, changes, where)
    if written != expected:
        keys = [name for name in expected if written.get(name) != expected[name]]
        raise InputError(
            f"{where}: DVC would not write {', '.join(changes)} as given, but change "
            f"{', '.join(keys) or 'other sections'} otherwise; expected: values that `dvc exp run "
            "--set-param` can set, and no YAML alias (*name) of what they change"
        )


def _value_at(content: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = content
    for part in path:
        value = value[part]
    return value


def _value_text(value: Any) -> str:
    """Return the value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{','.join(map(_value_text, value))}]"
    if isinstance(value, dict):
        pairs = (
            SPECIAL_IN_KEY.sub(r"\\\1", key) + ":" + _value_text(inner)
            for key, inner in value.items()
        )
        return f"{{{','.join(pairs)}}}"
    return json.dumps(value)  # a number, true or false


def _quoted(text: str) -> str:
    """Return `text` in quotes. A backslash is special only before a quote or `${`."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # otherwise OmegaConf interpolates
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return f"'{text}'"
