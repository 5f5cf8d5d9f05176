"""The files around a release agree with one another and name only what exists."""

import re
import tomllib
from typing import Any

import yaml

from tests.helpers.import_closure import ROOT


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_version_is_the_newest_of_the_changelog_and_the_one_to_cite() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    citation = load("CITATION.cff")
    assert releases[0] == (version, str(citation["date-released"]))
    assert citation["version"] == version


def test_the_citation_names_the_paper() -> None:
    (paper,) = load("CITATION.cff")["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2604.08723"
    assert paper["title"].startswith("Decomposing the Delta")
    assert len(paper["authors"]) == 9


def test_the_workflow_runs_ci_run() -> None:
    steps = load(".github/workflows/test.yml")["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_hooks_are_the_commands_of_make_lint() -> None:
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint
    commands = lint[1].split("\n\t")
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"  # the environment's own versions
    for hook, command in zip(repository["hooks"], commands, strict=True):
        words = hook["entry"].replace(" --force-exclude", "").replace(".venv/bin/", "")
        assert words == command.strip().removesuffix(" .")


def test_the_container_copies_what_the_set_up_reads() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY --chown=\w+ (.+) \S+$", dockerfile, re.MULTILINE)
    before_set_up = {name for line in copied[:-1] for name in line.split()}
    assert before_set_up == {"Makefile", "pyproject.toml", "tools", "requirements"}
    assert copied[-1] == "."


def test_the_docs_run_the_container_with_the_options_that_its_sandbox_needs() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    lines = (ROOT / "docs/one-gpu.md").read_text(encoding="utf-8")
    options = set(re.findall(r"--security-opt \w+=\w+", dockerfile))
    assert len(options) == 3  # namespaces, /proc, mounts
    assert options == set(re.findall(r"--security-opt \w+=\w+", lines))
    assert "--build-arg ACCELERATOR=gpu" in lines
    assert dockerfile.index("ARG ACCELERATOR=cpu") < dockerfile.index("RUN make setup ACCELERATOR=")
