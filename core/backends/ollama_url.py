"""Where Ollama's server is."""

from __future__ import annotations

import os
from typing import Final

DEFAULT_PORT: Final = 11434


def server_url() -> str:
    """Where Ollama's server is, from OLLAMA_HOST; its usual place on this machine where that is not set."""
    return url_of(os.environ.get("OLLAMA_HOST", ""))


def url_of(address: str) -> str:
    """The URL that Ollama itself reads in `host`, `host:port` or a whole URL; its usual place for an empty text."""
    from urllib.parse import urlsplit

    text = address.strip().strip("\"'")
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
