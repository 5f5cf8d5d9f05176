"""Run each generated program in a separate bubblewrap sandbox, with limits.

A sandbox contains the interpreter with its standard library, read-only, and an empty scratch folder
in memory. It has no network, no files or variables of the user, and no other process. All of it
ends with the run and with the process that started it.
- For an ordinary user, bubblewrap makes a user namespace. For root, the program runs under a unique
  uid, because the kernel sets no process limit on root.
- If a memory cgroup can be made (delta.grading.memory_cgroup), a program takes at most
  `memory_mib` + `file_mib` + 64 MiB.
- Otherwise `memory_mib` limits each process. A sandbox can then take `processes` times that,
  `file_mib`, and kernel memory: about 1 KiB for each of 4,096 files; 13 MiB of data in socket pairs
  for each process (64 open files, and as many in transit in a socket); in pipes 30 MiB for each
  process, at most 64 MiB for a user (fs.pipe-user-pages-soft). If the machine runs out of memory,
  the kernel kills sandboxed processes first.
- Before Linux 5.14 the kernel counts all processes of an ordinary user on the machine, so a program
  that starts threads may fail.
- `sandbox: none` keeps the empty environment and the limits, except those on processes and on the
  number of files. It protects nothing else: a program sees the user's files and network, and the
  processes it starts may outlive it.
"""

import contextlib
import functools
import marshal
import math
import os
import platform
import resource
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from delta.core.errors import InputError
from delta.grading import bubblewrap, memory_cgroup, sandbox_runner, sandbox_seccomp
from delta.grading.config import CodeParams

START_S = 30.0  # for the sandbox to start on a busy machine; the program's limit comes after
END_S = 5.0  # for a killed sandbox to close its pipes
SERVER_END_S = 1.0  # for a served program to end and report why
MAX_STACK = 512 << 20  # bytes of the main thread, because correct programs may recurse deeply
MAX_OPEN_FILES = 64
MAX_SIGNALS = 256  # pending
OVERHEAD = 64 << 20  # bytes of a memory cgroup beyond memory_mib: bubblewrap, interpreter, kernel
FIRST_UID = 1_900_000_000  # above the uids that systems and containers assign
MAX_THREAD_ID = 1 << 22
MAX_ERRORS = 4_096  # bytes kept of the stderr of bubblewrap and the program
# Statuses that a run of each kind may report besides sandbox_runner.REASONS.
KIND_STATUSES = {"stdin": (), "call": ("result",), "serve": (), "check": ("passed", "bad_check")}
PYTHON_OPTIONS = ("-s", "-S", "-P", "-c")
PIPES = ("output", "errors", "status")  # the last is the runner's own
RUNNER_SOURCE = Path(sandbox_runner.__file__).read_text(encoding="utf-8")


Limits = dict[str, tuple[int, int]]  # constant of `resource` -> soft and hard limit


class Program(NamedTuple):
    """A program, and how sandbox_runner runs it."""

    kind: Literal["stdin", "call", "serve", "check"]
    texts: tuple[str, ...]  # run in order in one module
    function: str = ""  # called with `input` (call), or from another sandbox (serve, check)
    input: str = ""  # standard input; for "call" the arguments as JSON, one per line


class RunResult(NamedTuple):
    """The end of a run, its output, and its return value."""

    reason: str | None  # None: it completed; else sandbox_runner.REASONS, time_limit, output_limit
    output: str
    result: str | None  # JSON of a "call"


class SandboxError(Exception):
    """The sandbox failed before it ran the program, so the program cannot be judged."""


class _Sandbox(NamedTuple):
    process: "subprocess.Popen[bytes]"
    pipes: dict[int, str]  # file descriptor -> name in `captured`, until it is closed
    captured: dict[str, bytearray]  # what was read of each of PIPES
    cgroup: Path | None

    def text(self, pipe: str) -> str:
        return self.captured[pipe].decode("utf-8", "replace")


def check_sandbox(params: CodeParams) -> str:
    """Return how code is run, for the results. Raises InputError if this machine cannot do it."""
    _binary(params)
    return params.sandbox


def run(program: Program, params: CodeParams) -> RunResult:
    """Run a program; the caller judges its output or result."""
    return _run(program, params, _binary(params))


def run_check(program: Program, check: Program, params: CodeParams) -> RunResult:
    """Run `check` on the function that `program` serves, in two separate sandboxes.

    Only plain values pass between the two, so nothing that the program defines or changes reaches
    the check. `reason` is "bad_check" if the check could not call the function.
    """
    binary = _binary(params)
    with contextlib.ExitStack() as stack:
        calls, replies = _pipe(stack), _pipe(stack)
        server = _start(stack, program, params, binary, (calls[0], replies[1]))
        checker = _start(stack, check, params, binary, (replies[0], calls[1]), number=1)
        for end in (*calls, *replies):
            end.close()  # else neither would notice that the other ended
        reason = _wait([checker, server], params)
        if reason is None and _status(checker, check.kind)[0] != "passed":
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(SERVER_END_S)
        for sandbox in (checker, server):
            _kill(sandbox)
        if reason != "output_limit":  # a program may reach it before its check begins
            reason = _check_reason(server, checker, reason)
        return RunResult(reason, server.text("output"), None)


def _check_reason(server: _Sandbox, checker: _Sandbox, reason: str | None) -> str | None:
    """Return why the check failed; `reason`: why the run was stopped, if it was."""
    (failure, _), (status, _) = _status(server, "serve"), _status(checker, "check")
    if reason or failure:  # the program failed before it served a call
        return reason or failure
    if status == "passed":
        return None
    return _limit_reached(server) or status or _limit_reached(checker) or "runtime_error"


def _binary(params: CodeParams) -> Path | None:
    return _bubblewrap() if params.sandbox == "bubblewrap" else None


@functools.cache
def _bubblewrap() -> Path:
    """Return the first bubblewrap that works on this machine. Raises InputError."""
    if platform.machine() not in sandbox_seccomp.MACHINES:
        raise _no_sandbox(f"system calls of {platform.machine()} are not known")
    trial = CodeParams(
        sandbox="bubblewrap", timeout_s=30, memory_mib=512, processes=4, output_kib=4, file_mib=1
    )
    reason = "there is no bwrap"
    for binary in bubblewrap.binaries():
        try:
            if _run(Program("stdin", ("print(6 * 7)",)), trial, binary).output == "42\n":
                return binary
        except (SandboxError, OSError) as error:
            reason = f"{binary}: {error}"
    raise _no_sandbox(reason)


def _no_sandbox(reason: str) -> InputError:
    return InputError(
        f"grading.code.sandbox = 'bubblewrap' does not work on this machine ({reason}); install "
        "bubblewrap and allow user namespaces, or set it to none to run generated code unprotected"
    )


def _run(program: Program, params: CodeParams, binary: Path | None) -> RunResult:
    with contextlib.ExitStack() as stack:
        sandbox = _start(stack, program, params, binary)
        reason = _wait([sandbox], params)
        _kill(sandbox)
        status, result = _status(sandbox, program.kind)
        if reason is None and status == "result":
            return RunResult(None, sandbox.text("output"), result)
        if reason is None and sandbox.process.returncode:
            reason = status or _limit_reached(sandbox) or "runtime_error"
        return RunResult(reason or status, sandbox.text("output"), None)


def _start(
    stack: contextlib.ExitStack,
    program: Program,
    params: CodeParams,
    binary: Path | None,
    channel: tuple[Any, Any] | None = None,
    number: int = 0,
) -> _Sandbox:
    """Start a sandbox that ends with `stack`.

    `channel`: the ends of two pipes, to read from and write to another sandbox. `number`: 1 for the
    second sandbox that this thread runs at once.
    """
    uid = None
    if binary and bubblewrap.is_root():
        # Unique among runs: thread ids are unique on a machine.
        uid = FIRST_UID + number * MAX_THREAD_ID + threading.get_native_id()
    channel_files = [end.fileno() for end in channel or ()]
    limits = _limits(params, counts_own_processes=binary is not None)
    job = _job(program, limits, uid, channel_files)
    stdin = _memory_file(stack, program.input if program.kind == "stdin" else "")
    job_file = _memory_file(stack, marshal.dumps(job))
    pipes = {name: _pipe(stack, uid) for name in PIPES}
    status = pipes["status"][1].fileno()
    passed = [job_file, status, *channel_files]
    command = [str(bubblewrap.PYTHON), *PYTHON_OPTIONS, RUNNER_SOURCE, str(job_file), str(status)]
    folder = "/"
    if binary:
        filter_file = _memory_file(stack, sandbox_seccomp.filter_program())
        passed.append(filter_file)
        command = bubblewrap.isolate_command(command, binary, params.file_mib << 20, filter_file)
    else:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="delta-code-"))
    cgroup = None
    if program.kind != "check":  # it runs no generated code, and entering takes 10 to 20 ms
        memory = (params.memory_mib + params.file_mib << 20) + OVERHEAD
        cgroup = stack.enter_context(memory_cgroup.memory_cgroup(memory))
    with _deep_stack():
        process = subprocess.Popen(
            bubblewrap.limit_command(command, limits, cgroup),
            stdin=stdin,
            stdout=pipes["output"][1],
            stderr=pipes["errors"][1],
            pass_fds=passed,
            cwd=folder,
            env={}
            if binary
            else bubblewrap.ENVIRONMENT,  # a program can read bubblewrap's in /proc
            start_new_session=True,
        )
    names = {source.fileno(): name for name, (source, _) in pipes.items()}
    sandbox = _Sandbox(process, names, {name: bytearray() for name in PIPES}, cgroup)
    stack.callback(_kill, sandbox)
    for _, end in pipes.values():
        end.close()
    return sandbox


def _job(
    program: Program, limits: Limits, uid: int | None, channel_files: list[int]
) -> dict[str, Any]:
    """Return the program and its limits, as the runner inside the sandbox reads them."""
    reads_input = program.kind == "stdin"
    return program._asdict() | {
        "input": "" if reads_input else program.input,
        "module": "__main__" if reads_input else "answer",
        "uid": uid,
        "limits": limits,
        "channel": channel_files,
    }


def _limits(params: CodeParams, counts_own_processes: bool) -> Limits:
    """Return the soft and hard limits of each process.

    `counts_own_processes`: the kernel counts this run's processes apart from the user's.
    """
    seconds = math.ceil(params.timeout_s) + 1
    limits = {
        "RLIMIT_AS": params.memory_mib << 20,
        "RLIMIT_FSIZE": params.file_mib << 20,
        "RLIMIT_NOFILE": MAX_OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_SIGPENDING": MAX_SIGNALS,
        "RLIMIT_MSGQUEUE": 0,
    }
    if counts_own_processes:
        limits["RLIMIT_NPROC"] = params.processes
    # The soft limit ends a program by SIGXCPU, which gives the reason.
    return {"RLIMIT_CPU": (seconds, seconds + 1)} | {name: (n, n) for name, n in limits.items()}


def _memory_file(stack: contextlib.ExitStack, content: str | bytes) -> int:
    """Open a file in memory; unlike a pipe, it takes any size at once."""
    file = os.memfd_create("input")
    stack.callback(os.close, file)
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(file, remaining) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _pipe(stack: contextlib.ExitStack, uid: int | None = None) -> tuple[Any, Any]:
    start, end = os.pipe()
    if uid is not None:
        os.fchown(end, uid, uid)  # a program may open /dev/stdout
    return (
        stack.enter_context(os.fdopen(start, "rb", buffering=0)),
        stack.enter_context(os.fdopen(end, "wb", buffering=0)),
    )


@contextlib.contextmanager
def _deep_stack() -> Iterator[None]:
    """Give the processes started in this context a large stack, which the kernel sets at start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    size = MAX_STACK if hard == resource.RLIM_INFINITY else min(MAX_STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _wait(sandboxes: list[_Sandbox], params: CodeParams) -> str | None:
    """Read all pipes until the first of `sandboxes` ends; return why it must be stopped, if so."""
    deadline, has_started = time.monotonic() + START_S, False
    first = sandboxes[0]
    with selectors.DefaultSelector() as selector:
        for sandbox in sandboxes:
            for pipe in sandbox.pipes:
                selector.register(pipe, selectors.EVENT_READ, sandbox)
        while first.pipes.keys() & selector.get_map().keys():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                return "time_limit"
            for key, _ in ready:
                if not _read(key.data, key.fd):
                    selector.unregister(key.fd)
                captured = key.data.captured
                if max(len(captured["output"]), len(captured["status"])) > params.output_kib << 10:
                    return "output_limit"
            if not has_started and all(sandbox.captured["status"] for sandbox in sandboxes):
                deadline, has_started = time.monotonic() + params.timeout_s, True
    try:
        # A program that has closed its outputs may still run.
        first.process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "time_limit"
    return None


def _read(sandbox: _Sandbox, pipe: int) -> bool:
    """Read available bytes of a pipe; return False at its end."""
    chunk = os.read(pipe, 1 << 16)
    sandbox.captured[sandbox.pipes[pipe]].extend(chunk)
    del sandbox.captured["errors"][MAX_ERRORS:]
    return bool(chunk)


def _kill(sandbox: _Sandbox) -> None:
    """Kill all processes of a run, and read its pipes until all are closed."""
    # Not waited for yet, so its process id is still its own.
    if sandbox.process.returncode is None:
        os.killpg(sandbox.process.pid, signal.SIGKILL)
        sandbox.process.wait()
    deadline = time.monotonic() + END_S
    with selectors.DefaultSelector() as selector:
        for pipe in sandbox.pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(0.1):
                if not _read(sandbox, key.fd):
                    selector.unregister(key.fd)
    sandbox.pipes.clear()


def _status(sandbox: _Sandbox, kind: str) -> tuple[str | None, str]:
    """Return the status that the runner reported, if any, and the result with it.

    Only a check may report "passed": it runs no generated code. Raises SandboxError if the program
    did not begin.
    """
    lines = sandbox.text("status").split("\n")
    if lines[0] != "ready":
        errors = sandbox.text("errors").strip().split("\n")
        code = sandbox.process.returncode
        raise SandboxError(errors[-1] or f"ended with {code} before the program began")
    word, _, result = lines[1].partition(" ")
    known = (*sandbox_runner.REASONS, *KIND_STATUSES[kind])
    return (word if word in known else "runtime_error" if word else None), result


def _limit_reached(sandbox: _Sandbox) -> str | None:
    """Return the limit that ended a program without a status, if a limit did."""
    if memory_cgroup.has_killed(sandbox.cgroup):
        return "memory_limit"
    return "time_limit" if abs(sandbox.process.returncode) % 128 == signal.SIGXCPU else None
