"""The versions of a category as a lineage: an only child stands below its parent, several children branch off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from storage.rows import VersionRow
from tui.text import safe
from tui.vim import LIST


@dataclass(frozen=True, slots=True)
class LineageRow:
    """One line of the tree: the branch drawn before a version, or a heading where `version` is None."""

    branch: str
    version: VersionRow | None
    heading: str = ""


def lineage(versions: Iterable[VersionRow]) -> list[LineageRow]:
    """Order versions as trees, one per (category, base model) by name, children by number.

    A version whose parent is unknown is a root. A cycle of parents cannot be reached from a root: its versions are
    added as roots too, so that none is ever missing.
    """
    groups: dict[tuple[str, str], list[VersionRow]] = {}
    for version in versions:
        groups.setdefault((version.category, version.base_model), []).append(version)
    rows: list[LineageRow] = []
    for (category, base), members in sorted(groups.items()):
        rows.append(LineageRow("", None, f"{category} · {base}"))
        rows.extend(_tree(sorted(members, key=lambda version: (version.number, version.id))))
    return rows


def _tree(members: Sequence[VersionRow]) -> list[LineageRow]:
    known = {version.id for version in members}
    children: dict[int | None, list[VersionRow]] = {}
    for version in members:
        parent = version.parent_id if version.parent_id in known and version.parent_id != version.id else None
        children.setdefault(parent, []).append(version)
    rows: list[LineageRow] = []
    seen: set[int] = set()

    def add(start: VersionRow, own: str, below: str) -> None:
        waiting = [(start, own, below)]
        while waiting:
            version, branch, indent = waiting.pop()
            if version.id in seen:
                continue
            seen.add(version.id)
            rows.append(LineageRow(branch, version))
            heirs = children.get(version.id, [])
            if len(heirs) == 1:
                waiting.append((heirs[0], indent, indent))
            for place, heir in reversed(list(enumerate(heirs))) if len(heirs) > 1 else ():
                last = place == len(heirs) - 1
                waiting.append((heir, indent + ("└─" if last else "├─"), indent + ("  " if last else "│ ")))

    for root in [*children.get(None, []), *members]:
        add(root, "", "")
    return rows


class LineageTree(OptionList):
    """The lineage as a list: glyph and words say what is in production and what is not proved."""

    DEFAULT_CSS = """
    LineageTree { height: 1fr; padding: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    BINDINGS: ClassVar[list[BindingType]] = list(LIST)

    class Selected(Message):
        """The cursor moved to a version."""

        def __init__(self, version_id: int) -> None:
            super().__init__()
            self.version_id = version_id

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="pane", markup=False)
        self.border_title = "Versions"

    @property
    def selected_id(self) -> int | None:
        """The version under the cursor."""
        option = self.highlighted_option
        return int(option.id) if option is not None and option.id is not None else None

    def show(
        self, rows: Sequence[LineageRow], production: Collection[int], describe: Callable[[VersionRow], str]
    ) -> None:
        """Show these rows; the cursor stays on its version, else goes to the one in production, else to the newest."""
        keep = self.selected_id
        options = [
            Option(row_text(row, production, describe), id=_option_id(row), disabled=row.version is None)
            for row in rows
        ]
        ids = [row.version.id if row.version is not None else None for row in rows]
        wanted = next((one for one in (keep, *production) if one is not None and one in ids), None)
        newest = max((one for one in ids if one is not None), default=None)
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options(options)
            target = wanted if wanted is not None else newest
            if target is not None:
                self.highlighted = ids.index(target)

    def select(self, version_id: int) -> None:
        """Put the cursor on this version, if it is shown."""
        for place, option in enumerate(self.options):
            if option.id == str(version_id):
                self.highlighted = place

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell which version the cursor is on."""
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Selected(int(event.option_id)))


def _option_id(row: LineageRow) -> str | None:
    return str(row.version.id) if row.version is not None else None


def row_text(row: LineageRow, production: Collection[int], describe: Callable[[VersionRow], str]) -> Content:
    """One line of the tree; `describe` gives what stands behind a version's name."""
    version = row.version
    if version is None:
        return safe(row.heading, "bold", one_line=True)
    in_production = version.id in production
    retired = version.retired_at is not None
    mark = "★" if in_production else "◌" if retired else "●" if version.proved else "○"
    words = "in production" if in_production else "files removed" if retired else "" if version.proved else "not proved"
    name = "v0 base" if version.number == 0 else f"v{version.number}"
    parts: list[Content] = [Content(f" {row.branch}{mark} {name}")]
    for text, style in ((words, "bold" if in_production else "dim"), (describe(version), "")):
        if text:
            parts.append(Content("  "))
            parts.append(safe(text, style, one_line=True))
    return Content("").join(parts)
