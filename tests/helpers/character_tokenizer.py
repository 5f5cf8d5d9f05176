"""A tokenizer that a person can read, and the columns of a trace that training reads."""

from typing import Any

END = 0


class CharacterTokenizer:
    """A tokenizer with one token per character; its template drops reasoning from answers."""

    eos_token_id = END

    def apply_chat_template(self, conversation: Any, **options: Any) -> str:
        assert not options["tokenize"]
        turns = [
            f"[{turn['role']}]{turn['content'].rpartition('</think>')[2]}" for turn in conversation
        ]
        return "".join(turns) + ("[assistant]" if options["add_generation_prompt"] else "")

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        assert options == {"add_special_tokens": False}
        return {"input_ids": [ord(character) for character in text]}

    def decode(self, token_ids: list[int]) -> str:
        return "".join(chr(token) for token in token_ids)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [chr(token) for token in ids]


def text_of(ids: list[int]) -> str:
    return CharacterTokenizer().decode(ids).replace(chr(END), "<end>")


def trace_columns(
    text: str, finish: str, split: tuple[int, int, int | None] = (0, 0, 0)
) -> dict[str, Any]:
    """Return the text, its finish reason and the positions of its parts."""
    names = ("reasoning_start", "reasoning_end", "answer_start")
    return {"text": text, "finish_reason": finish, **dict(zip(names, split, strict=True))}
