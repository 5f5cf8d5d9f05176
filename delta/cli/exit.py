"""How a command that is no stage ends: errors in one line, and quietly where nobody reads on."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from delta.core.errors import InputError

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
SIGINT_CODE = 130  # exit code of a shell's command that Ctrl-C ended
INTERRUPTED = "Interrupted. Completed replies are kept; run the same command to resume."


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` as the whole process and exit with its code, 0 for None.

    An InputError is printed on standard error and exits with 1. A reader that has seen enough
    (`| head`) is no error. A full disk is one line. Characters that the locale lacks become "?".
    """
    print_any_text()
    code: str | int | None
    try:
        try:
            code = main() or 0
        except SystemExit as exit_:  # argparse has printed its help
            code = exit_.code
        if sys.stdout is not None:  # None where it was closed at the start
            sys.stdout.flush()
    except InputError as error:
        code = str(error)
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        code = SIGINT_CODE
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if error.errno not in OF_THE_DISK or error.filename is not None:
            raise
        code = f"standard output cannot be written to ({error.strerror})"
    _close_broken_streams()
    sys.exit(code)


def print_any_text() -> None:
    """Make standard output and error replace what their encoding lacks in place of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_broken_streams() -> None:
    """Python flushes both streams once more when it exits, and would complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())


def parse_no_arguments(description: str) -> None:
    """Answer --help, and refuse any other argument of a command that takes none."""
    argparse.ArgumentParser(
        prog=sys.argv[0], description=description.split("\n\n", maxsplit=1)[0]
    ).parse_args()
