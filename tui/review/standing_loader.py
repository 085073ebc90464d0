"""Works out in the background where the events of a category stand, once for each state of the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.timer import Timer

from storage.rows import EventRow
from tui.review.items import read_standings
from tui.screens.base import BaseScreen
from tui.why import UNKNOWN

if TYPE_CHECKING:
    from core.standing import Standing, Standings

SETTLE_SECONDS = 0.6
"""It waits for so long without a change: it reads a whole category, and one who labels changes that at every key."""


class StandingLoader:
    """Call `want` when an event comes on the screen and when the store has changed; `shown()` is called when more is
    known."""

    def __init__(self, screen: BaseScreen, shown: Callable[[], None]) -> None:
        self._screen = screen
        self._shown = shown
        self._known: dict[str, tuple[int, Standings | None]] = {}
        self._wanted = ""
        self._version = -1
        self._timer: Timer | None = None

    def of(self, event: EventRow) -> Standing | None:
        """Where an event stands, None until it is known; what may be out of date ends in `…`."""
        version, known = self._known.get(event.category, (-1, None))
        found = known.of(event.id) if known is not None else None
        if found is None or version == self._screen.store.data_version():
            return found
        return replace(found, batch=f"{found.batch} {UNKNOWN}")

    def want(self, category: str) -> None:
        """Have the category worked out, unless that was done since the last change."""
        version = self._screen.store.data_version()
        if self._known.get(category, (-1, None))[0] == version:
            return
        if self._timer is not None:
            if (category, version) == (self._wanted, self._version):
                return
            self._timer.stop()
        self._wanted, self._version = category, version
        self._timer = self._screen.set_timer(SETTLE_SECONDS, self._read)

    def _read(self) -> None:
        self._timer = None
        home, category, version = self._screen.home, self._wanted, self._screen.store.data_version()
        self._screen.in_background(
            lambda: read_standings(home, category),
            group="standing",
            description=f"working out the next batch of {category}",
            then=partial(self._keep, category, version),
            failed=lambda _: self._keep(category, version, None),
            in_turn=True,
        )

    def _keep(self, category: str, version: int, known: Standings | None) -> None:
        self._known[category] = (version, known)
        self._shown()
