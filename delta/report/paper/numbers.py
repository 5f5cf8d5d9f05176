"""Read the numbers that the paper prints (numbers.yaml)."""

from pathlib import Path
from typing import Any

import yaml

NUMBERS = Path(__file__).with_name("numbers.yaml")


def read_numbers() -> dict[str, Any]:
    """Return the printed numbers by table and figure."""
    return dict(yaml.safe_load(NUMBERS.read_text(encoding="utf-8")))
