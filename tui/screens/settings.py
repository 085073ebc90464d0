"""Every setting with its value and where that comes from; categories, keys, themes, and the doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from core.checks import Check
from core.errors import FinetuneError
from core.settings_docs import CATEGORIES
from tui.settings import loader
from tui.settings.browser import SettingsBrowser
from tui.settings.changes import (
    NEW_CATEGORY,
    Work,
    adding,
    category_question,
    setting,
    setting_question,
    unsetting,
)
from tui.settings.checks import CheckRow
from tui.settings.doctor import BACKUP
from tui.settings.external import edit
from tui.settings.loader import DOCTOR, KEYS
from tui.settings.rows import CategoryRow, Row, SettingRow
from tui.widgets.setting_editor import Question, SettingEditor

_KNOWN = frozenset(
    {"change", "open_file", "new_category", "default", "undo", "find", "first", "examine", "fix", "back_up", "enter"}
)


class SettingsScreen(SettingsBrowser):
    """What is looked at in `SettingsBrowser` can be changed here, one line of a file at a time."""

    MODE = "settings"
    HELP = "settings"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "change", "Change", id="settings.change", tooltip="Change the value, as enter does"),
        Binding("e", "open_file", "Edit file", id="settings.file", tooltip="Open the file in your editor"),
        Binding("n", "new_category", "New", id="settings.new", tooltip="Add a category to config.toml"),
        Binding("d", "default", "Default", id="settings.default", tooltip="Remove its line: the default holds again"),
        Binding("u", "undo", "Undo", id="settings.undo", tooltip="Take back the last change to config.toml"),
        Binding("slash", "find", "Find", id="settings.find", key_display="/", tooltip="Find in all sections"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._everything: Sequence[Row] = ()
        self._drafts: dict[str, str] = {}

    # -- finding

    def action_find(self) -> None:
        """Find in all sections, as one types."""
        self._put_theme_back()
        if self._found is None:
            self._found = ()
            self._everything = ()
            self.add_class("-finding")
            self._load()
        self.set_focus(self.query_one("#find", Input))

    def _find_in(self, rows: list[Row]) -> None:
        self._everything = rows
        self._find()

    def _find(self) -> None:
        if self._found is None:
            return
        self._found = loader.matching(self._everything, self.query_one("#find", Input).value)
        self._show(self._found)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "find":
            self._find()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "find" and self._rows:
            self.set_focus(self._table)

    def look_everywhere(self) -> None:
        """Read all sections, then show what is looked for."""
        home = self.home
        self._fetch(lambda: loader.everything(home), self._find_in)

    # -- changing

    def action_change(self) -> None:
        """A switch turns over at once; everything else is asked for."""
        row = self.row
        if not isinstance(row, SettingRow):
            return
        if row.held.setting.kind == "switch":
            self._make(setting(row, "false" if row.held.value else "true"))
        else:
            self._ask_for(setting_question(row.held))

    def ask(self, question: Question) -> None:
        """Ask below the list."""
        self._ask_for(question)

    def _ask_for(self, question: Question) -> None:
        self.add_class("-editing")
        self._editor.ask(question, self._drafts.pop(question.name, None))
        self.refresh_bindings()

    def on_setting_editor_answered(self, event: SettingEditor.Answered) -> None:
        """Do what was asked for."""
        self._asked_enough()
        if event.name == BACKUP:
            self.answer_doctor(event.text)
        elif event.name == NEW_CATEGORY:
            self._make(adding(event.text))
        else:
            row = next((one for one in self._rows if one.name == event.name), None)
            if isinstance(row, SettingRow) and (row.held.setting.secret or event.text != row.held.shown):
                self._make(setting(row, event.text))

    def on_setting_editor_left(self, event: SettingEditor.Left) -> None:
        """Nothing is changed; what was typed is there again the next time."""
        self._drafts[event.name] = event.text
        self._asked_enough()

    def _asked_enough(self) -> None:
        self.remove_class("-editing")
        self.set_focus(self._table)
        self.refresh_bindings()

    def action_default(self) -> None:
        """Remove the line, so that the default holds."""
        row = self.row
        if isinstance(row, SettingRow):
            self._make(unsetting(row))

    def action_undo(self) -> None:
        """Take back the last change."""
        self._changes.make(lambda file: file.undo(), self._undone)

    def _undone(self, what: str) -> None:
        if what:
            self.finetune.tell(f"Taken back: {what}.")
        self.refresh_data()

    def _make(self, work: Work) -> None:
        self._changes.make(work, self._made)

    def _made(self, name: str) -> None:
        self._wanted = name
        self.refresh_data()

    def action_new_category(self) -> None:
        """Ask for its name."""
        self._ask_for(category_question([row.own.name for row in self._rows if isinstance(row, CategoryRow)]))

    def action_open_file(self) -> None:
        """The file of the section in the user's own editor."""
        keys = self.section == KEYS and not self.has_class("-problem")
        self.open_file(loader.keymap_of(self.home) if keys else self.home.config)

    def open_file(self, path: Path) -> None:
        """Open a file in the user's editor, then look at it again."""
        try:
            edit(self.app, path, self._changes.fault_line() if path == self.home.config else 0)
        except FinetuneError as error:
            self.finetune.report(error, f"editing {path.name}")
        self.refresh_data()

    # -- the doctor

    @property
    def check_under_cursor(self) -> Check | None:
        row = self.row
        return row.check if isinstance(row, CheckRow) else None

    def show_check(self, check: Check) -> None:
        if self.section == DOCTOR and self._found is None:
            self._rows = [CheckRow(one) for one in self.checks]
            self._table.extend([len(self._rows) - 1])
            self._tell_title()

    def tell_work(self) -> None:
        if self.section == DOCTOR and not self.checks:
            self._show([])
        self._tell_title()
        self.refresh_bindings()

    # -- what can be done, and what is found again

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        row, doctor = self.row, self.section == DOCTOR and self._found is None
        if action in _KNOWN and self._editor.is_open:
            return False
        known = {
            "change": isinstance(row, SettingRow),
            "open_file": self.has_class("-problem")
            or (self._found is None and self.section in (CATEGORIES, KEYS) and not isinstance(row, SettingRow)),
            "new_category": self.section == CATEGORIES and not self._category and self._found is None,
            "default": isinstance(row, SettingRow) and row.held.changed,
            "undo": bool(self._changes.last),
            "examine": doctor and not self.work,
            "fix": isinstance(row, CheckRow) and bool(row.check.fix) and not self.work,
            "back_up": doctor and not self.work and self.home.store.exists(),
            "stop": doctor and self.work.startswith("copying"),
        }
        return known[action] if action in known else super().check_action(action, parameters)

    def copyable(self) -> str:
        """The line under the cursor, as a file would hold it."""
        row = self.row
        return row.copyable() if row is not None else ""

    def on_screen_suspend(self) -> None:
        """A theme that was only looked at does not stay."""
        self._put_theme_back()
        super().on_screen_suspend()

    def state(self) -> Mapping[str, Any]:
        """Section, category and line."""
        row = self.row
        return {"section": self.section, "category": self._category, "line": row.name if row is not None else ""}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to where one was."""
        self._wanted = str(state.get("line", ""))
        self._sections.open(str(state.get("section", "")))
        self._category = str(state.get("category", "")) if self.section == CATEGORIES else ""
