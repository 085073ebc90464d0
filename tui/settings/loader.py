"""Reads the lines of a section of the settings screen, in a thread."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.categories import categories_from
from core.checks import Check
from core.config import read_toml
from core.errors import ConfigError
from core.paths import Home
from core.settings_docs import CATEGORIES, sections
from core.settings_privacy import privacy
from core.settings_values import held_of_category, held_settings
from storage import events
from storage.db import open_store
from tui.keymap import checked, load_keymap
from tui.settings.checks import CheckRow
from tui.settings.rows import CategoryRow, KeyRow, Row, SettingRow, ThemeRow
from tui.words import counted, data_size

if TYPE_CHECKING:
    from textual.theme import Theme

KEYS: Final = "keys"
THEMES: Final = "themes"
DOCTOR: Final = "doctor"
_TITLES: Final[Mapping[str, str]] = {
    "general": "General", "capture": "Capture & privacy", "select": "Selection", "train": "Training",
    "publish": "Publishing", "ab": "A/B tests", "loop": "Loop", "review": "Review", "search": "Search",
    "serve": "Serving", CATEGORIES: "Categories", KEYS: "Keys", THEMES: "Themes", DOCTOR: "Doctor",
}  # fmt: skip


def section_titles() -> dict[str, str]:
    """The sections in the order of the list on the left, with their titles."""
    known = sections()
    others = {name: name.replace("_", " ").capitalize() for name in known if name not in _TITLES}
    own = (CATEGORIES, KEYS, THEMES, DOCTOR)
    listed = {name: title for name, title in _TITLES.items() if name in known}
    return listed | others | {name: _TITLES[name] for name in own}


def changed_counts(home: Home) -> dict[str, int]:
    """How many settings of each section `config.toml` changes; none where it cannot be read."""
    try:
        tables = read_toml(home.config)
    except ConfigError:
        return {}
    found = {name: len(table) for name, table in tables.items() if isinstance(table, Mapping)}
    return {name: number for name, number in found.items() if name != "hooks"}


def read_settings(home: Home, section: str) -> list[Row]:
    """A section of `config.toml`; that of capture with what is kept and what leaves the machine."""
    rows: list[Row] = [
        SettingRow(one) for one in held_settings(read_toml(home.config), home.config) if one.setting.section == section
    ]
    return rows + [CheckRow(one) for one in privacy_checks(home)] if section == "capture" else rows


def privacy_checks(home: Home) -> list[Check]:
    """What is known of privacy, as the doctor tells things."""
    found = privacy(home)
    on = "replaced by placeholders before anything is stored"
    off = "stored as they are: addresses, phone numbers and keys too"
    checks = [Check("private details", "ok" if found.sanitizes else "warning", on if found.sanitizes else off)]
    checks += [Check("leaves this machine", "warning", text, "It stands in config.toml.") for text in found.leaves]
    if not found.leaves:
        checks.append(Check("leaves this machine", "ok", "nothing: no text and no figure is sent anywhere"))
    listed = ", ".join(f"{name} {data_size(size)}" for name, size in found.bytes.items() if size)
    checks.append(Check("kept", "info", listed or "nothing yet", f"All of it lies in {home.root}."))
    if found.waiting:
        told = f"{counted(found.waiting, 'file')} of the gateway wait to be recorded, with texts as they were"
        checks.append(Check("journal", "info", told, "The gateway records them when it runs."))
    return checks


def read_categories(home: Home) -> list[Row]:
    """Every category with what is recorded in it."""
    tables = read_toml(home.config)
    known = categories_from(tables, home.config)
    with open_store(home.store) as store:
        counts = {one.category: one for one in events.category_counts(store, now=time.time())}
    own = tables.get(CATEGORIES, {})
    return [CategoryRow(one, counts.get(name), name in own) for name, one in known.items()]


def read_category(home: Home, name: str) -> list[Row]:
    """Every setting of one category."""
    return [SettingRow(one) for one in held_of_category(read_toml(home.config), home.config, name)]


def read_keys(home: Home) -> list[Row]:
    """Every verb with its keys, those with a fault in keymap.toml first. Imports every screen: some 0.3 s."""
    from tui.known_keys import bindings, node_classes

    said = load_keymap(keymap_of(home))
    right = checked(said)
    faults = dict(problem.split(": ", 1) for problem in right.problems if ": " in problem)
    rows: dict[str, KeyRow] = {
        name: KeyRow(name, "", "", said.keys.get(name, ""), fault) for name, fault in faults.items()
    }
    for node in node_classes():
        for one in bindings(node):
            if not one.id:
                continue
            before = rows.get(one.id)
            keys = before.keys.split(",") if before is not None and before.keys else []
            keys += [] if one.key in keys else [one.key]
            own = right.keys.get(one.id, "")
            rows[one.id] = KeyRow(one.id, one.description, ",".join(keys), own, faults.get(one.id, ""))
    return [row for _, row in sorted((_by_trouble(row), row) for row in rows.values())]


def _by_trouble(row: KeyRow) -> tuple[bool, bool, str]:
    return not row.fault, not row.own, row.id


def keymap_of(home: Home) -> Path:
    """The user's file of keys; it may be missing."""
    return home.root / "keymap.toml"


def theme_rows(themes: Mapping[str, Theme], kept: str) -> list[Row]:
    """The themes, dark ones first."""
    return [ThemeRow(one.name, one.dark, one.name == kept) for one in sorted(themes.values(), key=_order)]


def _order(theme: Theme) -> tuple[bool, str]:
    return not theme.dark, theme.name


def everything(home: Home) -> list[Row]:
    """All that `/` finds: every setting, the categories with what is changed in them, every key."""
    tables = read_toml(home.config)
    rows: list[Row] = [SettingRow(one, whole=True) for one in held_settings(tables, home.config)]
    categories = read_categories(home)
    rows += categories
    for name in tables.get(CATEGORIES, {}):
        rows += [SettingRow(one, whole=True) for one in held_of_category(tables, home.config, name) if one.changed]
    return [*rows, *read_keys(home)]


def matching(rows: Sequence[Row], query: str) -> list[Row]:
    """Those with every word of the query in their name or description; where the name has it come first."""
    words = query.lower().split()
    found = [row for row in rows if all(word in row.words.lower() for word in words)]
    return sorted(found, key=lambda row: not all(word in row.name.lower() for word in words))


def template(name: str, title: str, helps: Mapping[str, Any]) -> str:
    """A new category as a section for `config.toml`, each line with what it is."""
    return "\n".join(
        [
            f"[{CATEGORIES}.{name}]",
            f'title = "{title}"',
            f'validator = "none"  # {helps["validator"]} `finetune-tui categories validators` lists them.',
            f'min_tier = "bronze"  # {helps["min_tier"]}',
            f"success_score = 70.0  # {helps['success_score']}",
            f"complexity = 0.5  # {helps['complexity']}",
            f'system_prompt = ""  # {helps["system_prompt"]}',
            f'guidelines = ""  # {helps["guidelines"]}',
            "",
        ]
    )
