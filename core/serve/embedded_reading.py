"""What a request asks of the embedded server. What it cannot do is refused, with the reason; nothing is left out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.backends.backend import Message, Sampling
from core.serve.dialects import Kind
from core.serve.replies import Refused

_NO_LIMIT: Final = 1 << 30  # tokens; the context ends every answer before
_MOST_STOPS: Final = 16
_USE_OLLAMA: Final = 'Set `backend = "ollama"` in [serve] for models that can.'
_TOOLS: Final = "The embedded server does not support tools."
_IMAGES: Final = "The embedded server does not take images; it answers text with text."
_FORMAT: Final = "The embedded server cannot hold an answer to a format or schema."
_LOGPROBS: Final = "The embedded server does not tell log-probabilities."
_ONE: Final = "The embedded server gives one answer to a request."
_BIAS: Final = "The embedded server does not weigh tokens."
_ONLY_TEMPLATE: Final = "The embedded server always uses the chat template of the model's file."

# Fields that would change the answer and cannot be honoured; null, false, 0 and what is empty ask for nothing.
_REFUSED: Final[Mapping[Kind, Mapping[str, str]]] = {
    "chat": {
        "tools": _TOOLS,
        "format": _FORMAT,
        "think": "The embedded server does not support thinking.",
        "logprobs": _LOGPROBS,
    },
    "generate": {
        "images": _IMAGES,
        "format": _FORMAT,
        "think": "The embedded server does not support thinking.",
        "logprobs": _LOGPROBS,
        "raw": _ONLY_TEMPLATE,
        "template": _ONLY_TEMPLATE,
        "suffix": "The embedded server does not support insert.",
        "context": "The embedded server keeps no context of earlier answers; send the turns to /api/chat.",
    },
    "chat.completions": {
        "tools": _TOOLS,
        "functions": _TOOLS,
        "logprobs": _LOGPROBS,
        "logit_bias": _BIAS,
        "audio": "The embedded server answers text with text.",
    },
    "completions": {
        "suffix": "The embedded server does not support insert.",
        "echo": "The embedded server does not repeat the prompt.",
        "logprobs": _LOGPROBS,
        "logit_bias": _BIAS,
    },
}


@dataclass(frozen=True, slots=True)
class Question:
    """A request for an answer. Without messages it only asks for the model to be loaded, or with `unload` let go.

    usage: whether a stream of OpenAI's API ends with the counts of tokens.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    stream: bool
    usage: bool = False
    unload: bool = False


def question_of(kind: Kind, fields: Mapping[str, Any], *, system: str, defaults: Sampling) -> Question:
    """Reads the fields of a request; `system` is the prompt for those that have none, `defaults` what they leave open.

    Without a seed a random one is drawn. Raises Refused (400).
    """
    for name, why in _REFUSED[kind].items():
        if fields.get(name):
            raise Refused(400, why, hint=_USE_OLLAMA)
    if kind in ("chat", "generate"):
        options = fields.get("options") or {}
        if not isinstance(options, Mapping):
            raise Refused(400, "`options` must be an object.")
        messages = _turns(fields) if kind == "chat" else _prompt(fields)
        sampling = _sampling(options, defaults, limit=_limit_of_ollama(options))
        stream, usage = _flag(fields, "stream", True), False
    else:
        _refuse_of_openai(fields)
        messages = _turns(fields) if kind == "chat.completions" else _prompt(fields)
        if not messages:
            raise Refused(400, "The request asks nothing: `messages` or `prompt` is empty.")
        sampling = _sampling(fields, defaults, limit=_limit_of_openai(fields))
        stream = _flag(fields, "stream", False)
        usage = _flag(fields.get("stream_options") or {}, "include_usage", False)
    if messages and system and not any(message.role == "system" for message in messages):
        messages = (Message("system", system), *messages)
    return Question(messages, sampling, stream, usage, unload=fields.get("keep_alive") in (0, "0", "0s"))


def texts_of(fields: Mapping[str, Any], name: str) -> list[str]:
    """The texts that are to be embedded. Raises Refused (400)."""
    value = fields.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(400, f"`{name}` must be a text or a list of texts.")
    return texts


def dimensions_of(fields: Mapping[str, Any]) -> int | None:
    """To how many values the vectors are cut; None for all. Raises Refused (400)."""
    wanted = _whole(fields, "dimensions", 0)
    if wanted < 0:
        raise Refused(400, "`dimensions` must be 1 or more.")
    return wanted or None


def _refuse_of_openai(fields: Mapping[str, Any]) -> None:
    for name in ("n", "best_of"):
        if _whole(fields, name, 1) != 1:
            raise Refused(400, _ONE, hint=f"Leave `{name}` out and ask again for another.")
    form = fields.get("response_format")
    if form and not (isinstance(form, Mapping) and form.get("type") == "text"):
        raise Refused(400, _FORMAT, hint=_USE_OLLAMA)
    if fields.get("modalities") not in (None, [], ["text"]):
        raise Refused(400, "The embedded server answers text with text.", hint=_USE_OLLAMA)


def _turns(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    turns = fields.get("messages")
    if turns is None:
        return ()
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise Refused(400, "`messages` must be a list of objects with `role` and `content`.")
    return tuple(_turn(turn) for turn in turns)


def _turn(turn: Mapping[str, Any]) -> Message:
    role = turn.get("role")
    if not isinstance(role, str) or not role:
        raise Refused(400, "Each message needs a `role`.", hint="Roles are system, user and assistant.")
    if role in ("tool", "function") or turn.get("tool_calls") or turn.get("function_call"):
        raise Refused(400, _TOOLS, hint=_USE_OLLAMA)
    if turn.get("images"):
        raise Refused(400, _IMAGES, hint=_USE_OLLAMA)
    return Message("system" if role == "developer" else role, _content(turn.get("content")))


def _content(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise Refused(400, "`content` must be a text or a list of parts.")
    texts = []
    for part in value:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") in ("text", "input_text") else None
        if not isinstance(text, str):
            raise Refused(400, _IMAGES, hint=_USE_OLLAMA)
        texts.append(text)
    return "\n".join(texts)


def _prompt(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    prompt, system = fields.get("prompt"), fields.get("system")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, list) and prompt:
        raise Refused(400, "`prompt` must be one text.", hint="Send one request for each prompt.")
    if not isinstance(prompt or "", str) or not isinstance(system or "", str):
        raise Refused(400, "`prompt` and `system` must be texts.")
    if not prompt:
        return ()
    return (*([Message("system", str(system))] if system else []), Message("user", str(prompt)))


def _sampling(given: Mapping[str, Any], defaults: Sampling, *, limit: int) -> Sampling:
    seed = _whole(given, "seed", -1)
    return replace(
        defaults,
        temperature=_number(given, "temperature", defaults.temperature, 0.0, 100.0),
        top_p=_number(given, "top_p", defaults.top_p, 0.0, 1.0),
        top_k=min(max(0, _whole(given, "top_k", defaults.top_k)), _NO_LIMIT),
        repeat_penalty=_number(given, "repeat_penalty", defaults.repeat_penalty, 1e-3, 100.0),
        max_tokens=min(limit or defaults.max_tokens, _NO_LIMIT),
        seed=seed & 0xFFFFFFFF if seed >= 0 else secrets.randbits(32),
        stop=_stops(given.get("stop"), defaults.stop),
    )


def _limit_of_ollama(options: Mapping[str, Any]) -> int:
    """Tokens at most; 0 where nothing is said. Ollama takes 0 and less for no limit."""
    if options.get("num_predict") is None:
        return 0
    limit = _whole(options, "num_predict", 0)
    return limit if limit > 0 else _NO_LIMIT


def _limit_of_openai(fields: Mapping[str, Any]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        if fields.get(name) is not None:
            limit = _whole(fields, name, 0)
            if limit < 1:
                raise Refused(400, f"`{name}` must be 1 or more.")
            return limit
    return 0


def _stops(value: Any, default: Sequence[str]) -> tuple[str, ...]:
    if value is None:
        return tuple(default)
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > _MOST_STOPS or not all(isinstance(stop, str) for stop in stops):
        raise Refused(400, f"`stop` must be a text or up to {_MOST_STOPS} texts.")
    return tuple(stop for stop in stops if stop)


def _number(given: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Refused(400, f"`{name}` must be a number from {low:g} to {high:g}.")
    return float(value)


def _whole(given: Mapping[str, Any], name: str, default: int) -> int:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(400, f"`{name}` must be a whole number.")
    return value


def _flag(given: Any, name: str, default: bool) -> bool:
    value = given.get(name) if isinstance(given, Mapping) else None
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refused(400, f"`{name}` must be true or false.")
    return value
