"""What can be taken back of a sitting at the playground."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.paths import Home
from core.playground.take import Take
from storage.db import Store

if TYPE_CHECKING:
    from core.playground.keeping import Voted


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be taken back: `back` in the writing thread, then `forget` here; `said` tells what it was."""

    said: str
    back: Callable[[Store], None]
    forget: Callable[[], None]


def judgment_back(home: Home, event_id: int) -> Callable[[Store], None]:
    """Takes back the verdict on an event."""

    def back(store: Store) -> None:
        from core.playground.keeping import undo_judgment

        undo_judgment(store, home, event_id)

    return back


def keep_back(takes: Sequence[Take], event_ids: Sequence[int]) -> Callable[[Store], None]:
    """Removes what was only kept."""

    def back(store: Store) -> None:
        from core.playground.keeping import undo_keep

        undo_keep(store, takes, event_ids)

    return back


def vote_back(voted: Voted) -> Callable[[Store], None]:
    """Takes back which answer is better."""

    def back(store: Store) -> None:
        from core.playground.keeping import undo_vote

        undo_vote(store, voted)

    return back
