"""Changing single values in `config.toml` while everything else in it, comments and order too, stays as it is."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.config import parse_toml
from core.errors import ConfigError, ConflictError, FinetuneError
from core.paths import Home, write_whole
from core.settings_check import check, faults
from core.settings_edit import with_value, without_value

PRIVATE: Final = 0o600  # the file may hold a token
_BY_HAND: Final = "Change it by hand in an editor."


@dataclass(frozen=True, slots=True)
class _Change:
    what: str
    before: bytes | None
    after: bytes | None


class SettingsFile:
    """The `config.toml` of a home folder as it was read, and what was changed in it since.

    A change is checked as a whole before it is written, so that a file that can be read never becomes one that cannot.
    Raises ConfigError when the file is there and cannot be read as TOML.
    """

    def __init__(self, home: Home) -> None:
        self.path = home.config
        self._data: bytes | None = None
        self._changes: list[_Change] = []
        self.tables: Mapping[str, Any] = {}
        self.reread()

    def reread(self) -> None:
        """Read the file again. Raises ConfigError when it cannot be read any more."""
        data = _bytes(self.path)
        self.tables = parse_toml(data or b"", self.path)
        self._data = data

    @property
    def is_stale(self) -> bool:
        """Whether somebody else has changed the file since it was read."""
        return _bytes(self.path) != self._data

    @property
    def last_change(self) -> str:
        """What `undo` would take back, empty when there is nothing."""
        return self._changes[-1].what if self._changes else ""

    def set(self, path: Sequence[str], value: Any) -> None:
        """Write a value (of TOML's kinds) where `path` leads. Raises ConfigError, CategoryError, ConflictError."""
        expected = _with(self.tables, path, value)
        self._save(with_value(self._data or b"", path, value), expected, f"{'.'.join(path)} set")

    def unset(self, path: Sequence[str]) -> bool:
        """Remove the line of a value, so that its default holds again; False when there is none. Raises as `set`."""
        expected = _without(self.tables, path)
        if expected is None:
            return False
        self._save(without_value(self._data or b"", path), expected, f"{'.'.join(path)} back to its default")
        return True

    def add(self, block: str, what: str) -> None:
        """Write new sections, comments and all, below what is there. Raises as `set`."""
        before = (self._data or b"").rstrip()
        block = block.strip() + "\n"
        after = (before + b"\n\n" if before else b"") + block.encode("utf-8")
        self._save(after, _merged(self.tables, parse_toml(block.encode("utf-8"), self.path)), what)

    def undo(self) -> str:
        """Put back what was there before the last change; what that was, empty when there is none.

        Raises ConflictError when the file is no longer what that change left.
        """
        if not self._changes:
            return ""
        last = self._changes[-1]
        if _bytes(self.path) != last.after:
            self._changes.clear()
            self._conflict()
        self._write(last.before)
        self._changes.pop()
        return last.what

    def _save(self, after: bytes, expected: Mapping[str, Any], what: str) -> None:
        if self.is_stale:
            self._conflict()
        found = parse_toml(after, self.path)
        if _full(found) != _full(expected):
            raise ConfigError(f"{self.path} is written in a way that this program cannot change.", hint=_BY_HAND)
        self._check(found)
        before = self._data
        self._write(after)
        self._changes.append(_Change(what, before, after))

    def _check(self, tables: Mapping[str, Any]) -> None:
        """A file that is right stays right; in a faulty one a change must mend something."""
        try:
            check(tables, self.path)
        except FinetuneError:
            left, before = len(faults(tables, self.path)), len(faults(self.tables, self.path))
            if left >= before:
                raise

    def _write(self, data: bytes | None) -> None:
        target = self.path.resolve()  # a link to a file elsewhere stays a link
        if data is None:
            target.unlink(missing_ok=True)
        else:
            mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else PRIVATE
            write_whole(target, data, mode=mode)
        self.reread()

    def _conflict(self) -> None:
        self.reread()
        raise ConflictError(
            f"{self.path.name} was changed by somebody else meanwhile.",
            title="Nothing was written",
            hint="It was read again: look at the new values, then repeat the change.",
        )


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the file.") from error


def _with(tables: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    head, *rest = path
    inner = tables.get(head, {})
    if rest and not isinstance(inner, Mapping):
        raise ConfigError(f"`{head}` is no section.", hint=_BY_HAND)
    return {**tables, head: _with(inner, rest, value) if rest else value}


def _merged(tables: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(tables)
    for name, value in more.items():
        old = both.get(name)
        both[name] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return both


def _without(tables: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any] | None:
    """The tables without that value; None where it is not there."""
    head, *rest = path
    if head not in tables:
        return None
    less = {name: each for name, each in tables.items() if name != head}
    if not rest:
        return less
    inner = _without(tables[head], rest) if isinstance(tables[head], Mapping) else None
    if inner is None:
        return None
    return {**less, head: inner}


def _full(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables without those that say nothing."""
    less = {name: _full(each) if isinstance(each, Mapping) else each for name, each in tables.items()}
    return {name: each for name, each in less.items() if each != {}}
