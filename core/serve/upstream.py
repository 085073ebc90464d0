"""What answers behind the gateway: one interface for Ollama and for the embedded llama.cpp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that has begun. `body` yields it as it comes; leaving the iteration early gives the request up."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Upstream(Protocol):
    """Answers requests in Ollama's and OpenAI's form.

    The gateway has put the upstream's own name of the model into the body before. Raises
    `core.errors.BackendError` where nobody answers; every other failure is a `Reply` in the API's own form.
    """

    @property
    def name(self) -> str:
        """What the user calls it: "ollama" or "embedded"."""
        ...

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Sends one request; `path` includes the query. Returns when status and headers are there."""
        ...

    async def close(self) -> None:
        """Ends what is going on and frees what is held."""
        ...
