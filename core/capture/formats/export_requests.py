"""What exports call input and output: the request in the one, the answer's text in the other, whatever their shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.capture.formats.chats import ROLES, Request
from core.capture.formats.export_turns import content_of
from core.capture.formats.export_values import as_text, items, mapping, parsed, plain, text
from core.capture.formats.parts import RowError

_ASKED: Final = ("prompt", "question", "query", "input", "text", "message", "content", "user_input")
_ANSWERED: Final = ("content", "output", "answer", "response", "completion", "text", "result")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and a line for each part of it that was left out."""

    request: Request
    problems: tuple[str, ...] = ()


def role_of(message: Any) -> str:
    """user, assistant, system or tool; empty when the message names none of them."""
    entry = mapping(message)
    name = text(entry.get("role")) or text(entry.get("from")) or text(mapping(entry.get("author")).get("role"))
    return ROLES.get(name.lower(), "")


def message_text(message: Any) -> tuple[str, int]:
    """The text of a message (`content`, or `value` as in ShareGPT) and how many parts are not text."""
    entry = mapping(message)
    return content_of(entry.get("content") if "content" in entry else entry.get("value"))


def is_chat(value: Any) -> bool:
    """Whether `value` is a list of messages, each with a role."""
    return isinstance(value, list) and bool(value) and all(role_of(message) for message in value)


def turn_of(role: str, content: str, message: Any = None) -> dict[str, Any]:
    """One turn; tool calls ride along."""
    entry = mapping(message)
    extra = {key: plain(entry[key]) for key in ("tool_calls", "tool_call_id", "name") if entry.get(key)}
    return {"role": role, "content": content, **extra}


def request_of(messages: Sequence[Any]) -> Asked:
    """The request in a list of messages: the last user turn, and what stands around it.

    Messages without a role or a text are left out and named, where a training file would be refused. Raises RowError
    when no user turn has text.
    """
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    problems: list[str] = []
    last_user = -1
    for position, message in enumerate(messages, start=1):
        role = role_of(message)
        content, left_out = message_text(message)
        if left_out:
            problems.append(f"Message {position}: what is not text in it was left out.")
        if role == "system":
            system.append(content)
        elif not role:
            problems.append(f"Message {position} was left out: it has no role.")
        elif content.strip() or mapping(message).get("tool_calls"):
            if role == "user" and content.strip():
                last_user = len(turns)
            turns.append(turn_of(role, content, message))
    if last_user < 0:
        raise RowError("No user message with text stands in it.")
    request = Request(
        turns[last_user]["content"],
        "\n\n".join(part for part in system if part.strip()),
        tuple(turns[:last_user]),
        tuple(turns[last_user + 1 :]),
    )
    return Asked(request, tuple(problems))


def _opened(value: Any) -> Any:
    """An object or a list that an export wrote as text; any other text, quoted or not, as it stands."""
    found = parsed(value)
    return found if isinstance(found, Mapping | list) else value


def request_from(value: Any) -> Asked:
    """The request in whatever an export calls its input: messages, an object that holds them, a text, another object.

    Of an object the first known key is the prompt, and what else stands in it is named; without one it is taken as
    JSON. Raises RowError when there is no text in it.
    """
    opened = _opened(value)
    if is_chat(opened):
        return request_of(opened)
    entry = mapping(opened)
    if is_chat(entry.get("messages")):
        return request_of(entry["messages"])
    if role_of(entry):
        return request_of([entry])
    key = next((key for key in _ASKED if text(entry.get(key)).strip()), "")
    if key:
        system = text(entry.get("system")) or text(entry.get("system_prompt"))
        others = [str(name) for name in _filled(entry) if name not in (key, "system", "system_prompt")]
        left_out = f"Of the input `{key}` was taken; left out: {', '.join(others)[:200]}."
        return Asked(Request(entry[key], system, ()), (left_out,) if others else ())
    prompt = as_text(value)
    if not prompt.strip():
        raise RowError("The input is empty.")
    return Asked(Request(prompt, "", ()))


def _filled(entry: Mapping[str, Any]) -> list[str]:
    return [name for name, value in entry.items() if value is not None and value not in ("", [], {})]


def output_of(value: Any) -> str:
    """The text in whatever an export calls its output. Empty when there is none.

    Of a list of messages the last assistant's counts. An object that only wraps a text gives that text; any other is a
    structured answer and stays JSON, exactly as it was written where it was written as text.
    """
    opened = _opened(value)
    if is_chat(opened):
        answers = [message_text(message)[0] for message in opened if role_of(message) == "assistant"]
        return answers[-1] if answers else ""
    entry = mapping(opened)
    choices = items(entry.get("choices"))
    if choices:
        first = mapping(choices[0])
        return message_text(first["message"])[0] if "message" in first else text(first.get("text"))
    if role_of(entry):
        return message_text(entry)[0]
    filled = _filled(entry)
    for key in _ANSWERED:
        if text(entry.get(key)).strip() and (filled == [key] or key in ("content", "output")):
            return str(entry[key])
    return as_text(value)
