"""Models that Ollama holds on this machine, and the GGUF file of each. Nothing of Ollama's is ever changed.

A server that runs is asked first, since it knows where its files are; where none answers, its store is read:
`manifests/<host>/<namespace>/<model>/<tag>` names the layers, `blobs/sha256-<hex>` holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.backends import ollama_manifests as manifests
from core.backends.ollama_answers import files_of, model_on_server
from core.backends.ollama_http import OllamaError, OllamaHttp
from core.backends.ollama_names import OllamaName, parse_name
from core.backends.ollama_url import server_url
from core.config import close_names
from core.errors import ModelError

__all__ = ["HeldModel", "OllamaModel", "find", "held", "server_url"]

_CONNECT_SECONDS: Final = 0.5
_READ_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """A model of one GGUF file. `name` is short (`llama3.2:3b`), `digest` the file's SHA-256 in hexadecimal as Ollama
    names it, empty where it does not."""

    name: str
    gguf: Path
    digest: str


@dataclass(frozen=True, slots=True)
class HeldModel:
    """One line of what Ollama holds. `bytes` is its size; `parameters` and `quantization` may be empty."""

    name: str
    bytes: int
    parameters: str
    quantization: str


def find(name: str) -> OllamaModel:
    """The GGUF file of a model that Ollama holds, found by `[host/][namespace/]model[:tag]`.

    Raises ModelError with the next step where the name is wrong, no such model is held, it is no single GGUF file (a
    cloud model, one with an adapter or a vision part), or its file cannot be read here.
    """
    wanted = parse_name(name)
    shown = _ask("/api/show", {"model": wanted.short})
    if shown is not None and "modelfile" in shown:
        return _from_server(wanted, shown)
    stored = manifests.find(wanted)
    if stored is not None:
        return OllamaModel(stored.name.short, _readable(stored.model_file(), stored.name), stored.digest)
    known = {model.name for model in held()}
    if unread := manifests.unreadable():
        raise ModelError(
            f"Ollama's store {unread} may not be read by you, and no server answers at {server_url()}.",
            hint="Start Ollama (`ollama serve`), or add your user to its group: `sudo usermod -aG ollama $USER`, "
            "then log in anew.",
        )
    near = f" {close_names(wanted.short, known)}" if known else ""
    raise ModelError(
        f"Ollama does not hold {wanted.short} on this machine.",
        hint=f"Fetch it with `ollama pull {wanted.short}`.{near}",
    )


def held() -> list[HeldModel]:
    """What Ollama holds, by name: told by its server, else read from its store; nothing where neither is there."""
    told = _ask("/api/tags", None)
    if told is not None and isinstance(told.get("models"), list):
        found = [_listed(entry) for entry in told["models"] if isinstance(entry, dict)]
    else:
        found = [HeldModel(one.name.short, one.bytes, "", "") for one in manifests.every()]
    return sorted((model for model in found if model.name), key=lambda model: model.name)


def _ask(path: str, body: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The server's answer to a POST (with a body) or GET; None where none answers or it refuses."""
    http = OllamaHttp(None, timeout=_READ_SECONDS, connect=_CONNECT_SECONDS)
    try:
        answer = http.ask("GET" if body is None else "POST", path, body)
    except OllamaError:
        return None
    finally:
        http.close()
    return answer if isinstance(answer, dict) else None


def _listed(entry: Mapping[str, Any]) -> HeldModel:
    model = model_on_server(entry)
    return HeldModel(model.name, model.bytes, model.parameters, model.quantization)


def _from_server(name: OllamaName, shown: Mapping[str, Any]) -> OllamaModel:
    if shown.get("remote_host") or shown.get("remote_model"):
        raise manifests.refused(name, "it runs in Ollama's cloud, so that its weights are not on this machine")
    models, adapters = files_of(str(shown["modelfile"]))
    if adapters:
        raise manifests.refused(name, "it is a base model with an adapter of its own")
    if len(models) > 1:
        raise manifests.refused(name, "it has more than one file: a vision part, or weights in several parts")
    if not models or not (models[0].startswith(("/", "\\")) or models[0][1:3] in (":\\", ":/")):
        raise manifests.refused(name, "its weights are no GGUF file")
    path = Path(models[0])
    file = path.name.lower()
    digest = file[7:] if file.startswith(("sha256-", "sha256:")) else ""
    if not _there(path):
        # The server may see its files under another path than this process, as from inside a container.
        path = next((own for own in manifests.blob_places(digest) if _there(own)), path)
    if not _there(path):
        raise ModelError(
            f"Ollama at {server_url()} holds {name.short} in {path}, and there is no such file on this machine: the "
            "server runs elsewhere or in a container.",
            hint="Set OLLAMA_MODELS to the place of its models on this machine, or copy the file here and name it.",
        )
    return OllamaModel(name.short, _readable(path, name), digest)


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        return True  # it is `_readable` that says why it cannot be used


def _readable(path: Path, name: OllamaName) -> Path:
    try:
        with path.open("rb") as file:
            file.read(1)
    except PermissionError as error:
        raise ModelError(
            f"The file of {name.short}, {path}, may not be read by you: it belongs to the user that Ollama runs as.",
            hint="Add your user to Ollama's group (`sudo usermod -aG ollama $USER`, then log in anew), or copy the "
            "file to a place of yours and name that.",
        ) from error
    except OSError as error:
        raise ModelError(
            f"The file of {name.short}, {path}, cannot be read: {error.strerror}.",
            hint=f"Fetch the model again with `ollama pull {name.short}`.",
        ) from error
    return path
