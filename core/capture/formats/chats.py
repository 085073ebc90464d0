"""Chats in training files: their turns in one shape, the answers in them, and the requests that answers belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from core.capture.formats.export_turns import content_of
from core.capture.formats.export_values import parsed, plain, shown
from core.capture.formats.parts import Answer, Lessons, RowError, Turn

ROLES: Final[Mapping[str, str]] = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "claude": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
    "tool_response": "tool",
    "function_response": "tool",
}
"""What the names of roles in training files mean."""

_ROLE_KEYS: Final = ("role", "from", "speaker")
_CONTENT_KEYS: Final = ("content", "value", "text")
_RIDING: Final = ("tool_calls", "tool_call_id", "function_call", "name", "reasoning_content")


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat: its turns without the system prompt, and the places of those that are not to be learnt from.

    `numbers` says for each turn which one of the file's it is, from 1.
    """

    turns: tuple[Turn, ...]
    numbers: tuple[int, ...]
    system: str
    masked: frozenset[int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer answers. `between` holds the turns after the prompt: calls of tools and what they gave."""

    prompt: str
    system: str
    history: tuple[Turn, ...]
    between: tuple[Turn, ...] = ()

    @property
    def context(self) -> str:
        """What tools gave for this answer."""
        return "\n\n".join(turn["content"] for turn in self.between if turn["role"] == "tool")

    @property
    def group(self) -> str:
        """The same for answers to the same request."""
        return group_of(self.system, self.prompt, (*self.history, *self.between))

    def answer(self, response: str, *, metadata: Mapping[str, Any] | None = None, **said: Any) -> Answer:
        """An answer to this request. Raises RowError when it is empty."""
        if not response.strip():
            raise RowError("The answer is empty.")
        known = dict(metadata or {})
        context = said.pop("context", "")
        if self.between:
            known["tool_turns"] = [dict(turn) for turn in self.between]
            context = "\n\n".join(part for part in (context, self.context) if part)
        return Answer(
            prompt=self.prompt,
            response=response,
            system=self.system,
            context=context,
            history=self.history,
            metadata=known,
            **said,
        )


def group_of(system: str, prompt: str, turns: Sequence[Turn] = ()) -> str:
    """A short name for a request or a chat, the same whenever the texts are the same."""
    texts = [system, prompt]
    for turn in turns:
        texts.append(turn["role"])
        texts.append(turn["content"])
    return blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def chat_of(messages: Any, *, system: str = "") -> Chat:
    """The chat in a list of turns, with role and content or from and value. Raises RowError."""
    messages = parsed(messages)
    if not isinstance(messages, list) or not messages:
        raise RowError(f"A list of turns was expected, there is {shown(messages) if messages else 'none'}.")
    turns: list[Turn] = []
    numbers: list[int] = []
    masked: set[int] = set()
    problems: list[str] = []
    systems = [system] if system.strip() else []
    for position, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            raise RowError(f"Turn {position} is no object but {shown(message)}.")
        turn = _turn(message, position, problems)
        if turn["role"] == "system":
            if turn["content"].strip() and turn["content"] not in systems:
                systems.append(turn["content"])
            continue
        if len(message) > 2 and _is_masked(message):
            masked.add(len(turns))
        turns.append(turn)
        numbers.append(position)
    return Chat(tuple(turns), tuple(numbers), "\n\n".join(systems), frozenset(masked), tuple(problems))


def _turn(message: Mapping[str, Any], position: int, problems: list[str]) -> Turn:
    name = next((message[key] for key in _ROLE_KEYS if key in message), None)
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None and isinstance(name, str):
        role = ROLES.get(name.strip().lower())
    if role is None:
        said = f"the role {shown(name)}, which is not known" if name is not None else "no role"
        raise RowError(f"Turn {position} has {said}.")
    content = next((message[key] for key in _CONTENT_KEYS if key in message), None)
    if not isinstance(content, str):
        content, left_out = content_of(content)
        if left_out:
            problems.append(f"Turn {position}: what is not text in it was left out.")
    if name == "function_call" and content:
        return {"role": role, "content": "", "tool_calls": _calls(content)}
    turn: dict[str, Any] = {"role": role, "content": content}
    if len(message) > 2:
        turn.update((key, plain(message[key])) for key in _RIDING if message.get(key))
    return turn


def _calls(content: str) -> list[dict[str, Any]]:
    """ShareGPT's call of a function, a JSON object or a list of them, as OpenAI writes calls."""
    value = parsed(content)
    found = []
    for each in value if isinstance(value, list) else [value]:
        call = each if isinstance(each, dict) else {"name": "", "arguments": each}
        arguments = call.get("arguments", "")
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        function = {"name": str(call.get("name", "")), "arguments": written}
        found.append({"type": "function", "function": function})
    return found


def _is_masked(message: Mapping[str, Any]) -> bool:
    """OpenAI writes `weight: 0` on a turn that is not to be learnt from, other programs `train: false` and the like."""
    if "weight" in message and message["weight"] in (0, "0"):
        return True
    return any(message.get(key) is False for key in ("train", "training", "loss")) or message.get("mask") is True


def answers_of(chat: Chat, *, metadata: Mapping[str, Any] | None = None, **said: Any) -> Lessons:
    """One answer for each of the assistant's turns that answers a user's.

    `said` holds further fields of every answer. A turn that only calls tools, or that answers nothing, stays in the
    history of those after it; problems name it. Raises RowError when no answer is left.
    """
    turns = chat.turns
    group = ""
    if len(turns) > 2:
        group = group_of(chat.system, "", turns)
    answers: list[Answer] = []
    problems = list(chat.problems)
    asked, masked = -1, 0
    for place, turn in enumerate(turns):
        if turn["role"] == "user":
            asked = place
        if turn["role"] != "assistant":
            continue
        if place in chat.masked:
            masked += 1
        elif reason := _unanswering(turns, asked, place):
            problems.append(f"Turn {chat.numbers[place]} {reason}; it was kept as history only.")
        else:
            request = Request(turns[asked]["content"], chat.system, turns[:asked], turns[asked + 1 : place])
            along = {key: turn[key] for key in _RIDING if key in turn} if len(turn) > 2 else {}
            answers.append(request.answer(turn["content"], metadata={**(metadata or {}), **along}, group=group, **said))
    if not answers:
        if masked:
            raise RowError("Every answer in it is marked as not to be learnt from.")
        raise RowError(f"{problems[-1].partition(';')[0].rstrip('.')}." if problems else "It holds no answer.")
    return Lessons(tuple(answers), (), tuple(problems))


def _unanswering(turns: Sequence[Turn], asked: int, place: int) -> str:
    """Why the assistant's turn at `place` is no answer to the user's turn at `asked`; empty when it is one."""
    if asked < 0 or not turns[asked]["content"].strip():
        return "answers no question"
    if not turns[place]["content"].strip():
        return "only calls a tool" if len(turns[place]) > 2 else "has no text"
    before = turns[place - 1]
    if before["role"] == "assistant" and before["content"].strip():
        return "follows an answer without a question between them"
    return ""


def request_of(chat: Chat) -> Request:
    """The request in a chat that still waits for its answer: its last user turn. Raises RowError when there is none."""
    for place in range(len(chat.turns) - 1, -1, -1):
        turn = chat.turns[place]
        if turn["role"] == "user" and turn["content"].strip():
            return Request(turn["content"], chat.system, chat.turns[:place], chat.turns[place + 1 :])
    raise RowError("There is no turn of a user in it.")


def request_from(prompt: Any, *, system: str = "") -> Request:
    """The request in a prompt: a text, or a list of turns that ends with the user's. Raises RowError."""
    value = parsed(prompt) if isinstance(prompt, str) and prompt[:2] in ("[{", "[\n") else prompt
    if not value or (isinstance(value, str) and not value.strip()):
        raise RowError("The prompt is missing or empty.")
    if isinstance(value, str):
        return Request(value, system, ())
    return request_of(chat_of(value, system=system))
