"""Read params.yaml strictly: unknown keys, wrong types and impossible values are errors.

The model of each section is in the module that uses the section.
"""

import itertools
import math
import re
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
# Far above what a file of parameters holds; such a file is read within a second.
MAX_BYTES = 1_000_000
MAX_VALUES = 100_000  # aliases written out
MAX_DEPTH = 50
MAX_DIGITS = 18  # a whole number stays below 2^63
SECRET_ERROR = "secret"  # the type of an error whose message must not repeat the value
STRING, INTEGER, MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "merge"))
NAME = r"^[A-Za-z0-9_-]{1,64}$"  # names become stage names and file names
Name = Annotated[str, pydantic.StringConstraints(pattern=NAME)]


class StrictModel(pydantic.BaseModel):
    """A part of params.yaml. No coercion, no unknown keys, no defaults that shape a result."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


M = TypeVar("M")


def read_all(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Return the whole file as plain values. YAML 1.2 applies, as in DVC.

    Raises InputError with the line, also for a hostile file: endless aliases or nesting, numbers
    with thousands of digits.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; run from the project's root")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path}: {size} bytes; expected up to {MAX_BYTES}")
    parser = YAML(typ="safe", pure=True)  # the C parser crashes on deep nesting
    parser.max_depth = MAX_DEPTH
    try:
        with warnings.catch_warnings(action="ignore"):  # of values that YAML 1.1 reads otherwise
            text = path.read_text(encoding="utf-8")
            if re.search(r"^%YAML\s+(?!1\.2\b)", text, re.MULTILINE):  # DVC reads it as 1.2
                raise InputError(
                    f"{path}: %YAML names another version; expected 1.2 or no directive"
                )
            root = parser.compose(text)
            if root is not None:
                _NodeChecker(path).check(root)
            content = None if root is None else parser.constructor.construct_document(root)
    except InputError:
        raise
    except MaxDepthExceededError:
        raise InputError(f"{path}: nested deeper than {MAX_DEPTH} levels") from None
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path}: not YAML: {_yaml_problem(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; expected a mapping of sections")
    return content


def _yaml_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f"line {mark.line + 1}: "
    return line + " ".join(str(getattr(error, "problem", None) or error).split())


class _NodeChecker:
    """Checks the parsed nodes before any value is built from them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[int, tuple[int, int]] = {}  # by node: an alias is its node

    def check(self, node: Any) -> tuple[int, int]:
        """Return the number of values in `node`, with aliases written out, and of its levels."""
        if id(node) not in self.sizes:
            self.sizes[id(node)] = (
                1,
                MAX_DEPTH,
            )  # for an alias to itself, which is endless
            if isinstance(node, ScalarNode):
                self._check_digits(node)
                children = []
            elif isinstance(node, MappingNode):
                self._check_keys(node)
                children = [part for entry in node.value for part in entry]
            else:
                children = node.value
            sizes = [self.check(child) for child in children]
            values = 1 + sum(values for values, _ in sizes)
            levels = 1 + max((levels for _, levels in sizes), default=0)
            if values > MAX_VALUES:
                raise self._error(node, f"aliases make more than {MAX_VALUES} values of it")
            if levels > MAX_DEPTH:
                raise self._error(node, f"nested deeper than {MAX_DEPTH} levels")
            self.sizes[id(node)] = (values, levels)
        return self.sizes[id(node)]

    def _check_digits(self, node: ScalarNode) -> None:
        if node.tag == INTEGER and len(node.value) > MAX_DIGITS:
            raise self._error(
                node,
                f"{node.value[:MAX_DIGITS]}... has {len(node.value)} digits; expected up to "
                f"{MAX_DIGITS} (put a text of digits in quotes)",
            )

    def _check_keys(self, node: MappingNode) -> None:
        """The parser accepts some duplicate keys silently, and DVC's run cache ignores others."""
        keys = set()
        for key, _ in node.value:
            if key.tag not in (STRING, MERGE):
                text = key.value if isinstance(key, ScalarNode) else "of several values"
                raise self._error(key, f"key {text[:MAX_DIGITS]} is not a string; put it in quotes")
            if key.value in RESERVED_KEYS:
                raise self._error(
                    key,
                    f"key {key.value!r}: DVC's run cache ignores keys of that name, so a changed "
                    "value could bring back old results; take another name",
                )
            if key.value in keys:
                raise self._error(key, f"key {key.value!r} is there twice; keep one")
            keys.add(key.value)

    def _error(self, node: Any, problem: str) -> InputError:
        return InputError(f"{self.path}: line {node.start_mark.line + 1}: {problem}")


def get(name: str, path: Path = PARAMS_FILE) -> Any:
    """Return the plain value under the dotted key `name`. Raises InputError where there is none."""
    value: Any = read_all(path)
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            keys = ", ".join(value) if isinstance(value, dict) else repr(value)
            raise InputError(f"{path}: {name} is missing ({part!r} not among {keys})")
        value = value[part]
    return value


def check_item(name: str, section: str) -> None:
    """Raise InputError, with the existing keys, unless `name` is a key of the mapping `section`."""
    names = _mapping(section, PARAMS_FILE)
    if name not in names:
        expected = f"one of {', '.join(names)} ({PARAMS_FILE}: {section})"
        raise InputError(f"{name!r}; expected {expected}")


def load_section(name: str, model: type[M], path: Path = PARAMS_FILE) -> M:
    """Return the section under the dotted key `name` ("generators.zero-shot") as `model`."""
    return validate(name, model, get(name, path), path)


def load_sections(name: str, model: type[M], path: Path = PARAMS_FILE) -> dict[str, M]:
    """Return every entry of the mapping `name` as `model`."""
    entries = _mapping(name, path)
    return {key: validate(f"{name}.{key}", model, entry, path) for key, entry in entries.items()}


def _mapping(name: str, path: Path) -> dict[str, Any]:
    value = get(name, path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: {name} = {value!r}; expected a mapping of names")
    return value


def validate(name: str, model: type[M], content: Any, path: Path | str = PARAMS_FILE) -> M:
    """Return `content` as `model`: a StrictModel, or a union of some.

    Raises InputError with one line for the first error.
    """
    try:
        return pydantic.TypeAdapter(model).validate_python(content)
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {_explain(name, model, content, error)}") from None


def _explain(name: str, model: Any, content: Any, error: pydantic.ValidationError) -> str:
    # A misspelt key is also a missing one: report the key that is in the file.
    errors = error.errors()
    first = next((detail for detail in errors if detail["type"] == "extra_forbidden"), errors[0])
    keys, mapping = _locate(content, first["loc"])
    key = ".".join([name, *keys] if name else keys)
    kind, value = first["type"], first["input"]
    if kind == "extra_forbidden":
        return f"{key} is not known; expected {', '.join(_keys_at(model, keys[:-1], mapping))}"
    if kind == "missing":
        return f"{key} is missing ({first['msg'].lower()})"
    if kind == SECRET_ERROR:
        return f"{key}: {first['msg']}"
    if kind == "string_type" and isinstance(value, int | float | date):
        return f"{key} = {value}: should be a string; put it in quotes"
    hint = ""
    if kind.startswith(("float", "int")):
        hint = _number_hint(value, is_int=kind.startswith("int"))
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{key} = {value!r}: {message}{hint}"


def _locate(content: Any, loc: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """Return the keys that lead to an error, and the mapping that has the last of them.

    pydantic's `loc` also names the members of a union that it tried, which are no keys of the file.
    """
    keys: list[str] = []
    mapping = content
    for part, following in itertools.zip_longest(loc, loc[1:]):
        if isinstance(content, list) and isinstance(part, int):
            keys, content = [*keys, str(part)], content[part]
            continue
        if not isinstance(content, dict) or (part not in content and following is not None):
            continue  # a member of a union
        inner = content.get(part)
        if not isinstance(inner, dict | list) and following in content:
            continue  # a member of a union that has the name of another key
        keys, mapping, content = [*keys, str(part)], content, inner
    return keys, mapping


def _number_hint(value: Any, is_int: bool) -> str:
    """Return how to write a number that is quoted, or a whole number that has a fraction."""
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        return ""
    if not math.isfinite(number) or (is_int and not number.is_integer()):
        return ""
    text = str(int(number)) if is_int else str(value).strip()
    if isinstance(value, str):
        return f" (a string; write {text} without quotes)"
    return f" (write {text})" if is_int and isinstance(value, float) else ""


def _keys_at(model: Any, path: list[str], content: dict[str, Any]) -> list[str]:
    """Return the keys declared at `path` below `model`; in a union, those of its best match."""
    models = _models_in(model)
    for part in path:
        fields = [
            model.model_fields[part].annotation for model in models if part in model.model_fields
        ]
        # Where no field has the name, it is the key of a mapping whose values share one model.
        models = [inner for field in fields for inner in _models_in(field)] or models
    return list(max(models, key=lambda candidate: _match(candidate, content)).model_fields)


def _match(model: type[pydantic.BaseModel], content: dict[str, Any]) -> tuple[bool, int]:
    """Return whether the union's discriminating values fit, and how many keys do."""
    fits = all(
        content.get(name) in get_args(field.annotation)
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is Literal
    )
    return fits, len(content.keys() & model.model_fields.keys())


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
