"""Run a group of checks in a process of its own, with a time limit."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from bench.gpu_checks.check import Measurement, Setting, SkippedError

EXIT_S = 20.0  # for a process that has measured everything


class Group(NamedTuple):
    """Checks that one function measures, in one process."""

    function: str  # "module:name"; it takes a Setting and yields Measurement
    checks: tuple[str, ...]
    limit_s: float


class GroupEnd(NamedTuple):
    """Says how a group ended: with an error, because the rest cannot run here, or with neither."""

    error: str = ""
    skipped: str = ""


def run_group(
    group: Group, setting: Setting, limit_s: float, log: Path
) -> Iterator[tuple[Measurement, float] | GroupEnd]:
    """Yield the checks of a group with the seconds since its start, then how it ended."""
    if limit_s <= 0:
        yield GroupEnd("no time was left to run it")
        return
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(group.function, setting, log, sender))
    start = time.monotonic()
    process.start()
    sender.close()
    ended = GroupEnd(f"ran longer than {limit_s:.0f} s")
    try:
        while receiver.poll(max(0.0, start + limit_s - time.monotonic())):
            message = receiver.recv()
            if isinstance(message, GroupEnd):
                ended = message
                process.join(EXIT_S)
                break
            yield message, time.monotonic() - start
    except EOFError:
        process.join(5)
        ended = GroupEnd(f"its process ended with exit code {process.exitcode}; see {log}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)  # also what it started
        process.join()
    yield ended


def _work(function: str, setting: Setting, log: Path, sender: Connection) -> None:
    os.setpgid(0, 0)
    with log.open("a", encoding="utf-8") as file:
        for descriptor in (1, 2):  # the libraries' own output
            os.dup2(file.fileno(), descriptor)
    print(f"--- {function}", flush=True)
    module, _, name = function.partition(":")
    try:
        for measured in getattr(importlib.import_module(module), name)(setting):
            sender.send(measured)
        ended = GroupEnd(error="it measured no such check")
    except SkippedError as error:
        ended = GroupEnd(skipped=str(error))
    except BaseException as error:  # noqa: BLE001 - the line says what it was
        traceback.print_exc()
        ended = GroupEnd(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
    sys.stdout.flush()
    sender.send(ended)
