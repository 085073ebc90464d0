"""What one does with searches in the app: begin, stop, take their best settings over; and how that goes, in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from textual.content import Content

from core.paths import Home
from tui.runs import search_work
from tui.runs.search_work import SearchWish, SearchWork
from tui.text import safe

if TYPE_CHECKING:
    from tui.screens.run_modal import RunModal

DOING: Final = "working on a search"
_LONGEST: Final = 400


class SearchControl:
    """Acts for `screen`; `changed()` is called when there is something new to show, `wrong(error)` for what failed."""

    def __init__(
        self, screen: RunModal[Any], home: Home, changed: Callable[[], None], wrong: Callable[[BaseException], None]
    ) -> None:
        self._screen = screen
        self._home = home
        self._changed = changed
        self._wrong = wrong
        self._ends = False
        self._doing = ""
        self.work: SearchWork | None = None
        self.words = ""

    def look(self) -> bool:
        """See what is at work; whether that is other than before."""
        work, words = search_work.at_work(self._home), search_work.last_words(self._home)
        if work is None:
            self._ends = False
        other = (work, words) != (self.work, self.words)
        self.work, self.words = work, words
        return other

    @property
    def busy(self) -> bool:
        """Whether something was asked for that is not done yet."""
        return bool(self._doing)

    @property
    def stoppable(self) -> bool:
        """Whether a search is at work and was not told to end yet."""
        return self.work is not None and not self._ends

    def begin(self, wish: SearchWish) -> None:
        """Start a search, or go on with it."""
        self._do("○ starting…", partial(search_work.begin, self._home, wish))

    def stop(self) -> None:
        """Let the one at work save its trial and end."""
        self._ends = True
        self._do("■ stopping…", partial(search_work.stop, self._home))

    def set_defaults(self, category: str, base: str, *, forget: bool) -> None:
        """Make the best settings the category's defaults, or no longer."""
        words = "○ the configured defaults are restored…" if forget else "○ the best settings become the defaults…"
        self._do(words, partial(search_work.set_defaults, self._home, category, base, forget=forget))

    def _do(self, words: str, work: Callable[[], None]) -> None:
        if self.busy:
            return
        self._doing = words

        def done(_: None) -> None:
            self._doing = ""
            self.look()
            self._changed()

        def failed(error: BaseException) -> None:
            self._doing = ""
            self._wrong(error)

        self._screen.in_background(work, group=DOING, then=done, failed=failed)
        self._changed()

    def line(self) -> Content:
        """One or two lines: what is at work and what it told last, or why it ended; empty where there is nothing."""
        if self._doing:
            return Content.styled(self._doing, "$text-primary")
        work = self.work
        if work is None:
            wrong = search_work.failed(self.words)
            return safe(self.words, "$text-error", one_line=True, limit=_LONGEST) if wrong else Content("")
        head = "■ stopping, its trial is saved" if self._ends else "● searching"
        return Content.assemble(
            (head, "bold $text-primary"),
            safe(f"  {work.scope} · ", one_line=True),
            safe(self.words or search_work.BEGINS, "$text-muted", one_line=True, limit=200),
        )
