"""From a key to what it paints, in a real terminal: `python -m benchmarks.app_keys --home FOLDER [--keys 60]`.

FOLDER is one that `benchmarks.large_store` has made. Three things are timed, each against an empty Textual app that
does as little as can be (one line of text that changes with the key): a verdict in Review until the next event stands
there, moving down the queue until the next event stands there, and a letter of a search until another result does.
A person's pause lies between two keys, so that nothing is helped by falling behind.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.large_store import words
from benchmarks.record import append
from benchmarks.terminal import Terminal

EMPTY_APP = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    BINDINGS = [("g", "next", "next")]
    number = 0
    def compose(self):
        yield Static("EVT0000000 " + "word " * 200)
    def action_next(self):
        self.number += 1
        self.query_one(Static).update(f"EVT{self.number:07d} " + "word " * 200)
Empty().run()
"""
MARK = re.compile(rb"EVT(\d{7})")
PAUSE = 0.25
LIMIT = 2.0
"""Seconds after which a key counts as one that changes nothing, as the first two letters of a word in a search do."""
_OPEN_LIMIT = 120.0


class Marks:
    """Watches the marks of events that are painted; the newest one is `shown`."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.shown = 0

    def settle(self) -> None:
        """Until nothing is painted any more."""
        start = len(self._terminal.chunks)
        self._terminal.rest(PAUSE)
        self._look(b"".join(chunk.data for chunk in self._terminal.chunks[start:]))

    def after(self, keys: str) -> float | None:
        """Milliseconds from `keys` to the mark of another event, None where none comes."""
        at, before = self._terminal.press(keys), self.shown
        try:
            painted = self._terminal.until(lambda seen: self._another(seen, before), limit=LIMIT)
        except TimeoutError:
            return None
        return 1_000 * (painted - at)

    def _another(self, seen: bytes, before: int) -> bool:
        self._look(seen)
        return self.shown != before

    def _look(self, seen: bytes) -> None:
        found = MARK.findall(seen)
        if found:
            self.shown = int(found[-1])


def keys(command: Sequence[str], presses: Sequence[str], *, size: tuple[int, int], ready: bytes, first: str = "",
         home: Path | None = None) -> list[float]:  # fmt: skip
    """Milliseconds for each of `presses`; `first` is typed before, once `ready` stands on the terminal."""
    environment = {"FINETUNE_TUI_HOME": str(home)} if home is not None else {}
    with Terminal(command, size=size, environment=environment) as terminal:
        marks = Marks(terminal)
        terminal.until(ready, limit=_OPEN_LIMIT)
        for key in first:
            terminal.press(key)
            terminal.rest(1.0, limit=_OPEN_LIMIT)
        marks.settle()
        found = []
        for each in presses:
            took = marks.after(each)
            if took is not None:
                found.append(took)
            time.sleep(PAUSE / 2)
            marks.settle()
    return found


def searched(count: int) -> list[str]:
    """Letters as one types them: words of the store from frequent to rare, each letter a key, deleted again after."""
    vocabulary = words()
    chosen = [vocabulary[int(len(vocabulary) ** (place / count)) - 1] for place in range(1, count + 1)]
    return [letter for word in chosen for letter in [*word[:4], "\x15"]]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and largest, in milliseconds."""
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
        "n": len(ordered),
    }


def measured(home: Path, count: int, size: tuple[int, int]) -> Mapping[str, Any]:
    """All figures of one size of the terminal."""
    app = [sys.executable, "-m", "tui"]
    empty = keys([sys.executable, "-c", EMPTY_APP], ["g"] * count, size=size, ready=b"EVT0000000")
    told = {"empty app": spread(empty)}
    for name, presses, first in (
        ("verdict, next event painted", ["b"] * count, "2o"),
        ("down, next event painted", ["j"] * count, "2o"),
        ("search as you type", searched(max(4, count // 5)), "2/"),
    ):
        told[name] = spread(keys(app, presses, size=size, ready=b"Review", first=first, home=home))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--keys", type=int, default=60)
    arguments = parser.parse_args()
    result = {}
    for name, size in (("80x24", (80, 24)), ("140x40", (140, 40))):
        result[name] = measured(arguments.home, arguments.keys, size)
        base = result[name]["empty app"]["p95"]
        for what, figures in result[name].items():
            print(f"{name}  {what:<30} median {figures['median']:6.1f} ms, 95 % {figures['p95']:6.1f} ms "
                  f"(+{figures['p95'] - base:.1f}), most {figures['max']:6.1f} ms, n {figures['n']}")  # fmt: skip
    append("app_keys", f"python -m benchmarks.app_keys --keys {arguments.keys}", result, packages=("textual",))


if __name__ == "__main__":
    main()
