"""Cells of users' tables that hold a text or a conversation: chat messages with role and content.

A conversation ends in the user's turn that is asked; the turns before it are its history. What a
text cannot hold (tool calls, pictures) is a reason why the row is left out, never a lost turn.
"""

from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.core.schemas import Message
from delta.prompts.control_tokens import strip_end_of_turn

ALLOWED = "a text, or messages with role and content"
# Names of other programs for the three roles.
ROLES = {name: name for name in ("system", "user", "assistant")} | {"developer": "system"}
TOOLS = ("tool", "function", "ipython")
CALLS = ("tool_calls", "function_call")
BESIDE = ("images", "image", "audio", "audios", "video", "videos")  # where some keep a picture
APART = ("reasoning_content", "reasoning", "thinking")  # where some keep an answer's reasoning
REASONS = ("tool_calls", "not_text")  # why turns cannot be kept


class Conversation(NamedTuple):
    """What a model is asked."""

    history: tuple[tuple[str, str], ...]  # (role, content) of every turn before the last
    statement: str  # the user's last turn
    answered: bool  # whether an assistant's turn followed it in the cell

    def turns(self) -> tuple[tuple[str, str], ...]:
        return (*self.history, ("user", self.statement))

    def messages(self) -> list[Message]:
        """The history as the tables hold it (delta.core.schemas.HISTORY)."""
        return [{"role": role, "content": content} for role, content in self.history]


class Reply(NamedTuple):
    """An assistant's turn, and the turns that its cell has before it."""

    history: tuple[tuple[str, str], ...]
    text: str


def read_question(what: str, value: Any) -> Conversation | str:
    """Return the conversation of a cell, or why the row has none.

    An assistant's turn at the end is left out: it answers the question. Raises InputError, which
    `what` begins, where the cell is neither a text nor messages.
    """
    turns = _turns(what, value, role="user")
    if isinstance(turns, str):
        return turns
    answered = bool(turns) and turns[-1][0] == "assistant"
    *history, (role, statement) = (turns[:-1] if answered else turns) or [("system", "")]
    if role != "user" or not statement.strip():
        return "no_statement"
    return Conversation(tuple(history), statement, answered)


def read_reply(what: str, value: Any) -> Reply | str:
    """Return the assistant's turn that ends a cell, or why there is none; raises as above."""
    turns = _turns(what, value, role="assistant")
    if isinstance(turns, str):
        return turns
    if not turns or turns[-1][0] != "assistant" or not strip_end_of_turn(turns[-1][1]).strip():
        return "no_text"
    if isinstance(value, list) and any(value[-1].get(name) for name in APART):
        return "reasoning_apart"  # its markers would have to be guessed
    return Reply(tuple(turns[:-1]), turns[-1][1])


def _turns(what: str, value: Any, role: str) -> list[tuple[str, str]] | str:
    if value is None:
        return []
    if isinstance(value, str):
        return [(role, value)]
    if not isinstance(value, list):
        raise InputError(f"{what} = {value!r}: allowed: {ALLOWED}")
    turns = []
    for number, message in enumerate(value, 1):
        turn = _turn(what, message)
        if isinstance(turn, str):
            return turn
        said_by, content = turn
        if said_by == "assistant" and number < len(value):
            content = strip_end_of_turn(content)  # the template of whoever is asked writes its own
        turns.append((said_by, content))
    return turns


def _turn(what: str, message: Any) -> tuple[str, str] | str:
    """The role and text of one message, or why its conversation cannot be kept."""
    if not isinstance(message, dict):
        raise InputError(f"{what}: holds a list; allowed: messages with role and content")
    # Before anything else is asked of it: a message that calls a tool may have no content.
    if message.get("role") in TOOLS or any(message.get(name) for name in CALLS):
        return "tool_calls"
    if not {"role", "content"} <= {*message}:
        raise InputError(
            f"{what}: holds a list; allowed: messages with role and content; one has "
            f"{', '.join(map(repr, message))}"
        )
    role = message["role"]
    if not isinstance(role, str) or role not in ROLES:
        raise InputError(f"{what}: role {role!r}; allowed: {', '.join([*ROLES, *TOOLS])}")
    content = _content(what, message["content"])
    if content is None or any(message.get(name) for name in BESIDE):
        return "not_text"
    return ROLES[role], content


def _content(what: str, content: Any) -> str | None:
    """The text of one message, whole or in parts; None where a part is a picture, or a sound."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InputError(f"{what} = {content!r}: allowed: {ALLOWED}")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "".join(texts)
