"""How a family of models is spoken to, and where in its replies the reasoning ends."""

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

from delta import prompts
from delta.core.errors import InputError
from delta.core.params import StrictModel, validate
from delta.core.schemas import Message
from delta.prompts import FOLDER, control_tokens

FILE = FOLDER / "chat_formats.yaml"
LIMIT_S = 10.0  # for one prompt: real templates take a millisecond


class ReasoningSpan(NamedTuple):
    """Character offsets into a reply, as the columns of delta.core.schemas.TRACE."""

    reasoning_start: int
    reasoning_end: int
    answer_start: int | None  # None: cut before the reasoning ended, so there is no answer


class TemplateArguments(StrictModel):
    """What a chat template takes besides the messages; templates themselves check nothing."""

    reasoning_effort: Literal["low", "medium", "high"] | None = None


class ChatFormat(StrictModel):
    """One entry of prompts/chat_formats.yaml, which says what the fields mean."""

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
            raise ValueError("has one of begins and ends; allowed: both or none")
        return self

    def messages(
        self,
        user_text: str,
        examples: Sequence[Message] = (),
        history: Sequence[Message] = (),
    ) -> list[Message]:
        """Return the conversation: system prompt, worked examples, the history, the user's turn.

        A history's own system prompt follows that of the family, which may be a switch.
        """
        history = list(history)
        own = history.pop(0)["content"] if history and history[0]["role"] == "system" else None
        said = "\n\n".join(text for text in (self.system, own) if text is not None)
        has_system = self.system is not None or own is not None
        system = [{"role": "system", "content": said}] if has_system else []
        return [*system, *examples, *history, {"role": "user", "content": user_text}]

    def template_arguments(self) -> dict[str, Any]:
        """For `apply_chat_template`, also where a server applies it."""
        return self.template.model_dump(exclude_none=True)

    def render(self, tokenizer: Any, messages: list[Message]) -> str:
        """Return the prompt as the model sees it, up to where its reply begins.

        What contents hold of the tokenizer's control tokens stays text. Raises InputError where the
        template refuses the conversation: some know no system prompt.
        """
        harmless = [
            message | {"content": control_tokens.escape(message["content"], tokenizer)}
            for message in messages
        ]
        return self._apply(tokenizer, harmless, add_generation_prompt=True)

    def end_of_turn(self, tokenizer: Any) -> int:
        """Return the token that the chat template writes after an assistant's turn."""
        try:
            probed = self._apply(
                tokenizer, control_tokens.probe_conversation(), add_generation_prompt=False
            )
        except InputError:  # a template that only opens turns
            probed = ""
        return control_tokens.end_of_turn_id(tokenizer, probed)

    def _apply(
        self, tokenizer: Any, messages: list[Message], *, add_generation_prompt: bool
    ) -> str:
        arguments = self.template_arguments()
        if self.date is not None:
            # Templates call this function for today's date: prompts would change every day.
            arguments["strftime_now"] = datetime.date.fromisoformat(self.date).strftime
        roles = ", ".join(message["role"] for message in messages)
        what = f"{getattr(tokenizer, 'name_or_path', 'the tokenizer')}: its chat template"
        said = f"turns: {roles}; the last is {messages[-1]['content'][:80]!r}"
        with _limits(what, said):
            text: str = tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **arguments,
            )
        return text

    def split(self, text: str, prompt: str = "") -> ReasoningSpan:
        """Where reasoning and answer are. The last end marker counts; without one the reasoning
        was cut, unless none was begun, in the text or at the end of the prompt."""
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
        """Return a reply with this family's markers; without an answer it stays open.

        A family without markers has no place for reasoning that no answer follows: put there, it
        would be read as the answer.
        """
        if self.begins is None and not answer:
            return ""
        marked = bool(reasoning.strip()) or answer is None
        return "".join(text for text, _ in self.parts(reasoning, answer, marked))

    def parts(self, reasoning: str, answer: str | None, marked: bool) -> list[tuple[str, bool]]:
        """Return a reply as parts (text, whether it is a marker of this family's).

        `marked`: whether the reasoning, which may be empty, has markers.
        """
        reasoning = reasoning.strip()
        if self.begins is None or self.ends is None:
            between = "\n\n" if reasoning and answer else ""
            return [(reasoning + between + (answer or ""), False)]
        if not marked:
            return [(answer or "", False)]
        opened = [(self.begins, True), (reasoning, False)]
        if answer is None:
            return opened
        return [*opened, (self.ends + (self.header_ends or ""), True), (answer.lstrip(), False)]


class _TooSlow(BaseException):
    """No Exception: nothing on the way may take it for one of its own."""


@contextmanager
def _limits(what: str, said: str) -> Iterator[None]:
    """InputError where a template takes longer than one may, or fails, as those do on purpose that
    know no system prompt: `said` tells of the conversation. A signal stops any loop; it reaches the
    main thread alone, which is the one that renders."""
    in_time = threading.current_thread() is threading.main_thread()

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop) if in_time else None
    try:
        if in_time:
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        yield
    except _TooSlow:
        raise InputError(
            f"{what} does not end within {LIMIT_S} s; allowed: one that does"
        ) from None
    except Exception as error:
        raise InputError(f"{what}: {type(error).__name__}: {error} ({said})") from error
    finally:
        if in_time:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)  # None: one that C code set


@cache
def all_chat_formats() -> dict[str, ChatFormat]:
    content = yaml.safe_load(prompts.text(FILE.name))
    return {name: validate(name, ChatFormat, entry, FILE) for name, entry in content.items()}


def load(name: str) -> ChatFormat:
    known = all_chat_formats()
    if name not in known:
        raise InputError(f"serving.*.chat_format = {name!r}: allowed: {', '.join(known)}")
    return known[name]
