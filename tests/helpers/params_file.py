"""The committed params.yaml, and the messages for changes of it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.check import Params, check
from delta.core import params
from delta.core.errors import InputError
from tests.helpers.import_closure import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
CONTENT = yaml.safe_load(TEXT)
DPO = "  dpo:\n    learning_rate: "
RATE = TEXT.partition(DPO)[2].split()[0]  # as it is written
K = f"\n  k: {CONTENT['selector']['k']}"
BY = f"\n  by: {CONTENT['selector']['by']}"


def refusal(folder: Path, text: str) -> str:
    """Return the message for `text`, without the file's name before it."""
    file = folder / "params.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        check(file)
    message = str(caught.value)
    assert "\n" not in message
    assert "params.yaml: " in message
    return message.partition("params.yaml: ")[2]


def message_for(dotted: str, value: Any) -> str:
    """Return the message for `value` under the key `dotted`."""
    content = copy.deepcopy(CONTENT)
    *sections, key = dotted.split(".")
    inner = content
    for section in sections:
        inner = inner[section]
    inner[key] = value
    with pytest.raises(InputError) as caught:
        params.validate("", Params, content, Path("params.yaml"))
    return str(caught.value)
