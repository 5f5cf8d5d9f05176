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


# null where the digest is not known yet: the error message then names the one to set.
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


def check_digest(key: str, pinned: str, what: str, actual: str, kind: str = "file") -> None:
    """Raise InputError where the digest `pinned` under the dotted `key` is not that of `what`."""
    if pinned != actual:
        raise InputError(
            f"{key} = {pinned}: {what} has {actual}; if that is the right {kind}, set sha256 to it"
        )
