"""The three ways to tell: a program, a webhook, a Python function. One attempt each, in the calling thread.

Program: the event as JSON on standard input, its name in FINETUNE_EVENT, the home folder in FINETUNE_TUI_HOME and as
working folder; exit code 0 means delivered. No shell is used, and what it leaves running is ended with it.

Webhook: a POST of the JSON with the headers Idempotency-Key (the event's id, the same at every attempt),
X-Finetune-Event and, where there is a secret, X-Finetune-Signature: `sha256=` and the HMAC-SHA256 (RFC 2104) of the
body under the secret in hexadecimal. Any 2xx answer means delivered. No redirect is followed and no proxy is used, so
that the event goes to the host that the user named and to no other.

Python function: called with the event as a dict, in a thread of its own; returning means delivered, and a
coroutine is run to its end. Modules are found
where Python finds them and in the home folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import inspect
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from core.hooks.settings import Hook
from core.paths import HOME_VARIABLE, Home
from core.validate.run_command import run_command

_SAID: Final = 300
_HIDDEN: Final = "…"
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class HookFailed(Exception):
    """The attempt failed; the message says how."""


def send(hook: Hook, told: Mapping[str, Any], home: Home) -> str:
    """One attempt to tell `hook`; what came of it in a few words. Raises HookFailed, for any fault there may be."""
    try:
        body = json.dumps(told).encode("ascii")
        if hook.command:
            return _run(hook, body, str(told["event"]), home)
        if hook.url:
            return _post(hook, body, told)
        return _call(hook, json.loads(body), home)
    except HookFailed as error:
        raise HookFailed(_without_secrets(hook, str(error))) from None


def _run(hook: Hook, body: bytes, event: str, home: Home) -> str:
    program = Path(hook.command[0]).name
    environment = {**os.environ, "FINETUNE_EVENT": event, HOME_VARIABLE: str(home.root)}
    try:
        ended = run_command(hook.command, body, folder=str(home.root), environment=environment, timeout=hook.timeout)
    except OSError as error:
        raise HookFailed(f"`{program}` could not be started: {error.strerror or error}") from error
    if ended.code is None:
        raise HookFailed(f"`{program}` took longer than {hook.timeout:g} s and was ended")
    if ended.code != 0:
        how = f"was ended by signal {-ended.code}" if ended.code < 0 else f"ended with code {ended.code}"
        said = _clean(ended.errors.strip()[-_SAID:]) or _clean(ended.output.strip()[-_SAID:])
        raise HookFailed(f"`{program}` {how}{f': {said}' if said else ''}")
    return f"`{program}` took it"


def _post(hook: Hook, body: bytes, told: Mapping[str, Any]) -> str:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(hook.url)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "finetune-tui",
        "Idempotency-Key": str(told["id"]),
        "X-Finetune-Event": str(told["event"]),
    }
    if hook.secret:
        headers["X-Finetune-Signature"] = f"sha256={signature(hook.secret, body)}"
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=hook.timeout)
    late = threading.Event()
    try:
        connection.connect()
        # The limit of a socket is for each read, so a server that sends a byte now and then would go on for ever.
        timer = threading.Timer(hook.timeout, _cut_off, (connection.sock, late))
        timer.daemon = True
        timer.start()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, headers)
            with connection.getresponse() as answer:
                said = "" if 200 <= answer.status < 300 else _clean(answer.read(_SAID).decode("utf-8", "replace"))
        finally:
            timer.cancel()
    except (OSError, HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise HookFailed(f"{hook.target} took longer than {hook.timeout:g} s") from error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise HookFailed(f"{hook.target} cannot be reached: {_clean(reason)}") from error
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return f"answered {answer.status}"
    if 300 <= answer.status < 400:
        raise HookFailed(f"{hook.target} answered {answer.status}, a redirect, which is not followed: name its goal")
    raise HookFailed(f"{hook.target} answered {answer.status}{f': {said}' if said else ''}")


def _cut_off(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        # Of the plain socket: an encrypted one may not be shut down while another thread reads from it.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def signature(secret: str, body: bytes) -> str:
    """The HMAC-SHA256 of a body in hexadecimal, by which a receiver knows that the event is ours."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _call(hook: Hook, told: dict[str, Any], home: Home) -> str:
    try:
        returned = _function(hook.callback, home)(told)
        if inspect.iscoroutine(returned):
            asyncio.run(returned)
    except HookFailed:
        raise
    except (Exception, SystemExit) as error:
        raise HookFailed(f"`{hook.callback}` failed: {_said(error)}") from error
    return f"`{hook.callback}` returned"


def _function(name: str, home: Home) -> Callable[[dict[str, Any]], object]:
    module_name, _, path = name.partition(":")
    # Last, so that a file there hides no module of Python or of a package.
    if str(home.root) not in sys.path:
        sys.path.append(str(home.root))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise HookFailed(f"the module `{module_name}` cannot be imported: {_said(error)}") from error
    try:
        found = reduce(getattr, path.split("."), module)
    except AttributeError as error:
        raise HookFailed(f"the module `{module_name}` has no `{path}`") from error
    if not callable(found):
        raise HookFailed(f"`{name}` cannot be called")
    return found


def _said(error: BaseException) -> str:
    text = _clean(str(error))[:_SAID]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _clean(text: str) -> str:
    return " ".join(_NOT_SHOWN.sub(" ", text).split())


def _without_secrets(hook: Hook, text: str) -> str:
    """`text` without the key and the url, which a program or server may have repeated in its answer."""
    parts = urlsplit(hook.url)
    for private in (hook.secret, hook.url, parts.query, parts.path if len(parts.path) > 1 else ""):
        text = text.replace(private, _HIDDEN) if private else text
    return text
