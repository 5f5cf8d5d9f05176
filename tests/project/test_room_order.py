"""The rooms of `delta`, in the order that `delta/__init__.py` describes."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import delta
from tests.helpers.import_closure import ROOT

ROOMS = (
    *(
        "core",
        "prompts",
        "stats",
        "data",
        "solver",
        "inference",
        "grading",
        "judging",
        "pairing",
        "training",
    ),
    *(
        "evaluation",
        "certificate",
        "analysis",
        "experiments",
        "check",
        "report",
        "export",
        "plan",
        "cli",
    ),
)
FILES = {"__init__.py", "__main__.py", "check.py"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "delta").rglob("*.py")
}


def imports(path: Path) -> set[str]:
    """Return the modules of `delta` that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in MODULES else str(node.module))
    return names & MODULES.keys()


GRAPH = {name: imports(path) - {name} for name, path in MODULES.items()}


def test_delta_holds_the_rooms_and_three_files() -> None:
    entries = {path.name for path in (ROOT / "delta").iterdir() if path.name != "__pycache__"}
    assert entries == FILES | set(ROOMS) - {"check"}


def test_imports_point_down_the_room_order() -> None:
    order = [*ROOMS, "__main__"]
    edges = [(name, used) for name in GRAPH for used in GRAPH[name] if "." in name and "." in used]
    rooms = {edge: [order.index(name.split(".")[1]) for name in edge] for edge in edges}
    assert [edge for edge, (importer, imported) in rooms.items() if imported > importer] == []


def test_modules_import_each_other_in_no_circle() -> None:
    list(TopologicalSorter(GRAPH).static_order())  # raises CycleError with the circle


def test_the_map_of_rooms_names_each_in_order() -> None:
    text = (delta.__doc__ or "").partition("Rooms")[2]
    places = [text.index(room) for room in ROOMS]
    assert places == sorted(places)
