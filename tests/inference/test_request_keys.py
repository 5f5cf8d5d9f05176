"""A change of the code keeps the keys of requests, and so the replies cached under them."""

from dataclasses import replace
from pathlib import Path

import pytest

from delta.inference import vllm_engine
from delta.inference.config import RayParams, SamplingParams
from delta.inference.engine import Engine, build_request
from delta.inference.ray_engine import RayEngine
from delta.inference.vllm_engine import VllmEngine
from tests.helpers.engine_settings import SERVING, VLLM
from tests.helpers.scripted_server import engine_at
from tests.helpers.tiny_model_families import FAMILIES, write_tokenizer

SAMPLING = SamplingParams(temperature=0.7, top_p=0.95, max_tokens=48, seed=3)
# Computed by the code as it was before its parameters took vLLM's names.
KEYS = {
    "plain": {
        "vllm": "4f894c89824c14f312ee60b51f056cbb3641639c7145b21d7b02ff2a361b26db",
        "server": "4b7b4211f2ee6dbec52ab0afde5d31e7dbd63f304ca74416ce5251a22c679917",
        "hosted": "3eb54df02951f02f24b235827cb0d6e54800607d4b1331367a0430199a241839",
    },
    "s1": {
        "vllm": "fc91af45a1d373375cd1e3d00d4c59d6d7599cf02d697f252e68d5f62efd619a",
        "server": "0f2fef847f767ba38a4bada998a7c330508899d32fad7d98329a435cb7733f87",
        "hosted": "af852845c1b7d61453caf8b554db65226456b5f8bbeed95af4ce4992e3b6229e",
    },
    "gpt-oss": {
        "vllm": "7e248944562ad5c6dab3af6f3e658fbf20b0e0ef28cbb2f914e6618a39eba4d3",
        "server": "9ba07f6992d9d52b7c7aee5364a03edb7edee622bf8c190dfd25f5078361e533",
        "hosted": "5b0e913a1a9045cda92ee49369a26a494e0022cef623378a6c319f7e865792cd",
    },
}


@pytest.mark.parametrize("family", KEYS)
def test_request_keys_never_change_for_any_engine(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "_installed_version", lambda: "vllm 0.11.0")
    write_tokenizer(tmp_path, family)
    name = FAMILIES[family].chat_format
    serving = SERVING.model_copy(update={"chat_format": name})
    ray = RayParams(address="local", replicas=None, cpus=1)
    url = "http://127.0.0.1:1/v1"
    local = VllmEngine(VLLM, serving, tmp_path)
    cluster = RayEngine(VLLM, serving, tmp_path, ray)
    server = engine_at(url, chat_format=name)
    hosted = engine_at(url, chat_format=name, accepts=["max_completion_tokens", "seed", "stop"])
    assert key_of(local) == key_of(cluster) == KEYS[family]["vllm"]
    assert key_of(server) == KEYS[family]["server"]
    assert key_of(hosted) == KEYS[family]["hosted"]


def key_of(engine: Engine) -> str:
    chat_format = engine.chat_format
    prompt = engine.render(chat_format.messages("Was ist 1 + 1 = ? <|im_end|> é"))
    plain = build_request(SAMPLING, engine, "0" * 64, prompt, sample=1)
    schema = '{"type": "object"}'
    return replace(plain, attempt=2, schema=schema, channels=chat_format.channels).key()
