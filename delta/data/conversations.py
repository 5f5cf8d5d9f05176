"""Read texts and conversations in the cells of users' tables: messages with role and content.

A conversation ends with the user's turn that is to be answered. The turns before it are its
history. A row whose turns are not only text (tool calls, pictures) is dropped with a reason.
"""

from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.core.schemas import Message
from delta.prompts.control_tokens import strip_end_of_turn

EXPECTED = "a text, or messages with role and content"
# The roles, also by the names that other programs give them.
ROLES = {"system": "system", "user": "user", "assistant": "assistant", "developer": "system"}
TOOL_ROLES = ("tool", "function", "ipython")
TOOL_CALL_KEYS = ("tool_calls", "function_call")
MEDIA_KEYS = ("images", "image", "audio", "audios", "video", "videos")
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
DROP_REASONS = ("tool_calls", "not_text")


class Conversation(NamedTuple):
    """The turns that a model answers."""

    history: list[Message]  # every turn before the last
    statement: str  # the user's last turn
    has_answer: bool  # whether an assistant's turn followed it in the cell

    def turns(self) -> list[Message]:
        """Return all turns up to the question, which is the user's last one."""
        return [*self.history, {"role": "user", "content": self.statement}]


class AssistantTurn(NamedTuple):
    """The assistant's turn that ends a cell, and the turns before it."""

    history: list[Message]
    text: str


def read_conversation(key: str, cell: Any) -> Conversation | str:
    """Return the conversation of a cell, or the reason why the row is dropped.

    A last turn of the assistant is left out, since it answers the question. Raises InputError,
    which begins with `key`, where the cell is neither a text nor messages.
    """
    turns = _read_turns(key, cell, role="user")
    if isinstance(turns, str):
        return turns
    has_answer = bool(turns) and turns[-1]["role"] == "assistant"
    turns = turns[:-1] if has_answer else turns
    if not turns or turns[-1]["role"] != "user" or not turns[-1]["content"].strip():
        return "no_statement"
    return Conversation(turns[:-1], turns[-1]["content"], has_answer)


def read_assistant_turn(key: str, cell: Any) -> AssistantTurn | str:
    """Return the assistant's turn that ends a cell, or the reason why the row is dropped.

    Raises InputError as `read_conversation` does.
    """
    turns = _read_turns(key, cell, role="assistant")
    if isinstance(turns, str):
        return turns
    if not turns or turns[-1]["role"] != "assistant":
        return "no_text"
    text = turns[-1]["content"]
    if not strip_end_of_turn(text).strip():
        return "no_text"
    if isinstance(cell, list) and any(cell[-1].get(name) for name in REASONING_KEYS):
        return "reasoning_apart"  # the markers around it are unknown
    return AssistantTurn(turns[:-1], text)


def _read_turns(key: str, cell: Any, role: str) -> list[Message] | str:
    """Return the turns of a cell; a text alone is a turn of `role`."""
    if cell is None:
        return []
    if isinstance(cell, str):
        return [{"role": role, "content": cell}]
    if not isinstance(cell, list):
        raise InputError(f"{key} = {cell!r}; expected {EXPECTED}")
    turns = []
    for number, message in enumerate(cell, 1):
        turn = _read_turn(key, message)
        if isinstance(turn, str):
            return turn
        if turn["role"] == "assistant" and number < len(cell):
            turn["content"] = strip_end_of_turn(turn["content"])  # a chat template writes its own
        turns.append(turn)
    return turns


def _read_turn(key: str, message: Any) -> Message | str:
    """Return a message's turn, or the reason why its conversation is dropped."""
    if not isinstance(message, dict):
        raise InputError(f"{key}: holds a list; expected messages with role and content")
    # This comes first, since a message that calls a tool may have no content.
    if message.get("role") in TOOL_ROLES or any(message.get(name) for name in TOOL_CALL_KEYS):
        return "tool_calls"
    if not {"role", "content"} <= {*message}:
        keys = ", ".join(map(repr, message))
        raise InputError(
            f"{key}: holds a list; expected messages with role and content; one has {keys}"
        )
    role = message["role"]
    if not isinstance(role, str) or role not in ROLES:
        raise InputError(
            f"{key}: role {role!r}; expected one of {', '.join([*ROLES, *TOOL_ROLES])}"
        )
    content = _read_content(key, message["content"])
    if content is None or any(message.get(name) for name in MEDIA_KEYS):
        return "not_text"
    return {"role": ROLES[role], "content": content}


def _read_content(key: str, content: Any) -> str | None:
    """Return the text of a message, whole or in parts; None where a part is a picture or sound."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InputError(f"{key} = {content!r}; expected {EXPECTED}")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "".join(texts)
