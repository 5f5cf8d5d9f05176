"""Each family's rendered prompt, and where its reasoning ends."""

from pathlib import Path

import pytest

from delta.core.errors import InputError
from delta.inference import chat_completions, chat_formats
from delta.inference.chat_formats import ReasoningSpan
from delta.prompts import prompt_files
from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_model_families import FAMILIES, write_tokenizer

GOLDEN = ROOT / "tests/fixtures/golden/chat_formats"
QUESTION = prompt_files.with_instruction("What is $1 + 1$?")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_rendered_prompt_of_a_family_is_the_golden_file(
    family: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    write_tokenizer(tmp_path, family)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    chat_format = chat_formats.load(FAMILIES[family].chat_format)
    rendered = chat_format.render(tokenizer, chat_format.messages(QUESTION))
    golden = (GOLDEN / f"{family}.txt").read_text(encoding="utf-8")
    assert rendered + "\n" == golden


def test_every_chat_format_of_a_model_has_a_golden_prompt() -> None:
    assert set(chat_formats.all_chat_formats()) - {"think"} == set(FAMILIES)
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(FAMILIES)


def parts(text: str, split: ReasoningSpan) -> tuple[str, str | None]:
    answer = None if split.answer_start is None else text[split.answer_start :].strip()
    return text[split.reasoning_start : split.reasoning_end].strip(), answer


# chat_format, reply, end of the prompt, reasoning, answer (None: cut before it began)
BORDERS = [
    ("plain", "The answer is 2.", "", "", "The answer is 2."),
    ("nemotron", "<think>\nhm\n</think>\n\nIt is 2.", "", "hm", "It is 2."),
    ("nemotron", "<think>\nhm", "", "hm", None),
    ("nemotron", "It is 2.", "", "", "It is 2."),
    ("nemotron", "hm\n</think>\n\nIt is 2.", "assistant\n<think>\n", "hm", "It is 2."),
    ("nemotron", "hm", "assistant\n<think>\n", "hm", None),
    ("nemotron", "<think>a</think>b</think>c", "", "a</think>b", "c"),
    ("nemotron", "<think>\nhm\n</think>", "", "hm", ""),
    ("nemotron", "", "", "", ""),
    ("s1", "<|im_start|>think\nhm\n<|im_start|>answer\nIt is 2.", "", "hm", "It is 2."),
    ("s1", "<|im_start|>think\nI think so", "", "I think so", None),
    ("s1", "It is 2.", "", "", "It is 2."),
    ("qwen3", "<think>\nhm\n</think>\n\nIt is 2.", "", "hm", "It is 2."),
    ("qwen3", "<think>\nhm", "", "hm", None),
    ("qwen3-off", "It is 2.", "assistant\n<think>\n\n</think>\n\n", "", "It is 2."),
    ("think", "<think>\nhm\n</think>\n\n\\boxed{2}", "", "hm", "\\boxed{2}"),
    (
        "gpt-oss",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final "
        '<|constrain|>json<|message|>{"a": 1}',
        "",
        "hm<|end|><|start|>assistant",
        '{"a": 1}',
    ),
    ("gpt-oss", "<|channel|>final<|message|>{}", "", "", "{}"),
    ("gpt-oss", "<|channel|>analysis<|message|>hm", "", "hm", None),
    ("gpt-oss", "<|channel|>analysis<|message|>hm<|channel|>final", "", "hm", None),
]


@pytest.mark.parametrize(("name", "text", "prompt", "reasoning", "answer"), BORDERS)
def test_split_finds_the_end_of_reasoning(
    name: str, text: str, prompt: str, reasoning: str, answer: str | None
) -> None:
    span = chat_formats.load(name).split(text, prompt)
    assert parts(text, span) == (reasoning, answer)


@pytest.mark.parametrize("name", chat_formats.all_chat_formats())
def test_split_inverts_write(name: str) -> None:
    chat_format = chat_formats.load(name)
    if chat_format.begins is None:
        assert chat_format.write("a", "b") == "a\n\nb"
        return
    text = chat_format.write("First.\nThen.", "So \\boxed{2}.")
    assert parts(text, chat_format.split(text)) == ("First.\nThen.", "So \\boxed{2}.")
    open_end = chat_format.write("First.", None)
    assert parts(open_end, chat_format.split(open_end)) == ("First.", None)
    assert chat_format.write("", "At once.") == "At once."


@pytest.mark.parametrize("name", chat_formats.all_chat_formats())
def test_reasoning_without_an_answer_is_never_read_as_the_answer(name: str) -> None:
    chat_format = chat_formats.load(name)
    text = chat_format.write("So \\boxed{2}.", None)
    reasoning = "" if chat_format.begins is None else "So \\boxed{2}."
    expected = (reasoning, "" if chat_format.begins is None else None)
    assert parts(text, chat_format.split(text)) == expected


def test_a_template_that_writes_the_date_writes_the_pinned_one() -> None:
    for name, day in (("gpt-oss", "2025-08-05"), ("llama", "06 Dec 2024")):
        assert day in (GOLDEN / f"{name}.txt").read_text()


def test_only_vllm_is_told_whether_to_think() -> None:
    accepts: list[chat_completions.FieldName] = ["max_tokens"]
    for name in ("qwen3", "qwen3-off"):
        chat_format = chat_formats.load(name)
        assert chat_completions.unsupported_setting("vllm", 0.7, 1.0, chat_format) is None
        assert chat_completions.unsupported_setting(accepts, 1.0, 1.0, chat_format) == (
            "its chat format needs chat_template_kwargs, which the server does not accept"
        )


def test_an_unknown_chat_format_and_a_misspelt_effort_are_refused() -> None:
    with pytest.raises(InputError, match=r"'s2': expected one of plain, .*nemotron"):
        chat_formats.load("s2")
    entry = chat_formats.load("gpt-oss").model_dump() | {"template": {"reasoning_effort": "mediun"}}
    with pytest.raises(ValueError, match="reasoning_effort"):
        chat_formats.ChatFormat.model_validate(entry)
