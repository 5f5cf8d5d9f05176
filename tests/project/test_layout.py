"""The rules of CONTRIBUTING.md on files: tests mirror the rooms, files and functions are short."""

import ast
import re
from pathlib import Path

from tests.helpers.import_closure import ROOT

TESTS = ROOT / "tests"
FILES = sorted(
    path for name in ("bench", "delta", "stages", "tests") for path in (ROOT / name).rglob("*.py")
)
# Folders of tests that belong to no room.
WITHOUT_ROOM = {"end_to_end", "project", "property"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_room_has_a_folder_of_tests_and_no_other_folder_has_tests() -> None:
    rooms = {path.parent.name for path in (ROOT / "delta").glob("*/__init__.py")}
    with_tests = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    assert with_tests == {Path(name) for name in rooms | WITHOUT_ROOM}


def test_no_file_imports_from_a_test_file() -> None:
    """This also holds for the text of a program that a test starts."""
    from_test = re.compile(r"(?:from|import) tests\.[\w.]*\btest_|from tests\.\w+ import test_")
    assert [name_of(path) for path in FILES if from_test.search(path.read_text("utf-8"))] == []


def test_files_have_at_most_400_lines_and_functions_60() -> None:
    assert len(FILES) > 300
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, name_of(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 60, f"{name_of(path)}: {node.name}"


def test_the_pipeline_fits_in_400_lines() -> None:
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 400
