"""What runs inside the sandbox: it takes on the limits, runs the program and says how that went.

The text of this file is given to a bare interpreter (`python -c`), so it imports nothing of ours
and, because every import is paid for with each run, little else.
Its words go through a pipe of their own, one a line: "ready" before any line of the program has
run, then at most one of REASONS, or "result" and a value as JSON, or "passed" and the nonce.
"""

from __future__ import annotations

import _thread
import marshal
import os
import resource
import sys

TYPE_CHECKING = False  # not typing's: to import that takes as long as all the rest of a run
if TYPE_CHECKING:
    from typing import Any

REASONS = ("syntax_error", "runtime_error", "memory_limit", "wrong_answer")
THREAD_STACK = 8 << 20  # the usual size; the limit for the main thread is raised (deep recursion)
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def main(job_file: int, words: int, nonce_file: int) -> None:
    job = _job(job_file)
    _take_on(job["limits"])
    if job["uid"] is not None:
        _become(job["uid"])
    for file in (words, nonce_file):
        os.set_inheritable(file, False)
    sys.argv = ["answer.py"]
    # The program's own module, so that `__main__`, pickle and dataclasses find what it defines.
    module = type(sys)(job["module"])
    sys.modules[job["module"]] = module
    _say(words, "ready")
    try:
        word = _run(job, module.__dict__, nonce_file)
    except SystemExit:
        # A program that reads stdin may end itself; a function that is tested may not.
        word = None if job["kind"] == "stdin" else "runtime_error"
    except MemoryError:
        word = "memory_limit"
    except AssertionError:
        word = "wrong_answer" if job["kind"] == "check" else "runtime_error"
    except BaseException:  # noqa: BLE001 - whatever a program may raise
        word = "runtime_error"
    if word is not None:
        _say(words, word)
        os._exit(0)  # no thread or exit handler of the program may hold up what is decided


def _job(file: int) -> Any:
    with open(file, "rb") as source:
        return marshal.load(source)


def _take_on(limits: dict[str, tuple[int, int]]) -> None:
    # Where the machine runs out of memory, the kernel shall end these processes first.
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123
        score.write("1000")
    for name, (soft, hard) in limits.items():
        resource.setrlimit(getattr(resource, name), (soft, hard))
    _thread.stack_size(THREAD_STACK)


def _become(uid: int) -> None:
    """An unprivileged user: the kernel holds root to no limit on processes."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _say(words: int, word: str) -> None:
    left = memoryview(word.encode("utf-8", "surrogatepass") + b"\n")
    while left:
        left = left[os.write(words, left) :]


def _run(job: Any, names: dict[str, Any], nonce_file: int) -> str | None:
    """The word on this program; None for one that ran to its end and has its output judged."""
    try:
        # Each text for itself: a `from __future__` must be the first line of its own.
        parts = [compile(text, "answer.py", "exec", dont_inherit=True) for text in job["texts"]]
    except (SyntaxError, ValueError):
        return "syntax_error"
    for part in parts:
        exec(part, names)
    if job["kind"] == "stdin":
        return None
    if job["kind"] == "call":
        import json

        arguments = [json.loads(line) for line in job["input"].split("\n") if line.strip()]
        return _result(_function(names, job["function"])(*arguments))
    function = names[job["function"]]
    names["check"](lambda *values, **named: _plain(function(*values, **named)))
    return "passed " + os.read(nonce_file, 100).decode("ascii")


def _function(names: dict[str, Any], name: str) -> Any:
    if hasattr(names.get("Solution"), name):
        return getattr(names["Solution"](), name)
    return names[name]


def _result(value: Any) -> str:
    import json

    try:
        return "result " + json.dumps(value)  # tuples become lists
    except (TypeError, ValueError, RecursionError):
        return "wrong_answer"  # expected values are JSON, so one that is not equals none of them


def _plain(value: Any) -> Any:
    """`value` if it is built of Python's own types, so that its `==` is Python's own."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict):  # also a Counter or defaultdict, read by dict's own methods
        return {_plain(key): _plain(item) for key, item in dict.items(value)}
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(map(_plain, kind.__iter__(value)))
    raise TypeError(f"the function returned {type(value).__name__}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
