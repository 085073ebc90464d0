"""What this program asks of an Ollama server: to take a GGUF file in, to name it, to answer with it.

The one way of publishing that every Ollama knows is a finished GGUF file, uploaded as a blob and named by `create` with
`files`: adapters, quantising and conversion on the server are never asked for, as releases differ in what they take.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from core.backends.backend import Message, turns_of
from core.backends.ollama_answers import ModelOnServer, Shown, model_on_server, shown_of, with_tag
from core.backends.ollama_http import OllamaError, OllamaHttp, clean, no_ollama, refusal
from core.backends.ollama_upload import Progress, pieces_of, unreadable
from core.errors import ExportError

__all__ = ["ModelOnServer", "OllamaApi", "OllamaError", "Shown"]

TIMEOUT_SECONDS: Final = 10.0
_AUTODETECTED: Final = "using autodetected template"

CreateProgress = Callable[[str, int, int], None]


class OllamaApi:
    """A client of one server. Calls from several threads are fine.

    url: `host`, `host:port` or a URL; None takes OLLAMA_HOST, else Ollama's usual place. timeout: seconds that a short
    question may take; uploads, `create`, `chat` and the loading of a model may be silent for ten minutes.
    Every failure is an OllamaError (a BackendError with the HTTP `status`); names may be without ":latest".
    """

    def __init__(self, url: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._http = OllamaHttp(url, timeout=timeout)

    @property
    def url(self) -> str:
        """Where the server is, without a slash at the end."""
        return self._http.url

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- what is there

    def version(self) -> str:
        """Ollama's version, such as "0.34.1". Raises OllamaError "Ollama does not answer" where nobody does.

        Where OLLAMA_HOST names this program's own gateway, as it does for applications, the Ollama behind it is meant:
        from then on that is asked.
        """
        told = self._object("GET", "/api/version")
        if (behind := self._http.gateway) is not None:
            if not behind:
                raise no_ollama(f"At {self.url} the gateway answers, and no Ollama stands behind it.")
            here, self._http = self._http, OllamaHttp(behind, timeout=self._timeout)
            here.close()
            told = self._object("GET", "/api/version")
        if not isinstance(told.get("version"), str):
            raise no_ollama(f"{self.url} answers, and is no Ollama.")
        return clean(told["version"])

    def models(self) -> list[ModelOnServer]:
        """Every model that the server holds, by name."""
        listed = self._object("GET", "/api/tags").get("models")
        found = [model_on_server(one) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return sorted((model for model in found if model.name), key=lambda model: model.name)

    def digest_of(self, name: str) -> str | None:
        """SHA-256 (64 hexadecimal digits) of the manifest behind a name, None where the server does not hold it.

        Two names made of each other by `copy` have the same.
        """
        wanted = with_tag(name)
        return next((model.digest for model in self.models() if with_tag(model.name) == wanted), None)

    def show(self, name: str) -> Shown:
        """What a model is made of. Raises OllamaError (status 404) where the server does not hold it."""
        return shown_of(self._object("POST", "/api/show", {"model": name}))

    def loaded(self) -> list[str]:
        """Names of the models in memory, each as the request that loaded it called it."""
        running = self._object("GET", "/api/ps").get("models")
        entries = [one for one in running if isinstance(one, dict)] if isinstance(running, list) else []
        return [str(one.get("name") or one.get("model") or "") for one in entries]

    # -- taking in, naming, removing

    def has_blob(self, sha256: str) -> bool:
        """Whether the server holds the file of that SHA-256 (64 hexadecimal digits)."""
        reply = self._http.send("HEAD", f"/api/blobs/sha256:{sha256}")
        if reply.status_code not in (200, 404):
            raise OllamaError(
                f"Ollama answers the question for a file with status {reply.status_code}.",
                hint="Ollama's log says more.",
                status=reply.status_code,
            )
        return reply.status_code == 200

    def upload(
        self,
        path: Path,
        sha256: str,
        *,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Give the server a file, read and sent in pieces; nothing is sent where it holds the file already.

        progress: (bytes sent, bytes in all), after every piece. cancelled: asked before every piece.
        Raises ExportError where the file cannot be read, was changed, is not what `sha256` says, or when cancelled:
        the server then holds nothing of it, and the upload may be repeated.
        """
        if self.has_blob(sha256):
            return
        try:
            total = path.stat().st_size
        except OSError as error:
            raise unreadable(path, error) from error
        pieces = pieces_of(path, total, progress, cancelled)
        headers = {"Content-Length": str(total), "Content-Type": "application/octet-stream"}
        try:
            reply = self._http.send(
                "POST", f"/api/blobs/sha256:{sha256}", content=pieces, headers=headers, patient=True
            )
        finally:
            pieces.close()
        if reply.is_success:
            return
        refused = refusal(reply.status_code, reply.text)
        if reply.status_code == 400 and "mismatch" in refused.message:
            raise ExportError(
                f"{path.name} is not the file it was: Ollama received it whole and finds another SHA-256 than the one "
                f"that was stored when the file was made. {refused.message}",
                title="The model file was changed",
                hint="Run `finetune-tui doctor` to look over the files, and export the version again.",
            )
        raise refused

    def create(
        self,
        name: str,
        *,
        files: Mapping[str, str],
        parameters: Mapping[str, Any],
        system: str = "",
        template: str | None = None,
        progress: CreateProgress | None = None,
    ) -> list[str]:
        """Make a model of uploaded files, over one of that name where there is one; every status line, in order.

        files: {file name: SHA-256 of an uploaded blob}. parameters: Ollama's, such as {"temperature": 0.3, "stop":
        [...]}. template: a Go template, only for a server that renders no other. progress: (status, bytes done, bytes
        in all), the numbers 0 where a status has none.
        Raises OllamaError for an error at any point of the stream, for one that ends without "success", and where the
        server chose a template of its own though none was given: a model of that name may stand there then.
        """
        body: dict[str, Any] = {
            "model": name,
            "files": {file: f"sha256:{sha256}" for file, sha256 in files.items()},
            "parameters": dict(parameters),
            "stream": True,
        }
        if system:
            body["system"] = system
        if template is not None:
            body["template"] = template
        statuses: list[str] = []
        for line in self._http.lines("/api/create", body):
            status = clean(str(line.get("status", "")))
            statuses.append(status)
            if progress is not None:
                progress(status, _count(line.get("completed")), _count(line.get("total")))
        if not statuses or statuses[-1] != "success":
            last = f"; its last word was {statuses[-1]!r}" if statuses else ""
            raise OllamaError(
                f"Ollama ended the making of {name} without saying that it succeeded{last}.",
                title="Ollama is gone",
                hint="See whether it still runs (`ollama ps`), then publish again.",
                status=200,
            )
        chosen = next((status for status in statuses if status.startswith(_AUTODETECTED)), "")
        if chosen and template is None:
            raise OllamaError(
                f"Ollama would serve {name} with a chat template of its own ({chosen.removeprefix(_AUTODETECTED)[1:]}) "
                "and not with the one the model was trained on.",
                title="Another chat template",
                hint="Publish it with a template given, or export it again so that its own is told apart.",
                status=200,
            )
        return statuses

    def copy(self, source: str, target: str) -> None:
        """Let `target` name what `source` names. Not atomic on the server: look at `digest_of` afterwards."""
        self._http.ask("POST", "/api/copy", {"source": source, "destination": target})

    def delete(self, name: str) -> bool:
        """Remove a name, and the files that no other name needs; False where there is none of that name."""
        try:
            self._http.ask("DELETE", "/api/delete", {"model": name})
        except OllamaError as error:
            if error.status == 404:
                return False
            raise
        return True

    # -- running

    def warm(self, name: str) -> None:
        """Load a model, so that the next request need not wait for it."""
        self._http.ask("POST", "/api/generate", {"model": name, "stream": False}, patient=True)

    def unload(self, name: str) -> None:
        """Let go of a model's memory once its running requests are done; nothing where it is not there."""
        try:
            self._http.ask("POST", "/api/generate", {"model": name, "keep_alive": 0, "stream": False}, patient=True)
        except OllamaError as error:
            if error.status != 404:
                raise

    def chat(
        self, name: str, messages: Sequence[Message], options: Mapping[str, Any], *, logprobs: bool = False
    ) -> dict[str, Any]:
        """The answer of /api/chat as it is: `message`, `done_reason`, `prompt_eval_count`, `eval_count`, `logprobs`."""
        body = {**_chat_body(name, messages), "options": dict(options)}
        if logprobs:
            body["logprobs"] = True
        return self._object("POST", "/api/chat", body, patient=True)

    def chat_lines(
        self, name: str, messages: Sequence[Message], options: Mapping[str, Any]
    ) -> Generator[dict[str, Any]]:
        """The same as it is drawn, a part of `message` a line, the last one with `done`; closing it ends the answer."""
        self.version()  # where this program's own gateway has Ollama's place, the one behind it is asked
        body = {**_chat_body(name, messages), "options": dict(options), "stream": True}
        yield from self._http.lines("/api/chat", body)

    def render_only(self, name: str, messages: Sequence[Message]) -> str | None:
        """The prompt that the server makes of the messages; None where it does not know the question."""
        # A server that does not know it answers instead: with one token, so that it costs little.
        body = {**_chat_body(name, messages), "options": {"num_predict": 1}, "_debug_render_only": True}
        told = self._object("POST", "/api/chat", body, patient=True).get("_debug_info")
        rendered = told.get("rendered_template") if isinstance(told, dict) else None
        return rendered if isinstance(rendered, str) else None

    def _object(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patient: bool = False
    ) -> dict[str, Any]:
        told = self._http.ask(method, path, body, patient=patient)
        if not isinstance(told, dict):
            raise no_ollama(f"{self.url} answers {path} with something unexpected.")
        return told


def _chat_body(name: str, messages: Sequence[Message]) -> dict[str, Any]:
    return {"model": name, "messages": turns_of(messages), "stream": False}


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
