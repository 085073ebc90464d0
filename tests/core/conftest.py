"""What the tests of the worker share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from worker_kit import PLAIN, Open

from core import dispatch
from core.loop import LearningLoop
from core.paths import Home


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs whose process was started, in order; this process stands for each of them."""
    started: list[int] = []

    def launch(home: Home, run_id: int) -> int:
        started.append(run_id)
        return os.getpid()

    monkeypatch.setattr(dispatch, "launch", launch)
    return started


@pytest.fixture
def opened(home: Home, launched: list[int]) -> Iterator[Open]:
    """Opens the loop of the home with what its config.toml says."""
    loops: list[LearningLoop] = []

    def open_with(config: str = PLAIN) -> LearningLoop:
        home.config.write_text(config, encoding="utf-8")
        loops.append(LearningLoop(home))
        return loops[-1]

    yield open_with
    for loop in loops:
        loop.close()
