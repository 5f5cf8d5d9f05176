"""The fields of a chat completion that a server accepts, and a request in no others.

vLLM takes all that we send. Hosted APIs refuse a request for one field that they do not know, name
the limit of a reply in one of two ways, take no temperature with some models, and compile no bounds
of texts, lists and numbers into a grammar. So what a server accepts is said in params.yaml.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

LIMITS = ("max_tokens", "max_completion_tokens")
FieldName = Literal[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "response_format",
    "reasoning_effort",
]
ALWAYS = ("model", "messages")
# What the OpenAI API does where one of these is left out, so that 1.0 may go unsaid.
UNSAID = 1.0


def _known(accepts: Any) -> Any:
    names = get_args(FieldName)
    if accepts == "vllm":
        return accepts
    if isinstance(accepts, list) and all(name in names for name in accepts):
        once = len({*accepts}) == len(accepts)
        if once and sum(name in LIMITS for name in accepts) == 1:
            return accepts
    raise ValueError(
        f"allowed: vllm, or a list of {', '.join(names)}, with exactly one of "
        f"{' and '.join(LIMITS)}"
    )


Accepts = Annotated[Literal["vllm"] | list[FieldName], BeforeValidator(_known)]


def engine_name(revision: str, accepts: Accepts) -> str:
    """Return what tells a server's replies from others: part of every request's key."""
    fields = "" if accepts == "vllm" else f" {','.join(sorted(accepts))}"
    return f"endpoint {revision}{fields}"


def as_accepted(payload: dict[str, Any], accepts: Accepts) -> dict[str, Any]:
    """Return the payload of a vLLM server with the fields that another one accepts."""
    if accepts == "vllm":
        return payload
    renamed = {
        "max_completion_tokens" if name == "max_tokens" and name not in accepts else name: value
        for name, value in payload.items()
    }
    kept = {name: value for name, value in renamed.items() if name in (*ALWAYS, *accepts)}
    if asked := kept.get("response_format"):
        asked = asked["json_schema"]
        asked = asked | {"schema": portable_schema(asked["schema"])}
        kept["response_format"] = {"type": "json_schema", "json_schema": asked}
    return kept


def portable_schema(schema: Any) -> Any:
    """Return a JSON schema in keywords that every strict decoder compiles.

    Bounds of texts and lists become words, which the model reads and the check of its reply holds
    it to; a range of whole numbers becomes the list of them.
    """
    if isinstance(schema, list):
        return [portable_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    new = {name: portable_schema(part) for name, part in schema.items()}
    words = [
        f"at most {new.pop(name)} {unit}"
        for name, unit in (("maxLength", "characters"), ("maxItems", "items"))
        if isinstance(new.get(name), int)
    ]
    if words:
        new["description"] = ", ".join([*filter(None, [new.get("description")]), *words])
    if new.get("type") == "integer" and {"minimum", "maximum"} <= new.keys():
        new["enum"] = list(range(new.pop("minimum"), new.pop("maximum") + 1))
    return new


def unmet(
    accepts: Accepts,
    temperature: float,
    top_p: float,
    stop: bool,
    effort: bool,
    special_tokens: bool,
) -> str | None:
    """Return what of a request such a server would not be told, if anything: it shapes replies."""
    if accepts == "vllm":
        return None
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if name not in accepts and value != UNSAID:
            return f"{name} = {value}, but the server accepts no {name}; allowed: {UNSAID}"
    for name, needed in (("stop", stop), ("reasoning_effort", effort)):
        if needed and name not in accepts:
            return f"its chat format needs {name}, which the server does not accept"
    if special_tokens:
        return "its chat format reads special tokens, which only vLLM leaves in a reply"
    return None
