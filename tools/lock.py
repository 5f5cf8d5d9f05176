"""Writes requirements.lock: what pyproject.toml asks for, as pip resolves it, pinned and hashed.

Hashes are those of every file that Linux on x86-64 and Python 3.11 to 3.13 can install. Pins of the
present lock are kept; `--upgrade` forgets them. `--print GROUP…` only lists the requirements.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from pip._internal.models.index import PyPI  # names the default index, so that we need not
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

LOCK, TORCH_LOCK = Path("requirements.lock"), Path("requirements-torch.lock")
PYTHONS = ("3.11", "3.12", "3.13")
FITS = re.compile(
    r"-(cp31[123]-cp31[123]|cp3\d+-abi3|(cp31[123]|[\w.]*py3[\w.]*)-none)"
    r"-(any|(many)?linux[\w.]*_x86_64)\.whl$"
)
# Asked for by others, used by nothing here. The first three break `import transformers` when their
# build does not match torch's; triton is 1 GB and for GPUs; pycosat (of reasoning-gym) would need
# a C compiler, see delta/data/reasoning_gym.py.
UNWANTED = {"torchvision", "torchaudio", "torchcodec", "triton", "pycosat"}

Metadata = dict[str, Any]


def wanted(*groups: str) -> list[str]:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    return [*project["dependencies"], *(line for group in groups for line in optional[group])]


def pins(lock: Path) -> list[str]:
    return re.findall(r"^[\w.-]+==[^\s;]+", lock.read_text(), re.MULTILINE) if lock.exists() else []


def resolve(requirements: list[str], constraints: list[str]) -> dict[str, Metadata]:
    """Name → metadata of everything that pip would install into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        report, limits = Path(folder, "report.json"), Path(folder, "constraints.txt")
        limits.write_text("\n".join(constraints))
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-qq"]
        subprocess.run([*pip, "--report", report, "-c", limits, *requirements], check=True)
        rows = [row["metadata"] for row in json.loads(report.read_text())["install"]]
    return {canonicalize_name(row["name"]): row for row in rows}


def needed(requirements: list[str], found: dict[str, Metadata]) -> set[str]:
    """What is reached on any of our Pythons without passing through an unwanted package."""
    reached: set[tuple[str, str]] = set()
    todo = [Requirement(line) for line in requirements]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        new = {(name, extra) for extra in {"", *requirement.extras}} - reached
        if name in UNWANTED or not new:
            continue
        reached |= new
        needs = [Requirement(line) for line in found[name].get("requires_dist", ())]
        todo += [need for need in needs for _, extra in new if applies(need, extra)]
    return {name for name, _ in reached}


def applies(requirement: Requirement, extra: str) -> bool:
    pythons = [{"python_version": v, "python_full_version": f"{v}.4"} for v in PYTHONS]
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**python, "extra": extra}) for python in pythons)


def index_urls() -> list[str]:
    command = [sys.executable, "-m", "pip", "config", "list"]
    config = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    main = re.findall(r"\.index-url='([^']*)'", config)
    more = re.findall(r"\.extra-index-url='([^']*)'", config)
    return " ".join([*(main or [PyPI.simple_url]), *more]).split()


def listed_files(name: str) -> Iterator[tuple[str, str]]:
    """(file name, sha256) of every file of a package in every index that pip is set to use."""
    for index in index_urls():
        url = f"{index.rstrip('/')}/{name}/"
        if index.startswith("file:"):
            url += "index.html"
            if not Path(url.removeprefix("file://")).exists():
                continue
        with urllib.request.urlopen(url) as page:
            text = unescape(page.read().decode())
        yield from re.findall(r'href="[^"]*/([^"/]+)#sha256=(\w+)', text)


def hashes(name: str, version: str) -> list[str]:
    """Of the wheels that fit or, where there are none, of the source."""
    stem = re.compile(
        re.escape(f"{name}-{version}").replace(r"\-", "[-_.]+") + "[-.]", re.IGNORECASE
    )
    files = [row for row in listed_files(name) if stem.match(row[0])]
    chosen = {digest for file, digest in files if FITS.search(file)}
    chosen = chosen or {digest for file, digest in files if file.endswith(".tar.gz")}
    return sorted(chosen) or sys.exit(f"lock: no file of {name} {version} fits")


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--print"]:
        print("\n".join(wanted(*arguments[1:])))
        return
    first = pins(TORCH_LOCK)
    roots = [*wanted("cpu", "cluster", "dev"), *first]
    found = resolve(roots, [] if "--upgrade" in arguments else pins(LOCK))
    names = sorted(needed(roots, found) - {pin.split("==")[0] for pin in first})
    text = "# Written by `make lock` from pyproject.toml; requirements-torch.lock goes before it.\n"
    for name in names:
        version = found[name]["version"]
        lines = [f"--hash=sha256:{digest}" for digest in hashes(name, version)]
        text += " \\\n    ".join([f"{name}=={version}", *lines]) + "\n"
    LOCK.write_text(text)
    print(f"{LOCK}: {len(names)} packages")


if __name__ == "__main__":
    main(sys.argv[1:])
