"""The first five minutes in a real terminal, recorded: `python -m docs.walk [--out docs/first_five_minutes]`.

A newcomer opens an empty home and presses what the line under the tabs says, at the pace of a person who reads: loads
the demonstration, labels three outputs, ranks two answers, trains, promotes what won, and takes it back. Two files come
of it: an asciicast (version 2, `asciinema play FILE.cast`) and an animated SVG of its key frames. Nothing is cut but
waiting: a pause longer than two seconds is shown as two, and where a model is at work time goes ten times as fast. The
program fails where a step does not show what it should, so that the recording is also a test of the way.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

from benchmarks.terminal import Terminal
from docs.film import Frame, film, frame_of
from docs.recording import Recording

SIZE = (100, 30)
_LONGEST_PAUSE = 2.0
_KEY_SECONDS = 0.25
_SETTLE_SECONDS = 0.7
_FASTER = 10.0
_LOOK_SECONDS = 0.12
_CAST_LIMIT = 600_000
_FILM_LIMIT = 400_000
_FRAME_SECONDS = 2.5
_DOWN, _END, _RUBOUT, _SAVE, _ENTER = "\x1b[B", "\x1b[F", "\x7f", "\x13", "\r"


@dataclass(frozen=True, slots=True)
class Move:
    """Read the screen for `seconds`, press `keys`, and wait until `shows` stands on it; `says` is what a frame of it is
    called, empty for none. Where a model works (`long`) time is shortened, and `passing` are expressions for what gets
    a frame of its own when it first appears."""

    keys: Sequence[str]
    shows: str
    says: str = ""
    seconds: float = 2.0
    limit: float = 60.0
    long: bool = False
    passing: Sequence[tuple[str, str]] = ()


MOVES: Sequence[Move] = (
    Move((), "Get some outputs in", "An empty home. The line under the tabs leads", 0.0),
    Move(("d",), "Label three outputs (0 of 3)", "d  the demonstration is recorded", 3.0,
         passing=(("of 720", "d  loads the demonstration"),)),
    Move(("2",), "g good, b bad", "2  Review: which outputs are good?", 2.0),
    Move(("g",), "(1 of 3)", "g  good, and the next one is there", 3.0),
    Move(("b",), "(2 of 3)", "b  bad", 3.0),
    Move(("c",), "Nothing is changed yet", "c  correct it: write what it should have been", 3.0),
    Move((_DOWN, _END, *[_RUBOUT] * 3, *"runs", _DOWN, _END, *[_RUBOUT] * 3, *"joins"), ": joins",
         "The correction is checked while it is typed", 2.0),
    Move((_SAVE,), "Say which of two answers is better", "ctrl+s  saved: the best lesson there is", 3.0),
    Move(("3",), "n brings answers", "3  Rank: which of two answers is better?", 2.0),
    Move(("n",), "Let the model answer again", "n  let the model answer again", 2.0),
    Move((_ENTER,), "question 1 of", "Two answers side by side, blind", 2.0, 120.0, long=True),
    Move(("a",), "Train a version", "a  the left one is better", 5.0),
    Move(("5",), "examples to train on", "5  Train: what it would learn from, and whether it fits", 2.0),
    Move((_SAVE,), "it is at work", "ctrl+s  the run starts, in a process of its own", 4.0),
    Move((), "the run still compares", "", 1.0, 400.0, long=True,
         passing=((r"[4-9]\d % · step", "Loss and score while it learns"),
            ("● exporting", "Learned: now it becomes a file that servers load"),
            ("● proving", "The exported file is proved"),
                  ("● testing", "Old and new answer prompts that neither was trained on"))),
    Move((), "Let the better version serve: press", "The run is done", 0.0, 600.0, long=True),
    Move(("6",), "p promotes", "6  Scoreboard: the verdict", 2.0),
    Move(("p",), "That was the loop once round", "p  promoted: it serves now", 5.0),
    Move(("u",), "Undone", "u  taken back at once", 3.0),
    Move(("p",), "and serves", "p  promoted again", 3.0),
    Move(("1",), "serves ft-demo-erd-v1", "1  what is next", 3.0),
)  # fmt: skip


class Walk:
    """The app in a terminal, with what stands on its screen; `frames` are its key frames."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._screen = pyte.Screen(*SIZE)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0
        self.recording = Recording(self._screen, "finetune-tui: the first five minutes", longest_pause=_LONGEST_PAUSE)
        self.frames: list[Frame] = []
        self._pace = 1.0
        self._looked = time.perf_counter()

    @property
    def text(self) -> str:
        """The screen as it stands."""
        return "\n".join(self._screen.display)

    def read(self, seconds: float) -> None:
        """Take in what the app paints for that long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._terminal.read(left)
            for chunk in self._terminal.chunks[self._fed :]:
                self._stream.feed(chunk.data)
            self._fed = len(self._terminal.chunks)
            passed = (time.perf_counter() - self._looked) / self._pace
            if passed >= _LOOK_SECONDS:
                self._looked = time.perf_counter()
                self.recording.look(passed)

    def go(self, move: Move) -> None:
        """Do one move. Raises SystemExit, with the screen, where it does not show what it should."""
        self.read(move.seconds)
        for key in move.keys:
            self._terminal.press(key)
            self.read(_KEY_SECONDS if len(move.keys) < 3 else _KEY_SECONDS / 3)
        began = time.perf_counter()
        self._pace = _FASTER if move.long else 1.0
        passing = list(move.passing)
        while True:
            if passing and re.search(passing[0][0], self.text):
                self.frames.append(frame_of(self._screen, passing.pop(0)[1]))
            if move.shows in self.text and not passing:
                break
            if time.perf_counter() - began > move.limit:
                wanted = passing[0][0] if passing else move.shows
                raise SystemExit(f"{wanted!r} does not stand on the screen:\n{self.text}")
            self.read(0.1)
        self._pace = 1.0
        self.read(_SETTLE_SECONDS)
        if move.says:
            self.frames.append(frame_of(self._screen, move.says))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "first_five_minutes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".local" / "share" / "finetune-tui"
        environment = {"HOME": folder, "FINETUNE_TUI_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        with Terminal([sys.executable, "-m", "tui"], size=SIZE, environment=environment) as terminal:
            walk = Walk(terminal)
            for move in MOVES:
                walk.go(move)
                print(f"{time.perf_counter() - terminal.started:5.0f} s  {move.shows}", flush=True)
            walk.read(2.0)
            took = time.perf_counter() - terminal.started
    drawn = film(walk.frames, columns=SIZE[0], rows=SIZE[1], seconds=_FRAME_SECONDS, still=len(walk.frames) - 5)
    for ending, text, limit in ((".cast", walk.recording.text, _CAST_LIMIT), (".svg", drawn, _FILM_LIMIT)):
        if folder in text or str(Path.cwd()) in text:
            raise SystemExit(f"{ending} shows a folder of this machine.")
        target = arguments.out.with_suffix(ending)
        target.write_text(text, encoding="utf-8")
        print(f"{os.path.relpath(target)}: {len(text.encode()) / 1000:.0f} kB")
        if len(text.encode()) > limit:
            raise SystemExit(f"That is more than {limit / 1000:.0f} kB.")
    print(f"{len(MOVES)} moves in {took:.0f} s, {len(walk.frames)} frames")


if __name__ == "__main__":
    main()
