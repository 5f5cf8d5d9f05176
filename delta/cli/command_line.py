"""Run a command that is not a stage: one-line errors, and a quiet end behind `| head`."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from delta.core.errors import InputError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
SIGINT_CODE = 130  # the exit code that shells give a command ended by Ctrl-C
INTERRUPTED = "Interrupted. Completed replies are kept; run the same command to resume."


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` as the whole process and exit with its code, 0 for None.

    An InputError is printed on standard error and exits with 1. A closed pipe (`| head`) is not an
    error. A full disk is reported in one line. Characters that the locale lacks become "?".
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
        if error.errno not in DISK_ERRORS or error.filename is not None:
            raise
        code = f"standard output cannot be written to ({error.strerror})"
    _close_broken_streams()
    sys.exit(code)


def print_any_text() -> None:
    """Make standard output and error replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_broken_streams() -> None:
    """Redirect closed streams to os.devnull, because Python flushes both again when it exits."""
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
