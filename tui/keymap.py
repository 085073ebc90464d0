"""Keys as data: `keymap.toml` in the home folder gives any binding other keys, by the binding's id.

A fault in the file costs the faulty line, never the start: what is right in it applies, the rest keeps its own keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assets import ASSETS

if TYPE_CHECKING:
    from tui.known_keys import Owner

_MOVING: Final = frozenset({"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete"})
_NAMED: Final = _MOVING | {"enter", "escape", "tab", "space", "backspace"} | {f"f{number}" for number in range(1, 25)}
_SAME: Final = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+left_square_bracket": "escape"}
_USE: Final = "use"
_HELD: Final = ("ctrl", "shift", "alt")
_NEVER: Final = ("cmd", "command", "super", "meta", "hyper", "win", "option")
_KEPT: Final = {"app.quit": "leaves the app", "app.help": "opens the help"}


@dataclass(frozen=True, slots=True)
class Keymap:
    """`keys` by id, as the framework takes them, and what was wrong with the file, one sentence each."""

    keys: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def load_keymap(path: Path) -> Keymap:
    """What the file says, without the lines whose value names no key; an empty one when there is no file.

    The file holds `"review.good" = "a,enter"` lines, or the same ids as sections; `use = "left-hand"` takes a keymap
    of assets/keymaps first. Whether ids exist and keys clash is for `checked`, which has to look at every screen.
    """
    if not path.exists():
        return Keymap()  # before the settings are imported, which the first frame need not wait for
    from core.config import read_toml
    from core.errors import ConfigError

    try:
        table = read_toml(path)
    except ConfigError as error:
        return Keymap({}, (str(error),))
    shipped, problems = _shipped(table.pop(_USE, None))
    keys = dict(shipped)
    for name, value in _flat(table, ""):
        faults = _faults(value)
        problems += [f"{name}: {fault}" for fault in faults]
        if not faults:
            keys[name] = ",".join(_parts(str(value)))
    return Keymap(keys, tuple(problems))


def checked(keymap: Keymap) -> Keymap:
    """The keymap without lines that name no known binding, that put two verbs of one place on one key, or that take
    away the last key of what must stay. Imports every screen: some 0.3 s, so a thread's work."""
    from tui.known_keys import owners

    places = owners()
    known = {name for place in places for name in place.keys}
    keys = dict(keymap.keys)
    problems = list(keymap.problems)
    for name in [name for name in keys if name not in known]:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        problems.append(f"{name}: no key has this id{'; near it: ' + ', '.join(near) if near else ''}")
        del keys[name]
    # Each round takes one line out, which may bring a clash with the keys that it had before.
    while (fault := _clash(places, keys) or _lost(places, keys)) is not None:
        name, text = fault
        problems.append(f"{name}: {text}")
        del keys[name]
    return Keymap(keys, tuple(problems))


def problems(path: Path) -> list[str]:
    """Everything that is wrong with a keymap file, one sentence each; empty when it is right or missing."""
    return list(checked(load_keymap(path)).problems)


def _shipped(name: object) -> tuple[Mapping[str, str], list[str]]:
    if name is None:
        return {}, []
    path = ASSETS / "keymaps" / f"{name}.toml"
    names = sorted(found.stem for found in path.parent.glob("*.toml"))
    if name in names:
        return load_keymap(path).keys, []
    return {}, [f"{_USE}: there is no keymap {name!r}; there are {', '.join(names)}"]


def _flat(table: Mapping[str, object], prefix: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        found += _flat(value, f"{key}.") if isinstance(value, Mapping) else [(key, value)]
    return found


def _parts(value: str) -> list[str]:
    from textual.keys import _character_to_key

    if value.strip() == ",":
        return ["comma"]
    parts = [part.strip() for part in value.split(",")]
    return [_character_to_key(part) if len(part) == 1 else part for part in parts]


def _faults(value: object) -> list[str]:
    if not isinstance(value, str) or not value.strip():
        return ['the keys must stand in quotes, for example "a" or "a,f5"']
    return [fault for part in _parts(value) if (fault := _fault(part))]


def _fault(key: str) -> str:
    """What is wrong with one key, empty when a terminal sends it."""
    *held, last = key.split("+")
    if any(name in _NEVER for name in held):
        return f"{key} never reaches a program in a terminal; use ctrl and a letter, or an F key"
    if not last or any(name not in _HELD for name in held):
        return f"{key!r} is no key; write for example a, A, f5, ctrl+a or pagedown"
    named = last in _NAMED
    if not named and not _printable(last):
        near = difflib.get_close_matches(last, _NAMED, n=1)
        return f"{key!r} is no key{f'; did you mean {near[0]}?' if near else ''}"
    if key in _SAME:
        return f"{key} is {_SAME[key]} to a terminal; name that key instead"
    return _unsent(key, held, last, named)


def _unsent(key: str, held: list[str], last: str, named: bool) -> str:
    letter = len(last) == 1 and last.isascii() and last.isalpha()
    if held == ["shift"]:
        if letter:
            return f"write {last.upper()} for {key}"
        sent = last in _MOVING or last == "tab" or (last.startswith("f") and named)
    elif held == ["ctrl"]:
        sent = (letter and last.islower()) or last in _MOVING or last in {"at", "backslash", "underscore", "space"}
    elif held == ["alt"]:
        sent = not named or last in _MOVING
    else:
        sent = not held or last in _MOVING
    return "" if sent else f"{key} is sent by hardly any terminal; use a letter, ctrl and a small letter, or an F key"


def _printable(name: str) -> bool:
    from textual.keys import REPLACED_KEYS, key_to_character

    character = key_to_character(REPLACED_KEYS.get(name, name))
    return character is not None and character.isprintable()


def _clash(places: list[Owner], keys: Mapping[str, str]) -> tuple[str, str] | None:
    for place in places:
        taken: dict[str, str] = {}
        for name, own in place.keys.items():
            for key in keys.get(name, own).split(","):
                other = taken.setdefault(key, name)
                if other != name and (name in keys or other in keys):
                    wrong, right = (name, other) if name in keys else (other, name)
                    return wrong, f"{key} is the key of {right} already in the same place ({place.name})"
    return None


def _lost(places: list[Owner], keys: Mapping[str, str]) -> tuple[str, str] | None:
    app = next(place for place in places if place.is_app)
    for place in places:
        if not place.is_screen:
            continue
        used = {key: name for name, own in place.keys.items() for key in keys.get(name, own).split(",")}
        for kept, does in _KEPT.items():
            wanted = keys.get(kept, app.keys[kept]).split(",")
            if all(key in used for key in wanted):
                wrong = next((used[key] for key in wanted if used[key] in keys), kept)
                if wrong in keys:
                    return wrong, f"with it no key {does} in {place.name}"
    return None
