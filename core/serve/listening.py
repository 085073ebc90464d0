"""Where the gateway listens, and what may not be missing there."""

from __future__ import annotations

import errno
import resource
import socket
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from core.config import Serve
from core.errors import ConfigError
from core.serve.authority import is_loopback

_FILES: Final = 4_096
_PORTS: Final = {"http": 80, "https": 443}


def check_token(serve: Serve) -> None:
    """Raises ConfigError where others than this machine could call without a token, or one cannot be sent."""
    if not serve.token and not is_loopback(serve.host):
        raise ConfigError(
            f"serve.host is {serve.host}, where other machines reach the gateway, and serve.token is empty.",
            title="A token is needed",
            hint="Set serve.token in config.toml, or listen on 127.0.0.1.",
        )
    if serve.token and (not serve.token.isascii() or not serve.token.isprintable() or " " in serve.token):
        raise ConfigError(
            "serve.token holds what no HTTP header can carry.",
            title="The token cannot be used",
            hint="Use letters, digits and signs, for example what `openssl rand -hex 24` prints.",
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises ConfigError with the reason."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(host, port, str(error.strerror or error)) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        raise _refused(host, port, "another program listens there" if taken else str(error.strerror)) from error
    return listening


def allow_files() -> None:
    """Lets this process have as many files open as its connections need, each with one to the server behind it, where
    the system's hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def url_of(host: str, port: int) -> str:
    """What a caller on this machine uses for a gateway that listens there."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def check_upstream(upstream: str, host: str, port: int) -> None:
    """Raises ConfigError where the server behind the gateway would be the gateway itself."""
    parts = urlsplit(upstream)
    their_port = parts.port or _PORTS.get(parts.scheme, 80)
    named = parts.hostname or ""
    if their_port == port and (
        named == host or (is_loopback(named) and (is_loopback(host) or host in ("0.0.0.0", "::")))
    ):
        raise ConfigError(
            f"Ollama's address, {upstream}, is that of the gateway itself.",
            title="The gateway would call itself",
            hint="Unset OLLAMA_HOST for this command, or set serve.ollama to where Ollama is.",
        )


def _refused(host: str, port: int, why: str) -> ConfigError:
    return ConfigError(
        f"The gateway cannot listen on {host} port {port}: {why}.",
        title="The port is not free",
        hint="Choose another one with --port, or set serve.port in config.toml.",
    )
