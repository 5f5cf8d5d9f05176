"""SHA-256 of files, and the digests that params.yaml pins them with."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from delta.core.errors import InputError

NOT_SET = "null"
BLOCK = 1 << 20  # bytes read at once


def _null_as_text(value: object) -> object:
    return NOT_SET if value is None else value


# null: not known yet. The error message then names the digest to set.
Digest = Annotated[
    str, BeforeValidator(_null_as_text), Field(pattern=rf"^([0-9a-f]{{64}}|{NOT_SET})$")
]


def sha256_of(*paths: Path) -> str:
    """Return the hex SHA-256 of the files' contents, joined in this order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def check_digest(key: str, pinned: str, name: str, actual: str, kind: str = "file") -> None:
    """Raise InputError unless the digest of `name` is the one that is pinned.

    `key` is where params.yaml pins it, such as "models.base.folder.sha256".
    """
    if pinned != actual:
        raise InputError(
            f"{key} = {pinned}: {name} has {actual}; if that is the right {kind}, set sha256 to it"
        )
