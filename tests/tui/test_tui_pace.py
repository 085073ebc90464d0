"""A screen reads again after a change, but what takes long is not read over and over while somebody writes."""

from __future__ import annotations

from collections.abc import Callable

from textual.message_pump import MessagePump

from tui.pace import REST, Pace


class Owner:
    """Keeps the timers; `pass_time` fires those that are due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def set_timer(self, delay: float, callback: Callable[[], None]) -> Owner:
        self.timers.append((self.now + delay, callback))
        return self

    def stop(self) -> None:
        self.timers.clear()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [callback for at, callback in self.timers if at <= self.now + 1e-9]
        self.timers = [timer for timer in self.timers if timer[0] > self.now + 1e-9]
        for callback in due:
            callback()


def paced() -> tuple[Owner, Pace, list[float]]:
    owner, read = Owner(), list[float]()
    pump: MessagePump = owner  # type: ignore[assignment]
    return owner, Pace(pump, lambda: read.append(owner.now), lambda: owner.now), read


def test_what_is_quick_is_read_after_every_change() -> None:
    owner, pace, read = paced()
    for _ in range(5):
        pace.changed()
        owner.pass_time(0.01)
        pace.ended()
        owner.pass_time(0.4)
    assert len(read) == 5 and not owner.timers


def test_changes_during_a_reading_are_one_reading_after_its_rest() -> None:
    owner, pace, read = paced()
    pace.changed()
    for _ in range(50):
        pace.changed()
    owner.pass_time(1.0)
    pace.ended()
    pace.changed()
    assert len(read) == 1
    owner.pass_time(REST - 0.1)
    assert len(read) == 1
    owner.pass_time(0.1)
    assert read == [100.0, 101.0 + REST]


def test_a_steady_writer_keeps_a_slow_screen_busy_for_a_fifth_of_the_time() -> None:
    owner, pace, read = paced()
    pace.changed()
    for _ in range(100):
        owner.pass_time(2.0)
        pace.ended()
        pace.changed()
        while owner.timers:
            owner.pass_time(0.1)
    busy = 2.0 * 100
    assert len(read) == 101 and busy / (owner.now - 100.0) <= 1.0 / (1.0 + REST) + 0.01


def test_a_screen_that_is_left_is_not_called_any_more() -> None:
    owner, pace, read = paced()
    pace.changed()
    pace.changed()
    pace.forget()
    owner.pass_time(1.0)
    pace.ended()
    pace.changed()
    pace.forget()
    owner.pass_time(60.0)
    assert len(read) == 1
    pace.changed()
    assert len(read) == 2


def test_an_end_that_belongs_to_nothing_changes_nothing() -> None:
    _, pace, read = paced()
    pace.ended()
    pace.changed()
    assert len(read) == 1
