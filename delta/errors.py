"""The one exception for a mistake that the user can mend."""


class InputError(ValueError):
    """Bad input: one line that names the file or key, the value, and what is allowed.

    `delta.console.run` prints it without a traceback and ends the stage with exit code 2.
    """
