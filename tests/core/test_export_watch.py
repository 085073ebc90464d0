"""A stop of a run ends its export, and its log tells how far the export is, not too often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from core import stages
from core.train.reporter import Stopped


def watched(stopped: list[bool], notes: list[str]) -> Any:
    def check_stop() -> None:
        if stopped:
            raise Stopped

    return stages.ExportWatch(SimpleNamespace(check_stop=check_stop, reporter=SimpleNamespace(note=notes.append)))  # type: ignore[arg-type]


def test_a_stop_is_heard_everywhere() -> None:
    stopped: list[bool] = []
    watch = watched(stopped, [])
    watch.heard()
    watch.progress("Quantising q8_0, tensors", 1, 10)
    stopped.append(True)
    with pytest.raises(Stopped):
        watch.heard()
    with pytest.raises(Stopped):
        watch.progress("Quantising q8_0, tensors", 2, 10)


def test_the_log_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("core.stages.time.monotonic", lambda: now[0])
    notes: list[str] = []
    watch = watched([], notes)
    for done in range(40):
        now[0] += 1.0
        watch.progress("Writing the model, bytes", done, 40)
    watch.progress("Nothing", 0, 0)
    assert notes == [f"Writing the model, bytes: {share} %." for share in (22, 48, 72, 98)]
