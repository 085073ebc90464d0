"""What is kept of answers that nobody will speak of any more: the rows that name them go, their events stay."""

from __future__ import annotations

from typing import Final

from core.paths import Home
from core.serve.segments import folder_of, segments_in, stamp_of
from storage import responses
from storage.db import Store

KEPT_DAYS: Final = 90
"""For how long `POST /feedback` finds an answer by its id."""
_DAY: Final = 86_400.0
_BATCH: Final = 2_000
"""Rows removed in one transaction, so that nobody waits long for the store."""


def trim_responses(store: Store, home: Home, *, now: float) -> int:
    """Removes the rows of answers older than `KEPT_DAYS`; how many went. `now` is in seconds since the epoch.

    A row also says that a line of the journal is recorded, so that whatever a left segment may hold is kept, with a
    day more for answers that took long.
    """
    before = min([now - KEPT_DAYS * _DAY, *(stamp_of(path) / 1e9 - _DAY for path in segments_in(folder_of(home)))])
    gone = 0
    while removed := responses.forget(store, before, limit=_BATCH):
        gone += removed
    return gone
