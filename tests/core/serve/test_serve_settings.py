"""A gateway that runs gives versions to Ollama with the settings of today, not with those it began with."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core.paths import Home
from core.serve import watching
from core.serve.watching import Watching
from storage.db import Store


async def test_settings_that_changed_since_the_start_are_followed(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, str]] = []

    def follow(_: Store, home: Home, config: Any) -> list[str]:
        seen.append((config.publish.temperature, config.serve.ollama))
        home.config.write_text('[publish]\ntemperature = 0.9\n[serve]\nollama = "http://127.0.0.1:9"\n', "utf-8")
        return []

    monkeypatch.setattr(watching, "follow", follow)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    looking = Watching(home, follows=True, say=lambda line: None)
    looking.start()
    deadline = time.monotonic() + 10
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    await looking.close()
    assert seen[:2] == [(0.3, ""), (0.9, "")]
