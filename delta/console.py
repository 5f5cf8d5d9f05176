"""What a person sees while a stage runs: progress and one-line errors; the rest goes to a log."""

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from tqdm import tqdm

from delta.errors import IncompleteError, InputError

T = TypeVar("T")
LOGS = Path("logs")
# What a full or locked disk says; there is nothing in the code to look for then.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


class Console:
    """The user's screen. Everything else that is printed in this process goes to the log file."""

    def __init__(self, screen: TextIO) -> None:
        self.screen = screen

    def say(self, text: str) -> None:
        print(text, file=self.screen, flush=True)

    def progress(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """`items` one by one, with a bar and an estimate of what remains.

        Where the screen is a file, a line every ten seconds replaces the moving bar.
        """
        moving = self.screen.isatty()
        with Path(os.devnull).open("w") as nowhere:
            bar = tqdm(total=total, desc=what, file=self.screen if moving else nowhere)
            first = last = time.monotonic()
            with bar:
                for done, item in enumerate(items, 1):
                    yield item
                    bar.update()
                    now = time.monotonic()
                    if done == 1:
                        first = now  # what came before it was the loading of a model
                    elif not moving and now - last > 10:
                        last = now
                        remaining = (now - first) / (done - 1) * (total - done)
                        # The first replies of a batch come late, all of them: too early to tell.
                        known = f", about {remaining:.0f} s remain" if 10 * done > total else ""
                        self.say(f"{what}: {done}/{total}{known}")


def run(main: Callable[[Console, list[str]], None]) -> None:
    """Run a stage's `main` as the whole process.

    Standard output and error, also those of C++ libraries, go to logs/<stage>.log. An InputError
    becomes one line and exit code 2, Incomplete one line and 1; anything else names the log and
    exits with 1.
    """
    name = "-".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
    log = LOGS / f"{name}.log"
    screen = os.fdopen(os.dup(2), "w", buffering=1)
    try:
        LOGS.mkdir(exist_ok=True)
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    except OSError as error:
        screen.write(f"{name}: {_of_the_disk(error)}\n")
        sys.exit(1)
    # The engine's own processes end with ours only if we end in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(Console(screen), sys.argv[1:])
    except InputError as error:
        screen.write(f"{name}: {error}\n")
        sys.exit(2)
    except IncompleteError as error:
        screen.write(f"{name}: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        screen.write(f"{name}: stopped. What was answered is kept; run the same again to go on.\n")
        sys.exit(130)
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            _show(error, name, screen, log)
        screen.write(f"{name}: {_of_the_disk(error)}\n")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - shown, logged, and the exit code is 1
        _show(error, name, screen, log)


def _show(error: Exception, name: str, screen: TextIO, log: Path) -> NoReturn:
    """The traceback in the log, the error and where that is on the screen."""
    traceback.print_exc()
    if not screen.isatty():  # a queued run's log is deleted with its folder
        traceback.print_exc(file=screen)
    screen.write(f"{name}: {type(error).__name__}: {error}\n{name}: the whole story: {log}\n")
    sys.exit(1)


def _of_the_disk(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}{error.strerror or error}. What was answered before is kept; make room or give "
        "the right to write, and run the same again"
    )
