"""No code comes from data, and no file has a key."""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from delta.core import paths
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.inference.openai_engine import ServerRefusedError
from delta.inference.types import Failure
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import LIMITS
from tests.helpers.reference_run import KEY_VARIABLE, SECRETS, ReferenceRun
from tests.helpers.scripted_server import engine_at, fail_first, plain_requests, run_server
from tests.helpers.workspace import DvcWorkspace

FOLDERS = ("delta", "stages", "tools", "bench")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNNING = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
# The program under test, after the sandbox's filter is in force.
MAY_EXEC = {"delta/grading/sandbox_runner.py"}
# What the grader writes for its sandbox, and the sandbox reads; nothing the other way.
MAY_MARSHAL = {
    "delta/grading/sandbox.py": {"marshal"},
    "delta/grading/sandbox_runner.py": {"marshal"},
}
LOADERS = {"torch.load", "numpy.load", "np.load", "yaml.unsafe_load", "yaml.full_load"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(path: Path) -> Iterator[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_evaluates_text_or_calls_a_shell(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        imported = {module.split(".")[0] for module in modules} & UNPICKLING
        assert imported <= MAY_MARSHAL.get(name, set()), imported
    for call in calls(path):
        called = dotted(call.func)
        assert called not in SHELLS | LOADERS
        assert called not in RUNNING or name in MAY_EXEC, called
        assert called not in ("marshal.load", "marshal.loads") or name in MAY_EXEC, called
        for keyword in call.keywords:
            true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            assert not (keyword.arg in ("shell", "allow_pickle", "trust_remote_code") and true)
            if called == "yaml.load" and len(call.args) < 2:
                assert keyword.arg != "Loader" or dotted(keyword.value) == "yaml.CSafeLoader"
            if called == "YAML" and keyword.arg == "typ":
                assert ast.literal_eval(keyword.value) == "safe"


PROFILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_code_beside_weights_runs_for_models_that_a_profile_names(profile: Path) -> None:
    serving = read_all(profile)["serving"]
    allowed = {name for name, model in serving.items() if model["trust_remote_code"]}
    assert allowed == ({"nemotron-49b"} if profile.stem == "paper" else set())


def test_a_key_that_a_server_repeats_is_in_no_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRETS[KEY_VARIABLE])
    with run_server() as server:
        for status in (400, 401):
            text = f"Incorrect key: {SECRETS[KEY_VARIABLE]}"
            server.answer = fail_first(9, partial(web.Response, status=status, text=text))
            try:
                ((_, reply),) = engine_at(server.url, key=KEY_VARIABLE).generate(plain_requests(1))
                assert isinstance(reply, Failure)
                message = reply.reason
            except ServerRefusedError as error:
                message = str(error)
            assert message.endswith(f"HTTP {status}: Incorrect key: ${KEY_VARIABLE}")


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "https://secret@host", "ftp://host"])
def test_an_address_with_a_password_is_refused(url: str) -> None:
    from delta.check import check_content

    content = read_all(ROOT / "params.yaml")
    server = {"base_urls": [url], "key": None, "models": {"judge": None}, **LIMITS}
    content["engine"]["servers"] = {"mine": server}
    with pytest.raises(InputError, match=r"engine\.servers\.mine\.base_urls\.0"):
        check_content(content, "params.yaml")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, reference_run: ReferenceRun) -> DvcWorkspace:
    """Return a workspace after the pipeline and an experiment, with keys in the environment."""
    space = reference_run.copy(tmp_path_factory.mktemp("secret") / "space")
    space.env |= SECRETS
    space.dvc("exp", "run", "--name", "one", "-S", "selector.k=4", "select")
    return space


@pytest.mark.slow
def test_no_key_of_the_environment_is_in_any_file_commit_or_experiment(space: DvcWorkspace) -> None:
    leaks = [
        (path, name)
        for path in space.folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for name, secret in SECRETS.items()
        if secret.encode() in path.read_bytes()
    ]
    assert leaks == []
    everything = subprocess.run(
        ["git", "log", "--all", "--patch", "--text"],
        cwd=space.folder,
        check=True,
        capture_output=True,
    ).stdout
    table = space.dvc("exp", "show", "--json")
    for secret in SECRETS.values():
        assert secret.encode() not in everything
        assert secret not in table


@pytest.mark.slow
def test_a_policy_holds_safetensors_and_nothing_that_is_unpickled(space: DvcWorkspace) -> None:
    files = {path.name for path in (space.folder / paths.model("policy")).rglob("*")}
    assert "model.safetensors" in files
    assert not {name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl"))}


@pytest.mark.slow
def test_others_may_not_write_the_outputs(space: DvcWorkspace) -> None:
    outputs = list((space.folder / "data").rglob("*"))
    assert space.folder / paths.PROBLEMS in outputs
    for path in outputs:
        assert not path.stat().st_mode & 0o002, path
        assert path.stat().st_uid == os.geteuid()


def test_every_dependency_is_documented() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [pyproject["project"]["dependencies"], *pyproject["dependency-groups"].values()]
    lines = [line for group in groups for line in group]
    requirements = {re.split(r"[\[<>=]", line)[0] for line in lines}
    table = (ROOT / "docs/dependencies.md").read_text()
    rows = re.findall(r"^\| ([\w, -]+) \| .+ \|$", table, flags=re.MULTILINE)
    named = {name for row in rows for name in row.split(", ")} - {"Package"}
    assert named == requirements


def test_the_set_up_installs_only_hashed_pins() -> None:
    script = (ROOT / "tools/environment.sh").read_text()
    assert script.count("--require-hashes") == 2  # pip brings uv, uv the rest
    for file in (ROOT / "requirements").rglob("*.txt"):
        if file.name == "excluded.txt":
            continue
        text = file.read_text()
        pins = re.findall(r"^[\w.-]+(?:\[[\w,]+\])?==\S+.*?(?=^[\w.-]+==|\Z)", text, re.M | re.S)
        assert pins
        assert all("--hash=sha256:" in pin for pin in pins)
