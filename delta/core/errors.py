"""The exceptions that end a stage with one line and no traceback."""

KEPT = "Completed replies are kept"
RESUME = f"{KEPT}; run the same command to resume."
MAX_LENGTH = 2_000  # characters: a value that is quoted may have megabytes


class InputError(ValueError):
    """Bad input. The message is one line: file or key, value, what is expected.

    `delta.core.console.run` prints it and ends the stage with exit code 2.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class IncompleteError(RuntimeError):
    """Too much is missing to go on. All completed replies are kept.

    The message is one line: what is missing, why, how to resume. The exit code is 1.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """Return `text` with unprintable characters escaped, and its middle cut out if it is long."""
    if len(text) > MAX_LENGTH:
        text = f"{text[: MAX_LENGTH // 2]} [...] {text[-MAX_LENGTH // 2 :]}"
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
