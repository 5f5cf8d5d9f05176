"""Names in params.yaml that would lead DVC to other folders, under every command of a user.

DVC removes what a stage writes before the stage's first command could look at a name: dvc.yaml
itself must refuse to be read.
"""

import copy
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo

from delta.check import check, check_content
from delta.core.errors import InputError
from delta.core.files import remove_link, write_text
from tests.helpers.import_closure import ROOT
from tests.helpers.workspace import DvcWorkspace

CONTENT = yaml.safe_load((ROOT / "params.yaml").read_text())
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
WRITTEN = ("outs", "metrics", "plots")
SECTIONS = ("models", "sft_models", "generators", "benchmarks", "evaluation.models")
VALUES = (
    "sft_models.warm.base",
    "generators.early.model",
    "evaluation.models.policy.model",
    "verify.llm.model",
    "judge.llm.model",
    "judge.second_judge.llm.model",
    "judge.second_judge.surprisal.model",
    "pairing.chosen",
    "pairing.rejected",
    "train.base",
)
# From data/models, data/questions, …: two folders up is the clone, three is where it lies.
LEADING_OUT = (
    "../../victim",
    "../../../victim",
    "../../delta",
    "../../.git",
    "x/../../../../victim",
    "../traces/../../victim",
    "/" + "../" * 40 + "{folder}/victim",
    "{folder}/victim",
    "..",
    ".",
    "../x",
    "inner/name",
)
TO_ROOT = "../" * 40
NEAR_AND_FAR = ("../../../victim", "../../victim", "../../delta")
# What removes or writes a stage's outputs.
COMMANDS = (
    ("repro",),
    ("repro", "--pull"),
    ("repro", "--force"),
    ("repro", "--ignore-errors"),
    ("repro", "--keep-going"),
    ("repro", "--single-item"),
    ("repro", "--single-item", "--force", "{stage}@{name}"),
    ("repro", "--downstream", "{stage}@{name}"),
    ("exp", "run", "-S", "selector.k=8"),
    ("exp", "run", "--temp", "-S", "selector.k=8"),
    ("remove", "--outs", "{stage}@{name}"),
    ("checkout", "--force"),
)


class Scene:
    """A clone with files inside and beside it that no command may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.space = DvcWorkspace(folder / "clone", ROOT / "params.yaml")
        self.clone = self.space.folder
        for place in (folder, self.clone, folder / "other", folder / "other/clone"):
            (place / "victim").mkdir(parents=True)
            (place / "victim/file").write_text("mine")
            (place / "victim.parquet").write_text("mine")
            (place / "victim.json").write_text("mine")
        (folder / "other/params.yaml").write_text("of: another project\n")
        (folder / "other/delta/core").mkdir(parents=True)
        copied = shutil.copytree(self.clone / "delta/core", folder / "twin/delta/core")
        assert (copied / "project_root.yaml").is_file()
        shutil.copy(self.clone / "params.yaml", folder / "twin/params.yaml")

    def untouched(self) -> dict[str, Any]:
        """Return the mode and content of every file that is not an output of DVC or Git."""
        ours = {self.clone / name for name in ("data", "metrics", "report", "logs")}
        ours |= {self.clone / name for name in (".git", ".dvc", "params.yaml", "dvc.lock")}
        files = {}
        for path in sorted(self.folder.rglob("*")):
            if "__pycache__" in path.parts or any(path.is_relative_to(own) for own in ours):
                continue
            status = path.lstat()
            files[str(path)] = (status.st_mode, path.read_bytes() if path.is_file() else None)
        assert (self.clone / ".git/HEAD").is_file()
        return files

    def fill_in(self, template: str) -> str:
        return template.format(folder=self.folder)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene").resolve())


def params_with(section: str, name: str) -> Callable[[dict[str, Any]], None]:
    """Return a change that copies the first entry of the section to the key `name`."""

    def change(content: dict[str, Any]) -> None:
        for part in section.split("."):
            content = content[part]
        content[name] = next(iter(content.values()))

    return change


@pytest.fixture
def edited(scene: Scene) -> Iterator[Scene]:
    before = (scene.clone / "params.yaml").read_text()
    yield scene
    (scene.clone / "params.yaml").write_text(before)


def stage_of(section: str) -> str:
    return next(
        str(name) for name, stage in GRAPH.items() if stage.get("foreach") == f"${{{section}}}"
    )


def values_in_paths(stage: dict[str, Any], *kinds: str) -> set[str]:
    entries = [entry for kind in kinds for entry in stage.get(kind, [])]
    paths = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return {value for path in paths for value in re.findall(r"\$\{(.+?)\}", path)}


@pytest.mark.parametrize("name", GRAPH)
def test_wdir_enters_and_leaves_every_value_in_a_path(name: str) -> None:
    stage = GRAPH[name].get("do", GRAPH[name])
    if values := values_in_paths(stage, "deps", *WRITTEN):
        steps = re.findall(r"/\$\{(.+?)\}/\.\.", stage["wdir"])
        assert set(steps) == values
        assert stage["wdir"] == "." + "".join(f"/${{{step}}}/.." for step in steps)
        # DVC looks for these files in wdir, and only the root of this project has both.
        assert stage["vars"] == ["params.yaml", "delta/core/project_root.yaml"]
        assert values_in_paths(stage, *WRITTEN) <= {steps[0]}, (
            "a later step could lead back what leads out"
        )


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("template", LEADING_OUT)
def test_dvc_loads_no_stage_whose_name_leads_to_another_folder(
    edited: Scene, section: str, template: str
) -> None:
    name = edited.fill_in(template)
    edited.space.edit(params_with(section, name))
    with chdir(edited.clone), Repo() as repo, pytest.raises(DvcException) as caught:
        _ = repo.index.stages
    message = str(caught.value)
    assert f"{stage_of(section)}@{name}" in message
    assert "params.yaml" in message
    assert "\n" not in message


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../other/victim", r"other/delta/core/project_root\.yaml' does not exist"),
        ("../twin/victim", r"cannot redefine '.*' from '[./]*twin/params\.yaml'"),
        # Back to the clone itself, so that the output would be `delta` in it.
        ("../clone/delta", r"cannot redefine '.*' from '[./]*clone/params\.yaml'"),
        (
            TO_ROOT + "{folder}/clone/delta",
            r"cannot redefine '.*' from '\.\./.*/clone/params\.yaml'",
        ),
        (TO_ROOT + "/proc/self/cwd/delta", r"/cwd/params\.yaml'"),
    ],
)
@pytest.mark.parametrize("folder", [".", "delta/prompts"])
def test_dvc_loads_no_stage_whose_name_leads_to_another_project_or_clone(
    edited: Scene, section: str, name: str, message: str, folder: str
) -> None:
    edited.space.edit(params_with(section, edited.fill_in(name)))
    with chdir(edited.clone / folder), Repo() as repo, pytest.raises(DvcException, match=message):
        _ = repo.index.stages


def test_dvc_loads_no_stage_with_an_empty_name(edited: Scene) -> None:
    edited.space.edit(params_with("models", ""))
    with chdir(edited.clone), Repo() as repo, pytest.raises(AssertionError):  # DVC's own
        _ = repo.index.stages
    with pytest.raises(InputError, match=r"models"):
        check(edited.clone / "params.yaml")


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.parametrize("value", ["../../../victim", "/"])
def test_dvc_loads_no_stage_that_depends_on_another_folder(
    edited: Scene, key: str, value: str
) -> None:
    edited.space.set(key, value)
    with chdir(edited.clone), Repo() as repo, pytest.raises(DvcException, match=r"params\.yaml"):
        _ = repo.index.stages


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_changes_files_that_a_name_leads_to(
    edited: Scene, section: str, command: tuple[str, ...]
) -> None:
    for name in NEAR_AND_FAR if command == ("repro",) else NEAR_AND_FAR[:1]:
        (edited.clone / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        edited.space.edit(params_with(section, name))
        edited.space.commit()
        before = edited.untouched()
        words = [word.format(stage=stage_of(section), name=name) for word in command]
        output = edited.space.dvc(*words, ok=False)
        assert edited.untouched() == before
        errors = [line for line in output.splitlines() if line.startswith("ERROR")]
        assert len(errors) == 1, output
        assert name in errors[0]


@pytest.mark.parametrize("section", [*SECTIONS, "experiments", "problems.sources", "serving"])
@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a b", "a@b", "${x}", "a\x00b", "x/../y", "-" + 64 * "n", "ä", "x\n", "."],
)
def test_the_check_refuses_impossible_names(section: str, name: str) -> None:
    content = copy.deepcopy(CONTENT)
    params_with(section, name)(content)
    with pytest.raises(InputError) as caught:
        check_content(content, "params.yaml")
    message = str(caught.value)
    assert section.split(".", maxsplit=1)[0] in message
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.slow
def test_a_forged_lock_changes_no_file(edited: Scene) -> None:
    """dvc.lock claims that such a stage was run and that its output is in the cache."""
    space, name = edited.space, "../../../victim"
    space.edit(params_with("models", name))
    entry = {"cmd": "true", "outs": [{"path": name, "hash": "md5", "md5": 32 * "0", "size": 1}]}
    lock = {"schema": "2.0", "stages": {f"fetch@{name}": entry}}
    (edited.clone / "dvc.lock").write_text(yaml.safe_dump(lock))
    space.commit()
    before = edited.untouched()
    for command in (("repro", "--pull"), ("checkout", "--force"), ("pull", "--force")):
        assert name in space.dvc(*command, ok=False)
        assert edited.untouched() == before
    (edited.clone / "dvc.lock").unlink()


@pytest.mark.slow
def test_a_link_at_the_path_of_an_output_is_replaced(scene: Scene) -> None:
    folder = scene.folder / "linked"
    folder.mkdir()
    folder.chmod(0o750)
    (folder / "file").write_text("mine")
    place = scene.clone / "data/models/smollm2-135m"
    place.parent.mkdir(parents=True)
    place.symlink_to(folder)
    scene.space.dvc("repro", "--single-item", "fetch@smollm2-135m")
    assert (folder / "file").read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert not place.is_symlink()


def test_a_stage_does_not_write_through_a_link(tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine", tmp_path / "answers"
    mine.mkdir()
    (mine / "products.parquet").write_text("mine")
    folder.symlink_to(mine)
    remove_link(folder)
    write_text(folder / "products.parquet", "theirs")
    remove_link(folder)  # a folder stays
    assert (mine / "products.parquet").read_text() == "mine"
    assert (folder / "products.parquet").read_text() == "theirs"
