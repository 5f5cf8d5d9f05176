"""params.yaml as a file: its YAML, hostile files, and addresses that hold a key."""

import contextlib
import copy
import time
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml
from hypothesis import given
from hypothesis import strategies as st

from delta.check import Params, check
from delta.core import params
from delta.core.errors import InputError
from tests.helpers.import_closure import ROOT
from tests.helpers.params_file import CONTENT, DPO, RATE, TEXT, message_for, refusal
from tests.helpers.pipeline_workspace import LIMITS

WHOLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "missing section": (TEXT.partition("\nbenchmarks:")[0], ("benchmarks is missing",)),
    "not YAML": (TEXT.replace("{model: policy,", "{{model: policy,"), ("not YAML", "line")),
    "empty": ("", ("holds NoneType", "expected a mapping of sections")),
    "a list": ("- models\n", ("holds list", "expected a mapping of sections")),
    "a key that is a number": ("1: 2\n", ("line 1", "key 1", "not a string", "quotes")),
    "a key of several values": ("a: 1\n[1]: 2\n", ("line 2", "key", "not a string")),
    "a key twice in a merge's mapping": (
        "a: &a {k: 1}\nb:\n  <<: *a\n  l: 1\n  l: 2\n",
        ("line 5", "'l' is there twice"),
    ),
    "a tag that runs code": ("a: !!python/object:os.system x\n", ("not YAML: line 1", "python")),
    "two documents": ("a: 1\n---\nb: 2\n", ("not YAML: line 2", "another document")),
    "a date that is none": ("a: 2001-99-99\n", ("not YAML", "month")),
    "a control character": ("a: \x00\n", ("not YAML", "#x0000")),
    # Hostile: each would take memory or time without end.
    "a billion laughs": (
        "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n"
        + "".join(f"a{i}: &a{i} [{', '.join(10 * [f'*a{i - 1}'])}]\n" for i in range(1, 12)),
        ("line 5", "aliases make more than 100000 values"),
    ),
    "merges upon merges": (
        "a0: &a0 {b: &b [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], c: *b}\n"
        + "".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 60)),
        ("aliases make more than 100000 values",),
    ),
    "an alias that holds itself": ("a: &a [*a]\n", ("line 1", "nested deeper than 50 levels")),
    "a merge of itself": ("a: &a\n  <<: *a\n", ("line ", "nested deeper than 50 levels")),
    "nested lists": ("a: " + 60 * "[" + 60 * "]" + "\n", ("nested deeper than 50 levels",)),
    "nested lists without end": ("a: " + 200_000 * "[", ("nested deeper than 50 levels",)),
    "nested by aliases": (
        "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)),
        ("line 50", "nested deeper than 50 levels"),
    ),
    "a number of 5,000 digits": ("a: " + 5000 * "9" + "\n", ("line 1", "5000 digits", "up to 18")),
    "a number of 900,000 digits": ("a: " + 900_000 * "9" + "\n", ("900000 digits", "up to 18")),
    "a hexadecimal number without end": ("a: 0x" + 900_000 * "f" + "\n", ("900002 digits",)),
    "a megabyte of values": ("a: [" + 600_000 * "1," + "]\n", ("1200006 bytes", "up to 1000000")),
}
SPELLINGS = {
    **dict.fromkeys(("5e-8", "5.0e-8", "5E-08", ".5e-7", "0.00000005", "+5e-8", "50e-9"), 5e-8),
    **dict.fromkeys(("1e-10", "1E-10", "1.0e-10", ".1e-9"), 1e-10),
    "5e-324": 5e-324,
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_without_valid_parameters_is_refused_quickly(tmp_path: Path, name: str) -> None:
    text, expected = WHOLE[name]
    before = time.process_time()
    message = refusal(tmp_path, text)
    assert time.process_time() - before < 3
    assert [part for part in expected if part not in message] == [], message
    assert len(message) < 300


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_small_number_is_read_in_every_spelling(tmp_path: Path, spelling: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(TEXT.replace(f"{DPO}{RATE}", f"{DPO}{spelling}"), encoding="utf-8")
    assert check(file).train.dpo.learning_rate == SPELLINGS[spelling]


@pytest.mark.parametrize(
    "text",
    [
        "a: [013, 0o17, 0x1F, 1_000]\nb: [yes, no, on]\nc: [~, null, FALSE]\nd: 1:30\ne: 190:20:30",
        "a: [5e-8, 5.0e-8, 5E-08, .5e-7, 1e5, 1e400, -.inf, 1., -0, 0.1_5, 12e03, '5e-8', \"1\"]",
        "a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: {<<: [*a, {c: 4, f: 5}]}",
        "a: [2001-01-01, 2001-1-1]\nb: 2001-12-14t21:59:43.10-05:00",
        "%YAML 1.2\n---\na: [yes, 013, 5e-8]\nb: 1:30",
        "\ufeffa: |\n  x\n   y\nb: >-\n  x\n\n  y\n",
        (ROOT / "params.yaml").read_text(encoding="utf-8"),
        (ROOT / "profiles/gpu.yaml").read_text(encoding="utf-8"),
        (ROOT / "profiles/paper.yaml").read_text(encoding="utf-8"),
        (ROOT / "profiles/smoke.yaml").read_text(encoding="utf-8"),
    ],
)
@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.MantissaNoDotYAML1_1Warning")  # of DVC's
def test_a_file_is_read_as_dvc_reads_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text, encoding="utf-8")
    assert repr(params.read_all(file)) == repr(load_yaml(str(file)))


def test_a_file_of_another_yaml_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("%YAML 1.1\n---\na: yes", encoding="utf-8")
    with pytest.raises(InputError, match=r"expected 1\.2 or no directive"):
        params.read_all(file)


def test_dvc_refuses_a_plain_value_with_a_colon_in_a_flow_list(tmp_path: Path) -> None:
    """Its C parser does; in quotes or in a block the value is read."""
    file = tmp_path / "params.yaml"
    file.write_text("a: [1:30]", encoding="utf-8")
    with pytest.raises(YAMLFileCorruptedError):
        load_yaml(str(file))


@given(st.text("ab01:-,.[]{}&*<>!|'\"#%\n ~e?", max_size=40))
def test_any_text_is_read_as_dvc_reads_it_or_refused(tmp_path_factory: Any, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8")
    with contextlib.suppress(InputError):
        assert repr(params.read_all(file)) == repr(load_yaml(str(file)))


SECRET = "sk-0123456789"


@pytest.mark.parametrize(
    "address",
    [
        f"https://api.example.org/v1?api_key={SECRET}",
        f"https://api.example.org/v1?key={SECRET}&x=1",
        f"https://api.example.org?token={SECRET}",
        f"https://api.example.org/v1#{SECRET}",
        f"https://api.example.org/v1;api_key={SECRET}",
        f"https://api.example.org/v1/api_key={SECRET}",
        f"https://user:{SECRET}@api.example.org/v1",
        f"https://{SECRET}@api.example.org/v1",
        f"https://api.example.org/v1/{SECRET}@x",
        f"https://api.example.org/v1 {SECRET}",
        f"https://api.example.org/v1\n{SECRET}",
        f"https://api.example.org\\@{SECRET}/v1",
        f"ftp://{SECRET}/v1",
        f"//{SECRET}/v1",
        f"http://127.0.0.1:99999/{SECRET}",
        f"http://h:0/{SECRET}",
        f"http://h:x/{SECRET}",
        f"http://:8000/{SECRET}",
        f"http://[::1/{SECRET}",
        f"http://h..x/{SECRET}",
        "",
    ],
)
def test_an_address_that_is_invalid_or_may_hold_a_key_is_refused_without_repeating_it(
    address: str,
) -> None:
    urls = ["http://127.0.0.1:8000/v1", address]
    server = {"base_urls": urls, "key": None, "models": {"judge": None}, **LIMITS}
    message = message_for("engine.servers", {"mine": server})
    assert message.startswith("params.yaml: engine.servers.mine.base_urls.1: expected http")
    assert SECRET not in message


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8000/v1",
        "http://[::1]:8000/v1/",
        "https://api.openai.com/v1",
        "http://node-7",
        "https://x.openai.azure.com/openai/deployments/gpt-4.1_mini",
        "https://host/a%20b/~me/v1beta:x",
    ],
)
def test_an_address_of_a_server_is_accepted(address: str) -> None:
    content = copy.deepcopy(CONTENT)
    server = {"base_urls": [address], "key": None, "models": {"judge": None}, **LIMITS}
    content["engine"]["servers"] = {"mine": server}
    read = params.validate("", Params, content)
    assert read.engine.servers["mine"].base_urls == [address]
