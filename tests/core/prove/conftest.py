"""Versions that were promoted one after the other."""

from __future__ import annotations

import pytest
from versions_kit import add_version
from watch_kit import PROMOTED, put

from core.paths import Home
from storage.db import Store
from storage.rows import VersionRow


@pytest.fixture
def chain(store: Store, home: Home) -> list[VersionRow]:
    """v0 to v2; v1 was promoted at 500, v2 at 1,000."""
    made = [add_version(store, home, number) for number in range(3)]
    put(store, home, made[1], 500.0)
    put(store, home, made[2], PROMOTED)
    return made
