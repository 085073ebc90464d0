"""The app with a watch on its own event loop: `python -m benchmarks.loop_probe --home FOLDER --report FILE`.

Every 5 ms the loop should be there to be woken. Where it was kept from that, the report gets a line: when it ended
(`time.perf_counter`, which all processes of the machine share on Linux), how long it took, and how much of that the
app's thread was computing itself; the rest is what other threads and processes took from it. With `--stacks` a thread
looks at what keeps the loop, and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import IO, Any

from core.paths import Home
from tui.app import FinetuneApp

TICK = 0.005
_TOLD = 0.010
_LOOKED_AT = 0.012


class Watched(FinetuneApp):
    """The app; `report` gets the lines."""

    def __init__(self, home: Home, report: Path, *, stacks: bool) -> None:
        super().__init__(home)
        self._report: IO[str] = report.open("w", encoding="utf-8", buffering=1)
        self._beat = time.perf_counter()
        self._ticks: asyncio.Task[None] | None = None
        self._stacks = stacks

    def on_mount(self) -> None:
        self._ticks = asyncio.get_running_loop().create_task(self._tick())
        if self._stacks:
            threading.Thread(target=self._look, args=(threading.get_ident(),), daemon=True).start()

    async def _tick(self) -> None:
        own = time.thread_time()
        while True:
            await asyncio.sleep(TICK)
            now, used = time.perf_counter(), time.thread_time()
            late = now - self._beat - TICK
            if late >= _TOLD:
                self._tell(at=now, late_ms=1_000 * late, own_ms=1_000 * (used - own))
            self._beat, own = now, used

    def _look(self, thread: int) -> None:
        seen = 0.0
        while True:
            time.sleep(0.004)
            beat = self._beat
            if time.perf_counter() - beat > TICK + _LOOKED_AT and beat != seen:
                seen = beat
                frames = sys._current_frames()
                others = [frame for one, frame in frames.items() if one not in (thread, threading.get_ident())]
                self._tell(
                    at=time.perf_counter(),
                    stack="".join(traceback.format_stack(frames[thread])[-12:]),
                    others=["".join(traceback.format_stack(frame)[-6:]) for frame in others],
                )

    def _tell(self, **values: Any) -> None:
        self._report.write(json.dumps(values) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--stacks", action="store_true")
    arguments = parser.parse_args()
    Watched(Home(arguments.home), arguments.report, stacks=arguments.stacks).run()


if __name__ == "__main__":
    main()
