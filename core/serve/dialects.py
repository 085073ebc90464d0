"""What a request of Ollama's or OpenAI's API asks, in one form. Nothing here raises, whatever the fields hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from core.serve.exchange import Api

Kind = Literal["chat", "generate", "chat.completions", "completions"]
"""The calls whose answers are text, and so can be recorded."""

_OPTIONS: Final = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "num_predict", "num_ctx", "repeat_penalty",
        "repeat_last_n", "presence_penalty", "frequency_penalty", "stop",
    }
)  # fmt: skip
_FROM_OPENAI: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
}
_SYSTEM: Final = frozenset({"system", "developer"})
# What changes nothing in the answer, or is kept; a field beside these shapes the answer in a way of its own.
_PLAIN: Final = frozenset(
    {
        "model", "name", "messages", "prompt", "system", "stream", "stream_options", "options", "keep_alive", "user",
        "tools", "functions", "tool_choice", "images", "logprobs", "top_logprobs", "metadata", "store",
        *_FROM_OPENAI,
    }
)  # fmt: skip
_PLAIN_OPTIONS: Final = _OPTIONS | {"num_gpu", "num_thread", "num_batch", "num_keep", "use_mmap", "main_gpu", "numa"}
_LONGEST_NAME: Final = 200
_MOST_STOPS: Final = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without its wrapping.

    system: all system texts, one after another. history: the turns before the prompt. prompt: the last text of the
    user. between: the turns after it, calls of tools and what they gave. begun: the beginning of the answer, where the
    caller wrote it. sampling: by Ollama's names. shaped: it sets more than is told here.
    """

    prompt: str
    system: str = ""
    history: Sequence[Mapping[str, str]] = ()
    between: Sequence[Mapping[str, str]] = ()
    begun: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: bool = False
    images: bool = False
    user: str = ""
    shaped: bool = False


def api_of_kind(kind: Kind) -> Api:
    """Whose call it is."""
    return "ollama" if kind in ("chat", "generate") else "openai"


def asked_of(kind: Kind, fields: Mapping[str, Any]) -> Asked:
    """What the fields of a request ask; what is not as it should be is left out."""
    if kind in ("chat", "chat.completions"):
        asked = _chat(kind, fields)
    elif kind == "generate":
        asked = Asked(
            _text(fields.get("prompt")),
            system=_text(fields.get("system")),
            sampling=_options(fields.get("options")),
            images=bool(fields.get("images")),
        )
    else:
        prompt = fields.get("prompt")
        if isinstance(prompt, list):
            prompt = prompt[0] if len(prompt) == 1 else ""
        asked = Asked(_text(prompt), sampling=_openai_options(fields))
    return replace(
        asked,
        user=_text(fields.get("user"))[:_LONGEST_NAME],
        shaped=bool(asked.begun) or _is_shaped(fields),
    )


def _is_shaped(fields: Mapping[str, Any]) -> bool:
    options = fields.get("options")
    more = set(options) - _PLAIN_OPTIONS if isinstance(options, Mapping) else ()
    if more or fields.get("think") is not None or fields.get("n", 1) not in (1, None):
        return True
    return any(value and name not in _PLAIN and name != "n" for name, value in fields.items())


def _chat(kind: Kind, fields: Mapping[str, Any]) -> Asked:
    system: list[str] = []
    turns: list[dict[str, str]] = []
    images, tools = False, bool(fields.get("tools") or fields.get("functions"))
    messages = _list(fields.get("messages"))
    for message in messages:
        if not isinstance(message, Mapping):
            continue
        role = _text(message.get("role"))[:_LONGEST_NAME]
        content, pictured = _content(message.get("content"))
        images = images or pictured or bool(message.get("images"))
        tools = tools or role in ("tool", "function") or bool(message.get("tool_calls"))
        if role in _SYSTEM:
            system.append(content)
        else:
            turns.append({"role": role, "content": content})
    calls_last = bool(messages) and isinstance(messages[-1], Mapping) and bool(messages[-1].get("tool_calls"))
    begun = turns.pop()["content"] if turns and turns[-1]["role"] == "assistant" and not calls_last else ""
    last = max((at for at, turn in enumerate(turns) if turn["role"] == "user"), default=len(turns))
    return Asked(
        turns[last]["content"] if last < len(turns) else "",
        system="\n\n".join(part for part in system if part),
        history=turns[:last],
        between=turns[last + 1 :],
        begun=begun,
        sampling=_options(fields.get("options")) if kind == "chat" else _openai_options(fields),
        tools=tools,
        images=images,
    )


def _content(value: Any) -> tuple[str, bool]:
    """The text of a message, and whether it holds a picture or other file."""
    if isinstance(value, str):
        return value, False
    texts: list[str] = []
    pictured = False
    for part in _list(value):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            if part.get("type") in ("text", "input_text"):
                texts.append(_text(part.get("text")))
            else:
                pictured = True
    return "\n".join(texts), pictured


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {name: set_to for name in sorted(_OPTIONS) if (set_to := _setting(value.get(name))) is not None}


def _openai_options(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: set_to for theirs, name in _FROM_OPENAI.items() if (set_to := _setting(fields.get(theirs))) is not None
    }


def _setting(value: Any) -> float | str | list[str] | None:
    """A number or stop strings; None for all else. Numbers beyond 64 bits mean nothing to any server."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value[:_LONGEST_NAME]
    if isinstance(value, list):
        return [each[:_LONGEST_NAME] for each in value[:_MOST_STOPS] if isinstance(each, str)]
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
