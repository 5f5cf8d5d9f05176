"""Requests override the generation settings that a real `vllm serve` reads from the model."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delta.inference.chat_completions import VLLM_FIELDS, request_body
from delta.inference.types import Reply
from tests.helpers.scripted_server import engine_at, plain_requests
from tests.helpers.tiny_model_families import write_model_family

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
START_S = 400


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        content: dict[str, Any] = json.load(response)
    return content


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a tiny model whose own settings allow one token at each position; yield the URL."""
    folder = tmp_path_factory.mktemp("served") / "toy"
    write_model_family(folder, "nemotron")
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(settings | {"do_sample": True, "top_k": 1}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "toy", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", "256", "--enforce-eager"]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
    log = folder.parent / "log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            command, stdout=file, stderr=file, env=environment, start_new_session=True
        ) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, server, log)
            yield f"{address}/v1"
        finally:
            server.terminate()
            server.wait(60)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()[-3_000:]
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except OSError:
            time.sleep(1)
        else:
            return
    pytest.fail(log.read_text()[-3_000:])


def test_the_models_own_settings_change_no_reply(url: str) -> None:
    requests = plain_requests(4)
    bodies = [request_body(request, "toy") for request in requests]
    reduced_bodies = [
        {name: body[name] for name in body.keys() - VLLM_FIELDS.keys()} for body in bodies
    ]
    default_replies = [post(url, body) for body in reduced_bodies]
    assert (
        len({body["choices"][0]["message"]["content"] for body in default_replies}) == 1
    )  # top_k is 1
    replies = dict(engine_at(url, timeout_s=60).generate(requests))
    assert all(isinstance(reply, Reply) for reply in replies.values()), replies
    assert len({reply[0] for reply in replies.values()}) == 4
