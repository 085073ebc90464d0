"""Two promotions in one category, and what was answered before and after the second."""

from __future__ import annotations

from production_kit import answers

from core.config import Config
from core.paths import Home
from core.prove.watch import Watch, watch
from core.release.promote import promote
from storage.db import Store
from storage.rows import VersionRow

CONFIG = Config()
PROMOTED = 1_000.0
"""When the version that is watched was promoted."""


def put(store: Store, home: Home, version: VersionRow, at: float) -> None:
    """Promotes a version at that moment."""
    promote(store, home, CONFIG, version.id, who="me", why="", evidence={}, now=at)


def look(store: Store, config: Config = CONFIG, now: float = 1e6) -> Watch:
    """How the category does."""
    return watch(store, config, "erd", now=now)


def drop(store: Store, chain: list[VersionRow], count: int = 60) -> None:
    """v1 answered well, v2 answers badly."""
    answers(store, chain[1].name, [90.0] * count, at=600.0)
    answers(store, chain[2].name, [40.0] * count, at=PROMOTED + 1)
