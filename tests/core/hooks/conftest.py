"""A home whose hooks are written by the test, and a web server that notes what it is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hooks_kit import Configure, Receiver

from core.paths import Home


@pytest.fixture
def configure(home: Home) -> Configure:
    def write(text: str) -> None:
        home.config.write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening
