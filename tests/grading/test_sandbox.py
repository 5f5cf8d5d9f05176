"""The sandbox contains hostile programs, as root and as an ordinary user, and leaves nothing."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.data import program_tests
from delta.grading import bubblewrap, memory_cgroup, sandbox, sandbox_runner, sandbox_seccomp
from delta.grading.code_grader import grade
from delta.grading.config import CodeParams
from delta.grading.sandbox import Program, run
from tests.helpers import grading_cases
from tests.helpers.import_closure import ROOT
from tests.helpers.ordinary_user import NOBODY, PACKAGES, python_of_nobody

PARAMS = CodeParams(
    sandbox="bubblewrap", timeout_s=2.0, memory_mib=256, processes=8, output_kib=256, file_mib=4
)
SECRET = "planted secret"
GRADE = """
import json, sys
from delta.grading.code_grader import grade
from delta.grading.config import CodeParams
params = CodeParams(**json.loads(sys.argv[1]))
for line in sys.stdin:
    print(json.dumps(grade(*json.loads(line), params)), flush=True)
"""
CORRECT = ("correct", None)
HOSTILE = grading_cases.read("hostile")
STAYS = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        command = [sys.executable, "-S", "-c", "import time; time.sleep(100)", "{marker}"]
        os.execv(sys.executable, command)
    os._exit(0)
os.wait()
time.sleep(0.3)
print("contained")
"""


def case(program: str) -> tuple[str, str, str]:
    """Return a gold with one test, which printing "contained" passes, and an answer."""
    tests = program_tests.pack([{"input": "", "output": "contained\n"}])
    return json.dumps({"kind": "stdin", "tests": tests}), f"```python\n{program}\n```", "stop"


def running(marker: str) -> list[int]:
    """Return the processes on this machine with `marker` in their command."""
    process_ids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker.encode() in (folder / "cmdline").read_bytes():
                process_ids.append(int(folder.name))
    return process_ids


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


class GradingProcess:
    """A grading process of a user with a secret in the home folder and the environment."""

    def __init__(self, user: int | None, python: str, params: CodeParams) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="delta-home-", dir="/var/tmp"))
        (self.home / "secret.txt").write_text(SECRET, encoding="utf-8")
        as_user: dict[str, Any] = {}
        if user is not None:
            for path in (self.home, self.home / "secret.txt"):
                os.chown(path, user, user)
            as_user = {"user": user, "group": user, "extra_groups": []}
        self.process = subprocess.Popen(
            [python, "-c", GRADE, params.model_dump_json()],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "DELTA_SECRET": SECRET,
                "PYTHONPATH": PACKAGES,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **as_user,
        )

    def ask(self, arguments: tuple[str, str, str]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()

    def verdict(self, arguments: tuple[str, str, str]) -> tuple[str, str | None]:
        assert self.process.stdout is not None
        self.ask(arguments)
        outcome, _, reason = json.loads(self.process.stdout.readline())
        return outcome, reason

    def end(self) -> None:
        try:
            self.process.communicate(timeout=10)  # it exits at the end of its input
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        shutil.rmtree(self.home)


@contextlib.contextmanager
def open_grader(user_name: str, params: CodeParams) -> Iterator[GradingProcess]:
    if user_name == "nobody":
        grader = GradingProcess(NOBODY, python_of_nobody(), params)
    else:
        grader = GradingProcess(None, sys.executable, params)
    try:
        yield grader
    finally:
        grader.end()


@pytest.fixture(scope="module", params=["this user", "nobody"])
def grader(request: pytest.FixtureRequest) -> Iterator[GradingProcess]:
    with open_grader(request.param, PARAMS) as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, list[Any]]]:
    """Yield the port of a server on this machine, and its accepted connections."""
    connections: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listening.accept()[1])

        threading.Thread(target=listen, daemon=True).start()
        yield listening.getsockname()[1], connections
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: str(hostile["case"]))
def test_a_hostile_program_is_contained_and_graded(
    grader: GradingProcess, server: tuple[int, list[Any]], hostile: dict[str, str]
) -> None:
    port, connections = server
    program = hostile["program"]
    for key, value in {"home": grader.home, "project": ROOT, "port": port}.items():
        program = program.replace("{" + key + "}", str(value))
    started = time.monotonic()
    assert grader.verdict(case(program)) == (hostile["outcome"], hostile.get("reason"))
    assert time.monotonic() - started < 2 * PARAMS.timeout_s + 3
    assert not connections
    assert sorted(path.name for path in grader.home.iterdir()) == ["secret.txt"]
    assert not (ROOT / "written").exists()


def test_a_process_that_outlives_its_program_is_killed(grader: GradingProcess) -> None:
    marker = f"stays-{time.monotonic_ns()}"
    started = time.monotonic()
    assert grader.verdict(case(STAYS.replace("{marker}", marker))) == CORRECT
    assert time.monotonic() - started < 5
    assert becomes_true(lambda: not running(marker))


def test_after_hostile_programs_the_grader_works_and_nothing_is_left(
    grader: GradingProcess,
) -> None:
    files = Path(f"/proc/{grader.process.pid}/fd")
    assert grader.verdict(case("print('contained')")) == CORRECT
    before = len(list(files.iterdir()))
    for _ in range(5):
        assert grader.verdict(case("while True:\n    print('x' * 1000)"))[0] == "incorrect"
    assert len(list(files.iterdir())) == before
    children = Path(f"/proc/{grader.process.pid}/task/{grader.process.pid}/children")
    assert becomes_true(lambda: not children.read_text().strip())
    assert becomes_true(lambda: not running(str(sandbox_runner.__doc__).split("\n")[0]))
    assert not list(Path(tempfile.gettempdir()).glob("delta-code-*"))


@pytest.mark.parametrize("user_name", ["this user", "nobody"])
def test_killing_the_grader_kills_its_sandbox(user_name: str) -> None:
    marker = f"killed-{time.monotonic_ns()}"
    program = STAYS.replace("{marker}", marker).replace("time.sleep(0.3)", "time.sleep(100)")
    with open_grader(user_name, PARAMS.model_copy(update={"timeout_s": 60.0})) as grader:
        grader.ask(case(program))
        assert becomes_true(lambda: bool(running(marker)))
        os.kill(grader.process.pid, signal.SIGKILL)
        assert becomes_true(lambda: not running(marker))
    memory_cgroup.usable_parent.cache_clear()
    parent = memory_cgroup.usable_parent()  # removes what the killed process could not
    assert parent is None or not list(parent.glob(f"{memory_cgroup.PREFIX}{grader.process.pid}-*"))


def test_a_run_is_limited_as_a_whole_where_a_memory_cgroup_can_be_made() -> None:
    parent = memory_cgroup.usable_parent()
    if parent is None:
        pytest.skip("no memory cgroup can be made here")
    small = PARAMS.model_copy(update={"memory_mib": 64, "timeout_s": 20.0})
    program = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = bytearray(40 << 20)
        time.sleep(1)
        os._exit(0)
print(any(os.waitstatus_to_exitcode(os.wait()[1]) == -9 for _ in range(6)))
"""
    result = run(Program("stdin", (program,)), small)
    assert result.reason == "memory_limit" or result.output == "True\n"
    assert not list(parent.glob(f"{memory_cgroup.PREFIX}{os.getpid()}-*"))


def test_programs_run_without_a_memory_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cgroup, "usable_parent", lambda: None)
    assert run(Program("stdin", ("print(1)",)), PARAMS).output == "1\n"


HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), r"#define __NR_(\w+) (\d+)$"),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"), r"#define __NR(?:3264)?_(\w+) (\d+)$"),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_system_call_numbers_equal_the_kernels_headers(machine: str) -> None:
    header, line = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"there is no {header}")
    known = dict(re.findall(line, header.read_text(encoding="utf-8"), re.MULTILINE))
    column, _ = sandbox_seccomp.MACHINES[machine]
    calls = sandbox_seccomp.DENIED | {
        "socketpair": sandbox_seccomp.SOCKETPAIR,
        "fcntl": sandbox_seccomp.FCNTL,
        "clone": sandbox_seccomp.CLONE,
    }
    denied = {name: numbers[column] for name, numbers in calls.items()}
    assert {name: int(known[name]) if name in known else None for name in denied} == denied
    for name, number in sandbox_seccomp.ALLOWED_NEWER.items():
        assert int(known.get(name, number)) == number  # headers may be older than a call


def test_concurrent_sandboxes_have_separate_process_limits() -> None:
    program = """
import threading, time
threads = [threading.Thread(target=time.sleep, args=(0.5,)) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(threading.active_count())
"""
    slow = PARAMS.model_copy(update={"timeout_s": 20.0})
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: run(Program("stdin", (program,)), slow), range(16)))
    assert [(result.reason, result.output) for result in results] == [(None, "1\n")] * 16


def test_the_hash_seed_is_fixed() -> None:
    outputs = {run(Program("stdin", ("print(set('abcdefgh'))",)), PARAMS).output for _ in range(3)}
    assert len(outputs) == 1


def test_the_limits_reach_the_program() -> None:
    program = """
import os, resource
for name in ("AS", "NPROC", "FSIZE", "CORE"):
    print(name, resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1])
print(resource.getrlimit(resource.RLIMIT_CPU))
print(sorted(os.environ), os.getcwd(), os.uname().nodename, open("/proc/self/oom_score_adj").read())
"""
    assert run(Program("stdin", (program,)), PARAMS).output.split("\n") == [
        "AS 268435456",
        "NPROC 8",
        "FSIZE 4194304",
        "CORE 0",
        "(3, 4)",
        "['HOME', 'LANG', 'PATH', 'PWD', 'PYTHONHASHSEED'] /tmp sandbox 1000",
        "",
        "",
    ]


def test_a_program_that_uses_two_cores_ends_by_its_cpu_time() -> None:
    busy = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    assert run(Program("stdin", (busy,)), PARAMS).reason == "time_limit"


def test_the_sandbox_is_checked_before_anything_runs() -> None:
    assert sandbox.check_sandbox(PARAMS) == "bubblewrap"
    assert sandbox.check_sandbox(PARAMS.model_copy(update={"sandbox": "none"})) == "none"


def test_without_a_sandbox_the_limits_hold_and_the_scratch_folder_is_removed() -> None:
    bare = PARAMS.model_copy(update={"sandbox": "none"})
    program = """
import os
open("scratch", "w").write("x")
print(os.getcwd(), "DELTA_SECRET" in os.environ)
"""
    result = run(Program("stdin", (program,)), bare)
    folder, has_secret = result.output.split()
    assert (result.reason, has_secret) == (None, "False")
    assert not Path(folder).exists()
    for endless in ("an endless loop", "100 GB at once", "output without end"):
        hostile = next(case for case in HOSTILE if case["case"] == endless)
        assert run(Program("stdin", (hostile["program"],)), bare).reason == hostile["reason"]


@pytest.fixture
def forget_bubblewrap() -> Iterator[None]:
    """Clear the cached bubblewrap before and after."""
    sandbox._bubblewrap.cache_clear()
    yield
    sandbox._bubblewrap.cache_clear()


@pytest.mark.usefixtures("forget_bubblewrap")
@pytest.mark.parametrize("binary", [None, "/bin/false", "/bin/true", "/no/such/file"])
def test_where_no_sandbox_works_nothing_is_run_and_the_error_says_so(
    monkeypatch: pytest.MonkeyPatch, binary: str | None
) -> None:
    binaries = [Path(binary)] if binary else []
    monkeypatch.setattr(bubblewrap, "binaries", lambda: iter(binaries))
    with pytest.raises(InputError, match=r"grading.code.sandbox = 'bubblewrap' does not work"):
        sandbox.check_sandbox(PARAMS)
    with pytest.raises(InputError):
        grade(*case("print('contained')"), PARAMS)


@pytest.mark.usefixtures("forget_bubblewrap")
def test_the_next_binary_is_tried_if_one_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    works = sandbox._bubblewrap()
    sandbox._bubblewrap.cache_clear()
    monkeypatch.setattr(bubblewrap, "binaries", lambda: iter([Path("/bin/false"), works]))
    assert sandbox._bubblewrap() == works


def test_a_sandbox_failure_makes_the_answer_ungradable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda: Path("/bin/false"))
    verdict = grade(*case("print('contained')"), PARAMS)
    assert verdict == (
        "ungradable",
        "print('contained')\n",
        "sandbox: ended with 1 before the program began",
    )


@pytest.mark.parametrize(
    "change", [{"timeout_s": 0.0}, {"processes": 0}, {"sandbox": "docker"}, {"memory_mib": 1}]
)
def test_impossible_limits_are_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        CodeParams(**(PARAMS.model_dump() | change))


@pytest.mark.slow
def test_starting_takes_well_under_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = []
    for _ in range(50):
        started = time.monotonic()
        assert run(Program("stdin", ("",)), PARAMS).reason is None
        seconds.append(time.monotonic() - started)
    with capsys.disabled():
        print(f"\nmedian of 50 starts: {1000 * statistics.median(seconds):.1f} ms")  # noqa: T201
    assert statistics.median(seconds) < 0.5
