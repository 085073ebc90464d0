"""Changes to `config.toml` from the settings screen: one after the other, checked, each taken back by one key."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import read_toml
from core.errors import FinetuneError
from core.settings_check import faults, line_of
from core.settings_docs import CATEGORIES, Setting
from core.settings_file import SettingsFile
from core.settings_help import CATEGORY_HELP
from core.settings_values import Held, parsed, shown
from tui.settings.loader import template
from tui.settings.rows import SettingRow
from tui.widgets.setting_editor import Question

if TYPE_CHECKING:
    from tui.screens.base import BaseScreen

NEW_CATEGORY = "a new category"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SHOWN_FAULTS = 4
Work = Callable[[SettingsFile], str]


class Changes:
    """The file of the home folder, and what was changed in it since the app was started."""

    def __init__(self, screen: BaseScreen) -> None:
        self._screen = screen
        self._file: SettingsFile | None = None
        self._lock = threading.Lock()

    @property
    def last(self) -> str:
        """What an undo would take back; empty when there is nothing."""
        return self._file.last_change if self._file is not None else ""

    def reread(self) -> None:
        """Take what is in the file now as what people have seen. In a thread; raises ConfigError."""
        with self._lock:
            if self._file is None:
                self._file = SettingsFile(self._screen.home)
            else:
                self._file.reread()

    def make(self, work: Work, then: Callable[[str], None]) -> None:
        """Do something to the file in the writing thread; `then` hears what `work` says, also after a fault."""

        def guarded() -> str | FinetuneError:
            try:
                with self._lock:
                    if self._file is None:
                        self._file = SettingsFile(self._screen.home)
                    return work(self._file)
            except FinetuneError as error:
                return error

        def done(said: str | FinetuneError) -> None:
            if isinstance(said, FinetuneError):
                self._screen.finetune.report(said, "changing config.toml")
            then("" if isinstance(said, FinetuneError) else said)

        self._screen.finetune.write(lambda _: guarded(), doing="changing config.toml", then=done)

    def fault_line(self) -> int:
        """The line of the first fault, 0 where it is not known."""
        path = self._screen.home.config
        try:
            found = faults(read_toml(path), path)
            return line_of(path.read_bytes(), found[0].message) if found else 0
        except FinetuneError as error:
            return line_of(path.read_bytes(), error.message) if path.is_file() else 0

    def problem_lines(self, error: BaseException) -> Sequence[tuple[str, str]]:
        """What to say of a file that cannot be read: each fault with its line, and the keys that help."""
        path = self._screen.home.config
        try:
            found: list[FinetuneError] = faults(read_toml(path), path)
            data = path.read_bytes() if path.is_file() else b""
        except FinetuneError:
            found, data = [], path.read_bytes() if path.is_file() else b""
        told = [f"{one.message} {one.hint}" for one in found] or [str(error)]
        lines = []
        for message in told[:_SHOWN_FAULTS]:
            at = line_of(data, message)
            lines.append(("✗", (f"line {at}: " if at else "") + message.removeprefix(f"{path}: ")))
        if len(told) > _SHOWN_FAULTS:
            lines.append(("", f"and {len(told) - _SHOWN_FAULTS} more; `finetune-tui config check` lists them"))
        undo = [("u", f"take back: {self.last}")] if self.last else []
        return [*lines, ("", ""), ("e", f"open {shown_path(path)} in your editor"), *undo]


def shown_path(path: Path) -> str:
    """A path for people, the user's own folder as ~."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def setting_question(held: Held) -> Question:
    """What is asked to change a setting; a secret is typed anew."""
    setting = held.setting
    text = "" if setting.secret else shown(setting, held.value)
    must = "" if setting.kind == "choice" else f"It must be {setting.allows}. "
    hint = f"{must}Without a line of its own it is {shown(setting, held.fallback) or 'empty'}."
    title = f"{setting.name} · ctrl+s writes it, esc does not" if setting.long else setting.name
    choices = setting.allowed if setting.kind == "choice" else ()
    return Question(setting.name, title, text, hint, _fault_of(setting), choices, setting.long, setting.secret)


def _fault_of(setting: Setting) -> Callable[[str], str]:
    def fault(text: str) -> str:
        try:
            parsed(setting, text)
        except FinetuneError:
            return f"It must be {setting.allows}."
        return ""

    return fault


def new_name_fault(name: str) -> str:
    """Why no category can have this name; empty where it can."""
    return "" if _NAME.fullmatch(name) else "Use up to 40 of a-z, 0-9 and _, starting with a letter."


def category_question(known: Collection[str]) -> Question:
    """What is asked to make a category."""

    def fault(text: str) -> str:
        if text in known:
            return "There is a category of this name already."
        return new_name_fault(text)

    hint = "Its section is added to config.toml; enter then shows its settings, e opens the file."
    return Question(NEW_CATEGORY, "Name of the new category", "", hint, fault)


def adding(name: str) -> Work:
    """Adds a category from the template."""

    def work(file: SettingsFile) -> str:
        title = name.replace("_", " ").capitalize()
        file.add(template(name, title, CATEGORY_HELP), f"the new category {name}")
        return f"{CATEGORIES}.{name}"

    return work


def setting(row: SettingRow, text: str) -> Work:
    """Writes what was typed."""
    one = row.held.setting

    def work(file: SettingsFile) -> str:
        file.set(one.path, parsed(one, text))
        return one.name

    return work


def unsetting(row: SettingRow) -> Work:
    """Removes the line of a setting."""

    def work(file: SettingsFile) -> str:
        file.unset(row.held.setting.path)
        return row.name

    return work
