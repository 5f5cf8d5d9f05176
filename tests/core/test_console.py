"""What a person sees of a stage that cannot go on: one line with the cause, whatever is lacking."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.import_closure import ROOT
from tests.helpers.ordinary_user import NOBODY, PACKAGES, python_of_nobody

STAGE = """
import os, resource, sys, threading, time
from delta.core.console import run

def main(console, words):
{body}

run(main)
"""
SMALL = 10_000  # bytes


def start(
    folder: Path, body: str, redirect: str = "", python: str = sys.executable, **how: Any
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a stage with this `main`."""
    lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    (folder / "stage.py").write_text(STAGE.format(body=lines), encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" stage.py {redirect}', python],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PACKAGES, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
        check=False,
        timeout=60,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how,
    )
    return done.returncode, done.stdout, done.stderr


def log_of(folder: Path) -> str:
    return (folder / "logs/stage.log").read_text(encoding="utf-8")


def no_larger_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))


def test_a_stage_that_ends_well_says_what_it_says_and_logs_what_it_prints(tmp_path: Path) -> None:
    assert start(tmp_path, "console.print('said')\nprint('printed')") == (0, "", "said\n")
    assert log_of(tmp_path) == "printed\n"


@pytest.mark.parametrize(
    "body",
    [
        "for _ in range(10_000): print('printed', flush=True)",
        "print('x' * 20_000)",  # only written when the stage ends
        "os.write(2, bytes(9_990)); raise ValueError('another cause')",
    ],
)
def test_a_log_that_is_full_is_named_in_one_line(tmp_path: Path, body: str) -> None:
    code, _, screen = start(tmp_path, body, preexec_fn=no_larger_files)
    last = screen.splitlines()[-1]
    assert code == 1
    if "ValueError" in body:  # what went wrong is told, though its log cannot be written
        assert "stage: ValueError: another cause" in screen
    else:
        assert screen.count("\n") == 1
        assert last.startswith("stage: logs/stage.log: File too large. What was answered before")


def test_bytecode_that_was_cut_short_is_one_line_with_what_removes_it(tmp_path: Path) -> None:
    for name in ("delta", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)

    def said() -> tuple[int, str]:
        command = [sys.executable, "-m", "stages.select"]
        done = subprocess.run(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stderr.decode()

    works = (2, "select: params.yaml: no such file; run from the project's root\n")
    assert said() == works
    (compiled,) = (tmp_path / "delta/pairing/__pycache__").glob("select.*.pyc")
    compiled.write_bytes(compiled.read_bytes()[:500])
    code, line = said()
    assert code == 1
    assert line == (
        "a compiled file of Python (*.pyc) was cut short, as by a full disk; remove them and "
        f"run the same again: find . {sys.prefix} -name '*.pyc' -delete\n"
    )
    compiled.unlink()
    assert said() == works


@pytest.mark.parametrize("word", ["/victim", "../victim", "..", "a/b", "."])
def test_a_name_that_leads_elsewhere_is_refused_whoever_starts_the_stage(
    tmp_path: Path, word: str
) -> None:
    code, _, screen = start(tmp_path, "open('worked', 'w')", f"'{word}'")
    assert (code, screen) == (2, f"stage: {word!r}: allowed: names and numbers\n")
    assert not (tmp_path / "worked").exists()


def test_a_folder_of_logs_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    code, _, screen = start(tmp_path, "pass")
    assert (code, screen.count("\n")) == (1, 1)
    assert screen.startswith("stage: logs: File exists. ")


def test_closed_standard_error_is_said_on_standard_output_before_any_work(tmp_path: Path) -> None:
    code, output, screen = start(tmp_path, "open('worked', 'w')", "2>&-")
    assert (code, screen) == (1, "")
    assert output == "stage: standard error is closed; open it (2>FILE)\n"
    assert not (tmp_path / "worked").exists()
    assert start(tmp_path, "open('worked', 'w')", "2>&- >&-") == (1, "", "")


def test_what_libraries_print_never_lands_in_a_file_that_took_the_place_of_a_stream(
    tmp_path: Path,
) -> None:
    body = "file = open('kept', 'wb')\nos.write(1, b'printed')\nfile.write(b'kept')"
    assert start(tmp_path, body, "<&- >&-") == (0, "", "")
    assert (tmp_path / "kept").read_bytes() == b"kept"
    assert log_of(tmp_path) == "printed"


@pytest.mark.parametrize("how", ["pipe", "device"])
def test_a_screen_that_takes_no_more_ends_the_stage_with_a_line_in_the_log(
    tmp_path: Path, how: str
) -> None:
    body = "time.sleep(0.5)\nconsole.print('said')\nopen('worked', 'w')"
    if how == "pipe":
        reader, screen = os.pipe()
        os.close(reader)
    else:
        screen = os.open("/dev/full", os.O_WRONLY)
    code, output, _ = start(tmp_path, body, stderr=screen)
    os.close(screen)
    assert (code, output) == (1, "")
    reason = "Broken pipe" if how == "pipe" else "No space left on device"
    said = f"stage: standard error cannot be written to any more ({reason}). "
    assert log_of(tmp_path).splitlines()[-1].startswith(said)
    assert not (tmp_path / "worked").exists()


def of_an_ordinary_user(folder: Path) -> tuple[str, dict[str, Any]]:
    """Interpreter and arguments to start one in `folder` that a limit of processes holds for."""
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
def test_lack_of_threads_is_one_line_with_the_limit(tmp_path: Path, body: str) -> None:
    python, how = of_an_ordinary_user(tmp_path)
    code, _, screen = start(tmp_path, NO_THREADS + body, python=python, **how)
    assert code == 1
    assert screen.startswith("stage: no further thread or process can be started (")
    assert "(ulimit -u: 1; a container may have one of its own)" in screen
    assert screen.count("\n") == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_lack_of_threads_for_libraries_is_one_line_before_any_is_imported(
    tmp_path: Path, limit: int
) -> None:
    python, how = of_an_ordinary_user(tmp_path)
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
    assert done.stderr.startswith("no further thread or process can be started (")
    assert f"(ulimit -u: {limit}; a container may have one of its own)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_where_memory_is_limited_that_limit_is_named_too(tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
    body = limit + "for _ in range(100): threading.Thread(target=time.sleep, args=[3]).start()"
    code, _, screen = start(tmp_path, body + "\n")
    assert code == 1
    assert ", ulimit -v: 307200; a container may" in screen
    assert screen.count("\n") == 1


def test_lack_of_open_files_is_one_line_with_the_limit(tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
    code, _, screen = start(tmp_path, limit + "for _ in range(64): os.open('/', os.O_RDONLY)")
    assert code == 1
    assert screen == (
        "stage: Too many open files. What was answered before is kept; raise the limit "
        "(ulimit -n: 32) and run the same again\n"
    )


@pytest.mark.parametrize("name", ["os.fsdecode(b'\\xff')", "chr(0xd800)"])
def test_a_text_that_is_no_utf_8_is_said_all_the_same(tmp_path: Path, name: str) -> None:
    body = f"name = {name}\nconsole.print(name)\nfrom delta.core.errors import InputError\n"
    code, _, screen = start(tmp_path, body + "raise InputError(name)")
    assert code == 2
    assert screen.startswith("?\nstage: ")
    assert screen.count("\n") == 2


def test_anything_else_names_the_log_and_has_its_traceback_there(tmp_path: Path) -> None:
    code, _, screen = start(tmp_path, "1 / 0")
    assert code == 1
    assert screen.endswith(
        "stage: ZeroDivisionError: division by zero\nstage: the whole story: logs/stage.log\n"
    )
    assert "ZeroDivisionError" in log_of(tmp_path)
