"""SHA-256 digests in params.yaml: a name alone is no input, and nobody computes one by hand."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from delta.core.errors import InputError

NOT_SET = "null"


def _of_null(value: object) -> object:
    return NOT_SET if value is None else value


# null where it is not known yet: whoever reads the file then says what to set.
Digest = Annotated[str, BeforeValidator(_of_null), Field(pattern=rf"^([0-9a-f]{{64}}|{NOT_SET})$")]


def check_digest(key: str, given: str, what: str, found: str, kind: str = "file") -> None:
    """Raise InputError where the digest `given` under the dotted `key` is not that of `what`."""
    if given != found:
        raise InputError(
            f"{key} = {given}: {what} has {found}; if that is the right {kind}, set sha256 to it"
        )
