"""Find the files of this project that a module imports or reads, also indirectly."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

from delta.inference import chat_formats
from delta.prompts import prompt_files

ROOT = Path(__file__).parents[2]
OWN = ("delta", "stages")
PROMPT_FILE = re.compile(r"prompt_files\.(?:text|template)\(\"([\w./]+)\"\)")


def call_of(function: Callable[..., object]) -> str:
    """Return the text of a call, so that a renamed function is noticed."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}("


# Calls that read prompt files without naming them.
READERS = {
    call_of(prompt_files.with_instruction): {"instruction.txt"},
    call_of(prompt_files.worked_examples): {"worked_examples.yaml"},
    call_of(prompt_files.worked_example_turns): {"worked_examples.yaml", "instruction.txt"},
    call_of(chat_formats.load): {"chat_formats.yaml"},
    call_of(chat_formats.all_chat_formats): {"chat_formats.yaml"},
}


def file_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OWN}


def closure(module: str) -> set[str]:
    """Return the paths of `module` and all modules of this project that it imports.

    Packages without code are left out, and so is `stages`, which shapes no result.
    """
    queue, seen = [module], set[str]()
    while queue:
        name = queue.pop()
        parent = name.rpartition(".")[0]
        path = file_of(name)
        if path is None or str(path.relative_to(ROOT)) in seen:
            continue
        seen.add(str(path.relative_to(ROOT)))
        queue += [*imports_of(path), *([parent] if parent else [])]
    return {path for path in seen if path != "stages/__init__.py" and has_code(ROOT / path)}


def has_code(path: Path) -> bool:
    """Return whether a module holds more than a docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) for node in body)


def data_files(module: str) -> set[str]:
    """Return the data files of every package in the closure, also in their subfolders."""
    packages = {(ROOT / path).parent for path in closure(module)} - {ROOT / "delta/prompts"}
    return {
        str(path.relative_to(ROOT))
        for package in packages
        for path in package.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and next(folder for folder in path.parents if is_package(folder)) == package
    }


def is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file() or folder == ROOT


def prompts_of(module: str) -> set[str]:
    """Return the prompt files that a module's closure reads."""
    names = set()
    for path in closure(module):
        text = (ROOT / path).read_text(encoding="utf-8")
        names |= set(PROMPT_FILE.findall(text))
        names |= {name for call, read in READERS.items() if call in text for name in read}
    return {f"delta/prompts/{name}" for name in names}
