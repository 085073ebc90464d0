"""The hooks that a user has configured: `[hooks.NAME]` in the home folder's `config.toml`.

[hooks.chat]
on = ["fine_tuning.ready_for_promotion", "fine_tuning.failed"]   # or "*" for all
categories = ["erd"]                # optional; without it all
url = "https://example.org/hook"    # or command = ["program", "argument"], or callback = "module:function"
secret = "…"                        # optional, with a url: signs the body
timeout = 30                        # seconds for one attempt
tries = 8                           # attempts until an event is given up
insecure = true                     # allows http:// to another machine
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from core.categories import categories_from
from core.config import close_names, read_toml
from core.errors import ConfigError
from storage.outbox import EVENTS

if TYPE_CHECKING:
    from core.paths import Home

ALL: Final = "*"
_KINDS: Final = ("command", "url", "callback")
_KEYS: Final = frozenset({"on", "categories", *_KINDS, "secret", "timeout", "tries", "insecure"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_CALLBACK = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_URL = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook; exactly one of `command`, `url` and `callback` is set. `categories` empty means all.

    `timeout` is in seconds for one attempt, `tries` how many attempts there are. What may hold a secret (arguments, the
    url, the key) is not part of its repr.
    """

    name: str
    on: tuple[str, ...]
    categories: tuple[str, ...] = ()
    command: tuple[str, ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)
    callback: str = ""
    secret: str = field(default="", repr=False)
    timeout: float = 30.0
    tries: int = 8
    insecure: bool = False

    @property
    def kind(self) -> str:
        """`command`, `url` or `callback`."""
        return "command" if self.command else "url" if self.url else "callback"

    @property
    def target(self) -> str:
        """Where it leads, for people, without what may be secret: arguments, and the path and query of a url."""
        if self.url:
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.netloc}" + ("/…" if parts.path.strip("/") or parts.query else "")
        if self.command:
            return Path(self.command[0]).name + (" …" if len(self.command) > 1 else "")
        return self.callback


def load_hooks(home: Home) -> Mapping[str, Hook]:
    """The hooks by name, as they stand in the file. Raises ConfigError naming the file, the hook and the key."""
    return hooks_from(read_toml(home.config), home.config)


def hooks_from(tables: Mapping[str, Any], path: Path) -> Mapping[str, Hook]:
    """`load_hooks` from the parsed tables of a `config.toml`; `path` is only named in errors."""
    hooks = tables.get("hooks", {})
    if not isinstance(hooks, Mapping):
        raise ConfigError(f"{path}: `hooks` must hold sections.", hint="Write [hooks.<name>] above their keys.")
    if not hooks:
        return {}
    categories = set(categories_from(tables, path))
    return {name: _hook(name, table, f"{path}: hooks.{name}", categories) for name, table in hooks.items()}


def _hook(name: str, table: Any, where: str, categories: set[str]) -> Hook:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where[:200]} is no name for a hook.", hint="Use up to 40 of a-z, A-Z, 0-9, _ and -.")
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a section.", hint=f"Write [hooks.{name}] above its keys.")
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"{where}.{key[:60]} is no setting of a hook.", hint=close_names(key[:60], set(_KEYS)))
    set_kinds = [key for key in _KINDS if key in table]
    if len(set_kinds) != 1:
        said = f"has both {' and '.join(set_kinds)}" if set_kinds else "says nothing of where to deliver"
        raise ConfigError(f"{where} {said}.", hint=f"Write exactly one of {', '.join(_KINDS)}.")
    for key in ("secret", "insecure"):
        if key in table and "url" not in table:
            raise ConfigError(f"{where}.{key} belongs to a url, and there is none.", hint="Remove the line.")
    insecure = table.get("insecure", False)
    if not isinstance(insecure, bool):
        raise ConfigError(f"{where}.insecure must be true or false.", hint="Write it without quotes.")
    return Hook(
        name=name,
        on=_events(table.get("on"), f"{where}.on"),
        categories=_categories(table.get("categories", []), categories, f"{where}.categories"),
        command=_command(table["command"], f"{where}.command") if "command" in table else (),
        url=_checked_url(table["url"], insecure, f"{where}.url") if "url" in table else "",
        callback=_checked_callback(table["callback"], f"{where}.callback") if "callback" in table else "",
        secret=_checked_secret(table["secret"], f"{where}.secret") if "secret" in table else "",
        timeout=_number(table.get("timeout", 30.0), 0.1, 600.0, f"{where}.timeout"),
        tries=int(_number(table.get("tries", 8), 1, 100, f"{where}.tries", whole=True)),
        insecure=insecure,
    )


def _events(value: Any, where: str) -> tuple[str, ...]:
    if value == ALL:
        return EVENTS
    hint = 'Write on = ["fine_tuning.completed", …], or "*" for all.'
    if value is None:
        raise ConfigError(f"{where} is missing.", hint=hint)
    if not _is_texts(value) or not value:
        raise ConfigError(f"{where} must be a list of events.", hint=hint)
    for name in value:
        if name not in (*EVENTS, ALL):
            raise ConfigError(f"{where}: `{name[:60]}` is no event.", hint=close_names(name[:60], set(EVENTS)))
    return EVENTS if ALL in value else tuple(dict.fromkeys(value))


def _categories(value: Any, known: set[str], where: str) -> tuple[str, ...]:
    if not _is_texts(value):
        raise ConfigError(f"{where} must be a list of categories.", hint='Write categories = ["erd"].')
    for name in value:
        if name not in known:
            raise ConfigError(f"{where}: there is no category `{name[:60]}`.", hint=close_names(name[:60], known))
    return tuple(dict.fromkeys(value))


def _command(value: Any, where: str) -> tuple[str, ...]:
    if not _is_texts(value) or not value or not value[0].strip():
        raise ConfigError(
            f"{where} must be a list of texts, since no shell is used.", hint='Write ["program", "argument"].'
        )
    program, *arguments = value
    if os.sep in program:
        program = str(Path(program).expanduser())
        if not Path(program).is_absolute():
            raise ConfigError(f"{where}: the program must be a name that the PATH knows, or a whole path.")
    if any("\0" in each for each in value):
        raise ConfigError(f"{where} must not hold a NUL character.", hint="Remove it.")
    return (program, *arguments)


def _checked_url(value: Any, insecure: bool, where: str) -> str:
    """The url if it is one to post to. What is wrong with it is said without repeating it: its path may be a secret."""
    hint = 'Write it as "https://host/path".'
    try:
        parts = urlsplit(value) if isinstance(value, str) and _URL.fullmatch(value) else SplitResult("", "", "", "", "")
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{where} is no url.", hint=hint) from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{where} must be an http or https url.", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{where} must not hold a user and password.", hint="Let a `secret` sign the body instead.")
    if parts.scheme == "http" and not insecure and not _is_loopback(host):
        raise ConfigError(
            f"{where} would send to another machine without encryption.",
            hint="Write https://, or add insecure = true if your network may read it.",
        )
    return str(value)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked_callback(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _CALLBACK.fullmatch(value):
        raise ConfigError(f"{where} must name a function.", hint='Write callback = "module:function".')
    return value


def _checked_secret(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where} must be text in quotes that is not empty.", hint="Remove the line to sign nothing.")
    return value


def _number(value: Any, low: float, high: float, where: str, *, whole: bool = False) -> float:
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{where} must be {kind} from {low:g} to {high:g}.", hint="Correct the value.")
    return float(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(each, str) for each in value)
