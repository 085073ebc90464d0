"""The pane that shows one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from storage.rows import Tier
from tui.review.items import ReviewItem
from tui.vim import SCROLL, without
from tui.widgets.event_view import Look, event_content, event_title

if TYPE_CHECKING:
    from core.standing import Standing

_DENSE_BELOW: Final = 24
_PROMPT_LINES: Final = 12
_FEW_PROMPT_LINES: Final = 4


class EventPane(VerticalScroll):
    """`show(item)` draws everything about an event, from its top; the same event again stays where it was scrolled to.

    `in_full` puts the whole explanation on top, `whole_prompt` shows a long prompt to its end. Where there are few
    lines the blank ones are left out.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(without("scroll.top", SCROLL))

    in_full = False
    whole_prompt = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown: int | None = None
        self._drawn: tuple[ReviewItem, Standing | None, float, bool, Tier | None] | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def show(
        self, item: ReviewItem, standing: Standing | None, *, now: float, has_draft: bool, blind: Tier | None = None
    ) -> None:
        """Draw `item` and where it stands in its category; `now` is in seconds since the epoch.

        `blind` is the tier that it would have without its verdict, which is then not shown.
        """
        self._drawn = (item, standing, now, has_draft, blind)
        self._draw()
        self.border_title = event_title(item, blind=blind is not None)
        if item.event.id != self._shown:
            self.scroll_home(animate=False)
        self._shown = item.event.id

    def redraw(self) -> None:
        """Draw the same event again, from its top."""
        self._draw()
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._drawn is None:
            return
        item, standing, now, has_draft, blind = self._drawn
        dense = self.size.height < _DENSE_BELOW
        look = Look(
            now=now,
            width=self.scrollable_content_region.width,
            has_draft=has_draft,
            blind=blind,
            in_full=self.in_full,
            prompt_lines=None if self.whole_prompt else _FEW_PROMPT_LINES if dense else _PROMPT_LINES,
            dense=dense,
        )
        self.query_one(Static).update(event_content(item, standing, look))

    def turn(self, pages: int) -> None:
        """Scroll by pages, with two lines kept in sight."""
        self.scroll_relative(y=pages * max(1, self.size.height - 2), animate=False)
