"""params.yaml, strictly: an unknown key, a string for a number or an impossible value is an error.

Every section's class stands beside the code that uses it; this file only reads and explains.
"""

import math
import warnings
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from delta.core.errors import InputError

PARAMS_FILE = Path("params.yaml")
# dvc.stage.cache hashes parameters without these keys, which it means to drop from outputs only.
RESERVED_KEYS = ("size", "nfiles")
# Far above what a file of parameters holds, and read within a second.
MAX_BYTES = 1_000_000  # bytes
MAX_VALUES = 100_000  # values, aliases written out
MAX_DEPTH = 50  # levels
MAX_DIGITS = 18  # of a whole number: it stays below 2^63
SECRET_ERROR = "secret"  # the type of an error whose message must not repeat the value
STRING, INTEGER, MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "merge"))
NAME = r"^[A-Za-z0-9_-]{1,64}$"  # names become stage names and file names
Name = Annotated[str, pydantic.StringConstraints(pattern=NAME)]


class StrictModel(pydantic.BaseModel):
    """A part of params.yaml. No coercion, no unknown keys, no defaults that shape a result."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


S = TypeVar("S")


def read_all(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The whole file as plain values, by the rules of YAML 1.2, as DVC reads and writes it.

    Raises InputError, with the line, for what no file of parameters needs and a hostile one has:
    values without end by aliases, nesting, numbers of thousands of digits.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; run from the project's root")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path}: has {size} bytes; allowed: up to {MAX_BYTES}")
    parser = YAML(typ="safe")
    parser.max_depth = MAX_DEPTH
    try:
        with warnings.catch_warnings(action="ignore"):  # of what YAML 1.1 would read otherwise
            node = parser.compose(path.read_text(encoding="utf-8"))
            if node is not None:
                _Nodes(path).check(node)
            content = None if node is None else parser.constructor.construct_document(node)
    except InputError:
        raise
    except MaxDepthExceededError:
        raise InputError(f"{path}: nested deeper than {MAX_DEPTH} levels") from None
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path}: not YAML: {_problem(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, allowed: a mapping of sections")
    return content


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = "" if mark is None else f"line {mark.line + 1}: "
    return place + " ".join(str(getattr(error, "problem", None) or error).split())


class _Nodes:
    """The parsed file, looked at before any value is made of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: dict[int, tuple[int, int]] = {}  # an alias leads to a node again

    def check(self, node: Any) -> tuple[int, int]:
        """How many values `node` stands for and on how many levels, aliases written out."""
        if id(node) not in self.seen:
            self.seen[id(node)] = (1, MAX_DEPTH)  # while it is open: an alias to itself has no end
            if isinstance(node, ScalarNode):
                self._check_digits(node)
                inner = []
            elif isinstance(node, MappingNode):
                self._check_keys(node)
                inner = [part for entry in node.value for part in entry]
            else:
                inner = node.value
            below = [self.check(part) for part in inner]
            values = 1 + sum(values for values, _ in below)
            levels = 1 + max((levels for _, levels in below), default=0)
            if values > MAX_VALUES:
                raise self._mistake(node, f"aliases make more than {MAX_VALUES} values of it")
            if levels > MAX_DEPTH:
                raise self._mistake(node, f"nested deeper than {MAX_DEPTH} levels")
            self.seen[id(node)] = (values, levels)
        return self.seen[id(node)]

    def _check_digits(self, node: ScalarNode) -> None:
        if node.tag == INTEGER and len(node.value) > MAX_DIGITS:
            raise self._mistake(
                node,
                f"{node.value[:MAX_DIGITS]}... has {len(node.value)} digits; expected at most "
                f"{MAX_DIGITS} (a text of digits stands in quotes)",
            )

    def _check_keys(self, node: MappingNode) -> None:
        """The parser keeps some equal keys without a word, and DVC's run cache loses others."""
        seen = set()
        for key, _ in node.value:
            if key.tag not in (STRING, MERGE):
                shown = key.value if isinstance(key, ScalarNode) else "of several values"
                raise self._mistake(
                    key, f"key {shown[:MAX_DIGITS]} is not a string; put it in quotes"
                )
            if key.value in RESERVED_KEYS:
                raise self._mistake(
                    key,
                    f"key {key.value!r}: DVC's run cache does not see keys of that name, so that a "
                    "change of its value could bring back old results; take another name",
                )
            if key.value in seen:
                raise self._mistake(key, f"key {key.value!r} stands twice; keep one")
            seen.add(key.value)

    def _mistake(self, node: Any, what: str) -> InputError:
        return InputError(f"{self.path}: line {node.start_mark.line + 1}: {what}")


def get(name: str, path: Path = PARAMS_FILE) -> Any:
    """What stands under the dotted key `name`, as plain values."""
    found: Any = read_all(path)
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            there = ", ".join(found) if isinstance(found, dict) else repr(found)
            raise InputError(f"{path}: {name} is missing ({part!r} not among {there})")
        found = found[part]
    return found


def parse_item(argv: list[str], where: str) -> str:
    """Return the one name in a stage's arguments, a key of the mapping `where`.

    Raise InputError, with the keys that there are, for anything else.
    """
    names = _mapping(where, PARAMS_FILE)
    if len(argv) != 1 or argv[0] not in names:
        given = f"{' '.join(argv)!r}" if argv else "no name is given"
        raise InputError(f"{given}; expected: one of {', '.join(names)} ({PARAMS_FILE}: {where})")
    return argv[0]


def load_section(name: str, model: type[S], path: Path = PARAMS_FILE) -> S:
    """One section, `name` being its dotted key ("generators.zero-shot"), as `model`."""
    return validate(name, model, get(name, path), path)


def load_sections(name: str, model: type[S], path: Path = PARAMS_FILE) -> dict[str, S]:
    """Every entry of the mapping `name`, each as `model`."""
    entries = _mapping(name, path)
    return {key: validate(f"{name}.{key}", model, entry, path) for key, entry in entries.items()}


def _mapping(name: str, path: Path) -> dict[str, Any]:
    found = get(name, path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: {name} = {found!r}: allowed: a mapping of names")
    return found


def validate(name: str, model: type[S], content: Any, path: Path | str = PARAMS_FILE) -> S:
    """`content` as `model`, or an InputError with a line for the first thing that is wrong.

    `model` is a Section or a union of some that their content tells apart.
    """
    try:
        return pydantic.TypeAdapter(model).validate_python(content)
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {_explain(name, model, content, error)}") from None


def _explain(name: str, model: Any, content: Any, error: pydantic.ValidationError) -> str:
    # A misspelt key is also a missing one: name what stands in the file first.
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place, mapping = _place(content, first["loc"])
    key = ".".join([name, *place] if name else place)
    if first["type"] == "extra_forbidden":
        allowed = _keys_at(model, place[:-1], mapping)
        return f"{key} is not known; allowed: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"{key} is missing ({first['msg'].lower()})"
    if first["type"] == SECRET_ERROR:
        return f"{key}: {first['msg']}"
    hint = ""
    if first["type"].startswith(("float", "int")):
        hint = _number_hint(first["input"], whole=first["type"].startswith("int"))
    if first["type"] == "string_type" and isinstance(first["input"], int | float | date):
        return f"{key} = {first['input']}: should be a string; put it in quotes"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{key} = {first['input']!r}: {message}{hint}"


def _place(content: Any, loc: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """The keys that lead to an error, and the mapping that the last of them stands in.

    pydantic also names which member of a union it tried: such a part is no key of the file.
    """
    place: list[str] = []
    mapping = content
    for part, following in zip(loc, [*loc[1:], None], strict=True):
        if isinstance(content, list) and isinstance(part, int):
            place, content = [*place, str(part)], content[part]
            continue
        if not isinstance(content, dict) or (part not in content and following is not None):
            continue  # a member of a union
        inner = content.get(part)
        if not isinstance(inner, dict | list) and following in content:
            continue  # a member with the name of a key beside the one that is meant
        place, mapping, content = [*place, str(part)], content, inner
    return place, mapping


def _number_hint(given: Any, whole: bool) -> str:
    """How to write a number that stands in quotes, or a whole one that stands as a fraction."""
    try:
        number = float(given)
    except (ValueError, TypeError, OverflowError):
        return ""
    if not math.isfinite(number) or (whole and not number.is_integer()):
        return ""
    written = str(int(number)) if whole else str(given).strip()
    if isinstance(given, str):
        return f" (a string; write {written} without quotes)"
    return f" (write {written})" if whole and isinstance(given, float) else ""


def _keys_at(model: Any, place: list[str], given: dict[str, Any]) -> list[str]:
    """The keys that are declared at `place` below `model`; of a union, by its likeliest member."""
    models = _models_in(model)
    for part in place:
        inner = [one.model_fields[part].annotation for one in models if part in one.model_fields]
        # Where no field has the name, it is the key of a mapping whose values share one model.
        models = [found for one in inner for found in _models_in(one)] or models
    likeliest = max(models, key=lambda one: _likeness(one, given))
    return list(likeliest.model_fields)


def _likeness(model: type[pydantic.BaseModel], given: dict[str, Any]) -> tuple[bool, int]:
    """First whether the values that tell members of a union apart fit, then how many keys do."""
    fits = all(
        given.get(name) in get_args(field.annotation)
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is Literal
    )
    return fits, len(given.keys() & model.model_fields.keys())


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
