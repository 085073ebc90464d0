"""Everything the app has said: the messages of this session and the end of the log file, the newest last."""

from __future__ import annotations

import time
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerState

from tui.session_log import Entry, SessionLog
from tui.text import safe
from tui.vim import LIST
from tui.words import counted

_MARKS: Final = {
    "error": ("✗ error  ", "bold $text-error"),
    "warning": ("! warning", "bold $text-warning"),
    "information": ("· message", "$text-muted"),
}
_SHOWN: Final = 600  # characters of one message; copying takes all of it


class _Entries(OptionList):
    """The entries; the one under the cursor is copied."""

    BINDINGS: ClassVar[list[BindingType]] = list(LIST)


class LogScreen(ModalScreen[None]):
    """Shows the log and marks its errors as seen."""

    HELP = "log"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "errors", "Errors", id="log.errors", tooltip="Errors only, or everything"),
        Binding("y", "app.copy", "Copy", id="log.copy", tooltip="Copy the whole entry under the cursor"),
        Binding("escape,q,ctrl+l", "close", "Back", id="log.close", tooltip="Back to where you were"),
    ]
    DEFAULT_CSS = """
    LogScreen { align: center middle; }
    LogScreen > Vertical {
        width: 110; max-width: 100%; height: 94%; background: $surface; border: round $primary; padding: 0 1;
    }
    LogScreen #path { height: auto; color: $text-muted; }
    LogScreen #nothing { height: 1fr; padding: 1 1; display: none; }
    LogScreen.-nothing #nothing { display: block; }
    LogScreen.-nothing OptionList { display: none; }
    LogScreen OptionList, LogScreen OptionList:focus {
        height: 1fr; border: none; padding: 0; background: transparent; background-tint: transparent;
    }
    LogScreen OptionList > .option-list--option-highlighted,
    LogScreen OptionList:focus > .option-list--option-highlighted {
        background: $primary-muted; color: $foreground; text-style: none;
    }
    """

    def __init__(self, log: SessionLog) -> None:
        super().__init__()
        self._log = log
        self._earlier: list[Entry] = []
        self._shown: list[Entry] = []
        self._errors_only = False

    def compose(self) -> ComposeResult:
        """The path, the entries, and the keys."""
        with Vertical() as box:
            box.border_title = "Log"
            yield Static(Content.assemble("Errors are kept in ", safe(str(self._log.path), "bold", one_line=True)),
                         id="path")  # fmt: skip
            yield Static(Content(), id="nothing")
            yield _Entries(markup=False)
            yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show this session at once, and what was before it when it is read."""
        self._log.unseen = 0
        self._fill()
        self.query_one(_Entries).focus()
        self.run_worker(self._read, group="log", description="reading the log", thread=True, exit_on_error=False)

    def _read(self) -> list[Entry]:
        try:
            return self._log.earlier()
        except OSError as error:
            return [Entry("", "warning", "The log file cannot be read", str(error))]

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Put the entries of earlier sessions before those of this one."""
        if event.state is WorkerState.SUCCESS and event.worker.result:
            self._earlier = event.worker.result
            self._fill()

    def _fill(self) -> None:
        every = [*self._earlier, *self._log.entries]
        self._shown = [entry for entry in every if entry.severity == "error"] if self._errors_only else every
        entries = self.query_one(_Entries)
        entries.set_options(Option(_drawn(entry)) for entry in self._shown)
        if self._shown:
            entries.highlighted = len(self._shown) - 1
            entries.scroll_end(animate=False)
        text = "No errors. Press e to see everything." if self._errors_only else "Nothing has been said yet."
        self.query_one("#nothing", Static).update(Content(text))
        self.set_class(not self._shown, "-nothing")
        number = sum(entry.severity == "error" for entry in every)
        box = self.query_one(Vertical)
        box.border_title = "Log: errors" if self._errors_only else "Log"
        box.border_subtitle = Content(f"{counted(len(every), 'message')}, {counted(number, 'error')}")

    def copyable(self) -> str:
        """The whole entry under the cursor."""
        place = self.query_one(_Entries).highlighted
        return "" if place is None or place >= len(self._shown) else self._shown[place].as_text()

    def action_errors(self) -> None:
        """Errors only, or everything."""
        self._errors_only = not self._errors_only
        self._fill()

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss()


def _drawn(entry: Entry) -> Content:
    mark, style = _MARKS[entry.severity]
    first, rest = (entry.title, entry.message) if entry.title else (entry.message, "")
    lines = [
        Content.assemble(
            (_when(entry.at), "$text-muted"), (mark, style), "  ",
            safe(first, "bold" if entry.title else "", limit=_SHOWN), (entry.repeated, "$text-muted"),
        )
    ]  # fmt: skip
    lines += [_indented(safe(text, style, limit=_SHOWN)) for text, style in (
        (rest, ""), (f"→ {entry.hint}" if entry.hint else "", "$text-accent"),
        (f"while {entry.doing}" if entry.doing and entry.severity == "error" else "", "$text-muted"),
    ) if text]  # fmt: skip
    return Content("\n").join(lines)


def _when(at: str) -> str:
    """The time, with the day where it was another day."""
    return f"{at[11:] if at.startswith(time.strftime('%Y-%m-%d')) else at[5:]} " if at else ""


def _indented(text: Content) -> Content:
    return Content("\n").join([Content("    ") + line for line in text.split("\n")])
