"""params.yaml, strictly: an unknown key, a string for a number or an impossible value is an error.

Every section's class stands beside the code that uses it; this file only reads and explains.
"""

from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
import yaml

from delta.errors import InputError

PARAMS_FILE = Path("params.yaml")


class Section(pydantic.BaseModel):
    """A part of params.yaml. No coercion, no unknown keys, no defaults that shape a result."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


S = TypeVar("S", bound=pydantic.BaseModel)


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise InputError(f"{PARAMS_FILE}: key {key!r} is not a string; put it in quotes")
            if key in mapping:
                raise InputError(
                    f"{PARAMS_FILE}: key {key!r} stands twice, again in line "
                    f"{key_node.start_mark.line + 1}; keep one"
                )
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


def read_all(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The whole file as plain values."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run from the project's root") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, allowed: a mapping of sections")
    return content


def value(name: str, path: Path = PARAMS_FILE) -> Any:
    """What stands under the dotted key `name`, as plain values."""
    found: Any = read_all(path)
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            there = ", ".join(found) if isinstance(found, dict) else repr(found)
            raise InputError(f"{path}: {name} is missing ({part!r} not among {there})")
        found = found[part]
    return found


def section(name: str, model: type[S], path: Path = PARAMS_FILE) -> S:
    """One section, `name` being its dotted key ("generators.zero-shot"), as `model`."""
    return checked(name, model, value(name, path), path)


def sections(name: str, model: type[S], path: Path = PARAMS_FILE) -> dict[str, S]:
    """Every entry of the mapping `name`, each as `model`."""
    found = value(name, path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: {name} = {found!r}: allowed: a mapping of names")
    return {key: checked(f"{name}.{key}", model, entry, path) for key, entry in found.items()}


def checked(name: str, model: type[S], content: Any, path: Path = PARAMS_FILE) -> S:
    """`content` as `model`, or an InputError with a line for the first thing that is wrong."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {_explain(name, model, error)}") from None


def _explain(name: str, model: type[pydantic.BaseModel], error: pydantic.ValidationError) -> str:
    # A misspelt key is also a missing one: name what stands in the file first.
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = [str(part) for part in first["loc"]]
    key = ".".join([name, *place] if name else place)
    if first["type"] == "extra_forbidden":
        return f"{key} is not known; allowed: {', '.join(_keys_at(model, place[:-1]))}"
    if first["type"] == "missing":
        return f"{key} is missing ({first['msg'].lower()})"
    hint = ""
    if first["type"].startswith(("float", "int")):
        hint = _number_hint(first["input"], whole=first["type"].startswith("int"))
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{key} = {first['input']!r}: {message}{hint}"


def _number_hint(given: Any, whole: bool) -> str:
    """YAML 1.1 reads 5e-8 as a string: say how to write it."""
    if not isinstance(given, str):
        return ""
    try:
        number = float(given)
    except ValueError:
        return ""
    mantissa, _, exponent = given.lower().partition("e")
    if whole and number.is_integer():
        written = str(int(number))
    else:
        written = f"{float(mantissa)}e{exponent}" if exponent else repr(number)
    return f" (a string; write {written} without quotes)"


def _keys_at(model: type[pydantic.BaseModel], place: list[str]) -> list[str]:
    """The keys that the model at `place` below `model` declares."""
    for part in place:
        field = model.model_fields.get(part)
        if field is None:
            continue  # the key of a mapping whose values share one model
        for inner in (field.annotation, *_flat(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
                model = inner
    return list(model.model_fields)


def _flat(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [part for arg in inner for part in (arg, *_flat(arg))]
