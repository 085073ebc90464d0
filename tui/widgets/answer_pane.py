"""A pane in which an answer appears as it comes, however long and whatever is in it."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.playground.take import Take
from tui.play.look import ending, status
from tui.text import DISPLAY_LIMIT, safe

_BLOCK: Final = 3_000
"""Characters of one block: only the last block is drawn again when more text comes."""


class AnswerPane(VerticalScroll):
    """`show` another answer, `poll` what has come of it since. It stays at the end while the answer grows, unless one
    scrolls away from there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="answer.down", tooltip="A line down"),
        Binding("k", "scroll_up", "Up", show=False, id="answer.up", tooltip="A line up"),
        Binding("G", "scroll_end", "End", show=False, id="answer.end", tooltip="To the end of the answer"),
    ]
    DEFAULT_CSS = """
    AnswerPane { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; }
    AnswerPane Static { height: auto; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._take: Take | None = None
        self._hidden = False
        self._settled = 0
        self._seen = 0
        self._last = Content("")
        self._ended = False

    def compose(self) -> ComposeResult:
        yield Static(classes="block")
        yield Static(id="ending")

    def show(self, take: Take | None, *, hidden: bool) -> None:
        """Draw this answer from its beginning; the same one again only anew where something else of it is shown."""
        if take is self._take and hidden == self._hidden:
            self.poll()
            return
        if take is not self._take:
            for block in list(self.query(".block"))[1:]:
                block.remove()
            self._tail.update("")
            self._settled, self._seen, self._last = 0, 0, Content("")
            self.scroll_home(animate=False)
        self._take, self._hidden, self._ended = take, hidden, False
        self.poll()

    def poll(self) -> None:
        """Draw what has come."""
        take = self._take
        if take is None:
            self.border_subtitle = Content("")
            self._ending.update("")
            return
        over = not take.running
        follows = self.scroll_y >= self.max_scroll_y
        size = take.size
        if size != self._seen:
            if self._seen < DISPLAY_LIMIT:
                self._draw(take.text)
            self._seen = size
            more = f"\n… {size - DISPLAY_LIMIT:,} more characters are not shown" if size > DISPLAY_LIMIT else ""
            self._tail.update(Content.assemble(self._last, (more, "$text-muted")))
            if follows and not over:
                self.call_after_refresh(self.scroll_end, animate=False)
        self.border_subtitle = status(take, hidden=self._hidden)
        if over and not self._ended:
            self.redraw_ending()
            if follows:  # one who watched it to the end reads it from the beginning
                self.call_after_refresh(self.scroll_home, animate=False)

    def redraw_ending(self) -> None:
        """Draw again what follows the text: the answer is over, or was validated."""
        if self._take is not None:
            self._ended = True
            self._ending.update(ending(self._take, hidden=self._hidden))
            self.border_subtitle = status(self._take, hidden=self._hidden)

    def _draw(self, text: str) -> None:
        rest = text[self._settled : DISPLAY_LIMIT]
        while len(rest) > _BLOCK:
            cut = rest.rfind("\n", 0, _BLOCK) + 1 or _BLOCK
            self._tail.update(safe(rest[:cut].removesuffix("\n")))
            self._settled += cut
            rest = rest[cut:]
            self.mount(Static(classes="block"), before=self._ending)
        self._last = safe(rest)

    @property
    def _tail(self) -> Static:
        return list(self.query(".block").results(Static))[-1]

    @property
    def _ending(self) -> Static:
        return self.query_one("#ending", Static)
