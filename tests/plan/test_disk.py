"""What a run writes counts where it is written. File systems are the first folders of paths."""

from pathlib import Path
from typing import Any

import pytest

from delta.check import Params
from delta.core.params import read_all, validate
from delta.plan import disk, render_requirements
from delta.plan.disk import HERE, Written
from delta.plan.model_sizes import GIB, sizes
from delta.plan.requests import Workspace
from tests.helpers.import_closure import ROOT

HUB, CACHE = Path("/hub/huggingface"), Path("/dvc/cache")
GPU = validate("", Params, read_all(ROOT / "profiles/gpu.yaml"))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter a project with 100 GiB free, beside other file systems with as much."""

    class Usage:
        free = 100 * 2**30

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    monkeypatch.setattr(disk, "_device", lambda folder: hash(folder.absolute().parts[1]))


def put_hub_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(HUB))


def configure(**changes: str) -> None:
    lines = "".join(f"{key} = {value}\n" for key, value in changes.items())
    Path(".dvc/config").write_text(f"[cache]\n{lines}")


def folders_of(name: str) -> Any:
    rows = list(disk.written(Workspace(GPU, {}), [], sizes(GPU), training=True))
    (row,) = (row for row in rows if row.what == name)
    return list(row.folders)


def test_weights_have_a_copy_in_each_cache_and_the_policy_none_of_the_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_hub_elsewhere(monkeypatch)
    assert folders_of("weights of qwen2_5-7b") == [HERE, Path(".dvc/cache"), HUB]
    assert folders_of("the policy") == [HERE, Path(".dvc/cache")]


@pytest.mark.parametrize(
    ("config", "folders"),
    [
        ({"dir": str(CACHE)}, [HERE, CACHE]),
        ({"type": "hardlink,copy"}, [Path(".dvc/cache")]),
        ({"type": "symlink"}, [Path(".dvc/cache")]),
        ({"type": "copy,symlink"}, [HERE, Path(".dvc/cache")]),  # a copy always works
        ({"type": "hardlink,copy", "dir": str(CACHE)}, [HERE, CACHE]),  # it cannot reach there
        ({"type": "hardlink,symlink", "dir": str(CACHE)}, [CACHE]),
    ],
)
def test_dvcs_cache_counts_where_it_is_and_links_are_no_copy(
    config: dict[str, str], folders: list[Path]
) -> None:
    configure(**config)
    assert folders_of("the policy") == folders


def test_a_cache_on_another_file_system_makes_room_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "hub")
    copy = 40 * GIB

    def shortages() -> list[str]:
        return disk.shortages([Written("weights", copy, [*disk.dvc_folders(), disk.hub_cache()])])

    assert shortages() == [
        "disk: 100 GiB free; expected 120 GiB; a larger disk, or `cache.dir` of DVC and $HF_HOME "
        "on another"
    ]
    put_hub_elsewhere(monkeypatch)
    assert shortages() == []
    copy = 60 * GIB
    assert shortages() == [
        "disk: 100 GiB free; expected 120 GiB; a larger disk, or `cache.dir` of DVC on another"
    ]
    configure(dir=str(CACHE))
    assert shortages() == []
    copy = 101 * GIB
    assert shortages() == [
        "disk: 100 GiB free; expected 101 GiB; a larger disk",
        "disk of /dvc/cache: 100 GiB free; expected 101 GiB; a larger disk, or `cache.dir` of DVC "
        "on another",
        "disk of /hub/huggingface: 100 GiB free; expected 101 GiB; a larger disk, or $HF_HOME on "
        "another",
    ]


def test_a_plan_has_the_free_space_of_every_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    put_hub_elsewhere(monkeypatch)
    section = render_requirements.disk_section(Workspace(GPU, {}), [], sizes(GPU), trains=False)
    words = [line.split("  ")[1] for line in section.lines[2:]]
    assert words[0] == "weights of qwen2_5-0_5b, 3 copies"
    assert words[-4:] == [
        f"{kind} {where}" for where in ("here", f"on {HUB}") for kind in ("all", "free")
    ]
