"""Limit the memory of a program's run by a cgroup, where this process may make one.

Resource limits apply to each process and do not count memory that the kernel allocates for a
program. A cgroup counts everything: all processes of the run, its files in memory, and buffers of
pipes and sockets. Making one needs write access to the hierarchy. Root has it outside of most
containers; an ordinary user has it only where the system delegates a part of the hierarchy.
"""

import contextlib
import functools
import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "delta-sandbox-"
REMOVAL_S = 5.0
# File of the memory limit -> file of the swap limit, and its value for no swap (None: the memory
# limit). cgroup v2, then v1 (Documentation/admin-guide/cgroup-v*).
LIMITS: dict[str, tuple[str, str | None]] = {
    "memory.max": ("memory.swap.max", "0"),
    "memory.limit_in_bytes": ("memory.memsw.limit_in_bytes", None),
}
EVENTS = ("memory.events", "memory.oom_control")
# Shell command by which a process enters the cgroup with the file cgroup.procs $1; 0 means itself.
ENTER_SCRIPT = 'echo 0 > "$1"'
_serial_numbers = itertools.count()


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[Path | None]:
    """Yield the folder of a new cgroup limited to `limit` bytes; None where none can be made.

    The folder is removed at the end; all its processes must have been killed by then.
    """
    parent = usable_parent()
    group = _make(parent, limit) if parent else None
    try:
        yield group
    finally:
        if group:
            _remove(group)


def has_killed(group: Path | None) -> bool:
    """Return whether the kernel ended a process of `group` because its limit was reached."""
    for name in EVENTS:
        with contextlib.suppress(OSError):
            if group and re.search(r"^oom_kill [1-9]", (group / name).read_text(), re.MULTILINE):
                return True
    return False


@functools.cache
def usable_parent() -> Path | None:
    """Return a cgroup below which one can be made, limited and entered; else None."""
    for parent in _candidates():
        group = _make(parent, 64 << 20)
        if group is None:
            continue
        try:
            command = ["/bin/sh", "-c", ENTER_SCRIPT, "sh", str(group / "cgroup.procs")]
            entered = subprocess.run(command, check=False, capture_output=True)
        finally:
            _remove(group)
        if entered.returncode == 0:
            _remove_abandoned(parent)
            return parent
    return None


def _remove_abandoned(parent: Path) -> None:
    """Remove the cgroups of processes that were killed before they removed them."""
    for group in parent.glob(f"{PREFIX}*"):
        process = group.name.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", process).exists():
            with contextlib.suppress(OSError):
                group.rmdir()


def _candidates() -> Iterator[Path]:
    """Yield this process's memory cgroup and, in v2, its parent.

    In v2 a cgroup with processes cannot have limited children, but it can have siblings.
    """
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        paths = {names: path for _, names, path in (line.split(":", 2) for line in lines)}
        v1 = next((path for names, path in paths.items() if "memory" in names.split(",")), None)
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        for fields in (line.split() for line in mounts):
            root, mount, kind, options = fields[3], fields[4], fields[-3], fields[-1].split(",")
            path = paths.get("") if kind == "cgroup2" else v1
            if path is None or not (
                kind == "cgroup2" or (kind == "cgroup" and "memory" in options)
            ):
                continue
            below = os.path.relpath(path, root)
            if below.startswith(".."):
                continue
            yield Path(mount) / below
            if kind == "cgroup2" and below != ".":
                yield (Path(mount) / below).parent


def _make(parent: Path, limit: int) -> Path | None:
    group = parent / f"{PREFIX}{os.getpid()}-{next(_serial_numbers)}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        for name, (swap_name, swap_limit) in LIMITS.items():
            # The file exists only if this cgroup has the memory controller.
            if (group / name).exists():
                (group / name).write_text(str(limit), encoding="ascii")
                with contextlib.suppress(OSError):  # a kernel that does not count swap
                    (group / swap_name).write_text(swap_limit or str(limit), encoding="ascii")
                return group
    except OSError:
        pass
    _remove(group)
    return None


def _remove(group: Path) -> None:
    deadline = time.monotonic() + REMOVAL_S
    while time.monotonic() < deadline:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # a killed process has not left yet
            time.sleep(0.002)
        else:
            return
