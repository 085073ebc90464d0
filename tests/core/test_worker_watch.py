"""When the worker looks: on a clock of the test, with other processes played by a second connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from worker_kit import PLAIN, TWO, Open, batch, did, fail, feed

from core import worker
from core.errors import ConflictError
from core.loop import LearningLoop
from core.worker import Worker
from core.worker_report import Report


class Watched:
    """The worker's own loop on a clock that goes half a second a round; `at` has what happens meanwhile."""

    def __init__(self, loop: LearningLoop, at: Mapping[float, Callable[[], object]], until: float) -> None:
        self.heard: list[Report] = []
        self._clock = 0.0
        self._at = dict(at)
        self._until = until
        self.worker = Worker(loop)
        self.worker.run(self.heard.append, now=self._now)

    def _now(self) -> float:
        self._clock += 0.5
        for moment in [moment for moment in self._at if moment <= self._clock]:
            self._at.pop(moment)()
        if self._clock >= self._until:
            self.worker.stop.set()
        return self._clock

    def started(self) -> list[float]:
        return [report.at for report in self.heard for step in report.did if step.what == "started"]


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.0)


@pytest.mark.usefixtures("without_waiting")
def test_a_burst_of_events_starts_one_training_when_it_has_settled(opened: Open) -> None:
    loop, other = opened(), opened()
    burst = {10.0 + 0.5 * index: partial(feed, other, 2, first=2 * index) for index in range(30)}
    watched = Watched(loop, burst, until=60.0)
    assert watched.started() == [30.0]  # the last events came at 24.5, were seen at 25, and settled for 5 seconds
    assert len(loop.runs()) == 1
    assert sum(len(batch(loop, run.id)) for run in loop.runs()) == 21  # of 60: 50 × 0.7 × 0.6


@pytest.mark.usefixtures("without_waiting")
def test_feedback_that_never_settles_is_not_waited_for_for_ever(opened: Open) -> None:
    loop, other = opened(), opened()
    stream = {1.0 + index: partial(feed, other, 1, first=index) for index in range(120)}
    watched = Watched(loop, stream, until=120.0)
    assert watched.started() == [76.0]  # a quarter of the backoff after the first look


@pytest.mark.usefixtures("without_waiting")
def test_everything_is_gone_through_each_hour(opened: Open) -> None:
    loop = opened(f"{PLAIN}[loop]\ncheck_seconds = 100\n")
    feed(loop, 3)
    watched = Watched(loop, {}, until=350.0)
    full = [report.at for report in watched.heard for each in report.waiting if "3 of 3 eligible" in each.text]
    assert full == [1.0, 101.0, 201.0, 301.0]


@pytest.mark.usefixtures("without_waiting")
def test_a_fault_of_the_store_does_not_end_the_watch(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = opened()
    feed(loop, 20)
    look_really = Worker.look
    faults = iter([ConflictError("The store is busy.", hint="Try again.")])

    def look_once_in_vain(self: Worker, **given: Any) -> Report:
        for fault in faults:
            raise fault
        return look_really(self, **given)

    monkeypatch.setattr(Worker, "look", look_once_in_vain)
    watched = Watched(loop, {}, until=200.0)
    assert [step.what for report in watched.heard for step in report.did] == ["refused", "started"]
    assert "The store is busy." in watched.heard[0].did[0].text


@pytest.mark.usefixtures("without_waiting")
def test_a_stop_ends_the_watch_before_anything_else_is_begun(opened: Open) -> None:
    loop = opened(TWO)
    feed(loop, 20)
    feed(loop, 20, category="other")
    at_work = Worker(loop)
    heard: list[Report] = []

    def stop_meanwhile() -> list[int]:
        at_work.stop.set()
        return []

    loop.dispatcher.tend = stop_meanwhile  # type: ignore[method-assign]
    at_work.run(heard.append)
    assert [did(report) for report in heard] == [[]]
    assert loop.runs() == []


@pytest.mark.usefixtures("without_waiting")
def test_callbacks_hear_of_what_another_process_did(opened: Open) -> None:
    loop, other = opened(), opened()
    feed(loop, 20)
    heard: list[str] = []
    loop.on("*", lambda told: heard.append(told["event"]))
    watched = Watched(loop, {20.0: lambda: fail(other, 1, at=20.0)}, until=40.0)
    assert heard == ["fine_tuning.failed"]
    assert [step.text for report in watched.heard for step in report.did if step.what == "delivered"]
