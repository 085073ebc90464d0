"""A search at work in the background: begun from the app, seen by every app on the home, stopped without loss.

It is the command `finetune-tui search` in a process of its own, so that it goes on when the app is left. A note in the
home folder says which process it is; its output is the log.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from core.errors import ConflictError, FinetuneError
from core.paths import Home, write_whole
from core.train.launch import last_lines, process_started, start
from tui.runs.search import command, of_base, told_by
from tui.words import counted

_TAIL: Final = 50
_ERROR: Final = "✗ "
BEGINS: Final = "models and examples are read"
"""What a search does that has not said anything yet."""


@dataclass(frozen=True, slots=True)
class SearchWish:
    """A search to be made: `trials` in all, on the `limit` most informative examples (None: all), `fresh` for another
    one than there is. An empty base is the category's own."""

    category: str
    base: str
    trials: int
    limit: int | None = None
    fresh: bool = False

    @property
    def arguments(self) -> list[str]:
        """The arguments of `finetune-tui` that do it."""
        found = ["search", self.category, "--trials", str(self.trials)]
        found += of_base(self.base)
        found += ["--limit", str(self.limit)] if self.limit is not None else []
        return [*found, "--fresh"] if self.fresh else found


@dataclass(frozen=True, slots=True)
class SearchWork:
    """A search that is at work, and its process."""

    category: str
    base: str
    trials: int
    pid: int
    started: float

    @property
    def scope(self) -> str:
        """What it searches, and how large it is."""
        return f"{self.category}, {counted(self.trials, 'trial')} in all"


def log_of(home: Home) -> Path:
    """What the search that was begun last from an app has told."""
    return home.logs / "search.log"


def begin(home: Home, wish: SearchWish) -> None:
    """Start it. Raises ConflictError where one is at work, RunError where it ends at once."""
    other = at_work(home)
    if other is not None:
        raise ConflictError(
            f"A search of {other.category} is at work.", title="One at a time", hint="Stop it, or wait for its end."
        )
    log_of(home).unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "tui", "--home", str(home.root), *wish.arguments]
    pid = start(command, log_of(home), cwd=home.root)
    work = SearchWork(wish.category, wish.base, wish.trials, pid, process_started(pid) or -1.0)
    write_whole(home.search_note, json.dumps(asdict(work)))


def at_work(home: Home) -> SearchWork | None:
    """The search that was begun from an app and has not ended."""
    try:
        work = SearchWork(**json.loads(home.search_note.read_text(encoding="utf-8")))
        return work if process_started(work.pid) == work.started else None
    except (OSError, ValueError, TypeError):
        return None


def stop(home: Home) -> None:
    """Let it save the trial at work and end."""
    work = at_work(home)
    if work is not None:
        with suppress(ProcessLookupError):
            os.kill(work.pid, signal.SIGTERM)


def last_words(home: Home) -> str:
    """The last line of its log; where it ended in an error, that in one line. Empty where there is no log."""
    lines = [line.strip() for line in last_lines(log_of(home), _TAIL) if line.strip()]
    wrong = next((at for at, line in enumerate(lines) if line.startswith(_ERROR)), None)
    if wrong is None:
        return lines[-1] if lines else ""
    return ": ".join(filter(None, (lines[wrong], " ".join(lines[wrong + 1 :]))))


def failed(words: str) -> bool:
    """Whether such last words tell an error."""
    return words.startswith(_ERROR)


def set_defaults(home: Home, category: str, base: str, *, forget: bool) -> None:
    """Make the best trial's settings the category's defaults, or let the configured ones hold again; takes seconds.

    Raises ConflictError with what the command says where it cannot be done.
    """
    what = ("--forget",) if forget else ("--status", "--apply")
    try:
        told_by(command(home, category, base, *what))
    except FinetuneError as error:
        raise ConflictError(f"The defaults stay as they are: {error.message}", title="Not changed") from error
