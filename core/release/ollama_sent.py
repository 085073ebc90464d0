"""What a version is sent to Ollama with: its sampling parameters and its system prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from core.categories import load_categories
from core.config import Config, Publish
from core.errors import NotFoundError
from core.paths import Home
from core.release.files import serving_kind
from storage.rows import VersionRow


def parameters_of(publish: Publish) -> dict[str, Any]:
    """The sampling parameters that a model carries in Ollama; its own defaults differ between its versions."""
    parameters: dict[str, Any] = {
        "temperature": publish.temperature,
        "top_p": publish.top_p,
        "top_k": publish.top_k,
        "repeat_penalty": publish.repeat_penalty,
        "num_ctx": publish.num_ctx,
        "num_predict": publish.max_tokens,
    }
    return parameters | ({"stop": list(publish.stop)} if publish.stop else {})


def system_prompt_of(home: Home, version: VersionRow) -> str:
    """The category's system prompt; that which the version was made with where there is no such category any more."""
    own = load_categories(home).get(version.category)
    if own is not None:
        return own.system_prompt
    try:
        told = json.loads((home.resolve(version.folder) / "version.json").read_text("utf-8"))["system_prompt"]
    except (OSError, ValueError, KeyError, TypeError, NotFoundError):
        return ""
    return told if isinstance(told, str) else ""


def mark_of(config: Config, version: VersionRow, system: str) -> str:
    """Tells whether a version would be given in the same way as it was."""
    file = version.gguf[serving_kind(version)]["sha256"]
    sent: Mapping[str, Any] = {"file": file, "system": system, "parameters": parameters_of(config.publish)}
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()
