"""Two people who share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from share_kit import Person, person


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[Person]:
    made = person(tmp_path / "ann")
    yield made
    made.store.close()


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Person]:
    made = person(tmp_path / "bob")
    yield made
    made.store.close()
