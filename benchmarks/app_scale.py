"""Every screen with a large store beside a small one: `python -m benchmarks.app_scale --home LARGE --small SMALL`.

Both folders are made by `benchmarks.large_store`. In a real terminal each screen is opened by its key, then, in Review
and in the hard negatives, moved in and judged, and at last somebody else writes to the store ten times a second while
the dashboard stands in front. Told are the milliseconds from the key to the first bytes on the terminal and to the last
ones before nothing moves any more (which is when the content stands, with all that is worked out meanwhile), how long
the event loop was kept from its work at most (in all, and by what the app's own thread computed), and the resident
memory. The home folders are written to: give copies.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.large_store import synthetic
from benchmarks.record import append
from benchmarks.terminal import Terminal
from storage import events
from storage.db import open_store
from tui.tabs import TABS, key_of

QUIET = 1.2
LIMIT = 120.0
WRITES = 100
_PAUSE = 0.1
_STEPS = (
    ("review: next event", "review", "j" * 20),
    ("review: verdict", "review", "b" * 20),
    ("review: last line", "review", "G"),
    ("review: search", "review", "/gon\x15\x1b"),
    ("hard: next line", "hard", "j" * 20),
    ("hard: search", "hard", "/gon\x15\x1b"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step cost: milliseconds and megabytes."""

    first_ms: float
    settled_ms: float
    block_ms: float
    own_block_ms: float
    resident_mb: float


class Watched:
    """The app on a folder in a terminal, with the report of its loop."""

    def __init__(self, home: Path, folder: Path, size: tuple[int, int], *, stacks: bool) -> None:
        self._report = folder / f"{home.name}.jsonl"
        command = [sys.executable, "-m", "benchmarks.loop_probe", "--home", str(home), "--report", str(self._report)]
        self.terminal = Terminal([*command, "--stacks"] if stacks else command, size=size)

    def step(self, keys: str, *, begun: float | None = None) -> Step:
        """Press `keys`, a person's pause between them, and wait until nothing moves any more."""
        at = began = time.perf_counter() if begun is None else begun
        before = len(self.terminal.chunks)
        for number, key in enumerate(keys):
            at = self.terminal.press(key)
            if number == 0:
                began = at
            if number < len(keys) - 1:
                self._listen(_PAUSE)
        self.terminal.rest(QUIET, limit=LIMIT)
        painted = [chunk.at for chunk in self.terminal.chunks[before:]]
        gaps = self._gaps(began)
        return Step(
            first_ms=1_000 * (painted[0] - began) if painted else 0.0,
            settled_ms=1_000 * (painted[-1] - at) if painted else 0.0,
            block_ms=max((late for late, _ in gaps), default=0.0),
            own_block_ms=max((own for _, own in gaps), default=0.0),
            resident_mb=self.terminal.resident_mb,
        )

    def _listen(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0.0:
            self.terminal.read(left)

    def _gaps(self, since: float) -> list[tuple[float, float]]:
        lines = self._report.read_text(encoding="utf-8").splitlines() if self._report.exists() else []
        rows = [json.loads(line) for line in lines]
        return [(row["late_ms"], row["own_ms"]) for row in rows if row["at"] >= since and "late_ms" in row]


def measured(home: Path, size: tuple[int, int], reports: Path, *, stacks: bool) -> dict[str, Step]:
    """Each step by its name."""
    app = Watched(home, reports, size, stacks=stacks)
    found: dict[str, Step] = {}
    with app.terminal:
        found["start"] = app.step("", begun=app.terminal.started)
        for again in ("", ", again"):
            for tab in TABS:
                found[f"{tab.mode}{again}"] = app.step(key_of(tab.mode))
        front = ""
        for name, mode, keys in _STEPS:
            if mode != front:
                app.step(key_of(mode))
                front = mode
            found[name] = app.step(keys)
        app.step(key_of(TABS[0].mode))
        found["dashboard, written to"] = _written_to(app, home)
    return found


def _written_to(app: Watched, home: Path) -> Step:
    """The dashboard while somebody else writes; `settled_ms` is then the processor time that the app took for it."""
    stream = synthetic(WRITES, seed=int(time.time()))
    began, used = time.perf_counter(), _processor_ms(app.terminal.pid)
    with open_store(home / "store.db") as store:
        for event in islice(stream, WRITES):
            with store.transaction():
                events.add(store, event)
            app._listen(0.1)
    used = _processor_ms(app.terminal.pid) - used
    step = app.step("", begun=began)
    return Step(step.first_ms, used, step.block_ms, step.own_block_ms, step.resident_mb)


def _processor_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 10.0 * (int(fields[11]) + int(fields[12]))


def table(large: Mapping[str, Step], small: Mapping[str, Step]) -> list[str]:
    """A line for each step: the large store, the small one in brackets."""
    lines = [f"{'':<26}{'first':>14}{'settled':>18}{'block':>14}{'own block':>14}{'memory':>14}"]
    for name, one in large.items():
        other = small[name]
        pairs = (
            (one.first_ms, other.first_ms, 14), (one.settled_ms, other.settled_ms, 18),
            (one.block_ms, other.block_ms, 14), (one.own_block_ms, other.own_block_ms, 14),
            (one.resident_mb, other.resident_mb, 14),
        )  # fmt: skip
        lines.append(f"{name:<26}" + "".join(f"{f'{left:.0f} ({right:.0f})':>{width}}" for left, right, width in pairs))
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--small", type=Path, required=True)
    parser.add_argument("--size", default="140x40")
    parser.add_argument("--stacks", type=Path, help="a folder for reports that say what kept the loop")
    given = parser.parse_args(arguments)
    columns, rows = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        reports = given.stacks or Path(folder)
        small = measured(given.small, (columns, rows), reports, stacks=given.stacks is not None)
        large = measured(given.home, (columns, rows), reports, stacks=given.stacks is not None)
    print("\n".join(table(large, small)))
    result: dict[str, Any] = {
        "size": given.size,
        "large": {name: asdict(one) for name, one in large.items()},
        "small": {name: asdict(one) for name, one in small.items()},
    }
    if given.stacks is None:
        append("app_scale", "python -m benchmarks.app_scale", result, packages=("textual",))


if __name__ == "__main__":
    main()
