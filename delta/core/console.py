"""Run a stage: progress, result and one-line errors on the screen, all else in logs/<stage>.log.

With DELTA_DEBUG=1 in the environment nothing is redirected, so that `print` and `breakpoint` work.
"""

import argparse
import contextlib
import errno
import inspect
import io
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn, TextIO, TypeVar

from tqdm import tqdm

from delta.core import progress
from delta.core.errors import KEPT, RESUME, IncompleteError, InputError, one_line

T = TypeVar("T")
LOGS = Path("logs")
STARTED = time.monotonic()
CLEAR_LINE = "\r\x1b[K"  # of a terminal
PROGRESS_S = 10  # between two lines of progress, where the screen is a file
DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # full
    *(errno.EROFS, errno.EACCES, errno.EPERM),  # read-only, or without permission
}
# What Python, the C library and Rust print where no thread or process can be started.
THREAD_ERRORS = ("can't start new thread", os.strerror(errno.EAGAIN), "kind: WouldBlock")
LIBRARY_THREADS = 8  # that libraries start on import, in addition to one per processor


def check_threads() -> None:
    """Exit with one line where libraries could not start their threads on import.

    Without this check, each library fails in another way: a traceback, an interrupt, thousands of
    lines.
    """
    end = threading.Event()
    threads = []
    try:
        for _ in range(LIBRARY_THREADS + len(os.sched_getaffinity(0))):
            thread = threading.Thread(target=end.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError as error:
        sys.exit(_thread_limit(error))
    finally:
        end.set()
        for thread in threads:
            thread.join()


def explain_truncated_bytecode(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print one line for a truncated *.pyc file; print other exceptions as Python does.

    Python 3.11 leaves such a file when the disk is full, and no later run can import it.
    """
    if kind is EOFError and "marshal" in str(error):
        sys.stderr.write(
            "a compiled Python file (*.pyc) is truncated, perhaps by a full disk; remove these "
            f"files, then rerun: find . {sys.prefix} -name '*.pyc' -delete\n"
        )
    else:
        sys.__excepthook__(kind, error, trace)


class Console:
    """The user's screen."""

    def __init__(self, screen: TextIO, stage: str = "", started: float | None = None) -> None:
        """Write to `screen`. `stage` is DVC's name of it; `started` is a monotonic time."""
        self.screen = screen
        self.stage = stage
        self.started = started

    def print(self, text: str) -> None:
        """Print a line. Raises IncompleteError where the screen is closed or full."""
        self._write(f"{clear_line(self.screen)}{text}\n")

    def status(self, text: str) -> None:
        """Show what the stage does now, until the next line. Shown on a terminal only."""
        if self.screen.isatty():
            where = progress.position(self.stage, progress.current(self.stage))
            self._write(f"{CLEAR_LINE}{where}: {text} ...")

    def finish(self, result: str) -> None:
        """Print the one line with which a stage ends: its result, and where the run is."""
        seconds = None if self.started is None else time.monotonic() - self.started
        self.print(progress.end_stage(self.stage, result, seconds))

    def _write(self, text: str) -> None:
        try:
            self.screen.write(text)
            self.screen.flush()
        except OSError as error:
            raise IncompleteError(
                f"standard error cannot be written to ({error.strerror}). {RESUME}"
            ) from error

    def progress(self, items: Iterable[T], total: int, label: str) -> Iterator[T]:
        """Yield `items` and show progress: a bar on a terminal until the end, lines in a file."""
        if self.screen.isatty():
            self._write(CLEAR_LINE)
            yield from tqdm(items, total=total, desc=label, file=self.screen, leave=False)
            return
        first = last = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if done == 1:
                first = now  # earlier, the model was loaded
            elif now - last > PROGRESS_S:
                last = now
                left = (now - first) / (done - 1) * (total - done)
                # A batch's replies all come late, so an early estimate would be far too high.
                estimate = f", about {left:.0f} s remain" if 10 * done > total else ""
                self.print(f"{label}: {done}/{total}{estimate}")


def run(main: Callable[..., None], log_name: str | None = None) -> None:
    """Run `main` as the whole process, and end the process if it fails.

    `main` gets the console. If there is no `log_name`, it is a stage's, which also gets the words
    of the command line, and the log is named after all of them.

    Standard output and error, also those of C++ libraries, go to the log in logs/. An InputError is
    one line and exit code 2. An IncompleteError and a lack of disk space, permissions, threads or
    open files are one line and exit code 1. Any other exception names the log and exits with 1. If
    the screen cannot be written to, the last line goes to the log.
    """
    words = [log_name] if log_name else [Path(sys.argv[0]).stem, *sys.argv[1:]]
    name = "-".join(words)
    log = None if os.environ.get("DELTA_DEBUG") == "1" else LOGS / f"{name}.log"
    _open_closed_streams(name)
    # What the locale cannot encode is printed as "?".
    screen = os.fdopen(os.dup(2), "w", buffering=1, errors="replace")
    if paths := [word for word in words if not _is_file_name(word)]:
        _exit(screen, f"{words[0]}: {paths[0]!r}; expected a name or a number", 2)
    arguments = [] if log_name else parse(main, words[0], words[1:])
    try:
        _redirect_streams(log)
    except InputError as error:
        _exit(screen, f"{name}: {error}", 1)
    except OSError as error:
        _exit(screen, f"{name}: {_disk_error(error, log)}", 1)
    try:
        # The engine's child processes end only if this one runs its exit handlers.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        main(Console(screen, *_stage(words)), *arguments)
        _flush(log)
    except SystemExit:
        raise
    except InputError as error:
        _exit(screen, f"{name}: {error}", 2)
    except IncompleteError as error:
        _exit(screen, f"{name}: {error}", 1)
    except KeyboardInterrupt:
        _exit(screen, f"{name}: interrupted. {RESUME}", 130)
    except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception
        if cause := _machine_limit(error, log):
            _exit(screen, f"{name}: {one_line(cause)}", 1)
        _exit_with_traceback(error, name, screen, log)


def clear_line(screen: TextIO) -> str:
    """Return what clears the line of a status or a progress bar on a terminal."""
    return CLEAR_LINE if screen.isatty() else ""


def _stage(words: list[str]) -> tuple[str, float | None]:
    """Return DVC's name of the stage with this command line, and when the stage started.

    A stage with further words is the second process of one, so its start is not known.
    """
    return "@".join(words[:2]), STARTED if len(words) < 3 else None


def parse(main: Callable[..., None], stage: str, words: list[str]) -> list[str | None]:
    """Return a stage's arguments, which are those of its `main` after the console.

    Ends the process for --help and for wrong ones.
    """
    description = sys.modules[main.__module__].__doc__
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=description)
    for name, parameter in list(inspect.signature(main).parameters.items())[1:]:
        nargs = None if parameter.default is parameter.empty else "?"
        parser.add_argument(name, metavar=name.upper(), nargs=nargs)
    return list(vars(parser.parse_args(words)).values())


def how_to_undo_experiment() -> str | None:
    """Return how to undo the changes that a failed `dvc exp run` leaves in the workspace.

    Returns None outside such a run, and in a queued one, which has its own folder.
    """
    root = os.environ.get("DVC_ROOT")
    if "DVC_EXP_NAME" not in os.environ or root is None or Path(root).resolve() != Path.cwd():
        return None
    return (
        "params.yaml keeps this experiment's values; `git checkout params.yaml metrics` restores "
        "the last commit's"
    )


def _open_closed_streams(name: str) -> None:
    """Open closed standard streams, so that no other file gets the numbers that libraries print to.

    Ends the process where standard error is closed: the user would not learn how the stage ended.
    """
    closed = [number for number in range(3) if not Path(f"/proc/self/fd/{number}").is_symlink()]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if 2 in closed:
        with contextlib.suppress(OSError):
            os.write(1, f"{name}: standard error is closed; open it (2>FILE)\n".encode())
        sys.exit(1)


def _is_file_name(argument: str) -> bool:
    return Path(argument).name == argument != ".."


def _redirect_streams(log: Path | None) -> None:
    if log is None:
        return
    log.parent.mkdir(exist_ok=True)
    if log.exists() and not log.is_file():  # opening a FIFO would wait for a reader
        raise InputError(f"{log}: not a regular file; remove it")
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _flush(log: Path | None) -> None:
    """Flush the log. Raises OSError with its name."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # None where it was closed
                stream.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, log and str(log)) from error


def _exit(screen: TextIO, line: str, code: int) -> NoReturn:
    """Print the last line on the screen, or else in the log, and exit."""
    if hint := how_to_undo_experiment():
        line = f"{line}\n{hint}"
    try:
        screen.write(f"{clear_line(screen)}{line}\n")
    except OSError:
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode(errors="backslashreplace"))
    try:
        _flush(None)
    except OSError:  # Python would flush again at its end, and exit with 120
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
    sys.exit(code)


def _exit_with_traceback(
    error: BaseException, name: str, screen: TextIO, log: Path | None
) -> NoReturn:
    with contextlib.suppress(OSError):
        traceback.print_exc()
    line = f"{name}: {type(error).__name__}: {error}"
    if log is not None:
        line = f"{line}\n{name}: full traceback: {log}"
        if not screen.isatty():  # a queued run's log is deleted with its folder
            with contextlib.suppress(OSError):
                traceback.print_exc(file=screen)
    _exit(screen, line, 1)


def _machine_limit(error: BaseException, log: Path | None) -> str | None:
    """Return which limit of the machine caused `error`; None where it has another cause."""
    if any(text in str(error) for text in THREAD_ERRORS):
        return _thread_limit(error)
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.EMFILE, errno.ENFILE):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"{error.strerror}. {KEPT}. Raise the limit (ulimit -n: {limit}), then rerun."
    return _disk_error(error, log) if error.errno in DISK_ERRORS else None


def _thread_limit(error: BaseException) -> str:
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limit = f"ulimit -u: {'no limit' if processes == resource.RLIM_INFINITY else processes}"
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    if memory != resource.RLIM_INFINITY:  # each thread's stack counts towards it
        limit += f", ulimit -v: {memory >> 10}"
    return (
        f"no more threads or processes can be started ({error}). {KEPT}. Raise the limit "
        f"({limit}; a container may have its own) or end other programs, then rerun."
    )


def _disk_error(error: OSError, log: Path | None) -> str:
    name = error.filename or (None if _can_write_to_stderr() else log)
    where = f"{name}: " if name else ""
    return (
        f"{where}{error.strerror or error}. {KEPT}. Free up disk space or fix permissions, then "
        "rerun."
    )


def _can_write_to_stderr() -> bool:
    try:
        os.write(2, b"\n")
    except OSError:
        return False
    return True
