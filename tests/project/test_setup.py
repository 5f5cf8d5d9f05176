"""`make` sets up what is missing and never takes an environment away from another clone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.import_closure import ROOT

# In place of Python: notes what it is called with, makes a folder that looks like an environment,
# and finds the packages in place where the file `whole` says for which locks.
PYTHON = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
    "-m venv --clear "*)
        rm -rf "$4"; mkdir -p "$4/bin"; touch "$4/pyvenv.cfg"; cp "$0" "$4/bin/python";;
    "tools/check.py "*) cat requirements*.lock | cmp -s - "$(dirname "$0")/whole";;
    "-m pip install"*) cat requirements*.lock > "$(dirname "$0")/whole";;
esac
"""


class Machine:
    """Several clones, and a Python that takes no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.python = folder / "python3"
        self.python.write_text(PYTHON.format(log=self.log))
        self.python.chmod(0o755)

    def clone(self, name: str) -> Path:
        folder = self.folder / name
        (folder / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", folder)
        for lock in ("requirements.lock", "requirements-torch.lock", "pyproject.toml"):
            (folder / lock).write_text(f"{lock} 1\n")
        return folder

    def make(self, clone: Path, *words: str) -> tuple[int, str]:
        env = {**os.environ, "PYTHON": str(self.python)}
        for name in ("MAKEFLAGS", "MAKELEVEL", "VENV", "ACCELERATOR"):
            env.pop(name, None)
        command = ["make", *(words or ("setup",))]
        done = subprocess.run(
            command, cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def made(self) -> int:
        """How many environments have been made anew."""
        text = self.log.read_text() if self.log.exists() else ""
        return text.count("-m venv --clear")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def touch_all(clone: Path) -> None:
    """As a checkout does."""
    for path in clone.iterdir():
        if path.is_file():
            os.utime(path, (2e9, 2e9))


def test_an_environment_is_made_once_and_anew_where_the_locks_change(machine: Machine) -> None:
    clone = machine.clone("mine")
    for _ in range(2):
        code, said = machine.make(clone)
        assert (code, machine.made()) == (0, 1), said
        touch_all(clone)
    (clone / "requirements.lock").write_text("requirements.lock 2\n")
    assert machine.make(clone)[0] == 0
    assert machine.made() == 2
    assert machine.make(clone)[0] == 0
    assert machine.made() == 2


def test_an_interrupted_set_up_starts_anew(machine: Machine) -> None:
    clone, shared = machine.clone("mine"), machine.folder / "shared"
    machine.make(clone, "setup", f"VENV={shared}")
    (shared / ".complete-cpu").unlink()
    (shared / "bin/whole").unlink()
    assert machine.make(clone, "setup", f"VENV={shared}")[0] == 0
    assert machine.made() == 2


def test_an_environment_with_the_right_packages_is_taken_as_it_is(machine: Machine) -> None:
    """Made by an older Makefile, whose stamp says nothing."""
    clone = machine.clone("mine")
    machine.make(clone)
    (clone / ".venv/.complete-cpu").write_text("")
    (clone / ".venv/.clones").unlink()
    assert machine.make(clone)[0] == 0
    assert machine.made() == 1
    assert (clone / ".venv/.clones").read_text() == f"{clone}\n"


def test_clones_with_the_same_locks_share_an_environment(machine: Machine) -> None:
    shared = machine.folder / "shared"
    for name in ("first", "second"):
        clone = machine.clone(name)
        touch_all(clone)
        assert machine.make(clone, "setup", f"VENV={shared}")[0] == 0
    assert machine.made() == 1
    assert (shared / ".clones").read_text().splitlines() == [
        str(machine.folder / name) for name in ("first", "second")
    ]


@pytest.mark.parametrize("changed", ["first", "second"])
@pytest.mark.parametrize("target", ["setup", "clean"])
def test_no_clone_wipes_an_environment_that_another_uses(
    machine: Machine, changed: str, target: str
) -> None:
    shared = machine.folder / "shared"
    clones = {name: machine.clone(name) for name in ("first", "second")}
    for clone in clones.values():
        machine.make(clone, "setup", f"VENV={shared}")
    (clones[changed] / "requirements.lock").write_text("requirements.lock 2\n")
    code, said = machine.make(clones[changed], target, f"VENV={shared}")
    (other,) = clones.keys() - {changed}
    assert code != 0
    assert f"{clones[other]} uses it: left alone" in said
    assert machine.made() == 1
    assert (shared / ".complete-cpu").exists()
    # Once the other is gone, it is free.
    shutil.rmtree(clones[other])
    assert machine.make(clones[changed], "setup", f"VENV={shared}")[0] == 0
    assert machine.made() == 2


def test_targets_say_what_they_need(machine: Machine) -> None:
    clone = machine.clone("mine")
    code, said = machine.make(clone, "docs")
    assert code != 0
    assert "report/index.html: no such file; run `make repro` first\n" in said
    code, said = machine.make(clone, "bench", "NAME=nothing")
    assert code != 0
    assert "bench nothing: expected: all, asking tokens" in said


def test_an_environment_of_unknown_origin_outside_of_the_clone_is_left_alone(
    machine: Machine,
) -> None:
    shared = machine.folder / "shared"
    shared.mkdir()
    (shared / "pyvenv.cfg").write_text("")
    code, said = machine.make(machine.clone("mine"), "setup", f"VENV={shared}")
    assert code != 0
    assert "was not made by this clone: left alone" in said
    assert machine.made() == 0
    assert (shared / "pyvenv.cfg").exists()
