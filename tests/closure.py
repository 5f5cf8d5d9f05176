"""The project's own files that a module imports, directly or not, also inside functions."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = ("delta", "stages")


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
    """Paths relative to the root, of `module` itself and of all packages on the way."""
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        parent = name.rpartition(".")[0]
        path = file_of(name)
        if path is None or str(path.relative_to(ROOT)) in seen:
            continue
        seen.add(str(path.relative_to(ROOT)))
        waiting += [*imports_of(path), *([parent] if parent else [])]
    return seen
