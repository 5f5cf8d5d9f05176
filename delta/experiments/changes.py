"""Write the changes of a run into a file of parameters."""

import copy
import json
import shutil
import tempfile
from functools import reduce
from operator import getitem
from pathlib import Path

from ruamel.yaml import YAML

from delta.core import params
from delta.core.errors import InputError
from delta.experiments.grid import Changes, with_changes


def write_changes(path: Path, changes: Changes, where: str) -> None:
    """Set the dotted `changes` in the file `path`, whose comments stay.

    Raises InputError, which begins with `where`, if the file then holds other values.
    """
    unshared = json.loads(json.dumps(params.read_all(path)))  # an alias is a value of its own
    expected = with_changes(unshared, changes, where)
    yaml = YAML()
    content = yaml.load(path)
    for parameter, value in changes.items():
        *parents, last = parameter.split(".")
        reduce(getitem, parents, content)[last] = copy.deepcopy(value)
    yaml.dump(content, path)
    written = params.read_all(path)
    if written != expected:
        others = [name for name in expected if written.get(name) != expected[name]]
        raise InputError(
            f"{where}: setting {', '.join(changes)} would also change {', '.join(others)}; "
            "expected no YAML alias (*name) of what is changed"
        )


def check_changes(changes: Changes, where: str, path: Path = params.PARAMS_FILE) -> None:
    """Write `changes` into a copy of the file `path`. Raises InputError as `write_changes` does."""
    with tempfile.TemporaryDirectory() as folder:
        write_changes(Path(shutil.copy(path, folder)), changes, where)
