"""Themes as files: ours in assets/themes, the user's in `themes/*.toml` of the home folder.

A faulty file never stops the app: it is left out, and what is wrong with it is told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from textual.color import Color, ColorParseError
from textual.theme import Theme

from assets import ASSETS

DARK: Final = "dusk"
LIGHT: Final = "dawn"
READABLE: Final = 4.5
"""The contrast that WCAG 2 (1.4.3, AA) asks of text of ordinary size."""

_LONGEST_NAME: Final = 40
_COLORS: Final = (
    "primary", "secondary", "warning", "error", "success", "accent", "foreground", "background", "surface", "panel",
    "boost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ThemeFile:
    """A theme as its file gives it, None where the file is faulty, and what is wrong or doubtful about it."""

    path: Path
    theme: Theme | None
    problems: tuple[str, ...] = ()


def shipped(name: str) -> Theme:
    """One of the two themes that ship."""
    return _theme(tomllib.loads((ASSETS / "themes" / f"{name}.toml").read_text(encoding="utf-8")), name)


def of_user(folder: Path, taken: Collection[str]) -> list[ThemeFile]:
    """The user's themes in the order of their file names; of two with one name, or one that is `taken`, the later is
    left out. A missing folder holds none."""
    files: list[ThemeFile] = []
    names = set(taken)
    for path in sorted(folder.glob("*.toml")):
        file = read_theme(path)
        if file.theme is not None and file.theme.name in names:
            file = ThemeFile(path, None, (f"{path.name}: there is a theme named {file.theme.name!r} already",))
        if file.theme is not None:
            names.add(file.theme.name)
        files.append(file)
    return files


def read_theme(path: Path) -> ThemeFile:
    """One file: `name`, `dark`, colours by name, and a table `[variables]` for the framework's finer ones."""
    from core.config import read_toml
    from core.errors import ConfigError

    try:
        table = read_toml(path)
    except ConfigError as error:
        return ThemeFile(path, None, (str(error),))
    faults = [f"{path.name}: {fault}" for fault in [*_faults(table), *_name_faults(table.get("name", path.stem))]]
    if faults:
        return ThemeFile(path, None, tuple(faults))
    theme = _theme(table, path.stem)
    return ThemeFile(path, theme, tuple(f"{path.name}: {doubt}" for doubt in doubts(theme)))


def _theme(table: Mapping[str, Any], name: str) -> Theme:
    values = {key: value for key, value in table.items() if key in _COLORS}
    variables = {str(key): str(value) for key, value in dict(table.get("variables", {})).items()}
    return Theme(name=str(table.get("name", name)), dark=table.get("dark", True), variables=variables, **values)


def _faults(table: Mapping[str, object]) -> list[str]:
    faults = []
    if "primary" not in table:
        faults.append('the colour primary is missing; write for example primary = "#6CA9E0"')
    for key, value in table.items():
        if key in _COLORS:
            faults += _color_faults(key, value)
        elif (key == "dark" and not isinstance(value, bool)) or (key == "name" and not isinstance(value, str)):
            faults.append(f"{key} must be {'true or false' if key == 'dark' else 'a text in quotes'}")
        elif key == "name" and not str(value).strip():
            faults.append("name must not be empty")
        elif key == "variables" and not isinstance(value, Mapping):
            faults.append("variables must be a table of its own: [variables]")
        elif key not in {"name", "dark", "variables"}:
            faults.append(f"{key} is no colour of a theme; there are {', '.join(_COLORS)}")
    return faults


def _name_faults(name: object) -> list[str]:
    # The framework takes a name with commas for several names.
    if isinstance(name, str) and (not name.isprintable() or "," in name or len(name) > _LONGEST_NAME):
        return [f"name must be at most {_LONGEST_NAME} characters that can be printed, without commas"]
    return []


def _color_faults(key: str, value: object) -> list[str]:
    try:
        Color.parse(str(value))
    except ColorParseError:
        return [f'{key} = "{value}" is no colour; write for example "#6CA9E0" or "steelblue"']
    return [] if isinstance(value, str) else [f"{key} must stand in quotes"]


def doubts(theme: Theme) -> list[str]:
    """Text of a theme that is hard to read on what is behind it, one sentence each."""
    if theme.ansi:
        return []
    colors = theme.to_color_system().generate()
    found = []
    for text in ("foreground", "text-primary", "text-success", "text-warning", "text-error", "text-accent"):
        for behind in ("background", "surface", "panel"):
            ratio = contrast(colors[text], colors[behind])
            if ratio < READABLE:
                found.append(f"{text} on {behind} has a contrast of {ratio:.1f}:1; text needs {READABLE}:1")
    return found


def contrast(text: str, behind: str) -> float:
    """The WCAG 2 contrast ratio of two colours, from 1 to 21. A see-through `text` is laid over `behind` first."""
    below = Color.parse(behind)
    light, dark = sorted((_luminance(below), _luminance(below + Color.parse(text))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    """Relative luminance of WCAG 2, from 0 (black) to 1 (white)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in color.rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def other_side(current: Theme, last: Mapping[bool, str], available: Mapping[str, Theme]) -> str:
    """The theme that the switch between dark and light leads to: the last one used of the other kind, else ours."""
    wanted = not current.dark
    known: Callable[[str], bool] = lambda name: name in available and available[name].dark == wanted  # noqa: E731
    name = last.get(wanted, "")
    return name if known(name) else (DARK if wanted else LIGHT)
