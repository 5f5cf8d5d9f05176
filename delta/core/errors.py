"""The exceptions that end a stage with one line and no traceback."""

MAX_LENGTH = 2_000  # characters: a value that is named may have megabytes


class InputError(ValueError):
    """Bad input: one line that names the file or key, the value, and what is allowed.

    `delta.core.console.run` prints it without a traceback and ends the stage with exit code 2.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class IncompleteError(RuntimeError):
    """Too much is missing to go on; what there is has been kept. Exit code 1.

    The line says what is missing, why, and how to go on.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """`text` without what breaks a line or commands a terminal, and its middle where it is long."""
    if len(text) > MAX_LENGTH:
        text = f"{text[: MAX_LENGTH // 2]} [...] {text[-MAX_LENGTH // 2 :]}"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
