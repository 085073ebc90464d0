"""What an Ollama server tells of the models it holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Value = str | float | bool

# The commands of a Modelfile that come before all others when the server writes one.
_FILES: Final = ("FROM", "ADAPTER")
_BLOB: Final = re.compile(r"sha256[-:]([0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class ModelOnServer:
    """One line of /api/tags.

    digest: SHA-256 of its manifest, 64 hexadecimal digits. bytes: of all its files together. modified_at: as the
    server writes it (RFC 3339). family, parameters ("3.2B") and quantization ("Q8_0") may be empty.
    """

    name: str
    digest: str
    bytes: int
    modified_at: str
    family: str
    parameters: str
    quantization: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What /api/show tells of a model.

    template: the one that is used, Go's or the file's own Jinja. parameters: {key: [values]}, numbers as floats,
    texts unquoted, such as {"stop": ["<|end|>"], "temperature": [0.3]}. modelfile_file_sha256: of the GGUF file behind
    it, empty where it names none. context_length: what the model was trained for, None where not told.
    """

    template: str
    parameters: Mapping[str, list[Value]]
    system: str
    modelfile_file_sha256: str
    quantization: str
    context_length: int | None
    capabilities: tuple[str, ...]


def with_tag(name: str) -> str:
    """The name in lower case, as Ollama compares, with the tag that goes without saying."""
    lower = name.strip().lower()
    return lower if ":" in lower.rpartition("/")[2] else f"{lower}:latest"


def model_on_server(entry: Mapping[str, Any]) -> ModelOnServer:
    """A line of /api/tags; what it leaves out is empty or 0."""
    details = _mapping(entry.get("details"))
    size = entry.get("size")
    return ModelOnServer(
        str(entry.get("name") or entry.get("model") or ""),
        str(entry.get("digest") or "").removeprefix("sha256:"),
        size if isinstance(size, int) else 0,
        str(entry.get("modified_at") or ""),
        str(details.get("family") or ""),
        str(details.get("parameter_size") or ""),
        str(details.get("quantization_level") or ""),
    )


def shown_of(told: Mapping[str, Any]) -> Shown:
    """An answer of /api/show; what it leaves out is empty."""
    files, _ = files_of(str(told.get("modelfile") or ""))
    blob = _BLOB.search(files[0].lower()) if files else None
    facts = _mapping(told.get("model_info"))
    length = facts.get(f"{facts.get('general.architecture')}.context_length")
    capabilities = told.get("capabilities")
    return Shown(
        template=str(told.get("template") or ""),
        parameters=_parameters(str(told.get("parameters") or "")),
        system=str(told.get("system") or ""),
        modelfile_file_sha256=blob[1] if blob else "",
        quantization=str(_mapping(told.get("details")).get("quantization_level") or ""),
        context_length=int(length) if isinstance(length, int | float) else None,
        capabilities=tuple(map(str, capabilities)) if isinstance(capabilities, list) else (),
    )


def files_of(modelfile: str) -> tuple[list[str], list[str]]:
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


def _parameters(text: str) -> dict[str, list[Value]]:
    """One `key   value` a line; a key comes again for each value of a list."""
    found: dict[str, list[Value]] = {}
    for line in text.split("\n"):
        key, _, value = line.strip().partition(" ")
        if key:
            found.setdefault(key, []).append(_value(value.strip()))
    return found


def _value(text: str) -> Value:
    """A value as Go prints it with %#v: a quoted text, true or false, or a number."""
    if text.startswith('"'):
        try:
            # Go's escapes in a quoted text are written and meant as Python's.
            read = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
        return read if isinstance(read, str) else text
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
