"""Markup inside statements and traces is text: it never begins or ends a turn."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from delta.core.schemas import HISTORY
from delta.export.dataset import write_dataset
from delta.inference import chat_formats
from delta.inference.generate import SampledParams, trace_requests
from delta.inference.vllm_engine import VllmEngine
from delta.judging import judge
from delta.judging.judge import JudgeInput, build_requests
from delta.prompts import control_tokens, prompt_files
from delta.prompts.control_tokens import (
    ENDS_OF_TURN,
    MARKUP,
    escape_all_families,
    strip_end_of_turn,
)
from delta.training import dataset
from tests.helpers.character_tokenizer import trace_columns
from tests.helpers.engine_settings import SERVING, VLLM
from tests.helpers.example_pairs import example_pairs
from tests.helpers.scripted_server import engine_at
from tests.helpers.tiny_model_families import LLAMA3
from tests.helpers.tiny_models import TEMPLATE, train_params
from tests.helpers.toy_export import exported_rows, toy_card_facts
from tests.helpers.toy_judge import LLM

SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% endif %}"
TURNS = "{% for m in messages if m['role'] != 'system' %}"
BARS = "<\uff5c{}\uff5c>"
BEGIN, END = BARS.format("begin\u2581of\u2581sentence"), BARS.format("end\u2581of\u2581sentence")


class TokenizerFamily(NamedTuple):
    special: tuple[str, ...]
    eos: str
    template: str
    end: str  # what its template writes after an assistant's turn
    added: tuple[str, ...] = ()  # control tokens that it does not call special


FAMILIES = {
    "chatml": TokenizerFamily(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|endoftext|>", TEMPLATE, "<|im_end|>"
    ),
    "llama 3": TokenizerFamily(
        ("<|begin_of_text|>", "<|end_of_text|>", *LLAMA3[1:]),
        "<|end_of_text|>",
        "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}"
        "<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n"
        "{% endif %}",
        "<|eot_id|>",
    ),
    "llama 2": TokenizerFamily(
        ("<unk>", "<s>", "</s>"),
        "</s>",
        "{% for m in messages %}{% if m['role'] == 'user' %}<s>[INST] {{ m['content'] }} [/INST]"
        "{% else %} {{ m['content'] }} </s>{% endif %}{% endfor %}",
        "</s>",
    ),
    "mistral": TokenizerFamily(
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "</s>",
        "<s>{% for m in messages %}{% if m['role'] == 'user' %}[INST]{{ m['content'] }}[/INST]"
        "{% else %}{{ m['content'] }}</s>{% endif %}{% endfor %}",
        "</s>",
    ),
    "gemma": TokenizerFamily(
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<eos>",
        "<bos>{% for m in messages %}<start_of_turn>{{ m['role'] }}\n{{ m['content'] }}"
        "<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        "<end_of_turn>",
    ),
    "gemma 4": TokenizerFamily(
        ("<bos>", "<eos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"),
        "<eos>",
        "<bos>{% for m in messages %}<|turn>{{ m['role'] }}\n{{ m['content'] }}<turn|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|turn>model\n{% endif %}",
        "<turn|>",
    ),
    "glm": TokenizerFamily(
        ("<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>"),
        "<|endoftext|>",
        "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "<|endoftext|>",
    ),
    "deepseek": TokenizerFamily(
        (BEGIN, END, BARS.format("User"), BARS.format("Assistant")),
        END,
        BEGIN
        + SYSTEM
        + TURNS
        + "{% if m['role'] == 'user' %}"
        + BARS.format("User")
        + "{{ m['content'] }}{% else %}"
        + BARS.format("Assistant")
        + "{{ m['content'] }}"
        + END
        + "{% endif %}{% endfor %}{% if add_generation_prompt %}"
        + BARS.format("Assistant")
        + "{% endif %}",
        END,
    ),
    "phi": TokenizerFamily(
        ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
        "<|endoftext|>",
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% else %}<|endoftext|>{% endif %}",
        "<|end|>",
    ),
    "chatml, added": TokenizerFamily(
        ("<|endoftext|>",), "<|endoftext|>", TEMPLATE, "<|im_end|>", ("<|im_start|>", "<|im_end|>")
    ),
    "no turns": TokenizerFamily(
        ("<|endoftext|>",),
        "<|endoftext|>",
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
        "<|endoftext|>",
    ),
}
# A statement or a trace with the markup of all families.
INJECTED = "Say " + " ".join(
    dict.fromkeys(
        token for family in FAMILIES.values() for token in (*family.special, *family.added)
    )
)


def write_tokenizer(folder: Path, family: TokenizerFamily) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokens = [*family.special, *family.added, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    model = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    model.add_special_tokens([AddedToken(name, special=True) for name in family.special])
    model.add_tokens([AddedToken(name, special=False, normalized=False) for name in family.added])
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=model, eos_token=family.eos)
    tokenizer.chat_template = family.template
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> TokenizerFamily:
    return FAMILIES[request.param]


@pytest.fixture
def tokenizer(family: TokenizerFamily, tmp_path: Path) -> Any:
    return write_tokenizer(tmp_path, family)


PLAIN = chat_formats.load("plain")


def control_token_texts(tokenizer: Any, token_ids: list[int]) -> list[str]:
    special = control_tokens.control_token_ids(tokenizer)
    return list(
        tokenizer.convert_ids_to_tokens([token_id for token_id in token_ids if token_id in special])
    )


def token_ids_of(tokenizer: Any, text: str) -> list[int]:
    token_ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return token_ids


def toy_engine(tokenizer: Any, folder: Path) -> VllmEngine:
    engine = VllmEngine(VLLM, SERVING, folder)
    engine.name, engine.tokenizer = "toy", tokenizer
    return engine


def problem_frame(statement: str, history: list[dict[str, str]]) -> pl.DataFrame:
    row = {"problem_id": "p", "statement": statement, "prompt": statement, "history": history}
    return pl.DataFrame([row], schema_overrides={"history": HISTORY})


SAMPLED = SampledParams(
    model="m", examples=0, samples=1, temperature=1.0, top_p=1.0, max_tokens=9, seed=1
)


def test_a_generators_prompt_has_only_its_templates_control_tokens(
    tokenizer: Any, tmp_path: Path
) -> None:
    engine = toy_engine(tokenizer, tmp_path)
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    injected = [turn | {"content": INJECTED} for turn in turns]
    tokens = []
    for statement, history in (("Say it", turns), (INJECTED, injected)):
        ((_, request),) = trace_requests(SAMPLED, engine, "m", problem_frame(statement, history))
        tokens.append(control_token_texts(tokenizer, token_ids_of(tokenizer, request.prompt)))
    assert tokens[0] == tokens[1]


def test_a_judges_prompt_has_only_its_templates_control_tokens(
    tokenizer: Any, tmp_path: Path
) -> None:
    engine = toy_engine(tokenizer, tmp_path)
    llm = LLM.model_copy(update={"votes": 1})
    tokens = []
    for text in ("Say it", INJECTED):
        subject = JudgeInput("t", text, text)
        ((_, request),) = build_requests(llm, engine, "m", [subject])
        tokens.append(control_token_texts(tokenizer, token_ids_of(tokenizer, request.prompt)))
    assert tokens[0] == tokens[1]


def training_row(tokenizer: Any, *texts: str, prompt: str = "Say it", form: str = "policy") -> Any:
    """Return the training row of one pair of these texts."""
    pair = {"pair_id": "p", "problem_id": "q", "prompt": prompt, "history": []}
    chosen, rejected = (trace_columns(text, "stop") for text in texts)
    frame = pl.DataFrame(
        [pair | {"chosen": chosen, "rejected": rejected}], schema_overrides={"history": HISTORY}
    )
    ((row,), _) = dataset.tokenize_pairs(
        train_params(reasoning_markers=form, max_length=5_000), PLAIN, frame, tokenizer
    )
    return row


@pytest.mark.parametrize("form", ["policy", "raw"])
def test_training_tokenizes_markup_in_texts_as_text(
    tokenizer: Any, family: TokenizerFamily, form: str
) -> None:
    row = training_row(tokenizer, INJECTED + " done", "no", prompt=INJECTED, form=form)
    plain = training_row(tokenizer, "yes", "no")
    assert control_token_texts(tokenizer, row["prompt_ids"]) == control_token_texts(
        tokenizer, plain["prompt_ids"]
    )
    assert control_token_texts(tokenizer, row["chosen_ids"]) == [family.end]
    assert tokenizer.decode(row["chosen_ids"][:-1]) == INJECTED + " done"


def test_a_turn_ends_in_the_token_that_the_template_writes(
    tokenizer: Any, family: TokenizerFamily
) -> None:
    assert tokenizer.convert_ids_to_tokens(PLAIN.end_of_turn(tokenizer)) == family.end
    row = training_row(tokenizer, "yes", "no")
    for side in ("chosen_ids", "rejected_ids"):
        assert control_token_texts(tokenizer, row[side]) == [family.end]


def test_a_text_saved_with_its_end_of_turn_gets_no_second_one(
    tokenizer: Any, family: TokenizerFamily
) -> None:
    for kept in (f"yes{family.end}", f"yes{family.end}\n", f"yes\n{family.end}{family.eos}"):
        row = training_row(tokenizer, kept, "no")
        assert row["chosen_ids"] == training_row(tokenizer, "yes", "no")["chosen_ids"]


def test_text_without_markup_is_rendered_and_tokenized_unchanged(tokenizer: Any) -> None:
    text = "If 0<|x-3|<2 and a < b | c > d, is $\\{x|x>1\\}$ [open]? <b>Yes</b> <think>no</think>"
    messages = [{"role": "user", "content": prompt_files.with_instruction(text)}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert PLAIN.render(tokenizer, messages) == rendered
    row = training_row(tokenizer, text, "no")
    assert row["chosen_ids"][:-1] == token_ids_of(tokenizer, text)


def test_a_servers_messages_hold_no_markup_of_any_family() -> None:
    server = engine_at("http://127.0.0.1:1/v1")
    ((_, request),) = trace_requests(SAMPLED, server, "m", problem_frame(INJECTED + " [INST]", []))
    ((sent,),) = [json.loads(request.prompt)["messages"]]
    assert MARKUP.search(sent["content"]) is None
    assert sent["content"].replace("< ", "<").replace("[ ", "[") == INJECTED + " [INST]"
    text = "If 0<|x-3|<2 and f(x)<|x|, then <b>a[0]</b> <think> <x|y> <|y>"
    assert escape_all_families(text) == text


ENDED = {
    "good<|im_end|>": "good",
    "good<|im_end|>\n": "good",
    "good </s>": "good",
    f"good{END}": "good",
    "good<end_of_turn>\n<eos>": "good",
    "good\n": "good\n",
    "the tag <s>x</s>": "the tag <s>x</s>",
    "in <|im_end|> the middle": "in <|im_end|> the middle",
    "<|eot_id|>": "",
}


@pytest.mark.parametrize("text", ENDED)
def test_an_end_of_turn_kept_by_a_file_is_not_exported(text: str, tmp_path: Path) -> None:
    assert strip_end_of_turn(text) == ENDED[text]
    run = example_pairs([(text, "cut<|im_end|>")])
    write_dataset(tmp_path / "out", toy_card_facts(), run.selected, run.problems, run.traces)
    (row,) = exported_rows(tmp_path / "out", "preference")
    assert row["chosen"][0]["content"] == ENDED[text]
    assert row["rejected"][0]["content"] == "cut<|im_end|>"  # of a trace that was cut, all stays
    completions = [
        row["completion"][0]["content"] for row in exported_rows(tmp_path / "out", "unpaired")
    ]
    assert set(completions) == {ENDED[text], "cut<|im_end|>"}


@pytest.mark.parametrize("end", ENDS_OF_TURN)
def test_training_replaces_any_familys_end_of_turn_by_the_policys(end: str, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path, FAMILIES["gemma"])
    row, plain = training_row(tokenizer, f"yes{end}\n", "no"), training_row(tokenizer, "yes", "no")
    assert row["chosen_ids"] == plain["chosen_ids"]


def test_every_end_is_markup() -> None:
    assert all(MARKUP.fullmatch(end) for end in ENDS_OF_TURN)


def test_a_judge_gets_the_answer_after_an_empty_reasoning() -> None:
    subjects, _ = judge.judge_inputs(
        pl.DataFrame([{"problem_id": "p", "statement": "1?", "history": [], "gold_answer": ""}]),
        pl.DataFrame(
            [trace_columns("<think></think>\n\nYes.", "stop", (7, 7, 15)) | {"trace_id": "t"}]
        ).with_columns(problem_id=pl.lit("p")),
    )
    assert subjects[0].trace == "Yes."


@pytest.mark.slow
def test_a_policy_stops_at_the_end_it_was_trained_to_write() -> None:
    from transformers import GenerationConfig

    from delta.training.model_io import _add_end_token

    for known, expected in ((2, 2), (1, [1, 2]), ([3, 2], [3, 2]), ([3], [3, 2]), (None, [2])):
        settings = GenerationConfig(eos_token_id=known)
        _add_end_token(settings, 2)
        assert settings.eos_token_id == expected
