"""The reason of a failed request is one line of few classes and never contains a key."""

import base64
from urllib.parse import quote

import pytest

from delta.inference.config import ServerParams
from delta.inference.failures import make_failure, safe_line
from delta.inference.types import Failure

KEY = "sk-Proj-8fGh2kLm9QwErTy4ZxCv"
IN_JSON = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
IN_A_URL = "".join(f"%{ord(letter):02X}" for letter in KEY)
IN_HTML = "".join(f"&#{ord(letter)};" for letter in KEY)
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in KEY)
SPELLINGS = {
    "as it is": KEY,
    "in capitals": KEY.upper(),
    "in small letters": KEY.lower(),
    "in a reply's id": f"chatcmpl-{KEY}-1",
    "cut at its end": KEY[:14],
    "cut at its beginning": KEY[10:],
    "masked": f"{KEY[:8]}**********{KEY[-4:]}",
    "with a line end": f"{KEY[:12]}\r\n{KEY[12:]}",
    "with zero-width blanks": "\u200b".join(KEY),
    "in JSON": IN_JSON,
    "in JSON, twice": IN_JSON.replace("\\", "\\u005c"),
    "in a URL": IN_A_URL,
    "in a URL, twice": quote(IN_A_URL),
    "in HTML": IN_HTML,
    "half in JSON": "\\u0073" + KEY[1:],
    "in full-width letters": FULL_WIDTH,
    "in hexadecimal": KEY.encode().hex(),
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "in base64 after Bearer": base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    "in base64 after a name": base64.b64encode(f"a:{KEY}".encode()).decode(),
}


def letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_key_is_replaced_in_every_spelling(
    spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    message = safe_line(f"Incorrect key ({spelling}) given.")
    assert message.startswith("Incorrect key (")
    assert message.endswith(") given.")
    assert "$OPENAI_API_KEY" in message
    rest = letters(message.replace("$OPENAI_API_KEY", ""))
    for form in (KEY, KEY.encode().hex(), base64.b64encode(KEY.encode()).decode()):
        plain = letters(form)
        assert not any(plain[i : i + 6] in rest for i in range(len(plain) - 5))


def test_all_keys_of_the_environment_are_hidden_and_other_text_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ABCdefGHIjklMNO")
    monkeypatch.setenv("MY_SERVER_KEY", "EMPTY")
    monkeypatch.setenv("OPENAI_API_KEY", "abc")  # too short to be told from other text
    assert safe_line("hf_abcdefGHI and empty: abc") == "$HF_TOKEN and $MY_SERVER_KEY: abc"
    assert safe_line("the prompt is too long: 9000 tokens") == "the prompt is too long: 9000 tokens"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", "HTTP 400"),
        ("\n \x00\x1b", "HTTP 400"),
        ("too\nlong\r\n", "HTTP 400: too long"),
        ("\x1b]0;title\x07\x1b[31mred\x9b2J", "HTTP 400: ]0;title [31mred 2J"),
        ("a\u2028b\u202ec\u200bd", "HTTP 400: a b c d"),
        ("\\u001b[31m", "HTTP 400: [31m"),
        ("\ud83d", "HTTP 400"),
    ],
)
def test_a_reason_is_one_line_without_escape_sequences(message: str, line: str) -> None:
    assert make_failure("HTTP 400", message) == Failure(line, "HTTP 400")
    assert safe_line(message.encode(errors="surrogatepass")).isprintable()


@pytest.mark.parametrize("attempts", [1, 3, 10_000])
def test_a_reason_has_at_most_200_characters_with_the_number_of_attempts(attempts: int) -> None:
    assert make_failure("HTTP 500", attempts=3) == Failure("HTTP 500, after 3 attempts", "HTTP 500")
    for message in ("x" * 10**7, "a b " * 10**6):
        reason = make_failure("invalid reply", message, attempts).reason
        assert len(reason) <= 200
        assert reason.startswith("invalid reply: ")
        assert ("..." in reason, reason.endswith(" attempts")) == (True, attempts > 1)


def test_a_key_under_any_name_is_hidden_once_a_request_has_carried_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAB_CREDENTIAL", KEY)
    url = "http://127.0.0.1:1/v1"
    server = ServerParams(
        base_urls=[url],
        key="LAB_CREDENTIAL",
        models={"toy": None},
        concurrency=1,
        timeout_s=1.0,
        max_retries=0,
    )
    assert server.api_key() == KEY
    assert safe_line(f"wrong: {KEY}") == "wrong: $LAB_CREDENTIAL"
    assert server.model_copy(update={"key": None}).api_key() is None
