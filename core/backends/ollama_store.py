"""Models that Ollama holds on this machine, and the GGUF file of each. Nothing of Ollama's is ever changed.

A server that runs is asked first, since it knows where its files are; where none answers, its store is read:
`manifests/<host>/<namespace>/<model>/<tag>` names the layers, `blobs/sha256-<hex>` holds them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.backends import ollama_manifests as manifests
from core.backends.ollama_names import OllamaName, parse_name
from core.config import close_names
from core.errors import ModelError

DEFAULT_PORT: Final = 11434
_CONNECT_SECONDS: Final = 0.5
_READ_SECONDS: Final = 5.0
# The commands of a Modelfile that come before all others when the server writes one.
_FILES: Final = ("FROM", "ADAPTER")


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


def server_url() -> str:
    """Where Ollama's server is, from OLLAMA_HOST as Ollama itself reads it: `host`, `host:port` or a whole URL."""
    from urllib.parse import urlsplit

    text = os.environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    scheme, found, rest = text.partition("://")
    scheme, rest = (scheme.lower(), rest) if found else ("http", text)
    usual = {"http": 80, "https": 443}.get(scheme, DEFAULT_PORT) if found else DEFAULT_PORT
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "127.0.0.1", usual if parts.port is None else parts.port
    except ValueError:  # no number, or no port: Ollama takes its own then
        parts, host, port = urlsplit(""), "127.0.0.1", DEFAULT_PORT
    if host in ("0.0.0.0", "::"):  # where a server listens is not where one calls it
        host = "127.0.0.1"
    named = f"[{host}]" if ":" in host else host
    return f"{scheme if scheme == 'https' else 'http'}://{named}:{port}{parts.path.rstrip('/')}"


def _ask(path: str, body: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The server's answer to a POST (with a body) or GET; None where none answers or it refuses."""
    import httpx

    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.Client(base_url=server_url(), timeout=timeout, trust_env=False) as client:
            reply = client.get(path) if body is None else client.post(path, json=body)
            answer = reply.json() if reply.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _listed(entry: Mapping[str, Any]) -> HeldModel:
    details = entry.get("details")
    known = details if isinstance(details, dict) else {}
    size = entry.get("size")
    return HeldModel(
        str(entry.get("name") or entry.get("model") or ""),
        size if isinstance(size, int) else 0,
        str(known.get("parameter_size") or ""),
        str(known.get("quantization_level") or ""),
    )


def _from_server(name: OllamaName, shown: Mapping[str, Any]) -> OllamaModel:
    if shown.get("remote_host") or shown.get("remote_model"):
        raise manifests.refused(name, "it runs in Ollama's cloud, so that its weights are not on this machine")
    models, adapters = _files_of(str(shown["modelfile"]))
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


def _files_of(modelfile: str) -> tuple[list[str], list[str]]:
    """The files of FROM and of ADAPTER, which stand at a Modelfile's head; what follows may be text of any kind."""
    found: dict[str, list[str]] = {command: [] for command in _FILES}
    for line in modelfile.splitlines():
        command, _, value = line.strip().partition(" ")
        if not command or command.startswith("#"):
            continue
        if command.upper() not in found:
            break
        found[command.upper()].append(value.strip().strip('"'))
    return found["FROM"], found["ADAPTER"]


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
