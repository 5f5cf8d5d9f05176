"""Run inside the sandbox: set the limits, run the program and report its status.

A bare interpreter runs the source of this file (`python -c`), so it imports no module of ours, and
few others, because imports slow down every run.
It reports through a separate pipe, one line each: "ready" before the program starts, then at most
one of REASONS, or "result" and a value as JSON. A check reports "passed" or "bad_check".

A checked function runs in one sandbox ("serve") and its check in another ("check"). Two pipes
between them carry a line of JSON for each call and each reply. A check sees only the values that
the program returns, and no changes of the arguments.
"""

from __future__ import annotations

import _thread
import marshal
import os
import resource
import sys

TYPE_CHECKING = False  # not typing's: importing typing takes as long as the rest of a run
if TYPE_CHECKING:
    from typing import Any

REASONS = ("syntax_error", "runtime_error", "memory_limit", "wrong_answer", "no_plain_value")
THREAD_STACK = 8 << 20  # the usual size; only the main thread has more, for deep recursion
SEQUENCES = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class NotPlainError(Exception):
    """A value is not built of Python's built-in types."""


class BadCheckError(Exception):
    """The check failed, not the program."""


class ProgramEndedError(BaseException):
    """The program ended, or its reply is invalid; the check must stop."""


def main(job_file: int, status_pipe: int) -> None:
    """Run the job, a marshalled dict in file descriptor `job_file`; report to `status_pipe`."""
    with open(job_file, "rb") as source:
        job = marshal.load(source)
    for name, (soft, hard) in job["limits"].items():
        resource.setrlimit(getattr(resource, name), (soft, hard))
    _thread.stack_size(THREAD_STACK)
    if job["uid"] is not None:
        _set_user(job["uid"])
    for file in (status_pipe, *job["channel"]):
        os.set_inheritable(file, False)
    if job["channel"]:
        import json  # noqa: F401 - before the program's time starts
    sys.argv = ["answer.py"]
    # A real module, so that `__main__`, pickle and dataclasses find the program's definitions.
    module = type(sys)(job["module"])
    sys.modules[job["module"]] = module
    _write_line(status_pipe, "ready")
    try:
        status = _run(job, module.__dict__)
    except SystemExit:
        # A program that reads stdin may exit; a tested function may not.
        status = None if job["kind"] == "stdin" else "runtime_error"
    except BaseException as error:  # noqa: BLE001 - whatever a program may raise
        status = _reason(error, job["kind"])
    if status is not None:
        _write_line(status_pipe, status)
        os._exit(0)  # the program's threads and exit handlers must not delay the end


def _reason(error: BaseException, kind: str) -> str:
    if isinstance(error, MemoryError):
        return "memory_limit"
    if isinstance(error, AssertionError) and kind == "check":
        return "wrong_answer"
    if isinstance(error, NotPlainError):
        return "no_plain_value"
    return "bad_check" if isinstance(error, BadCheckError) else "runtime_error"


def _set_user(uid: int) -> None:
    """Become an unprivileged user, because the kernel sets no process limit on root."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _write_line(pipe: int, line: str) -> None:
    remaining = memoryview(line.encode("utf-8", "surrogatepass") + b"\n")
    while remaining:
        remaining = remaining[os.write(pipe, remaining) :]


def _run(job: Any, names: dict[str, Any]) -> str | None:
    """Return the status of the program; None if it ran to its end and its output decides."""
    if job["kind"] == "check":
        _check(job, names)
        return "passed"
    try:
        # Compile each text separately: a `from __future__` must be its first statement.
        parts = [compile(text, "answer.py", "exec", dont_inherit=True) for text in job["texts"]]
    except (SyntaxError, ValueError):
        return "syntax_error"
    for part in parts:
        exec(part, names)
    if job["kind"] == "stdin":
        return None
    if job["kind"] == "serve":
        _serve(names[job["function"]], *job["channel"])
    import json

    arguments = [json.loads(line) for line in job["input"].split("\n") if line.strip()]
    return _result(_function(names, job["function"])(*arguments))


def _function(names: dict[str, Any], name: str) -> Any:
    if hasattr(names.get("Solution"), name):
        return getattr(names["Solution"](), name)
    return names[name]


def _result(value: Any) -> str:
    import json

    try:
        return "result " + json.dumps(value)  # tuples become lists
    except (TypeError, ValueError, RecursionError):
        return "wrong_answer"  # expected values are JSON, so this one equals none of them


def _serve(function: Any, calls: int, replies: int) -> None:
    """Answer calls until the check ends, then exit."""
    import json

    with open(calls, encoding="ascii") as lines:
        for line in lines:
            args, kwargs = decode(json.loads(line))
            try:
                reply = {"value": encode(function(*args, **kwargs))}
            except BaseException as error:  # noqa: BLE001 - whatever a program may raise
                reply = {"error": type(error).__name__}
            _write_line(replies, json.dumps(reply))
    os._exit(0)


def _check(job: Any, names: dict[str, Any]) -> None:
    """Run the texts of a check; calls of its function go to the other sandbox."""
    try:
        for text in job["texts"]:
            exec(compile(text, "check.py", "exec", dont_inherit=True), names)
        check = names["check"]
    except Exception as error:
        raise BadCheckError from error
    names[job["function"]] = candidate = _caller(*job["channel"])
    check(candidate)


def _caller(replies: int, calls: int) -> Any:
    """Return a function whose calls the program answers."""
    import json

    lines = open(replies, "rb")  # noqa: SIM115 - open until this process ends

    def candidate(*args: Any, **kwargs: Any) -> Any:
        try:
            call = json.dumps(encode((args, kwargs)))
        except NotPlainError as error:
            raise BadCheckError from error
        try:
            _write_line(calls, call)
            line = lines.readline()
            reply = json.loads(line)
            if "value" in reply:
                return decode(reply["value"])
            failure = _error(reply["error"])
        except (MemoryError, ProgramEndedError):
            raise
        except Exception as error:  # the program ended, or its reply is invalid
            raise ProgramEndedError from error
        raise failure

    return candidate


def _error(name: str) -> BaseException:
    """Return an exception like the one that the program raised."""
    import builtins

    if name == "NotPlainError":
        return NotPlainError()
    kind = getattr(builtins, name, None)
    # StopIteration would end loops of the check; SystemExit would end the check.
    ends_loops = name in ("StopIteration", "StopAsyncIteration")
    if isinstance(kind, type) and issubclass(kind, Exception) and not ends_loops:
        return kind()
    return ProgramEndedError()


def encode(value: Any) -> Any:
    """Return `value` as JSON types, from which `decode` restores Python's built-in types.

    A subclass of a container is read by the container's methods, so that its `==` is Python's.
    Raises NotPlainError for anything else.
    """
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if kind is int:  # large ones as hex, because Python limits the digits of decimal text
        return value if -(1 << 63) <= value < 1 << 63 else {"int": hex(value)}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in dict.items(value)]}
    for name, sequence in SEQUENCES.items():
        if isinstance(value, sequence):
            return {name: [encode(item) for item in sequence.__iter__(value)]}
    raise NotPlainError(f"the function returned {kind.__name__}")


def decode(content: Any) -> Any:
    """Invert `encode`. Raises any Exception if `content` is not from `encode`."""
    if not isinstance(content, dict):
        return content
    ((name, parts),) = content.items()
    if name == "int":
        return int(parts, 16)
    if name == "complex":
        return complex(*parts)
    if name == "bytes":
        return bytes.fromhex(parts)
    if name == "dict":
        return {decode(key): decode(item) for key, item in parts}
    return SEQUENCES[name](map(decode, parts))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
