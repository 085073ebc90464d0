"""One answered request, as it is written to the journal and later recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Api = Literal["ollama", "openai"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and what was answered.

    id: the response id that the caller was told in a header; body_id: the id in the body of an OpenAI answer, else "".
    at: when the request came, in seconds since the epoch. category: "" where nothing assigns one.
    model: the name that was asked for; version_id, version_name: what answered, None and the upstream's name
    where it is no version of ours. history: the turns before the prompt, each {role, content}, no system
    prompt among them. between: the turns after the prompt, calls of tools and what they gave.
    sampling: what the request said of it, by Ollama's names (temperature, top_p, num_predict, …).
    first_token_seconds, seconds: from the request until the first piece and until the end. tokens_in, tokens_out: None
    where the server did not tell. finish: "stop", "length", "tool_calls", … as the server called it, else "".
    complete: whether the answer came to its end; a caller who goes away or a server that fails leaves it False.
    user: what the request said of its user, "" where it said nothing. shaped: the request also set what is not kept
    here (a format, a template, thinking, raw text), so that it cannot be asked again alike.
    """

    id: str
    at: float
    api: Api
    category: str
    model: str
    version_id: int | None
    version_name: str
    system: str
    history: Sequence[Mapping[str, str]]
    prompt: str
    response: str
    seconds: float
    first_token_seconds: float
    complete: bool
    body_id: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    finish: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: bool = False
    images: bool = False
    user: str = ""
    between: Sequence[Mapping[str, str]] = ()
    shaped: bool = False

    def to_json(self) -> str:
        """One line; non-ASCII is escaped, so that even a lone surrogate survives."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(line: str | bytes) -> Exchange:
        """The exchange of a line. Raises ValueError for anything else."""
        try:
            return Exchange(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"no exchange: {error}") from error
