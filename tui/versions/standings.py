"""The versions of a category by strength, reckoned once and kept: with hundreds of versions it takes seconds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.paths import Home
from storage.db import open_store

if TYPE_CHECKING:
    from core.prove.rating import Rating


@dataclass(frozen=True, slots=True)
class Standings:
    """The versions of a category by strength, and whether a weak prior holds some of them."""

    ratings: Sequence[Rating] = ()
    held_by_prior: bool = False


class StandingsBook:
    """The standings of each category for the newest `key` that they were asked for with.

    It may be asked from any thread; of two that ask for the same one waits for the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, Standings]] = {}

    def get(self, category: str, key: object) -> Standings | None:
        """What was reckoned already for this key."""
        found = self._known.get(category)
        return found[1] if found is not None and found[0] == key else None

    def read(self, home: Home, category: str, key: object) -> Standings:
        """The standings for this key, reckoned where they are not known. Raises StoreError."""
        from core.prove.rating import ratings

        with self._lock:
            known = self.get(category, key)
            if known is None:
                with open_store(home.store) as store:
                    rated, fit = ratings(store, category)
                known = Standings(rated, fit is not None and fit.separated)
                self._known[category] = (key, known)
            return known
