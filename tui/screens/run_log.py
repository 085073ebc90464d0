"""The whole log of one run, following its end as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Log

from tui.runs.log import MOST_LINES, LogNews, RunLog
from tui.screens.run_modal import RunModal
from tui.text import plain, safe
from tui.words import data_size

_LOOK_SECONDS: Final = 0.5


class RunLogScreen(RunModal[None]):
    """Shows the file; while its end is in sight it stays in sight."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,l", "dismiss(None)", "Back", id="run_log.back", tooltip="Back to the run"),
        Binding("G,end,f", "follow", "Follow", id="run_log.follow", tooltip="To the end, and stay there"),
        Binding("g,home", "top", "Beginning", id="run_log.top", tooltip="To the first line that is shown"),
        Binding("down,j", "scroll(1)", "Down", show=False, id="run_log.down", tooltip="One line down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, id="run_log.up", tooltip="One line up"),
        Binding("pagedown,space,ctrl+d", "page(1)", "Page", show=False, id="run_log.page", tooltip="One page down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page back", show=False, id="run_log.page_up", tooltip="One page up"),
    ]

    def __init__(self, title: str, path: Path) -> None:
        super().__init__()
        self._title = title
        self._path = path
        self._log = RunLog(path)
        self._any = False

    def compose(self) -> ComposeResult:
        """The lines."""
        log = Log(max_lines=MOST_LINES, highlight=False, classes="pane", id="run-log-lines")
        log.border_title = safe(self._title, one_line=True)
        log.border_subtitle = "Waiting for the first line…"
        yield log
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Look now and twice a second."""
        self.query_one(Log).focus()
        self._look()
        self.set_interval(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if not self.at_work("reading the log"):
            self.in_background(self._log.look, group="reading the log", then=self._take, failed=self._fail)

    def _take(self, news: LogNews) -> None:
        log = self.query_one(Log)
        if news.anew and self._any:
            log.clear()
        if news.lines:
            self._any = True
            log.write_lines([plain(line) for line in news.lines], scroll_end=log.is_vertical_scroll_end)
        if news.skipped:
            log.border_title = safe(f"{self._title} · without the first {data_size(news.skipped)}", one_line=True)
        if not self._any:
            return
        following = log.is_vertical_scroll_end
        state = "following" if following else "G follows the end"
        log.border_subtitle = Content(f"{log.line_count:,} lines · {state}")

    def _fail(self, error: BaseException) -> None:
        self.query_one(Log).border_subtitle = safe(f"✗ cannot be read: {error}", one_line=True, limit=200)

    def action_follow(self) -> None:
        """To the end."""
        self.query_one(Log).scroll_end(animate=False)

    def action_top(self) -> None:
        """To the first line."""
        self.query_one(Log).scroll_home(animate=False)

    def action_scroll(self, lines: int) -> None:
        """By lines."""
        self.query_one(Log).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """By pages."""
        log = self.query_one(Log)
        log.scroll_relative(y=pages * max(1, log.size.height - 1), animate=False)

    def copyable(self) -> str:
        """The lines that are shown."""
        return "\n".join(self.query_one(Log).lines)
