"""How hot and how busy the hardware is while a run trains, and the pause that it takes when it is too hot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from core.train.sensors import Sensors, open_sensors

READ_SECONDS: Final = 1.0
STALE_SECONDS: Final = 10.0
COOLER_BY: Final = 8  # °C below the limit at which training goes on
LONGEST_WAIT: Final = 600.0
_CLOSING_SECONDS: Final = 2.0


class Monitor:
    """Reads the sensors about once a second in a thread of its own; use it as a context manager.

    Never raises: what cannot be read is not known. `gpu` False watches the processor even where there is a card.
    `clock` counts seconds, `sleep` waits some, `sensors` opens what is read, in the thread that reads it.
    """

    def __init__(
        self,
        *,
        gpu: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sensors: Callable[[], Sensors] | None = None,
    ) -> None:
        self._open = sensors or (lambda: open_sensors(gpu=gpu))
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._what = "hardware"
        self._figures: dict[str, float] = {}
        self._read_at = 0.0
        self._gave_up = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hardware monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        # A driver that hangs must not keep the run from ending; the thread dies with the process.
        self._thread.join(_CLOSING_SECONDS)

    def figures(self) -> dict[str, float]:
        """What is known of gpu_percent (0-100), temperature (°C) and gpu_memory_mb (MiB in use on the whole card).

        Readings older than ten seconds, as of a driver that no longer answers, are not known any more.
        """
        with self._lock:
            return dict(self._figures) if self._clock() - self._read_at <= STALE_SECONDS else {}

    def cool_down(self, limit: int, should_stop: Callable[[], bool], note: Callable[[str], None]) -> float:
        """Waits while the hardware is too hot; returns the seconds waited.

        Waiting begins at `limit` °C (0 = never) and ends 8 °C below it, when `should_stop` says so, when the
        temperature cannot be read any more, or after ten minutes. After such a vain wait the run goes on hot, and no
        further one begins before the hardware has been that cool once. `note` is told once that training waits and
        why, and once that it goes on.
        """
        heat = self.figures().get("temperature")
        target = limit - COOLER_BY
        if limit <= 0 or heat is None:
            return 0.0
        if heat <= target:
            self._gave_up = False
        if heat < limit or self._gave_up:
            return 0.0
        started = self._clock()
        note(f"The {self._what} is at {heat:.0f} °C (limit {limit} °C): training waits until it is at {target} °C.")
        while not should_stop():
            self._sleep(READ_SECONDS)
            waited = self._clock() - started
            heat = self.figures().get("temperature")
            if heat is None:
                note(f"The temperature can no longer be read: training goes on after {waited:.0f} s.")
                break
            if heat <= target:
                note(f"The {self._what} is at {heat:.0f} °C: training goes on after {waited:.0f} s.")
                break
            if waited >= LONGEST_WAIT:
                self._gave_up = True
                note(
                    f"After {waited / 60:.0f} min of waiting the {self._what} is still at {heat:.0f} °C: training goes "
                    "on. Better cooling, or a higher limit, spares such waits."
                )
                break
        return self._clock() - started

    def _work(self) -> None:
        sensors = self._open()
        self._what = sensors.what
        try:
            while True:
                figures = sensors.read()
                with self._lock:
                    self._figures, self._read_at = figures, self._clock()
                if self._closing.wait(READ_SECONDS):
                    break
        finally:
            sensors.close()
