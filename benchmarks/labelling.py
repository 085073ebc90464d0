"""Labelling a hundred outputs: the app against a JSONL file in vim. `python -m benchmarks.labelling [--items 100]`.

Both do the same task in a real terminal at a person's pace: of a hundred answers of the shipped model two in five are
good, two in five bad, and one in five misses a primary key, which is written in. Afterwards the store and the file are
read back: only decisions that were really kept count.

The pace is that of the keystroke-level model (Card, Moran and Newell, Communications of the ACM 23, 1980): 0.28 s a
key for an average typist, 1.35 s to make up one's mind before each decision and before each correction. Reading takes
equally long everywhere and is left out; what the programs themselves take until the next output stands there is
measured. In vim the verdict is typed out, or a macro of one's own (recorded first, and counted) does it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import append
from benchmarks.terminal import Terminal
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import load_config
from core.demo import SEED_FEEDBACK
from core.paths import Home
from storage import events
from storage.db import open_store
from storage.rows import EventFilter

KEY = 0.28
MIND = 1.35
SIZE = (140, 40)
ESCAPE = "\x1b"
_QUIET = 0.08


@dataclass(frozen=True, slots=True)
class Item:
    """One output and what the person will say of it; `line` (from 0) is where a correction misses its primary key."""

    prompt: str
    response: str
    verdict: str
    line: int

    @property
    def wanted(self) -> str:
        """The answer as it should be."""
        lines = self.response.split("\n")
        return "\n".join(
            line + " PK" * (self.verdict == "correct" and at == self.line) for at, line in enumerate(lines)
        )


@dataclass(slots=True)
class Tally:
    """Keys pressed, moments of thought, and the seconds that the program took until the next output stood there."""

    keys: int = 0
    thoughts: int = 0
    waiting: float = 0.0
    seconds: float = 0.0


class Person:
    """Types into a terminal at a person's pace."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.tally = Tally()

    def think(self) -> None:
        self.tally.thoughts += 1
        self._pass(MIND)

    def type(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._pass(KEY)
            self._terminal.press(key)
            self.tally.keys += 1

    def wait(self) -> None:
        """Until the program has painted what follows from the last key."""
        pressed = time.perf_counter()
        self._terminal.rest(_QUIET)
        last = self._terminal.chunks[-1].at
        self.tally.waiting += max(0.0, last - pressed)

    def _pass(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._terminal.read(left)


def items(count: int, *, seed: int = 0) -> list[Item]:
    """`count` answers of the shipped model with a decision for each."""
    draw = random.Random(seed)
    rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
    found: list[Item] = []
    for row in rows:
        response = str(row.get("response", ""))
        lines = response.split("\n")
        at = next((place for place, line in enumerate(lines) if re.search(r"\bint id PK$", line)), None)
        if at is None or len(found) == count:
            continue
        verdict = draw.choices(("good", "bad", "correct"), weights=(2, 2, 1))[0]
        if verdict == "correct":
            lines[at] = lines[at].removesuffix(" PK")
        found.append(Item(row["prompt"], "\n".join(lines), verdict, at))
    return found


def in_the_app(told: Sequence[Item], folder: Path) -> Tally:
    """Review: one key for a verdict; a correction is the editor, the way to the line, and what it misses."""
    home = Home(folder / "home")
    home.ensure()
    # The app would ask again, blind, for some that were judged before; a file cannot.
    home.config.write_text("[review]\nrepeat_every = 0\n")
    with open_store(home.store) as store:
        recorder = Recorder(store, home, load_config(home), load_categories(home))
        # The newest stands first in the queue.
        for item in reversed(told):
            recorder.record(category="erd", prompt=item.prompt, response=item.response, model="demo")
    with Terminal(
        [sys.executable, "-m", "tui"], size=SIZE, environment={"FINETUNE_TUI_HOME": str(home.root)}
    ) as terminal:
        terminal.until(b"Review")
        for key in ("2", "o", "\x1b[H"):
            terminal.press(key)
            terminal.rest(1.0)
        person = Person(terminal)
        started = time.perf_counter()
        for item in told:
            person.think()
            if item.verdict == "correct":
                person.type("c")
                person.wait()
                person.think()
                person.type(["\x1b[B"] * item.line + ["\x1b[F", *" PK", "\x13"])
            else:
                person.type(item.verdict[0])
            person.wait()
        person.tally.seconds = time.perf_counter() - started
        terminal.press("q")
        terminal.rest(1.0)
    with open_store(home.store) as store:
        kept = {event.prompt: event for event in events.iter_events(store, EventFilter())}
    for item in told:
        event = kept[item.prompt]
        shown = (event.verdict, event.correction)
        if shown != (item.verdict, item.wanted if item.verdict == "correct" else None):
            raise SystemExit(f"The app kept {shown} of {item}")
    return person.tally


def in_vim(told: Sequence[Item], folder: Path, *, macros: bool) -> Tally:
    """A line of JSON each, with an empty verdict in front; the answer is corrected where it stands."""
    path = folder / f"outputs{macros}.jsonl"
    rows = [{"verdict": "", "prompt": item.prompt, "response": item.response} for item in told]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    said: Callable[[str], list[str]] = lambda verdict: [*"013|a", *verdict, ESCAPE]  # noqa: E731
    with Terminal(["vim", "-u", "NONE", "-N", "-i", "NONE", "-n", str(path)], size=SIZE) as terminal:
        terminal.rest(0.5)
        person = Person(terminal)
        started = time.perf_counter()
        if macros:
            for verdict in ("good", "bad", "correct"):
                person.type(["q", verdict[0], *said(verdict), "q", "u"])
        for item in told:
            person.think()
            person.type(["@", item.verdict[0]] if macros else said(item.verdict))
            if item.verdict == "correct":
                person.wait()
                person.think()
                # The first key of an entity is the first line of its kind, as a rule; n goes on to the next.
                before = "\n".join(item.response.split("\n")[: item.line]).count("int id")
                person.type([*"/int id", "\r", *"n" * before, *"2ea", *" PK", ESCAPE])
            person.type("j")
            person.wait()
        person.type([*":wq", "\r"])
        person.tally.seconds = time.perf_counter() - started
        terminal.rest(0.5)
    for line, item in zip(path.read_text().splitlines(), told, strict=True):
        row = json.loads(line)
        if (row["verdict"], row["response"]) != (item.verdict, item.wanted):
            raise SystemExit(f"The file keeps {row} of {item}")
    return person.tally


def figures(tally: Tally, count: int) -> dict[str, float]:
    """For one decision: keys, seconds in all, and milliseconds until the program stood ready again."""
    return {
        "keys": round(tally.keys / count, 2),
        "seconds": round(tally.seconds / count, 2),
        "waiting_ms": round(1_000 * tally.waiting / (count + 0.0), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100)
    arguments = parser.parse_args()
    if shutil.which("vim") is None:
        raise SystemExit("This comparison needs vim.")
    told = items(arguments.items)
    # Beside each other: a person at a keyboard leaves a machine at rest nearly all the time.
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(3) as people:
        tasks = {
            "app": people.submit(in_the_app, told, Path(folder)),
            "vim": people.submit(in_vim, told, Path(folder), macros=False),
            "vim with macros": people.submit(in_vim, told, Path(folder), macros=True),
        }
        tallies = {name: task.result() for name, task in tasks.items()}
    result = {name: figures(tally, len(told)) for name, tally in tallies.items()}
    for name, each in result.items():
        print(
            f"{name:<16} {each['keys']:5.2f} keys and {each['seconds']:5.2f} s a decision, of which the program took "
            f"{each['waiting_ms']:.0f} ms"
        )
    append("labelling", f"python -m benchmarks.labelling --items {len(told)}", result, packages=("textual",))


if __name__ == "__main__":
    main()
