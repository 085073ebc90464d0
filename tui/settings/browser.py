"""The settings screen as one looks at it: sections, what is in them, what a line means."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from core.errors import FinetuneError
from core.settings_docs import CATEGORIES
from tui.settings import loader
from tui.settings.changes import Changes
from tui.settings.checks import CheckRow, summary
from tui.settings.doctor import DoctorScreen
from tui.settings.loader import DOCTOR, KEYS, THEMES
from tui.settings.rows import CategoryRow, Row, SettingRow, ThemeRow
from tui.text import safe
from tui.widgets.empty import Empty
from tui.widgets.setting_editor import SettingEditor
from tui.widgets.setting_sections import SettingSections
from tui.widgets.virtual_table import VirtualTable


class SettingsBrowser(DoctorScreen):
    """Sections on the left, what is in the one under the cursor on the right, what a line means below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "first", "First", show=False, id="settings.first", tooltip="To the first line"),
        Binding("l,right", "enter", "Into", show=False, id="settings.into", tooltip="Into the section"),
        Binding("h,left,escape", "back", "Back", show=False, id="settings.back", tooltip="One step back"),
    ]
    DEFAULT_CSS = """
    SettingsBrowser #body { height: 1fr; }
    SettingsBrowser #sections { width: 24; }
    SettingsBrowser.-narrow #sections { width: 22; padding: 0; }
    SettingsBrowser #right { width: 1fr; }
    SettingsBrowser #find { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    SettingsBrowser.-finding #find { display: block; }
    SettingsBrowser #rows { height: 1fr; }
    SettingsBrowser #detail { height: auto; max-height: 45%; min-height: 6; }
    SettingsBrowser.-narrow #detail { min-height: 7; }
    SettingsBrowser #problem { display: none; }
    SettingsBrowser.-problem #problem { display: block; }
    SettingsBrowser.-problem #rows, SettingsBrowser.-problem #detail { display: none; }
    SettingsBrowser.-editing #detail { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Row] = ()
        self._wanted = ""
        self._category = ""
        self._found: Sequence[Row] | None = None
        self._changes = Changes(self)
        # Made here, not in compose: which keys can be used is asked before anything is composed.
        self._sections = SettingSections(loader.section_titles(), id="sections")
        self._table = VirtualTable[Row](self._read, lambda row, width: row.line(width), id="rows", classes="pane")
        self._editor = SettingEditor(id="editor")
        self._kept_theme = ""

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield self._sections
            with Vertical(id="right"):
                yield Input(placeholder="a word of a name or a description", id="find")
                yield self._table
                yield Empty(id="problem", classes="pane")
                yield self._editor
                with VerticalScroll(id="detail", classes="pane", can_focus=False):
                    yield Static()

    def on_mount(self) -> None:
        self._kept_theme = self.app.theme
        self.set_focus(self._sections)

    # -- what is shown

    @property
    def section(self) -> str:
        """The section that is open."""
        return self._sections.section

    @property
    def _place(self) -> tuple[str, str, bool]:
        """What the lines are those of."""
        return self.section, self._category, self._found is not None

    @property
    def row(self) -> Row | None:
        """The line under the cursor."""
        current = self._table.current
        return self._rows[current] if current is not None and current < len(self._rows) else None

    def _read(self, ids: Sequence[int]) -> Mapping[int, Row]:
        return {one: self._rows[one] for one in ids if one < len(self._rows)}

    def refresh_data(self) -> None:
        """Read the section again; what the doctor found stays."""
        asked = str(self.take_asked().get("section", ""))
        if asked:
            self._leave_find()
            self._category = ""
            self._sections.open(asked)
        home = self.home
        self.in_background(
            lambda: loader.changed_counts(home), group="counts", description="counting changes",
            then=self._sections.show_changed,
        )  # fmt: skip
        self._load()

    def _load(self) -> None:
        section, home = self.section, self.home
        if self._found is not None:
            self.look_everywhere()
        elif section == DOCTOR:
            self._show([CheckRow(one) for one in self.checks])
            if not self.examined:
                self.action_examine()
        elif section == THEMES:
            self._wanted = self._wanted or (self.row.name if isinstance(self.row, ThemeRow) else self._kept_theme)
            self._show(loader.theme_rows(self.app.available_themes, self._kept_theme))
        elif section == KEYS:
            self._fetch(lambda: loader.read_keys(home))
        elif section == CATEGORIES and self._category:
            self._fetch(partial(loader.read_category, home, self._category))
        elif section == CATEGORIES:
            self._fetch(lambda: loader.read_categories(home))
        else:
            self._fetch(partial(loader.read_settings, home, section))

    def _fetch(self, read: Callable[[], list[Row]], then: Callable[[list[Row]], None] | None = None) -> None:
        def work() -> list[Row] | FinetuneError:
            try:
                self._changes.reread()
                return read()
            except FinetuneError as error:  # shown in the pane itself, as long as the file has its fault
                return error

        asked = self._place

        def done(found: list[Row] | FinetuneError) -> None:
            if asked != self._place:
                return  # somebody has gone elsewhere meanwhile
            if isinstance(found, FinetuneError):
                self._not_read(found)
            else:
                (then or self._show)(found)

        self.in_background(work, group="rows", description="reading the settings", then=done)

    def _show(self, rows: Sequence[Row]) -> None:
        before, row = self._wanted, self.row
        wanted = before or (row.name if row is not None else "")
        self._rows, self._wanted = rows, ""
        self.remove_class("-problem")
        at = next((place for place, one in enumerate(rows) if one.name == wanted), 0)
        self._table.show(array("q", range(len(rows))), current=at)
        self._tell_title()
        self._tell_row()

    def _not_read(self, error: FinetuneError) -> None:
        """The file has a fault: say which and where, and how to go on."""
        self._rows = ()
        self._table.show(array("q"))
        lines = self._changes.problem_lines(error)
        self.query_one("#problem", Empty).show("config.toml has a fault", lines)
        self.add_class("-problem")
        self.refresh_bindings()

    def _tell_title(self) -> None:
        titles = loader.section_titles()
        title = f"Categories › {self._category}" if self._category else titles[self.section]
        if self._found is not None:
            title = f"{len(self._rows)} found"
        self._table.border_title = safe(title, one_line=True)
        file = {KEYS: "keymap.toml", THEMES: "themes/*.toml"}.get(self.section, "config.toml")
        work = safe(f"● {self.work}", "$text-primary") if self.work else summary(self.checks)
        self._table.border_subtitle = work if self.section == DOCTOR and self._found is None else file

    def _tell_row(self) -> None:
        row = self.row
        self.query_one("#detail Static", Static).update(row.detail() if row is not None else Content(""))
        if isinstance(row, ThemeRow) and self._table.has_focus:
            self.app.theme = row.name
        self.refresh_bindings()

    # -- moving

    def on_setting_sections_opened(self, event: SettingSections.Opened) -> None:
        """Show the section that the cursor is on."""
        self._category = ""
        self._put_theme_back()
        if self._found is not None:
            self._leave_find()
        self._load()

    def on_setting_sections_entered(self) -> None:
        """Into the section."""
        self.action_enter()

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        self._tell_row()

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        """What enter does to a line."""
        row = self.row
        if isinstance(row, CategoryRow):
            self._leave_find()
            self._sections.open(CATEGORIES)
            self._category = row.own.name
            self._load()
        elif isinstance(row, ThemeRow):
            self._kept_theme = self.app.theme = row.name
            self._load()
        elif isinstance(row, CheckRow):
            self.action_fix()
        elif isinstance(row, SettingRow):
            self.action_change()

    def action_enter(self) -> None:
        """From the sections to the lines."""
        if self._sections.has_focus and not self.has_class("-problem"):
            self.set_focus(self._table)
            self.call_after_refresh(self._tell_row)

    def action_first(self) -> None:
        """To the first line."""
        (self._sections if self._sections.has_focus else self._table).action_first()

    def action_back(self) -> None:
        """Out of the search, out of the category, to the sections."""
        if self._found is not None:
            self._leave_find()
            self._load()
            self.set_focus(self._table)
        elif self._category:
            self._wanted, self._category = f"{CATEGORIES}.{self._category}", ""
            self._load()
        else:
            self._put_theme_back()
            self.set_focus(self._sections)

    def _leave_find(self) -> None:
        self._found = None
        self.remove_class("-finding")

    def look_everywhere(self) -> None:
        """Show what is looked for in all sections."""
        raise NotImplementedError

    def action_change(self) -> None:
        """Change the setting under the cursor."""
        raise NotImplementedError

    def _put_theme_back(self) -> None:
        if self.section == THEMES or self.app.theme != self._kept_theme:
            self.app.theme = self._kept_theme
