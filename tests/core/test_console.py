"""A stage that cannot go on prints one line with the cause, whatever the machine lacks."""

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from delta.core import progress
from tests.helpers.import_closure import ROOT
from tests.helpers.ordinary_user import NOBODY, PACKAGES, python_of_nobody

STAGE = """
import os, resource, sys, threading, time
from delta.core.console import run

def main(console):
{body}

run(main)
"""
ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": PACKAGES, "PYTHONDONTWRITEBYTECODE": "1"}
SMALL = 10_000  # bytes


def start(
    folder: Path,
    body: str,
    redirect: str = "",
    python: str = sys.executable,
    env: dict[str, str] | None = None,
    **how: Any,
) -> tuple[int, str, str]:
    """Run a stage with this `main`; return exit code, standard output and standard error."""
    lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    (folder / "stage.py").write_text(STAGE.format(body=lines), encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" stage.py {redirect}', python],
        cwd=folder,
        env=ENV | (env or {}),
        text=True,
        check=False,
        timeout=60,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how,
    )
    return done.returncode, done.stdout, done.stderr


def read_log(folder: Path) -> str:
    return (folder / "logs/stage.log").read_text(encoding="utf-8")


def no_larger_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


def test_a_stages_output_goes_to_the_log_and_its_messages_to_the_screen(tmp_path: Path) -> None:
    assert start(tmp_path, "console.print('message')\nprint('printed')") == (0, "", "message\n")
    assert read_log(tmp_path) == "printed\n"


@pytest.mark.parametrize(
    "body",
    [
        "for _ in range(10_000): print('printed', flush=True)",
        "print('x' * 20_000)",  # only written when the stage ends
        "os.write(2, bytes(9_990)); raise ValueError('another cause')",
    ],
)
def test_a_full_log_is_named_in_one_line(tmp_path: Path, body: str) -> None:
    code, _, screen = start(tmp_path, body, preexec_fn=no_larger_files)
    last = screen.splitlines()[-1]
    assert code == 1
    if "ValueError" in body:  # the cause is printed, though the log cannot be written
        assert "stage: ValueError: another cause" in screen
    else:
        assert screen.count("\n") == 1
        assert last.startswith("stage: logs/stage.log: File too large. Completed replies are kept")


def test_a_stage_ends_with_its_result_and_its_time(tmp_path: Path) -> None:
    code, _, screen = start(tmp_path, "console.finish('16 pairs')")
    assert code == 0
    assert re.fullmatch(r"stage: 16 pairs \(\d+ s\)\n", screen)


def test_the_second_process_of_a_stage_does_not_know_when_the_stage_began(tmp_path: Path) -> None:
    main = "def main(console, name, second=None): console.finish('rated')\n"
    (tmp_path / "judge.py").write_text(f"from delta.core.console import run\n{main}run(main)\n")

    def judge(*words: str) -> str:
        command = [sys.executable, "judge.py", *words]
        done = subprocess.run(command, cwd=tmp_path, env=ENV, capture_output=True, check=True)
        return done.stderr.decode()

    assert re.fullmatch(r"judge one-shot: rated \(\d+ s\)\n", judge("one-shot"))
    assert judge("one-shot", "second") == "judge one-shot: rated\n"


def test_a_stage_of_a_run_says_its_place(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    progress.start(file, ["pair", "stage", "train"], {})
    env = {"DELTA_PROGRESS": str(file)}
    _, _, screen = start(tmp_path, "console.finish('16 pairs')", env=env)
    assert screen.startswith("stage 2 of 3: stage: 16 pairs (")
    run = progress.read(file)
    assert run is not None
    assert list(run.ended) == ["stage"]


def test_a_terminal_shows_what_a_stage_does_until_the_next_line(tmp_path: Path) -> None:
    body = "console.status('loading')\nlist(console.progress('ab', 2, 'work'))\n"
    body += "console.status('writing')\nconsole.finish('16 pairs')"
    terminal, screen = os.openpty()
    assert start(tmp_path, body, stderr=screen)[0] == 0
    os.close(screen)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "\r\x1b[Kstage: loading ..." in shown
    assert "\x1b[K\rwork:   0%" in shown
    end = r"\r\x1b\[Kstage: writing \.\.\.\r\x1b\[Kstage: 16 pairs \(\d+ s\)\r\n"
    assert re.search(f"{end}$", shown), shown
    assert shown.count("\n") == 1
    assert start(tmp_path, body)[2].count("\n") == 1  # in a file


def test_an_error_replaces_what_a_terminal_shows(tmp_path: Path) -> None:
    body = "from delta.core.errors import InputError\nconsole.status('loading')\n"
    terminal, screen = os.openpty()
    assert start(tmp_path, body + "raise InputError('wrong')", stderr=screen)[0] == 2
    os.close(screen)
    assert os.read(terminal, 1000).endswith(b"...\r\x1b[Kstage: wrong\r\n")
    os.close(terminal)


def test_truncated_bytecode_is_one_line_with_the_command_that_removes_it(tmp_path: Path) -> None:
    for name in ("delta", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)

    def select() -> tuple[int, str]:
        command = [sys.executable, "-m", "stages.select"]
        done = subprocess.run(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stderr.decode()

    works = (2, "select: params.yaml: no such file; run from the project's root\n")
    assert select() == works
    (compiled,) = (tmp_path / "delta/pairing/__pycache__").glob("select.*.pyc")
    compiled.write_bytes(compiled.read_bytes()[:500])
    code, line = select()
    assert code == 1
    assert line == (
        "a compiled Python file (*.pyc) is truncated, perhaps by a full disk; remove these "
        f"files, then rerun: find . {sys.prefix} -name '*.pyc' -delete\n"
    )
    compiled.unlink()
    assert select() == works


@pytest.mark.parametrize("word", ["/victim", "../victim", "..", "a/b", "."])
def test_an_argument_that_is_a_path_is_refused(tmp_path: Path, word: str) -> None:
    code, _, screen = start(tmp_path, "open('worked', 'w')", f"'{word}'")
    assert (code, screen) == (2, f"stage: {word!r}; expected a name or a number\n")
    assert not (tmp_path / "worked").exists()


def test_a_log_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    code, _, screen = start(tmp_path, "pass")
    assert (code, screen.count("\n")) == (1, 1)
    assert screen.startswith("stage: logs: File exists. ")


def test_closed_standard_error_is_reported_on_standard_output_before_any_work(
    tmp_path: Path,
) -> None:
    code, output, screen = start(tmp_path, "open('worked', 'w')", "2>&-")
    assert (code, screen) == (1, "")
    assert output == "stage: standard error is closed; open it (2>FILE)\n"
    assert not (tmp_path / "worked").exists()
    assert start(tmp_path, "open('worked', 'w')", "2>&- >&-") == (1, "", "")


def test_library_output_never_lands_in_a_file_that_took_a_stream_number(
    tmp_path: Path,
) -> None:
    body = "file = open('kept', 'wb')\nos.write(1, b'printed')\nfile.write(b'kept')"
    assert start(tmp_path, body, "<&- >&-") == (0, "", "")
    assert (tmp_path / "kept").read_bytes() == b"kept"
    assert read_log(tmp_path) == "printed"


@pytest.mark.parametrize("how", ["pipe", "device"])
def test_a_screen_that_cannot_be_written_to_ends_the_stage_with_a_line_in_the_log(
    tmp_path: Path, how: str
) -> None:
    body = "time.sleep(0.5)\nconsole.print('message')\nopen('worked', 'w')"
    if how == "pipe":
        reader, screen = os.pipe()
        os.close(reader)
    else:
        screen = os.open("/dev/full", os.O_WRONLY)
    code, output, _ = start(tmp_path, body, stderr=screen)
    os.close(screen)
    assert (code, output) == (1, "")
    reason = "Broken pipe" if how == "pipe" else "No space left on device"
    message = f"stage: standard error cannot be written to ({reason}). "
    assert read_log(tmp_path).splitlines()[-1].startswith(message)
    assert not (tmp_path / "worked").exists()


def ordinary_user(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return an interpreter and `subprocess` arguments under which a process limit holds."""
    if os.getuid() != 0:
        return sys.executable, {}
    folder.chmod(0o777)
    for above in list(folder.parents)[:3]:
        if above.stat().st_uid == 0 and above != Path("/tmp"):
            above.chmod(above.stat().st_mode | 0o011)
    return python_of_nobody(), {"user": NOBODY, "group": NOBODY, "extra_groups": []}


NO_THREADS = "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n"


@pytest.mark.parametrize(
    "body",
    [
        "threading.Thread(target=print).start()",
        "os.fork()",
        "import polars\npolars.LazyFrame({'x': [1, 2]}).sum().collect()",
    ],
)
def test_a_lack_of_threads_is_one_line_with_the_limit(tmp_path: Path, body: str) -> None:
    python, how = ordinary_user(tmp_path)
    code, _, screen = start(tmp_path, NO_THREADS + body, python=python, **how)
    assert code == 1
    assert screen.startswith("stage: no more threads or processes can be started (")
    assert "(ulimit -u: 1; a container may have its own)" in screen
    assert screen.count("\n") == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_a_lack_of_threads_for_libraries_is_one_line_before_any_import(
    tmp_path: Path, limit: int
) -> None:
    python, how = ordinary_user(tmp_path)
    code = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NPROC, ({limit}, {limit}));"
        "runpy.run_module('stages.select', run_name='__main__')"
    )
    done = subprocess.run(
        [python, "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        check=False,
        **how,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no more threads or processes can be started (")
    assert f"(ulimit -u: {limit}; a container may have its own)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_memory_limit_is_named_too(tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
    body = limit + "for _ in range(100): threading.Thread(target=time.sleep, args=[3]).start()"
    code, _, screen = start(tmp_path, body + "\n")
    assert code == 1
    assert ", ulimit -v: 307200; a container may" in screen
    assert screen.count("\n") == 1


def test_a_lack_of_open_files_is_one_line_with_the_limit(tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
    code, _, screen = start(tmp_path, limit + "for _ in range(64): os.open('/', os.O_RDONLY)")
    assert code == 1
    assert screen == (
        "stage: Too many open files. Completed replies are kept. Raise the limit "
        "(ulimit -n: 32), then rerun.\n"
    )


@pytest.mark.parametrize("name", ["os.fsdecode(b'\\xff')", "chr(0xd800)"])
def test_text_that_is_not_utf_8_is_printed(tmp_path: Path, name: str) -> None:
    body = f"name = {name}\nconsole.print(name)\nfrom delta.core.errors import InputError\n"
    code, _, screen = start(tmp_path, body + "raise InputError(name)")
    assert code == 2
    assert screen.startswith("?\nstage: ")
    assert screen.count("\n") == 2


def test_any_other_error_names_the_log_that_has_its_traceback(tmp_path: Path) -> None:
    code, _, screen = start(tmp_path, "1 / 0")
    assert code == 1
    assert screen.endswith(
        "stage: ZeroDivisionError: division by zero\nstage: full traceback: logs/stage.log\n"
    )
    assert "ZeroDivisionError" in read_log(tmp_path)


def test_a_log_that_is_a_fifo_is_one_line_and_no_wait(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs/stage.log")
    code, _, screen = start(tmp_path, "pass")
    assert (code, screen) == (1, "stage: logs/stage.log: not a regular file; remove it\n")


def test_with_debug_the_streams_are_not_redirected(tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("typed\n")
    body = "print('printed')\nconsole.print(input())\n1 / 0"
    code, output, screen = start(tmp_path, body, "< typed", env={"DELTA_DEBUG": "1"})
    assert (code, output) == (1, "printed\n")
    assert screen.startswith("typed\nTraceback")
    assert screen.endswith("stage: ZeroDivisionError: division by zero\n")
    assert screen.count("Traceback") == 1
    assert not (tmp_path / "logs").exists()
