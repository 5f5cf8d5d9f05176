"""Measure the seconds of a `dvc repro` with nothing to do against an equal graph of `true`.

    make bench NAME=dvc_noop

Both graphs have the same stages, with equally many dependencies, parameters and outputs of the same
names. In the second graph dvc.yaml lists the stages without templates, every command is `true`, and
every file holds a few bytes. Outputs that no stage has written are files of a few bytes too;
`dvc commit` records them as up to date.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from dvc.repo import Repo
from dvc.stage.serialize import to_pipeline_file

from bench import results
from tests.helpers.import_closure import ROOT
from tests.helpers.workspace import DvcWorkspace, stages_run

PROFILE = ROOT / "profiles" / "paper.yaml"
TURNS = 7
Stages = dict[str, dict[str, Any]]


def stages_of(folder: Path) -> Stages:
    """Return the stages as dvc.yaml would list them without templates."""
    with Repo(str(folder)) as repo:
        stages: Stages = {}
        for stage in repo.index.stages:
            stages |= to_pipeline_file(stage)
    plain: Stages = json.loads(json.dumps(stages))  # DVC's are ordered dictionaries
    return plain


def outputs_of(stage: dict[str, Any]) -> list[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def fill(space: DvcWorkspace, stages: Stages) -> None:
    """Write every missing output and dependency, then record all of them with `dvc commit`."""
    outputs = [path for stage in stages.values() for path in outputs_of(stage)]
    dependencies = [path for stage in stages.values() for path in stage.get("deps", [])]
    for path in [*outputs, *dependencies]:
        file = space.folder / path
        if not file.suffix:  # the folder of a model
            file = file / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(f"{path}\n")
    space.dvc("commit", "--force")
    space.commit()


def paper_graph(folder: Path) -> tuple[DvcWorkspace, Stages]:
    space = DvcWorkspace(folder, PROFILE)
    stages = stages_of(folder)
    fill(space, stages)
    return space, stages


def true_graph(folder: Path, stages: Stages) -> DvcWorkspace:
    space = DvcWorkspace(folder, PROFILE)
    plain = {name.replace("@", "-"): {**stage, "cmd": "true"} for name, stage in stages.items()}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": plain}))
    for path in {path for stage in stages.values() for path in stage.get("deps", [])}:
        if (folder / path).is_file():
            (folder / path).write_text(f"{path}\n")
    fill(space, plain)
    return space


def up_to_date(space: DvcWorkspace) -> None:
    output = space.dvc("repro")
    assert stages_run(output) == [], output
    assert "up to date" in output, output


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, stages = paper_graph(Path(folder) / "ours")
        other = true_graph(Path(folder) / "true", stages)
        other_stages = stages_of(other.folder)
        for key in ("deps", "outs", "metrics", "plots", "params"):
            counts = [
                sum(len(stage.get(key, [])) for stage in graph.values())
                for graph in (stages, other_stages)
            ]
            assert counts[0] == counts[1] > 0, key
        seconds = results.in_turns(
            {"the paper's graph": lambda: up_to_date(ours), "`true`": lambda: up_to_date(other)},
            TURNS,
        )
    rows = [[name, " ".join(f"{turn:.2f}" for turn in times)] for name, times in seconds.items()]
    text = results.table(["graph", f"seconds in {TURNS} turns"], rows)
    deps = sum(len(stage.get("deps", [])) for stage in stages.values())
    outs = sum(len(outputs_of(stage)) for stage in stages.values())
    ratio = results.ratio(*seconds.values())
    results.record(
        "dvc_noop",
        "make bench NAME=dvc_noop",
        f"`dvc repro` with nothing to do: {len(stages)} stages, {deps:,} dependencies, {outs} "
        f"outputs.\n\n{text}\n\nthe paper's graph / `true`: **{ratio}** (target: at most 1.2)",
    )


if __name__ == "__main__":
    main()
