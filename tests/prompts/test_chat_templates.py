"""A chat template that runs too long or writes too much is refused before the model is used."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.inference import chat_formats
from delta.prompts import chat_templates
from tests.helpers.tiny_models import TEMPLATE, write_model

# Each is stopped by a limit; none could harm the machine without it.
ENDLESS = {
    "loops in loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    ),
    "one operation": "{{ 9 ** (9 ** 9) }}",
}
BIG = {
    "a text of 3 GB": ("{{ 'x' * 3000000000 }}", "more than 1024 MiB of memory"),
    "a text that doubles": (
        "{% set n = namespace(x='xx') %}{% for a in range(31) %}{% set n.x = n.x + n.x %}"
        "{% endfor %}{{ n.x }}",
        "more than 1024 MiB of memory",
    ),
    "a question of a megabyte": ("{{ 'x' * 1000000 }}", "1000000 characters of a question"),
}
REFUSING = {
    "no end of a block": "{% for m in messages %}",
    "a range above all": "{% for a in range(10**9) %}{% endfor %}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "an attribute that leads out": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "tiny"
    write_model(folder)
    return folder


def write_template(model: Path, template: str) -> Path:
    (model / "chat_template.jinja").write_text(template)
    return model


def template_error(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        chat_templates.check_template("models.toy", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_a_template_that_does_not_end_is_stopped(model: Path, name: str) -> None:
    before = time.monotonic()
    message = template_error(write_template(model, ENDLESS[name]))
    assert message.startswith("models.toy: its chat template does not end within 10 s")
    assert time.monotonic() - before < 60


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_a_template_that_writes_too_much_is_refused(model: Path, name: str) -> None:
    template, message = BIG[name]
    assert message in template_error(write_template(model, template))


@pytest.mark.parametrize("name", REFUSING)
def test_a_templates_own_error_is_one_line_when_it_is_rendered(model: Path, name: str) -> None:
    chat_templates.check_template("models.toy", write_template(model, REFUSING[name]))
    with pytest.raises(InputError) as caught:
        render(model)
    assert str(caught.value).startswith(f"{model}: its chat template")
    assert "\n" not in str(caught.value)


def test_a_good_template_or_none_is_accepted(model: Path) -> None:
    chat_templates.check_template("models.toy", write_template(model, TEMPLATE))
    assert render(model).endswith("assistant\n")
    (model / "chat_template.jinja").unlink()
    chat_templates.check_template("models.toy", model)


def render(folder: Path) -> str:
    from transformers import AutoTokenizer

    protocol = chat_formats.load("plain")
    return protocol.render(AutoTokenizer.from_pretrained(folder), protocol.messages("1 + 1?"))


def test_a_template_that_loops_for_one_prompt_is_stopped_when_rendered(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_formats, "RENDER_TIMEOUT_S", 0.5)
    loop = ENDLESS["loops in loops"]
    write_template(model, "{% if '1 + 1?' in messages[-1].content %}" + loop + "{% endif %}")
    before = time.monotonic()
    with pytest.raises(InputError, match="its chat template does not end within"):
        render(model)
    assert time.monotonic() - before < 30


def test_a_tokenizer_that_loads_too_slowly_is_a_one_line_error(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_templates, "LOAD_TIMEOUT_S", 0.1)
    assert "its tokenizer is not loaded within 0.1 s" in template_error(
        write_template(model, TEMPLATE)
    )


def test_a_template_in_the_tokenizers_settings_is_checked_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"chat_template": "{{ 1 }}"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert chat_templates._has_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert not chat_templates._has_template(tmp_path)
