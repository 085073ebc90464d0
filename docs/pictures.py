"""The README's pictures of every screen, made from real data: `python -m docs.pictures [--home FOLDER] [--only NAME]`.

Without a folder the demonstration is run first, in an empty home: what the pictures show was recorded, trained, proved
and promoted by the program itself. Nothing in them is drawn by hand; the app runs without a terminal, is given the
keys that are listed here, and writes what it shows as an SVG.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

DOCS = Path(__file__).parent
SIZE = (116, 34)
_FONT = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)
_STEPS_MOST = 400


@dataclass(frozen=True, slots=True)
class Picture:
    """The keys that lead to what is shown, each waited on (after `=` stands text that is typed), words that must stand
    on the screen then, for which a model may have to answer first, and how many rows the picture has."""

    keys: Sequence[str]
    shows: Sequence[str]
    rows: int = SIZE[1]


_ASKED = "=ER diagram for a library: reader, book. Links: reader borrows book."

PICTURES: Mapping[str, Picture] = {
    "dashboard": Picture(("1",), ("next training", "done"), 18),
    "review": Picture(("2", "j", "j"), ("Response", "Findings")),
    "correct": Picture(
        (
            "2",
            "j",
            "j",
            "c",
            "down",
            "end",
            *["backspace"] * 4,
            "=includes",
            "down",
            "end",
            "enter",
            "=        int id PK",
        ),
        ("valid", "+ "),
    ),
    "rank": Picture(("3", "p", "j", "j", "enter"), ("question 1 of", "≠")),
    "hard": Picture(("4", "j", "j"), ("Correct",)),
    "train": Picture(("5",), ("loss", "test score")),
    "scoreboard": Picture(("6",), ("win rate", "Examples")),
    "vote": Picture(("6", "v"), ("Better", "≠")),
    "models": Picture(("7",), ("Proof",)),
    "playground": Picture(("8", "M", "down", "down", "enter", "enter", _ASKED, "ctrl+s", "escape"), ("score",)),
    "settings": Picture(("9", "j", "j"), ("Selection",)),
}


async def rest(pilot: Pilot[None], quiet: int = 6) -> None:
    """Until nothing works and nothing is painted any more."""
    still, before = 0, ""
    for _ in range(_STEPS_MOST):
        await pilot.pause(0.05)
        now = pilot.app.export_screenshot()
        busy = any(worker.is_running for worker in pilot.app.workers)
        still = 0 if busy or now != before else still + 1
        before = now
        if still >= quiet:
            return


def text_of(app: App[None]) -> str:
    """What stands on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def take(home: Path, picture: Picture) -> str:
    """The SVG of the screen that the keys lead to."""
    from core.paths import Home
    from tui.app import FinetuneApp

    app = FinetuneApp(Home(home))
    async with app.run_test(size=(SIZE[0], picture.rows)) as pilot:
        await rest(pilot)
        for key in picture.keys:
            await pilot.press(*(key[1:] if key.startswith("=") else (key,)))
            await rest(pilot)
        for _ in range(_STEPS_MOST):
            missing = [words for words in picture.shows if words.lower() not in text_of(app).lower()]
            if not missing:
                break
            await pilot.pause(0.1)
        else:
            raise SystemExit(f"{missing} do not stand on the screen after {picture.keys}:\n{text_of(app)}")
        await rest(pilot)
        # Whoever looks at the picture shall not have to fetch a font for it.
        return _FONT.sub("", app.export_screenshot(title="finetune-tui"))


def prepared(folder: Path) -> Path:
    """A home in which the demonstration has run, with some prompts that have several answers, to be ranked."""
    home = folder / ".local" / "share" / "finetune-tui"
    finetune = [sys.executable, "-m", "tui", "--home", str(home)]
    subprocess.run([*finetune, "demo"], check=True)
    # The untouched base model, whose answers differ more than those of one that has learned.
    subprocess.run(
        [*finetune, "candidates", "erd", "--model", "ft-demo-erd-v0", "--limit", "6", "--n", "3"], check=True
    )
    return home


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a home folder to copy and show (else the demonstration is run)")
    parser.add_argument("--only", choices=PICTURES, help="one picture")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # The folder stands on the screen: shown is the usual one, below a home directory of its own.
        os.environ["HOME"] = folder
        os.environ["TEXTUAL_ANIMATIONS"] = "none"
        shown = Path(folder) / ".local" / "share" / "finetune-tui"
        if arguments.home is not None:
            shutil.copytree(arguments.home, shown)
        else:
            prepared(Path(folder))
        for name, picture in PICTURES.items():
            if arguments.only in (None, name):
                target = DOCS / f"{name}.svg"
                target.write_text(asyncio.run(take(shown, picture)), encoding="utf-8")
                print(target.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
