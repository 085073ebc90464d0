"""A program: the app on the terminal that it is started on, and somebody who presses every key of every screen.

`python tests/tui/hostile_walk.py HOME FOLDER`; FOLDER holds one file to import, whose name begins with FI. After each
key it waits until everything has been read and drawn, however long the machine takes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 20.0
WALK: Final[Mapping[str, str]] = {
    # Help, palette, jump mode, the log to its beginning
    "1": "j k ? escape ctrl+p r e v escape ctrl+o escape ctrl+l k y e e g escape y G G",
    # Reasons, the whole event, search, chips, correction, guidelines, another category, marks, bulk
    "2": "escape w enter J J J J J J w escape p j j / c l i p enter escape escape c end home escape i escape C o "
    "escape m j m b escape escape g u U y ? escape",
    # Prompts, one question, the dialogue that asks for answers
    "3": "p enter d z z a u n escape / x escape c c f y ? escape",
    # Tree, the event beside it, correction, filters, search
    "4": "j j enter J J J J J J escape c escape + - f f f a a / k i n d enter escape y ? escape",
    # Curves, comparison, log, form, list of bases, samples, searches
    "5": "c m j equals_sign c s escape l g G escape n tab end enter escape v escape escape h c escape escape "
    "y ? escape",
    # Details, vote, examples, one of them, history to its end
    "6": "d j j j escape v 1 t u escape enter j enter n p w escape escape h g G escape y ? escape",
    # Comparison, history, promote and roll back
    "7": "k k k j j j m k equals_sign j j escape h G escape p u r y ? escape",
    # An earlier prompt, models of a server, categories, options, a question and what is said of the answer
    "8": "enter f3 home escape M escape a escape o tab end escape m G enter enter a s k ctrl+s escape g y ? escape",
    # Every section, a value in its editor, a search in all of them, the doctor
    "9": "k k k k k k k k k k k k k l j j j j e end escape h j j j j l G h j j j j j j l enter j e end escape escape "
    "escape j l escape j l g escape j / t i t l e enter e end escape escape y ? escape",
}


async def settled(pilot: Any, *, typed: bool = False) -> None:
    """Until no thread reads and nothing waits to be drawn, with `typed` no rest after typing either; what never ends is
    not waited for."""
    from pilot_kit import at_work, rests

    end = time.monotonic() + PATIENCE
    await pilot.pause()  # what a key asks for has begun after it
    while (at_work(pilot.app) or (typed and rests(pilot.app))) and time.monotonic() < end:
        await asyncio.sleep(0.01)
        await pilot.pause()


async def walk(pilot: Any, folder: str) -> None:
    """Every screen and dialogue, an import of a file found by completing its name, and out again."""
    await settled(pilot)
    for number, keys in WALK.items():
        for key in (number, *keys.split()):
            await pilot.press(key)
            await settled(pilot)
    await pilot.press("1", "i", *f"{folder}/FI")
    await settled(pilot, typed=True)
    for key in ["right", "end", "home", "tab", "end", "ctrl+s", "escape", "escape"]:
        await pilot.press(key)
        await settled(pilot)
    await pilot.press("q")


def main(home: str, folder: str) -> None:
    sys.path.insert(0, str(ROOT))
    from core.paths import Home
    from tui.app import FinetuneApp

    app = FinetuneApp(Home(Path(home)))
    app.run(auto_pilot=lambda pilot: walk(pilot, folder))
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
