"""GPT-OSS's channels with guided JSON: free reasoning first, then only the schema (paper, 3.2).

A plain JSON schema would apply from the first token, and the model could not reason at all. A
structural tag says where the schema begins.
"""

from typing import Any

ANALYSIS = "<|channel|>analysis<|message|>"
NEXT = "<|start|>assistant"  # begins the next channel; the prompt has begun the first
FINAL = "<|channel|>final"
FORMATS = ("", " json", " <|constrain|>json")  # how the model announces JSON in the channel
MAX_SPACE = 1  # characters in a row: small models loop in white space. xgrammar refuses a 0


def structural_tag(schema: dict[str, Any]) -> str:
    """Return a grammar for vLLM: an optional analysis, then JSON, then the end of the turn.

    Markers are strings, as in vLLM's server, since xgrammar matches a special token by its text.
    The analysis contains no marker, so that a reply has one boundary. vLLM's disable_any_whitespace
    has no effect on a structural tag, hence MAX_SPACE.
    """
    from xgrammar.structural_tag import (
        AnyTextFormat,
        ConstStringFormat,
        JSONSchemaFormat,
        OptionalFormat,
        OrFormat,
        SequenceFormat,
        StructuralTag,
        TagFormat,
    )

    reasoning = AnyTextFormat(excludes=["<|channel|>", "<|start|>", "<|message|>"])
    analysis = TagFormat(begin=ANALYSIS, content=reasoning, end="<|end|>")
    openings = [ConstStringFormat(value=FINAL + name + "<|message|>") for name in FORMATS]
    parts = [
        OptionalFormat(content=SequenceFormat(elements=[analysis, ConstStringFormat(value=NEXT)])),
        OrFormat(elements=openings),
        JSONSchemaFormat(json_schema=schema, max_whitespace_cnt=MAX_SPACE),
    ]
    tag: str = StructuralTag(format=SequenceFormat(elements=parts)).model_dump_json()
    return tag
