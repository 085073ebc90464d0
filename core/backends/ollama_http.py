"""Requests to an Ollama server, and what its refusals mean for the person who reads them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from core.backends.ollama_url import server_url, url_of
from core.errors import BackendError

if TYPE_CHECKING:
    import httpx

# How long a server may be silent while it loads a model, answers, hashes an upload or rewrites a file.
PATIENCE_SECONDS: Final = 600.0
_CONNECT_SECONDS: Final = 2.0
# How long a server may take no bytes of an upload: a cancelled one ends no later.
_WRITE_SECONDS: Final = 60.0
_MOST_WORDS: Final = 300
GATEWAY_HEADER: Final = "X-Finetune-Gateway"
"""What the gateway answers about its version with: the address of the Ollama behind it, empty without one."""
_DISK_FULL: Final = ("no space left", "not enough space", "disk quota", "disk full")


class OllamaError(BackendError):
    """Ollama did not answer, or refused. `status` is its HTTP status, 200 for an error inside a stream of answers,
    None where no whole answer came."""

    default_title = "Ollama refused"

    def __init__(self, message: str, *, title: str | None = None, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, title=title, hint=hint)
        self.status = status


class OllamaHttp:
    """One server. Every failure, of the network too, is an OllamaError.

    timeout: seconds until an ordinary answer. connect: seconds until the server is reached, at most `timeout`.
    gateway: the Ollama behind this program's own gateway ("" for none) where that is what answers, else None.
    """

    def __init__(self, url: str | None, *, timeout: float, connect: float = _CONNECT_SECONDS) -> None:
        self.url = server_url() if url is None else url_of(url)
        self._timeout = timeout
        self._connect = min(connect, timeout)
        self.gateway: str | None = None
        self._opened: httpx.Client | None = None
        self._opening = threading.Lock()

    @property
    def _client(self) -> httpx.Client:
        import httpx

        with self._opening:
            if self._opened is None:
                try:
                    self._opened = httpx.Client(base_url=self.url, timeout=self._limits(self._timeout), trust_env=False)
                except httpx.InvalidURL as error:
                    raise self._silent(f"{self.url[:100]!r} is no address: {error}.") from error
            return self._opened

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        patient: bool = False,
    ) -> httpx.Response:
        """The whole answer, of whatever status. patient: the server may think for minutes."""
        import httpx

        limits = self._limits(PATIENCE_SECONDS if patient else self._timeout)
        try:
            return self._client.request(
                method, path, json=body, content=content, headers=dict(headers or {}), timeout=limits
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._broken(error) from error

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patient: bool = False) -> Any:
        """What the server answers, read as JSON; None for an empty answer. Raises OllamaError for a refusal."""
        reply = self.send(method, path, body, patient=patient)
        if not reply.is_success:
            raise refusal(reply.status_code, reply.text)
        self.gateway = reply.headers.get(GATEWAY_HEADER)
        if not reply.content:
            return None
        try:
            return reply.json()
        except ValueError as error:
            raise no_ollama(f"{self.url} answers {path} with something that is no JSON.", reply.status_code) from error

    def lines(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON lines of an answer, as they come. An `error` in one of them raises OllamaError like a refusal."""
        import httpx

        try:
            with self._client.stream("POST", path, json=body, timeout=self._limits(PATIENCE_SECONDS)) as reply:
                if not reply.is_success:
                    reply.read()
                    raise refusal(reply.status_code, reply.text)
                for line in reply.iter_lines():
                    if line.strip():
                        yield _line(line, reply.status_code)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._broken(error) from error

    def _limits(self, seconds: float) -> httpx.Timeout:
        import httpx

        return httpx.Timeout(seconds, connect=self._connect, write=max(_WRITE_SECONDS, self._timeout))

    def _broken(self, error: Exception) -> OllamaError:
        import httpx

        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol | httpx.InvalidURL):
            return self._silent(f"No Ollama answers at {self.url}.")
        if isinstance(error, httpx.TimeoutException):
            return OllamaError(
                f"Ollama at {self.url} said nothing for too long.",
                title="Ollama does not answer",
                hint="Its log tells what it is busy with; `ollama ps` shows what it has loaded.",
            )
        return OllamaError(
            f"The connection to Ollama at {self.url} broke in the middle: {clean(str(error)) or type(error).__name__}.",
            title="Ollama is gone",
            hint="See whether it still runs (`ollama ps`), then try again.",
        )

    @staticmethod
    def _silent(message: str) -> OllamaError:
        return OllamaError(
            message,
            title="Ollama does not answer",
            hint="Start it with `ollama serve`; OLLAMA_HOST says where it is, where not on its usual port.",
        )


def _line(line: str, status: int) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise OllamaError(
            f"Ollama sent a line that is no JSON: {clean(line)!r}.",
            title="Ollama is gone",
            hint="See whether it still runs (`ollama ps`), then try again.",
            status=status,
        )
    if "error" in content:
        raise refusal(status, line)
    return content


def no_ollama(message: str, status: int | None = None) -> OllamaError:
    """The error where something answers that is no Ollama."""
    return OllamaError(
        message,
        title="No Ollama",
        hint="Another program may listen there; OLLAMA_HOST says where Ollama is.",
        status=status,
    )


def clean(text: str) -> str:
    """A server's words in one line without control characters, at most 300 characters of them."""
    words = " ".join("".join(mark if mark.isprintable() else " " for mark in text[: 4 * _MOST_WORDS]).split())
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"


def refusal(status: int, body: str) -> OllamaError:
    """The error of an HTTP status and its body, `{"error": words}` or whatever a proxy between may say."""
    words = clean(_words(body)) or f"HTTP status {status}"
    title, hint = _meaning(status, words.lower())
    return OllamaError(f"Ollama says: {words}", title=title, hint=hint, status=status)


def _words(body: str) -> str:
    try:
        content = json.loads(body)
    except ValueError:
        return body
    told = content.get("error", "") if isinstance(content, dict) else content
    if isinstance(told, dict):
        told = told.get("message", "")
    return told if isinstance(told, str) else json.dumps(told)


def _meaning(status: int, words: str) -> tuple[str | None, str]:
    """(title, next step); no title where the usual one says it."""
    if any(mark in words for mark in _DISK_FULL):
        return "Ollama's disk is full", "Free space where Ollama keeps its models (OLLAMA_MODELS), then try again."
    if "llama-quantize" in words:
        return None, "This Ollama rewrites every file it is given and cannot here; 0.34.1 and newer do not. Update it."
    if "memory" in words:
        return None, "Let Ollama unload other models (`ollama ps`, `ollama stop NAME`), or take a smaller kind of file."
    if "context" in words and status == 400:
        return None, "Shorten the request, or raise the context length the model was created with (num_ctx)."
    if status == 503:
        return "Ollama is busy", "Try again in a moment; OLLAMA_MAX_QUEUE sets how many requests may wait."
    if status == 404:
        return "Not in Ollama", "`ollama list` shows what it holds."
    if status in (401, 403):
        return None, "Ask it by a name of this machine; OLLAMA_ORIGINS and OLLAMA_HOST say who may ask."
    if status == 400:
        return None, "Ollama does not take this request; `ollama --version` tells whether it is an old one."
    return None, "Ollama's log says more; try again, and restart it if that does not help."
