"""What a person sees while a stage runs: progress and one-line errors; the rest goes to a log."""

import contextlib
import errno
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

from delta.core.errors import IncompleteError, InputError, one_line

T = TypeVar("T")
LOGS = Path("logs")
# What a full or locked disk says; there is nothing in the code to look for then.
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
# What Python, the C library and Rust say where no thread or process can be started.
THREADS = 8  # that libraries start when they are imported, besides one for each processor
OF_THREADS = ("can't start new thread", os.strerror(errno.EAGAIN), "kind: WouldBlock")


def check_threads() -> None:
    """Exit with one line where libraries could not start their threads when they are imported.

    Each would fail in its own way: one with a traceback, one with an interrupt, one with thousands
    of lines.
    """
    end = threading.Event()
    threads = []
    try:
        for _ in range(THREADS + len(os.sched_getaffinity(0))):
            thread = threading.Thread(target=end.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError as error:
        sys.exit(_lack_of_threads(error))
    finally:
        end.set()
        for thread in threads:
            thread.join()


def explain_cut_bytecode(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print one line where a module's bytecode was cut short; anything else as Python does.

    Python 3.11 keeps what a full disk took of such a file, and no later run can import it.
    """
    if kind is EOFError and "marshal" in str(error):
        sys.stderr.write(
            "a compiled file of Python (*.pyc) was cut short, as by a full disk; remove them and "
            f"run the same again: find . {sys.prefix} -name '*.pyc' -delete\n"
        )
    else:
        sys.__excepthook__(kind, error, trace)


class Console:
    """The user's screen. Everything else that is printed in this process goes to the log file."""

    def __init__(self, screen: TextIO) -> None:
        self.screen = screen

    def print(self, text: str) -> None:
        try:
            print(text, file=self.screen, flush=True)
        except OSError as error:
            raise IncompleteError(
                f"standard error cannot be written to any more ({error.strerror}). "
                "What was answered is kept; run the same again to go on"
            ) from error

    def progress(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """`items` one by one, with a bar and an estimate of what remains.

        Where the screen is a file, a line every ten seconds replaces the moving bar.
        """
        moving = self.screen.isatty()
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
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
                        self.print(f"{what}: {done}/{total}{known}")


def run(
    main: Callable[[Console, list[str]], None],
    command: str | None = None,
    log_name: str | None = None,
) -> None:
    """Run a stage's `main` as the whole process.

    Standard output and error, also those of C++ libraries, go to logs/<stage>.log. An InputError
    becomes one line and exit code 2; Incomplete, and what the machine lacks (room, rights, threads,
    open files), one line and 1; anything else names the log and exits with 1. A line that the
    screen does not take goes to the log.
    """
    command = command or Path(sys.argv[0]).stem
    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.stdout.write(f"{sys.modules[main.__module__].__doc__}\n")
        return
    name = log_name or "-".join([command, *sys.argv[1:]])
    log = LOGS / f"{name}.log"
    _open_standard_streams(name)
    # No locale is so poor that a message could end a run: what it lacks is printed as "?".
    screen = os.fdopen(os.dup(2), "w", buffering=1, errors="replace")
    for word in () if log_name else sys.argv[1:]:
        if Path(word).name != word or word == "..":  # it becomes the name of files and folders
            _end(screen, f"{command}: {word!r}: allowed: names and numbers", 2)
    try:
        _log_to(log)
    except OSError as error:
        _end(screen, f"{name}: {_of_the_disk(error, log)}", 1)
    try:
        # The engine's own processes end with ours only if we end in order.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        main(Console(screen), sys.argv[1:])
        _flush(log)
    except SystemExit:
        raise
    except InputError as error:
        _end(screen, f"{name}: {error}", 2)
    except IncompleteError as error:
        _end(screen, f"{name}: {error}", 1)
    except KeyboardInterrupt:
        go_on = "What was answered is kept; run the same again to go on."
        _end(screen, f"{name}: stopped. {go_on}", 130)
    except BaseException as error:  # noqa: BLE001 - shown, logged; panics of Rust are no Exception
        if cause := _cause(error, log):
            _end(screen, f"{name}: {one_line(cause)}", 1)
        _show(error, name, screen, log)


def how_to_undo_experiment() -> str | None:
    """Return what to do after a stage has failed in `dvc exp run`, which leaves its changes behind.

    None outside of it, and in a queued or temporary run, which has a folder of its own.
    """
    root = os.environ.get("DVC_ROOT")
    if "DVC_EXP_NAME" not in os.environ or root is None or Path(root).resolve() != Path.cwd():
        return None
    return (
        "params.yaml keeps this experiment's values; `git checkout params.yaml metrics` goes back "
        "to the last commit's"
    )


def _open_standard_streams(name: str) -> None:
    """Keep the numbers 0 to 2 from becoming those of files, into which libraries would print.

    Ends the process where standard error is closed: nobody would learn how the stage went.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if 2 in closed:
        with contextlib.suppress(OSError):
            os.write(1, f"{name}: standard error is closed; open it (2>FILE)\n".encode())
        sys.exit(1)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _log_to(log: Path) -> None:
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed at the start
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _flush(log: Path) -> None:
    """Write what is left to the log. OSError that names it where that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # where it was closed at the start
                stream.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(log)) from error


def _end(screen: TextIO, line: str, code: int) -> NoReturn:
    """Say the last line, on the screen or else in the log, and exit."""
    if hint := how_to_undo_experiment():
        line = f"{line}\n{hint}"
    try:
        screen.write(f"{line}\n")
    except OSError:
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode(errors="backslashreplace"))
    try:
        _flush(LOGS)
    except OSError:  # Python would try again at its end, and exit with 120
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    sys.exit(code)


def _show(error: BaseException, name: str, screen: TextIO, log: Path) -> NoReturn:
    """The traceback in the log, the error and where that is on the screen."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
    if not screen.isatty():  # a queued run's log is deleted with its folder
        with contextlib.suppress(OSError):
            traceback.print_exc(file=screen)
    kind = type(error).__name__
    _end(screen, f"{name}: {kind}: {error}\n{name}: the whole story: {log}", 1)


def _cause(error: BaseException, log: Path) -> str | None:
    """Return what the machine lacks, of which `error` comes; None where it is something else."""
    if any(text in str(error) for text in OF_THREADS):
        return _lack_of_threads(error)
    if not isinstance(error, OSError):
        return None
    if error.errno in (errno.EMFILE, errno.ENFILE):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (
            f"{error.strerror}. What was answered before is kept; raise the limit "
            f"(ulimit -n: {most}) and run the same again"
        )
    return _of_the_disk(error, log) if error.errno in OF_THE_DISK else None


def _lack_of_threads(error: BaseException) -> str:
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limit = f"ulimit -u: {'no limit' if most == resource.RLIM_INFINITY else most}"
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    if memory != resource.RLIM_INFINITY:  # each thread's stack counts towards it
        limit += f", ulimit -v: {memory >> 10}"
    return (
        f"no further thread or process can be started ({error}). What was answered before is "
        f"kept; raise the limit ({limit}; a container may have one of its own) or "
        "end other programs, and run the same again"
    )


def _of_the_disk(error: OSError, log: Path) -> str:
    name = error.filename
    if name is None and not _takes_more():
        name = log
    where = f"{name}: " if name else ""
    return (
        f"{where}{error.strerror or error}. What was answered before is kept; make room or give "
        "the right to write, and run the same again"
    )


def _takes_more() -> bool:
    """Return whether the log can still be written to."""
    try:
        os.write(2, b"\n")
    except OSError:
        return False
    return True
