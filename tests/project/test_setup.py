"""`make` installs what is missing and never changes an environment that another clone uses."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.import_closure import ROOT

# In place of Python and of uv, which it runs as a module: writes its arguments to a log and creates
# a folder that looks like an environment. `FAIL` holds a word of the arguments that make it fail.
PYTHON = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
    "-m venv --clear "*)
        rm -rf "$4"; mkdir -p "$4/bin"; touch "$4/pyvenv.cfg"; cp "$0" "$4/bin/python";;
    "-m pip config list") cat {config} 2>/dev/null;;
    "-m uv "*) echo "$UV_DEFAULT_INDEX|$UV_EXTRA_INDEX_URL|$UV_FIND_LINKS|$UV_CONSTRAINT" >> {log};;
esac
if [ -n "$FAIL" ]; then case "$*" in *"$FAIL"*) exit 1;; esac; fi
exit 0
"""
ALL_GROUPS = "cluster fuzz s3 tests"


class Machine:
    """Several clones, and a stand-in for Python that takes no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_file = folder / "log"
        self.pip_config = folder / "pip-config"
        self.python = folder / "python3"
        self.python.write_text(PYTHON.format(log=self.log_file, config=self.pip_config))
        self.python.chmod(0o755)

    def clone(self, name: str) -> Path:
        folder = self.folder / name
        shutil.copytree(ROOT / "tools", folder / "tools")
        shutil.copytree(ROOT / "requirements", folder / "requirements")
        for file in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / file, folder)
        return folder

    def make(self, clone: Path, *arguments: str, fail: str = "") -> tuple[int, str]:
        env = {**os.environ, "PYTHON": str(self.python), "FAIL": fail}
        for name in list(env):
            if name in {"MAKEFLAGS", "MAKELEVEL", "VENV", "ACCELERATOR", "WITH"} or (
                name.startswith("UV_")
            ):
                del env[name]
        command = ["make", *(arguments or ("setup",))]
        process = subprocess.run(
            command, cwd=clone, env=env, capture_output=True, text=True, check=False
        )
        return process.returncode, process.stdout + process.stderr

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def new_environments(self) -> int:
        return self.log().count("-m venv --clear")

    def installations(self) -> list[list[str]]:
        """Return the lock files of each `uv pip sync`, such as `running` and `gpu/running`."""
        lines = [line for line in self.log().split("\n") if line.startswith("-m uv pip sync")]
        return [re.findall(r"requirements/(\S+)\.txt", line) for line in lines]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def touch_all(clone: Path) -> None:
    """Give every file a new time, as a checkout does."""
    for path in clone.rglob("*"):
        if path.is_file() and ".venv" not in path.parts:
            os.utime(path, (2e9, 2e9))


def change_lock(clone: Path) -> None:
    with (clone / "requirements/running.txt").open("a") as file:
        file.write("# changed\n")


def test_an_environment_is_created_once_and_updated_where_the_locks_change(
    machine: Machine,
) -> None:
    clone = machine.clone("first")
    for _ in range(2):
        code, output = machine.make(clone)
        assert (code, machine.new_environments(), len(machine.installations())) == (0, 1, 1), output
        touch_all(clone)
    change_lock(clone)
    for _ in range(2):
        assert machine.make(clone)[0] == 0
        assert (machine.new_environments(), len(machine.installations())) == (1, 2)


def test_uv_shows_its_progress_on_a_terminal_only(machine: Machine) -> None:
    clone = machine.clone("first")
    assert machine.make(clone)[0] == 0
    assert machine.log().count("-m uv pip sync --quiet --require-hashes") == 1
    change_lock(clone)
    terminal, screen = os.openpty()
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(machine.python)}
    command = ["make", "setup"]
    subprocess.run(command, cwd=clone, env=environment, check=True, stderr=screen)
    for end in (terminal, screen):
        os.close(end)
    assert machine.log().count("-m uv pip sync --require-hashes") == 1


def test_a_run_installs_only_what_running_needs_and_groups_stay(machine: Machine) -> None:
    clone = machine.clone("first")
    running = ["torch", "running"]
    assert machine.make(clone, "environment")[0] == 0
    assert machine.installations() == [running]
    assert machine.make(clone, "setup", "WITH=s3")[0] == 0
    assert machine.make(clone, "test-environment")[0] == 0
    assert machine.installations()[1:] == [[*running, "s3"], [*running, *ALL_GROUPS.split()]]
    for target in ("environment", "setup", "test-environment"):
        assert machine.make(clone, target)[0] == 0
    assert len(machine.installations()) == 3
    change_lock(clone)
    assert machine.make(clone, "environment")[0] == 0
    assert machine.installations()[3:] == [[*running, *ALL_GROUPS.split()]]
    assert machine.new_environments() == 1


def test_a_group_that_does_not_exist_is_refused(machine: Machine) -> None:
    code, output = machine.make(machine.clone("first"), "setup", "WITH=nothing")
    assert code != 0
    assert "nothing: no such group; expected one of cluster, fuzz, s3, tests" in output
    assert machine.new_environments() == 0


@pytest.mark.parametrize("step", ["pip install", "uv pip sync"])
def test_an_interrupted_set_up_starts_from_nothing(machine: Machine, step: str) -> None:
    clone, shared = machine.clone("first"), machine.folder / "shared"
    assert machine.make(clone, "setup", f"VENV={shared}", fail=step)[0] != 0
    assert not (shared / ".complete-cpu").exists()
    assert machine.make(clone, "setup", f"VENV={shared}")[0] == 0
    assert machine.new_environments() == 2
    change_lock(clone)
    assert machine.make(clone, "setup", f"VENV={shared}", fail=step)[0] != 0
    assert machine.make(clone, "setup", f"VENV={shared}")[0] == 0
    assert machine.new_environments() == 3


def test_pytorchs_own_index_is_tried_if_the_packages_cannot_be_installed(machine: Machine) -> None:
    code, output = machine.make(machine.clone("first"), fail="--no-build-isolation requirements")
    assert code == 0
    assert "trying PyTorch's own index" in output
    first, second = (line for line in machine.log().split("\n") if " pip sync " in line)
    assert second.replace(" --torch-backend cpu", "") == first


def test_an_environment_of_an_older_makefile_is_updated_and_not_replaced(machine: Machine) -> None:
    """Its stamp lists no groups."""
    clone = machine.clone("first")
    machine.make(clone)
    (clone / ".venv/.complete-cpu").write_text("")
    (clone / ".venv/.clones").unlink()
    assert machine.make(clone)[0] == 0
    assert machine.new_environments() == 1
    assert (clone / ".venv/.clones").read_text() == f"{clone}\n"


def test_clones_with_the_same_locks_share_an_environment(machine: Machine) -> None:
    shared = machine.folder / "shared"
    for name, target in (("first", "setup"), ("second", "test-environment"), ("first", "setup")):
        clone = machine.folder / name
        if not clone.exists():
            machine.clone(name)
        touch_all(clone)
        assert machine.make(clone, target, f"VENV={shared}")[0] == 0
    assert machine.new_environments() == 1
    assert len(machine.installations()) == 2  # the second added its groups
    assert (shared / ".clones").read_text().splitlines() == [
        str(machine.folder / name) for name in ("first", "second")
    ]


@pytest.mark.parametrize("changed", ["first", "second"])
@pytest.mark.parametrize("target", ["setup", "test-environment", "clean"])
def test_no_clone_changes_an_environment_that_another_uses(
    machine: Machine, changed: str, target: str
) -> None:
    shared = machine.folder / "shared"
    clones = {name: machine.clone(name) for name in ("first", "second")}
    for clone in clones.values():
        machine.make(clone, "setup", f"VENV={shared}")
    change_lock(clones[changed])
    code, output = machine.make(clones[changed], target, f"VENV={shared}")
    (other,) = clones.keys() - {changed}
    assert code != 0
    assert f"{clones[other]} uses it: left alone" in output
    assert (machine.new_environments(), len(machine.installations())) == (1, 1)
    assert (shared / ".complete-cpu").exists()
    # Once the other is gone, it is free.
    shutil.rmtree(clones[other])
    assert machine.make(clones[changed], target, f"VENV={shared}")[0] == 0
    assert shared.exists() == (target != "clean")


def test_targets_install_the_groups_they_need(machine: Machine) -> None:
    clone = machine.clone("first")
    code, output = machine.make(clone, "docs")
    assert code != 0
    assert "report/index.html: no such file; run `make repro` first\n" in output
    code, output = machine.make(clone, "bench", "NAME=nothing")
    assert code != 0
    assert "bench nothing: expected all, " in output


@pytest.mark.parametrize("target", ["setup", "clean"])
def test_an_environment_of_unknown_origin_outside_of_the_clone_is_left_alone(
    machine: Machine, target: str
) -> None:
    shared = machine.folder / "shared"
    shared.mkdir()
    (shared / "pyvenv.cfg").write_text("")
    code, output = machine.make(machine.clone("first"), target, f"VENV={shared}")
    assert code != 0
    assert "was not made by this clone: left alone" in output
    assert machine.new_environments() == 0
    assert (shared / "pyvenv.cfg").exists()


@pytest.mark.parametrize("target", ["setup", "clean"])
@pytest.mark.parametrize("link", [True, False])
def test_a_link_and_a_folder_that_is_no_environment_are_left_alone(
    machine: Machine, target: str, link: bool
) -> None:
    clone, folder = machine.clone("first"), machine.folder / "mine"
    folder.mkdir()
    (folder / "file").write_text("mine")
    if link:
        (folder / "pyvenv.cfg").write_text("")
        (clone / ".venv").symlink_to(folder)
    else:
        folder.rename(clone / ".venv")
    code, output = machine.make(clone, target)
    assert code != 0
    assert ".venv is a link, or no virtual environment: left alone" in output
    assert (clone / ".venv/file").read_text() == "mine"


def test_uv_takes_over_the_settings_of_pip(machine: Machine) -> None:
    machine.pip_config.write_text(
        ":env:.find-links='/wheels'\n"
        "global.constraint='/etc/constraints.txt'\n"
        "global.extra-index-url='\\nfile:///one\\nfile:///two'\n"
        "global.find-links='/unused'\n"
        "global.index-url='https://mirror/'\n"
    )
    assert machine.make(machine.clone("first"))[0] == 0
    # No constraints: every version is pinned.
    assert "https://mirror/|file:///one file:///two|/wheels|\n" in machine.log()


def test_on_a_gpu_its_own_locks_are_installed_and_the_choice_stays(machine: Machine) -> None:
    clone = machine.clone("first")
    assert machine.make(clone, "setup", "ACCELERATOR=gpu")[0] == 0
    for target in ("setup", "environment"):
        assert machine.make(clone, target)[0] == 0
    installed = ["gpu/running", "gpu/cluster", "gpu/s3"]
    assert (machine.new_environments(), machine.installations()) == (1, [installed])
    assert machine.make(clone, "test-environment")[0] == 0
    groups = [f"gpu/{group}" for group in ALL_GROUPS.split()]
    assert machine.installations()[1:] == [["gpu/running", *groups]]
    code, output = machine.make(clone, "setup", "ACCELERATOR=tpu")
    assert code != 0
    assert 'ACCELERATOR is "tpu"; expected cpu or gpu' in output


def test_a_gpus_environment_changes_with_its_own_locks_only(machine: Machine) -> None:
    clone = machine.clone("first")
    assert machine.make(clone, "setup", "ACCELERATOR=gpu")[0] == 0
    change_lock(clone)
    assert machine.make(clone)[0] == 0
    assert len(machine.installations()) == 1
    with (clone / "requirements/gpu/running.txt").open("a") as file:
        file.write("# changed\n")
    assert machine.make(clone)[0] == 0
    assert (machine.new_environments(), len(machine.installations())) == (1, 2)


def test_the_build_for_cpus_is_not_tried_on_a_gpu(machine: Machine) -> None:
    fail = "--no-build-isolation requirements"
    code, output = machine.make(machine.clone("first"), "setup", "ACCELERATOR=gpu", fail=fail)
    assert code != 0
    assert "PyTorch's own index" not in output
    assert len(machine.installations()) == 1
