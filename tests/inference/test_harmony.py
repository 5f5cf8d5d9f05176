"""The judge's grammar: it may reason, then nothing but JSON of the schema passes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delta.inference import chat_formats, harmony
from delta.inference.config import SamplingParams
from delta.inference.engine import build_request
from delta.judging import rubric
from delta.prompts import prompt_files
from tests.helpers.engine_settings import SERVING, VLLM
from tests.helpers.tiny_model_families import write_model_family, write_tokenizer

pytestmark = pytest.mark.slow  # transformers and xgrammar take seconds to import
BEGIN = "<|channel|>analysis<|message|>"
BETWEEN = "<|end|><|start|>assistant"
FINAL = "<|channel|>final"
OPEN = FINAL + " <|constrain|>json<|message|>"
RATING = {"score": 3, "justification": "One jump: x^2 = 4 is unproved.", "deductions_found": []}
REPLY: dict[str, Any] = {
    "logic": {
        "factuality": RATING,
        "strategy_coherence": RATING,
        "step_coherence": RATING | {"deductions_found": ["unjustified leaps"]},
        "computational_precision": RATING,
    },
    "brevity": {"signal_to_noise": RATING},
}
VALID = json.dumps(REPLY)
WITHOUT = json.dumps({"logic": REPLY["logic"]})
ACCEPTED = {
    "reasoning, then JSON": BEGIN + "The sum is right.\nStep 2 jumps." + BETWEEN + OPEN + VALID,
    "empty reasoning": BEGIN + BETWEEN + OPEN + VALID,
    "reasoning with braces and a tag": BEGIN + '{"score": 9} a < b </x>' + BETWEEN + OPEN + VALID,
    "JSON at once": OPEN + VALID,
    "final channel without a format": FINAL + "<|message|>" + VALID,
    "format without its marker": FINAL + " json<|message|>" + VALID,
    "no white space": OPEN + json.dumps(REPLY, separators=(",", ":")),
    "a line for each key": OPEN + json.dumps(REPLY, indent=0).replace("\n\n", "\n"),
}
REFUSED = {
    "free text": "The trace is good.",
    "free text in the final channel": FINAL + "<|message|>The trace is good.",
    "reasoning alone": BEGIN + "Good.<|end|>",
    "reasoning without its end": BEGIN + "Good." + FINAL + "<|message|>" + VALID,
    "another channel": "<|channel|>commentary<|message|>" + VALID,
    "reasoning twice": (BEGIN + "a" + BETWEEN) * 2 + OPEN + VALID,
    "a marker within the reasoning": BEGIN + "a<|channel|>final" + BETWEEN + OPEN + VALID,
    "bare JSON": VALID,
    "score 6": OPEN + VALID.replace('"score": 3', '"score": 6', 1),
    "score 3.5": OPEN + VALID.replace('"score": 3', '"score": 3.5', 1),
    "score in quotes": OPEN + VALID.replace('"score": 3', '"score": "3"', 1),
    "a category missing": OPEN + WITHOUT,
    "a score missing": OPEN + VALID.replace('"score": 3, ', "", 1),
    "an unknown key": OPEN + VALID.replace('"score": 3', '"sure": 1, "score": 3', 1),
    "a justification without end": OPEN + VALID.replace("One jump", "x" * 301, 1),
    "six deductions": OPEN + VALID.replace("[]", '["a", "a", "a", "a", "a", "a"]', 1),
    "text after the JSON": OPEN + VALID + " I hope this helps.",
    "a channel after the JSON": OPEN + VALID + BETWEEN + OPEN + VALID,
    "JSON cut": OPEN + VALID[:-1],
    "white space in a row": OPEN + VALID.replace(", ", ",  ", 1),
    "white space before": OPEN + "\n\n" + VALID,
    "white space after": OPEN + VALID + "\n",
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("harmony")
    write_tokenizer(folder, "gpt-oss")
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def grammar(tokenizer: Any) -> Any:
    """Return the grammar compiled as in vLLM's xgrammar backend."""
    import xgrammar

    known = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    tag = harmony.structural_tag(rubric.schema())
    return xgrammar.GrammarCompiler(known).compile_structural_tag(tag)


def accepts(grammar: Any, tokens: list[int]) -> bool:
    """Return whether these tokens are accepted one by one and the last ends the turn."""
    import xgrammar

    matcher = xgrammar.GrammarMatcher(grammar)
    return all(matcher.accept_token(token) for token in tokens) and matcher.is_terminated()


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_reply_may_reason_and_then_gives_the_json(
    case: str, tokenizer: Any, grammar: Any
) -> None:
    tokens = tokenizer.encode(ACCEPTED[case] + "<|return|>", add_special_tokens=False)
    assert accepts(grammar, tokens)
    assert not accepts(grammar, tokens[:-1])  # it is the end of the turn that ends it


@pytest.mark.parametrize("case", REFUSED)
def test_other_bodies_are_no_replies(case: str, tokenizer: Any, grammar: Any) -> None:
    tokens = tokenizer.encode(REFUSED[case] + "<|return|>", add_special_tokens=False)
    assert not accepts(grammar, tokens)


def test_a_marker_is_one_special_token_and_passes_as_such(tokenizer: Any, grammar: Any) -> None:
    import xgrammar

    matcher = xgrammar.GrammarMatcher(grammar)
    first = tokenizer.convert_tokens_to_ids("<|channel|>")
    assert tokenizer.encode(BEGIN, add_special_tokens=False)[0] == first
    mask = xgrammar.allocate_token_bitmask(1, len(tokenizer))
    matcher.fill_next_token_bitmask(mask)
    allowed = [token for token in range(len(tokenizer)) if mask[0, token // 32] >> (token % 32) & 1]
    assert {tokenizer.convert_ids_to_tokens(token) for token in allowed} == {"<|channel|>", "<"}


@pytest.mark.parametrize("escape", ['\\"', "\\\\", "\\n", "\\u00e9"])
def test_a_bounded_string_allows_no_escape(escape: str, tokenizer: Any, grammar: Any) -> None:
    """This is a bug of xgrammar 0.2.8 (its issue 800). Once fixed, the prompt may drop the line."""
    text = OPEN + VALID.replace("One jump", "One " + escape, 1)
    json.loads(text.removeprefix(OPEN))
    assert not accepts(grammar, tokenizer.encode(text + "<|return|>", add_special_tokens=False))
    assert "no LaTeX, no quotation marks, no line breaks" in prompt_files.text("judge.txt")


@pytest.mark.parametrize("case", ACCEPTED)
def test_texts_of_the_grammar_split_into_reasoning_and_a_valid_vote(case: str) -> None:
    border = chat_formats.load("gpt-oss").split(ACCEPTED[case])
    assert border.answer_start is not None
    assert rubric.parse_votes(ACCEPTED[case][border.answer_start :]) is not None
    assert ("The sum is right." in ACCEPTED[case][: border.reasoning_end]) == (
        case == "reasoning, then JSON"
    )


SMALL = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "why": {"type": "string", "maxLength": 20},
    },
    "required": ["score", "why"],
    "additionalProperties": False,
}


def test_in_vllm_a_model_reasons_before_its_json_or_is_cut(tmp_path: Path) -> None:
    """The weights are random, so the format comes from the grammar alone."""
    from delta.inference.types import Reply
    from delta.inference.vllm_engine import VllmEngine

    fingerprint = write_model_family(tmp_path / "judge", "gpt-oss")
    serving = SERVING.model_copy(update={"chat_format": "gpt-oss", "max_num_seqs": 16})
    memory = {"kv_cache_memory_bytes": 200 * 2**20, "block_size": 32}
    settings = VLLM.model_copy(update=memory)
    engine = VllmEngine(settings, serving, tmp_path / "judge")
    sampling = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=600, seed=1)
    prompt = engine.render(engine.chat_format.messages("Rate it."))
    schema = json.dumps(SMALL)
    requests = [
        replace(
            build_request(sampling, engine, fingerprint, prompt, sample), schema=schema, channels=on
        )
        for sample in range(12)
        for on in (True, False)
    ]
    reasoned = []
    for request, reply in engine.generate(requests):
        assert isinstance(reply, Reply)
        border = engine.chat_format.split(reply.text, prompt)
        if not request.channels:  # what a bare schema does: no reasoning at all
            assert reply.text.startswith("{")
        elif reply.finish_reason == "stop":
            assert border.answer_start is not None
            # Random weights write control characters into strings, which xgrammar lets through.
            answer = json.loads(reply.text[border.answer_start :], strict=False)
            assert answer["score"] in (1, 2, 3, 4, 5)
            assert list(answer) == ["score", "why"]
            reasoned.append(border.reasoning_end > border.reasoning_start)
    assert sum(reasoned) >= 3
