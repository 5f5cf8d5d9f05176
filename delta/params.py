"""params.yaml, strictly: an unknown key, a string for a number or an impossible value is an error.

Every section's class stands beside the code that uses it; this file only reads and explains.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import pydantic
import yaml

from delta.errors import InputError

PARAMS_FILE = Path("params.yaml")
# dvc.stage.cache hashes parameters without these keys, which it means to drop from outputs only.
UNSEEN = ("size", "nfiles")
NAME = r"^[A-Za-z0-9_-]{1,64}$"  # names become stage names and file names
Name = Annotated[str, pydantic.StringConstraints(pattern=NAME)]


class Section(pydantic.BaseModel):
    """A part of params.yaml. No coercion, no unknown keys, no defaults that shape a result."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False
    )


S = TypeVar("S")


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise InputError(f"{PARAMS_FILE}: key {key!r} is not a string; put it in quotes")
            if key in UNSEEN:
                raise InputError(
                    f"{PARAMS_FILE}: key {key!r} in line {key_node.start_mark.line + 1}: DVC's run "
                    "cache does not see keys of that name, so that a change of its value could "
                    "bring back old results; take another name"
                )
            if key in mapping:
                raise InputError(
                    f"{PARAMS_FILE}: key {key!r} stands twice, again in line "
                    f"{key_node.start_mark.line + 1}; keep one"
                )
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


# lm-format-enforcer, which vLLM imports, makes every SafeLoader read dates as strings.
_UniqueKeys.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_timestamp)


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


def checked(name: str, model: type[S], content: Any, path: Path | str = PARAMS_FILE) -> S:
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
    hint = ""
    if first["type"].startswith(("float", "int")):
        hint = _number_hint(first["input"], whole=first["type"].startswith("int"))
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
