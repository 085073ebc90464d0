"""Answers that the gateway gives itself, in the form that the caller's API has for them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

from core.errors import FinetuneError
from core.serve.exchange import Api

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON: Final = b"application/json"
_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Refused(FinetuneError):
    """A request that the gateway does not pass on; `status` is the HTTP status that tells so."""

    default_title = "The request was refused"

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def api_of(path: str) -> Api:
    """Whose API a path belongs to: /v1 is OpenAI's, all else is Ollama's."""
    return "openai" if path.startswith("/v1/") else "ollama"


def error_object(api: Api, status: int, error: FinetuneError) -> dict[str, Any]:
    """What went wrong and what to do next, as JSON of the API."""
    text = f"{error.message} {error.hint}".strip()
    if api == "ollama":
        return {"error": text}
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def error_line(api: Api, error: FinetuneError) -> bytes:
    """What a stream that has begun ends with where it cannot go on."""
    text = json.dumps(error_object(api, 502, error))
    return f"data: {text}\n\n".encode() if api == "openai" else f"{text}\n".encode()


async def send_error(send: Send, path: str, status: int, error: FinetuneError, *, headers: Headers = ()) -> None:
    """Answers with an error in the form of the path's API."""
    await send_json(send, error_object(api_of(path), status, error), status=status, headers=headers)


async def send_json(send: Send, value: Any, *, status: int = 200, headers: Headers = ()) -> None:
    """Answers with a JSON value; non-ASCII is escaped, so that even a lone surrogate can be sent."""
    await send_whole(send, status, json.dumps(value).encode(), [(b"content-type", JSON), *headers])


async def send_whole(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Answers with all of a body at once."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
