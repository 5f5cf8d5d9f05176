"""Chat formats of model families: render prompts, and split replies into reasoning and answer."""

import datetime
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import Field, model_validator

from delta.core.errors import InputError
from delta.core.params import StrictModel, validate
from delta.core.schemas import Message
from delta.prompts import control_tokens, prompt_files

FILE = prompt_files.FOLDER / "chat_formats.yaml"
RENDER_TIMEOUT_S = 10.0  # real templates take a millisecond


class ReasoningSpan(NamedTuple):
    """Character offsets into a reply, the columns of delta.core.schemas.TRACE."""

    reasoning_start: int
    reasoning_end: int
    answer_start: int | None  # None: cut before the reasoning ended, so there is no answer


class TemplateArguments(StrictModel):
    """A chat template's arguments other than the messages. Templates do not check them."""

    reasoning_effort: Literal["low", "medium", "high"] | None = None  # gpt-oss
    enable_thinking: bool | None = None  # Qwen3


class ChatFormat(StrictModel):
    """One entry of prompts/chat_formats.yaml, which explains the fields."""

    system: str | None
    begins: str | None
    ends: str | None
    header_ends: str | None
    stop: list[str]
    keep_special_tokens: bool
    template: TemplateArguments
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")] | None
    channels: bool

    @model_validator(mode="after")
    def _both_markers(self) -> Self:
        if (self.begins is None) != (self.ends is None):
            raise ValueError("has one of begins and ends; expected both or none")
        return self

    def messages(
        self,
        user_text: str,
        examples: Sequence[Message] = (),
        history: Sequence[Message] = (),
    ) -> list[Message]:
        """Return the system prompt, the worked examples, the history and the user's turn.

        The system prompt of a history follows the family's, which may switch reasoning on.
        """
        history = list(history)
        system_texts = [self.system] if self.system is not None else []
        if history and history[0]["role"] == "system":
            system_texts.append(history.pop(0)["content"])
        content = "\n\n".join(filter(None, system_texts))
        system = [{"role": "system", "content": content}] if system_texts else []
        return [*system, *examples, *history, {"role": "user", "content": user_text}]

    def template_arguments(self) -> dict[str, Any]:
        """Return keyword arguments for `apply_chat_template`, local or at a server."""
        return self.template.model_dump(exclude_none=True)

    def render(self, tokenizer: Any, messages: list[Message]) -> str:
        """Return the prompt as the model sees it, up to where its reply begins.

        Control tokens in the contents are escaped. Raises InputError where the template refuses the
        conversation: some refuse system prompts.
        """
        escaped = [
            message | {"content": control_tokens.escape(message["content"], tokenizer)}
            for message in messages
        ]
        return self._apply(tokenizer, escaped, add_generation_prompt=True)

    def end_of_turn(self, tokenizer: Any) -> int:
        """Return the id of the token that the chat template writes after an assistant's turn."""
        try:
            rendered = self._apply(
                tokenizer, control_tokens.probe_conversation(), add_generation_prompt=False
            )
        except InputError:  # a template that only opens turns
            rendered = ""
        return control_tokens.end_of_turn_id(tokenizer, rendered)

    def _apply(
        self, tokenizer: Any, messages: list[Message], *, add_generation_prompt: bool
    ) -> str:
        arguments = self.template_arguments()
        if self.date is not None:
            # Templates call this for today's date, with which prompts would change every day.
            arguments["strftime_now"] = datetime.date.fromisoformat(self.date).strftime
        roles = ", ".join(message["role"] for message in messages)
        place = f"{getattr(tokenizer, 'name_or_path', 'the tokenizer')}: its chat template"
        conversation = f"turns: {roles}; the last is {messages[-1]['content'][:80]!r}"
        with _time_limit(place, conversation):
            text: str = tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **arguments,
            )
        return text

    def split(self, text: str, prompt: str = "") -> ReasoningSpan:
        """Return where reasoning and answer are.

        The last end marker counts. Without one, the reasoning was cut if it began in the text or at
        the end of the prompt; else there is none.
        """
        if self.begins is None or self.ends is None:
            return ReasoningSpan(0, 0, 0)
        begins, ends = self.begins.strip(), self.ends.strip()
        end = text.rfind(ends)
        begin = text.find(begins, 0, len(text) if end < 0 else end)
        start = begin + len(begins) if begin >= 0 else 0
        if end < 0:
            if begin >= 0 or prompt.rstrip().endswith(begins):
                return ReasoningSpan(start, len(text), None)
            return ReasoningSpan(0, 0, 0)
        answer = end + len(ends)
        if self.header_ends is not None:
            header = text.find(self.header_ends, answer)
            if header < 0:
                return ReasoningSpan(start, end, None)
            answer = header + len(self.header_ends)
        return ReasoningSpan(start, end, answer)

    def write(self, reasoning: str, answer: str | None) -> str:
        """Return a reply with this family's markers. Without an answer it has no end marker.

        If the family has no markers, reasoning without an answer is left out, since it would be
        read as the answer.
        """
        if self.begins is None and not answer:
            return ""
        marked = bool(reasoning.strip()) or answer is None
        return "".join(text for text, _ in self.parts(reasoning, answer, marked))

    def parts(self, reasoning: str, answer: str | None, marked: bool) -> list[tuple[str, bool]]:
        """Return a reply as parts: (text, whether it is a marker of this family).

        `marked` says whether the reasoning, which may be empty, has markers.
        """
        reasoning = reasoning.strip()
        if self.begins is None or self.ends is None:
            between = "\n\n" if reasoning and answer else ""
            return [(reasoning + between + (answer or ""), False)]
        if not marked:
            return [(answer or "", False)]
        begun = [(self.begins, True), (reasoning, False)]
        if answer is None:
            return begun
        return [*begun, (self.ends + (self.header_ends or ""), True), (answer.lstrip(), False)]


class _TemplateTimeout(BaseException):
    """A template exceeds its time. Not an Exception, so that no library catches it."""


@contextmanager
def _time_limit(place: str, conversation: str) -> Iterator[None]:
    """Raise InputError where a template fails or exceeds RENDER_TIMEOUT_S.

    Some fail on purpose, to refuse a system prompt. Only a signal stops any loop. It reaches only
    the main thread, which is the one that renders.
    """
    has_signals = threading.current_thread() is threading.main_thread()

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TemplateTimeout

    handler = signal.signal(signal.SIGALRM, stop) if has_signals else None
    try:
        if has_signals:
            signal.setitimer(signal.ITIMER_REAL, RENDER_TIMEOUT_S)
        yield
    except _TemplateTimeout:
        raise InputError(f"{place} does not end within {RENDER_TIMEOUT_S} s") from None
    except Exception as error:
        raise InputError(f"{place}: {type(error).__name__}: {error} ({conversation})") from error
    finally:
        if has_signals:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)  # None: one that C code set


@cache
def all_chat_formats() -> dict[str, ChatFormat]:
    """Return the entries of prompts/chat_formats.yaml by name."""
    content = yaml.safe_load(prompt_files.text(FILE.name))
    return {name: validate(name, ChatFormat, entry, FILE) for name, entry in content.items()}


def load(name: str) -> ChatFormat:
    """Return the chat format `name`. Raises InputError where there is none."""
    known = all_chat_formats()
    if name not in known:
        raise InputError(f"serving.*.chat_format = {name!r}: expected one of {', '.join(known)}")
    return known[name]
