"""A copy of the project in another folder, with Git and DVC, for real commands."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.helpers.import_closure import ROOT

COPIED_FILES = (
    *(".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "dvc.yaml"),
    "metrics/runs/README.md",
)
CODE_FOLDERS = ("delta", "stages")
# A command that accepts any arguments and does nothing.
COMMAND = """
def add_arguments(parser): parser.add_argument("items", nargs="*")
def main(options): pass
"""


class DvcWorkspace:
    """A workspace and the commands of a user in it."""

    def __init__(self, folder: Path, params: Path) -> None:
        self.folder = folder
        self.output = ""  # of the first rebuild, where a fixture keeps it
        folder.mkdir(parents=True, exist_ok=True)
        for name in COPIED_FILES:
            source = ROOT / name
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, folder / name)
            elif source.is_file():
                shutil.copy(source, folder / name)
        for name in CODE_FOLDERS:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        shutil.copy(params, folder / "params.yaml")
        self.env = self.environment()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    @classmethod
    def at(cls, folder: Path, env: dict[str, str]) -> "DvcWorkspace":
        """Return an existing workspace."""
        space = cls.__new__(cls)
        space.folder, space.env, space.output = folder, dict(env), ""
        return space

    @staticmethod
    def environment() -> dict[str, str]:
        env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DELTA_REPLY_CACHE": "",
        }
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.org"}
        return env

    def run(self, *command: str, ok: bool = True) -> str:
        """Run a command, check its exit code, and return its standard output and error."""
        # To a file: a worker of DVC's queue keeps a pipe open while it lives, which may be forever
        # (a race in DVC: the thread that should stop it fails at a partly written message).
        with tempfile.TemporaryFile("w+") as out:
            process = subprocess.run(
                command,
                cwd=self.folder,
                env=self.env,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
            out.seek(0)
            output = out.read()
        if ok:
            assert process.returncode == 0, (
                f"{command}: {process.returncode}\n{output}{self.logs()}"
            )
        else:
            assert process.returncode != 0, f"{command} should fail\n{output}"
        return output

    def dvc(self, *words: str, ok: bool = True) -> str:
        return self.run("dvc", *words, ok=ok)

    def make(self, *arguments: str) -> str:
        """Run make with the environment of these tests, which it does not change."""
        shutil.copy(ROOT / "Makefile", self.folder)
        environment = f"VENV={Path(sys.executable).parent.parent}"
        return self.run("make", "--old-file=environment", environment, *arguments)

    def replace_checks(self) -> None:
        """Let `delta check` and `delta check-golds` accept everything, for toy stages."""
        for name in ("check", "check_golds"):
            (self.folder / "delta/cli" / f"{name}.py").write_text(COMMAND)

    def git(self, *words: str) -> str:
        return self.run("git", *words)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")

    def logs(self) -> str:
        """Return the end of every stage's log, for the message of a failed assertion."""
        ends = []
        for path in sorted(self.folder.glob("logs/*.log")):
            ends.append(f"--- {path.name}\n" + path.read_text(errors="replace")[-1500:])
        return "\n".join(ends)

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        path = self.folder / "params.yaml"
        # By YAML 1.2, like DVC: a string that looks like a number, such as 5e-8, is quoted.
        parser = YAML(typ="safe", pure=True)
        parser.default_flow_style = False
        parser.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # None there
        content = parser.load(path.read_text())
        change(content)
        with path.open("w") as file:
            parser.dump(content, file)

    def set(self, key: str, value: Any) -> Any:
        """Set a dotted key and return its old value."""
        before: list[Any] = []

        def change(content: dict[str, Any]) -> None:
            *parents, last = key.split(".")
            for part in parents:
                content = content[part]
            before.append(content[last])
            content[last] = value

        self.edit(change)
        return before[0]


def stages_run(output: str) -> list[str]:
    """Return the stages that `dvc repro` or `dvc exp run` ran, in order."""
    return re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE)
