"""A copy of the store tells how far it is, sees one moment of the store, and can be stopped without a trace."""

from __future__ import annotations

import pytest

from core.backup import back_up
from core.errors import FinetuneError
from core.paths import Home
from storage import ui_state
from storage.db import Store, open_store


def test_progress_ends_at_the_whole_while_others_write(home: Home, store: Store) -> None:
    for number in range(40):
        ui_state.save(store, f"key{number}", "x" * 300_000)
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        if len(told) < 3:
            ui_state.save(store, "late", len(told))
        told.append((done, total))

    target = home.exports / "copy.db"
    assert back_up(home, target, progress=progress) == [target]
    assert len(told) > 1 and told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    with open_store(target) as copy:
        assert ui_state.load(copy, "key39", "") == "x" * 300_000
        assert ui_state.load(copy, "late", "none") == "none"


def test_stopping_leaves_nothing(home: Home, store: Store) -> None:
    def stop(done: int, total: int) -> None:
        raise FinetuneError("Stopped.")

    with pytest.raises(FinetuneError, match="Stopped"):
        back_up(home, home.exports / "copy.db", progress=stop)
    assert list(home.exports.iterdir()) == []
