"""What serves each category, and where the keys that change it would lead, in words."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from textual.content import Content

from core.release.promote import served_before, served_without
from storage import aliases, versions
from storage.db import Store
from storage.errors import NotFoundError
from storage.rows import AliasChange, AliasRow, VersionRow
from tui.text import safe
from tui.words import ago

_WORDS: Final = {"promote": "the promotion of", "rollback": "the roll-back to"}


@dataclass(frozen=True, slots=True)
class Served:
    """An alias with the version that it points at. `before` is where a roll-back leads, None where nothing served
    before; `change` what an undo would take back, `changed_to` its version, and `back` where that leads."""

    alias: str
    serves: VersionRow
    before: VersionRow | None
    change: AliasChange | None
    changed_to: VersionRow | None
    back: VersionRow | None

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back, and something to go back to."""
        return self.change is not None and self.back is not None

    def roll_back_told(self) -> str:
        """What a roll-back would do, as a sentence."""
        if self.before is None:
            return f"Nothing served {self.alias} before {self.serves.name}"
        return f"{self.alias} answers with {self.before.name} again, no longer with {self.serves.name}"

    def undo_told(self, now: float) -> str:
        """What an undo would do, as a sentence; `now` in seconds since the epoch."""
        if self.change is None or self.changed_to is None or self.back is None:
            return f"Nothing of {self.alias} is left to take back"
        what = f"{_WORDS.get(self.change.action, 'the change to')} {self.changed_to.name}"
        return f"Take back {what} ({ago(self.change.at, now)}): {self.alias} answers with {self.back.name} again"


def read_served(store: Store) -> Mapping[str, Served]:
    """What serves, by category. Raises StoreError."""
    found: dict[str, Served] = {}
    for alias in aliases.list_aliases(store):
        with suppress(NotFoundError):  # a version that is gone serves nothing
            found[alias.category] = _served(store, alias)
    return found


def _served(store: Store, alias: AliasRow) -> Served:
    current = versions.get(store, alias.version_id)
    change = aliases.last_undoable(store, alias.name)
    return Served(
        alias.name,
        current,
        served_before(store, alias.name, current),
        change,
        None if change is None else versions.get(store, change.to_version),
        None if change is None else served_without(store, change),
    )


def served_line(served: Served, now: float, width: int) -> Content:
    """What serves, and what `r` and `u` would do, in `width` columns: with whole names where they fit."""
    long, short = (_line(served, now, whole=whole) for whole in (True, False))
    return long if long.cell_length <= width else short.truncate(max(1, width), ellipsis=True)


def _line(served: Served, now: float, *, whole: bool) -> Content:
    def name(version: VersionRow) -> str:
        return version.name if whole else f"v{version.number}"

    parts = [
        Content.assemble(
            safe(served.alias, "bold", one_line=True),
            " answers with " if whole else " ",
            ("★ ", "$text-success"),
            safe(name(served.serves), "bold", one_line=True),
        )
    ]
    if served.before is not None:
        parts.append(safe(f"r puts back {name(served.before)}", one_line=True))
    if served.change is not None and served.changed_to is not None and served.back is not None:
        what = f"{_WORDS.get(served.change.action, 'the change to')} {name(served.changed_to)}"
        parts.append(safe(f"u takes back {what} ({ago(served.change.at, now)})", one_line=True))
    return Content(" · ").join(parts)
