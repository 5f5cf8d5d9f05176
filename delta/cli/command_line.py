"""Parse and run a command that is not a stage.

A module of this folder is a command: `main(options)`, and `add_arguments(parser)` where it has
arguments. With `log_name(options)` it is `main(console, options)` and runs like a stage: what
libraries print goes to logs/.
"""

import argparse
import contextlib
import errno
import importlib
import io
import math
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from delta.core.errors import RESUME, InputError

OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
INPUT_ERROR_CODE = 2  # argparse's own for wrong arguments
SIGINT_CODE = 130  # the exit code that shells give a command ended by Ctrl-C


def start(command: str, argv: list[str]) -> int | None:
    """Run a command by its name and return its exit code, None for 0."""
    # Import only this command: `check` runs before every stage and has to be fast.
    module = importlib.import_module(f"delta.cli.{command.replace('-', '_')}")
    options = parse(module, argv)
    if not hasattr(module, "log_name"):
        code: int | None = module.main(options)
        return code
    from delta.core import console

    console.run(lambda screen: module.main(screen, options), module.log_name(options))
    return None


def parse(module: ModuleType, argv: list[str]) -> argparse.Namespace:
    """Return the arguments of a command. Ends the process for --help and for wrong ones."""
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    description = str(module.__doc__).split("\n\n", maxsplit=1)[0]
    parser = argparse.ArgumentParser(prog=f"python -m delta {name}", description=description)
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    options, others = parser.parse_known_args(argv)
    if others and "others" not in options:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    options.others = others
    return options


def number(text: str, least: int = 0) -> int:
    """Parse a whole number from `least` on, as an argument's type."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text}; expected {least} or more")
    return int(text)


def positive(text: str) -> float:
    """Parse a positive finite number, as an argument's type."""
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"{text}; expected a number above 0")


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` as the whole process and exit with its code, 0 for None.

    An InputError is printed on standard error and exits with 2. A closed pipe (`| head`) is not an
    error. A full disk is reported in one line. Characters that the locale lacks become "?".
    """
    _print_any_text()
    code: str | int | None
    try:
        try:
            code = main() or 0
        except SystemExit as exit_:  # argparse has printed its help
            code = exit_.code
        if sys.stdout is not None:  # None where it was closed at the start
            sys.stdout.flush()
    except InputError as error:
        print(error, file=sys.stderr)
        code = INPUT_ERROR_CODE
    except KeyboardInterrupt:
        sys.stderr.write(f"Interrupted. {RESUME}\n")
        code = SIGINT_CODE
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS or error.filename is not None:
            raise
        code = f"standard output cannot be written to ({error.strerror})"
    _close_broken_streams()
    sys.exit(code)


def _print_any_text() -> None:
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
