"""The files in launch/ and docs/clusters.md name targets and parameters that exist."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.import_closure import ROOT

SCRIPTS = ("launch/node.sh", "launch/slurm.sbatch")
FILES = (*SCRIPTS, "launch/sky.yaml", "docs/clusters.md")
SKY = yaml.safe_load((ROOT / "launch/sky.yaml").read_text(encoding="utf-8"))
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def targets(content: str) -> set[str]:
    """Return the make targets in commands."""
    return set(re.findall(r"(?:^|[`;]|then|setup:)\s*make ([a-z-]+)", content, re.MULTILINE))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_bash(name: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)


def test_the_commands_of_the_cloud_task_are_bash(tmp_path: Path) -> None:
    for part in ("setup", "run"):
        script = tmp_path / part
        script.write_text(SKY[part])
        subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_cloud_task_has_the_keys_of_skypilot_and_asks_for_a_bucket() -> None:
    keys = {"name", "workdir", "resources", "envs", "file_mounts", "setup", "run"}
    assert set(SKY) == keys
    assert set(SKY["resources"]) == {"accelerators", "use_spot", "disk_size"}
    assert SKY["envs"]["BUCKET"] is None  # SkyPilot refuses a task with a null
    used = set(re.findall(r"\$\{?([A-Z_]+)", yaml.safe_dump(SKY)))
    assert used - {"DELTA_REPLY_CACHE", "HOME"} == set(SKY["envs"])


class Bucket:
    """The reply cache of a machine, and the bucket that `keep` of launch/sky.yaml copies it to."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.kept, self.commands = folder / "cache", folder / "kept", folder / "bin"
        for path in (self.cache, self.kept / "replies", self.commands):
            path.mkdir(parents=True)

    def write(self, *names: str) -> None:
        for name in names:
            (self.cache / name).parent.mkdir(parents=True, exist_ok=True)
            (self.cache / name).write_text(name)

    def replace_cp(self, *lines: str) -> None:
        """Let these lines of shell run in place of `cp`."""
        command = self.commands / "cp"
        command.write_text("\n".join(["#!/bin/bash", *lines]))
        command.chmod(0o755)

    def files_after_keep(self) -> set[str]:
        body = SKY["run"].partition("keep() {")[2].partition("\n}\n")[0]
        script = "set -euo pipefail\nkeep() {" + body.replace("/kept/", f"{self.kept}/")
        environment = os.environ | {
            "DELTA_REPLY_CACHE": str(self.cache),
            "PATH": f"{self.commands}:{os.environ['PATH']}",
        }
        command = ["bash", "-c", script + "\n}\n(keep) || true"]  # as in the background
        subprocess.run(command, check=True, env=environment)
        kept = self.kept / "replies"
        return {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}


CHECKPOINTS = "train-0123/run/checkpoints"


def checkpoint(step: int) -> set[str]:
    return {f"{CHECKPOINTS}/checkpoint-{step}/{name}" for name in ("a.pt", "COMPLETE")}


def test_the_bucket_gets_replies_and_the_checkpoints_that_a_training_still_has(
    tmp_path: Path,
) -> None:
    bucket, reply, run = Bucket(tmp_path), "judge-a-0123/host.log", "train-0123/run"
    bucket.write(reply, f"{run}/rows/data.arrow", f"{CHECKPOINTS}/checkpoint-9/a.pt")
    assert bucket.files_after_keep() == {reply}
    bucket.write(f"{CHECKPOINTS}/checkpoint-9/COMPLETE")
    assert bucket.files_after_keep() == {reply} | checkpoint(9)
    bucket.write(*checkpoint(18))
    shutil.rmtree(bucket.cache / CHECKPOINTS / "checkpoint-9")
    assert bucket.files_after_keep() == {reply} | checkpoint(18)
    shutil.rmtree(bucket.cache / run)  # the policy is written
    assert bucket.files_after_keep() == {reply}


def test_the_bucket_always_has_a_complete_checkpoint_that_a_training_can_resume(
    tmp_path: Path,
) -> None:
    bucket = Bucket(tmp_path)
    bucket.write(*checkpoint(10))
    bucket.files_after_keep()
    bucket.write(*checkpoint(20))
    removed = [bucket.cache / CHECKPOINTS / f"checkpoint-{step}" for step in (10, 20)]
    shutil.rmtree(removed[0])
    bucket.replace_cp(f"rm -r {removed[1]}", f'exec {shutil.which("cp")} "$@"')  # it fails
    assert bucket.files_after_keep() == checkpoint(10)
    bucket.write(*checkpoint(20))
    # Slow: checkpoint 30 is complete and 20 removed before the copy of 20 ends.
    bucket.replace_cp(
        f'{shutil.which("cp")} "$@"',
        f"case $* in *COMPLETE) mv {removed[1]} {removed[1].with_name('checkpoint-30')};; esac",
    )
    assert bucket.files_after_keep() == checkpoint(20)
    bucket.replace_cp("exit 1")  # a full bucket
    assert bucket.files_after_keep() == checkpoint(20)
    (bucket.commands / "cp").unlink()
    assert bucket.files_after_keep() == checkpoint(30)


def test_downloads_are_a_run_of_their_own_and_the_plan_stops_before_them(tmp_path: Path) -> None:
    (tmp_path / "launch").mkdir()
    shutil.copy(ROOT / "launch/node.sh", tmp_path / "launch")
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path / "calls"}\n')
    (tmp_path / "make").chmod(0o755)
    calls = {}
    for switch in ("", "DOWNLOADS", "DRY"):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", switch or "NONE": "1"}
        subprocess.run(["bash", "launch/node.sh"], cwd=tmp_path, env=environment, check=True)
        calls[switch] = (tmp_path / "calls").read_text().split()
        (tmp_path / "calls").unlink()
    assert calls == {
        "": ["setup", "plan", "repro"],
        "DOWNLOADS": ["setup", "plan", "downloads"],
        "DRY": ["setup", "plan"],
    }


def test_the_targets_are_those_of_the_makefile() -> None:
    lines = set(re.findall(r"^([a-z -]+):(?!=)", text("Makefile"), re.MULTILINE))
    make_targets = {target for line in lines for target in line.split()}
    assert targets("then make push; fi\nmake repro") == {"push", "repro"}
    for name in FILES:
        assert targets(text(name)) <= make_targets, name
    assert targets(text("launch/node.sh")) == {"setup", "plan", "downloads", "repro"}


def test_the_parameters_are_those_of_params_yaml() -> None:
    """A key in capitals stands for any name."""
    sections = "|".join(PARAMS)
    paths = set()
    for name in FILES:
        paths |= set(re.findall(rf"\b(?:{sections})(?:\.\w+)+", text(name)))
    assert {"engine.kind", "train.num_processes", "serving.MODEL.tensor_parallel_size"} <= paths
    for path in paths:
        value = PARAMS
        for key in path.split("."):
            value = next(iter(value.values())) if key.isupper() else value.get(key)
            assert value is not None, path


def test_a_ray_cluster_of_several_nodes_has_a_token_that_no_file_holds() -> None:
    script = text("launch/slurm.sbatch")
    draw = next(line for line in script.split("\n") if "RAY_AUTH_TOKEN=" in line)
    tokens = {
        subprocess.run(
            ["bash", "-c", f'{draw}\nprintf %s "$RAY_AUTH_TOKEN"'],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    }
    assert len(tokens) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)
    shared = script.index("export RAY_AUTH_MODE=token RAY_AUTH_TOKEN\n")
    assert script.index(draw) < shared < script.index("ray symmetric-run")


def test_the_ports_of_ray_that_the_page_names_are_options_of_ray() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    names = {option for parameter in scripts.start.params for option in parameter.opts}
    named = set(re.findall(r"`(--[a-z-]+)`", text("docs/clusters.md")))
    assert {"--port", "--dashboard-host", "--ray-client-server-port"} <= named
    assert named <= names


def test_every_file_of_launch_is_on_the_page() -> None:
    for file in sorted((ROOT / "launch").iterdir()):
        assert f"launch/{file.name}" in text("docs/clusters.md")


def test_the_profile_is_copied_before_anything_is_launched() -> None:
    page = text("docs/clusters.md")
    copied = page.index("\ncp profiles/paper.yaml params.yaml\n")
    for command in ("bash launch/node.sh", "sbatch launch/slurm.sbatch", "sky jobs launch"):
        assert copied < page.index(command), command
