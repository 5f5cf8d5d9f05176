"""How much training changed the weights, and how much of that is left when they are served.

The files of base and policy are compared tensor by tensor, as an engine reads them, so no copy of a
model is held.
"""

import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from delta.core.types import Counts

DTYPES = ("float32", "bfloat16", "float16")  # in which a policy may be served
BLOCK = 1 << 22  # numbers that are added up in float64 at once


def compare(base: Path, policy: Path) -> Counts:
    """Return `weights_changed` and `update_served`, each by the dtype that the weights are read in.

    `weights_changed` is the fraction of the weights that differ. `update_served` is the projection
    of the served update on the trained one, <u_served, u> / <u, u>: 1 if rounding takes nothing, 0
    if it takes all. What is served is the difference of two rounded models, because the base is
    served in the same dtype. At the paper's learning rate of 5e-8 nearly all changes are below half
    a step of bfloat16.

    A value is None where nothing changed, where a dtype overflows, and for files of other names or
    shapes.
    """
    changed, products = dict.fromkeys(DTYPES, 0), dict.fromkeys(DTYPES, 0.0)
    total = 0
    with contextlib.ExitStack() as stack:
        before, after = (_readers(folder, stack) for folder in (base, policy))
        for name, read in after.items():  # a tied weight may be in one of the folders twice
            old = before[name]().float() if name in before else None
            new = read().float()
            if old is None or old.shape != new.shape:
                return {"weights_changed": None, "update_served": None}
            update = new - old
            total += new.numel()
            for dtype in DTYPES:
                served = _rounded(new, dtype) - _rounded(old, dtype)
                changed[dtype] += int(torch.count_nonzero(served))
                products[dtype] += _dot(served, update)
    square = products["float32"]
    return {
        "weights_changed": {dtype: round(number / total, 4) for dtype, number in changed.items()},
        "update_served": {
            dtype: round(product / square, 4) if square and math.isfinite(product) else None
            for dtype, product in products.items()
        },
    }


def _rounded(tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    return tensor.to(getattr(torch, dtype)).float()


def _dot(first: torch.Tensor, second: torch.Tensor) -> float:
    blocks = zip(first.flatten().split(BLOCK), second.flatten().split(BLOCK), strict=True)
    return sum(float(torch.dot(a.double(), b.double())) for a, b in blocks)


def _readers(folder: Path, stack: contextlib.ExitStack) -> dict[str, Callable[[], torch.Tensor]]:
    """Return for each weight of a folder a function that reads it."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(weight_map.values()))
    readers: dict[str, Any] = {}
    for name in names:
        file = stack.enter_context(safe_open(str(folder / name), "pt"))
        readers |= {key: _reader(file, key) for key in file.keys()}  # noqa: SIM118 - no mapping
    return readers


def _reader(file: Any, key: str) -> Callable[[], torch.Tensor]:
    return lambda: file.get_tensor(key)
