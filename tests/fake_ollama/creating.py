"""POST /api/create in the three eras, as a run of status lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fake_ollama.go_template import GoTemplate, TemplateError
from fake_ollama.prompts import detected
from fake_ollama.state import State
from fake_ollama.store import ApiError, facts_of, named

DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
NO_ADAPTERS = "LoRA adapters are no longer supported"
NO_QUANTIZE = (
    "create-time quantization is only supported for safetensors imports; quantize GGUF models with llama.cpp tools "
    "before importing"
)


class Broken(Exception):
    """The connection breaks here."""


def create(state: State, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Status lines. An ApiError before the first is an answer of that status, later a line with `error`."""
    faults, disk = state.faults, state.disk
    if faults.create_status:
        raise ApiError(faults.create_status, faults.create_error)
    name = named(body.get("model") or body.get("name"))
    layers, config = _weights(state, body)
    yield {"status": "parsing GGUF"}
    if "from" not in body:
        layers[0], recognised = yield from _taken_in(state, layers[0])
        layers += recognised
    yield {"status": f"using existing layer {layers[0]['digest']}"}
    for kind, content in _texts(state, body, layers):
        layers = [one for one in layers if not one["mediaType"].endswith(f".{kind}")]
        layers.append(disk.layer(kind, disk.put(content)))
        yield {"status": f"creating new layer {layers[-1]['digest']}"}
    if faults.create_line:
        raise ApiError(500, faults.create_line)
    yield {"status": "writing manifest"}
    if faults.create_cut == "line":
        return
    if faults.create_cut:
        raise Broken
    disk.write(name, layers, config)
    yield {"status": "success"}


def _weights(state: State, body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The layers that a model begins with, weights first, and what its config has from elsewhere."""
    if body.get("quantize") or body.get("quantization"):
        raise ApiError(*((400, NO_QUANTIZE) if state.since(0, 34, 1) else (500, "this fake does not quantize")))
    if body.get("adapters"):
        raise ApiError(*((400, NO_ADAPTERS) if state.since(0, 34, 1) else (500, "this fake takes no adapters")))
    if "template" in body:
        try:
            GoTemplate(str(body["template"]))
        except TemplateError as error:
            raise ApiError(400, f"template error: {error}") from error
    if body.get("from"):
        base = state.disk.model(named(body["from"]))
        if base is None:
            raise ApiError(500, "pull model manifest: file does not exist")
        return list(base.layers), dict(base.config)
    files = body.get("files")
    if not files:
        raise ApiError(400, "neither 'from' or 'files' was specified")
    return [state.disk.layer("model", _file(state, *one)) for one in files.items()], {}


def _file(state: State, file: str, digest: Any) -> str:
    """The SHA-256 of an uploaded file that may be a model's."""
    newest = state.since(0, 34, 1)
    if file.startswith("/") or ".." in file.split("/") or (newest and set(file) & {"\\", ":"}):
        raise ApiError(400, "file path must be relative")
    found = DIGEST.fullmatch(str(digest))
    if not found:
        raise ApiError(400, "invalid digest format")
    blob = state.disk.blob(found[1])
    if not blob.exists():
        raise ApiError(400 if newest else 500, f"blob sha256:{found[1]} not found")
    with blob.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise ApiError(400, "supplied file was not in GGUF format")
    if newest and facts_of(blob).get("general.type") == "adapter":
        raise ApiError(400, NO_ADAPTERS)
    return found[1]


def _taken_in(state: State, layer: dict[str, Any]) -> Any:
    """The layer of the weights as this era keeps it, and those of a template that was recognised."""
    disk = state.disk
    digest = layer["digest"].removeprefix("sha256:")
    if state.rewrites:
        yield {"status": "validating GGUF model"}
        if state.faults.no_quantize:
            raise ApiError(500, "llama-quantize unavailable: executable file not found")
        if state.faults.rewrites_change:
            # Bytes after the last tensor are read by nobody.
            layer = disk.layer("model", disk.put(disk.blob(digest).read_bytes() + bytes(32)))
    template = str(facts_of(disk.blob(digest)).get("tokenizer.chat_template", ""))
    known = detected(state.faults.create_template or template)
    if known is None:
        return layer, []
    yield {"status": f"using autodetected template {known.name}"}
    stop = json.dumps({"stop": list(known.stop)}).encode()
    return layer, [disk.layer("template", disk.put(known.go.encode())), disk.layer("params", disk.put(stop))]


def _texts(state: State, body: Mapping[str, Any], layers: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Kind and content of the layers that the request itself brings; parameters over those that are there."""
    if body.get("template"):
        yield "template", str(body["template"]).encode()
    if body.get("system"):
        yield "system", str(body["system"]).encode()
    parameters = body.get("parameters")
    if parameters and not state.faults.create_loses_parameters:
        if state.since(0, 34, 1) and "typical_p" in parameters:
            raise ApiError(400, 'unknown parameter "typical_p"')
        held = next((one for one in layers if one["mediaType"].endswith(".params")), None)
        path = state.disk.blob(held["digest"].removeprefix("sha256:")) if held else None
        before = json.loads(path.read_text("utf-8")) if path else {}
        yield "params", json.dumps({**before, **parameters}).encode()
