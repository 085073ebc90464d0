"""The log of a run, read as it grows: only what was written since the last look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FIRST_BYTES: Final = 1_000_000
"""How much of the end of a log is shown at first."""
MOST_LINES: Final = 20_000
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LogNews:
    """Whole lines that came since the last look; with `anew` what was there before is void (another file).

    `skipped` counts the bytes before the first line that is shown.
    """

    lines: Sequence[str]
    anew: bool = False
    skipped: int = 0


class RunLog:
    """Follows one file. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._file = 0
        self._half = b""

    def look(self) -> LogNews:
        """What is new; nothing where there is no file yet. Raises OSError where it cannot be read."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return LogNews(())
        with file:
            told = os.fstat(file.fileno())
            anew = told.st_ino != self._file or told.st_size < self._at
            skipped = 0
            if anew:
                self._file, self._half = told.st_ino, b""
                self._at = skipped = max(0, told.st_size - FIRST_BYTES)
            file.seek(self._at)
            data = file.read(_MOST_BYTES)
        self._at += len(data)
        *lines, self._half = (self._half + data).split(b"\n")
        if skipped and lines:
            del lines[0]  # most likely a part of one
        return LogNews([line.decode("utf-8", "replace") for line in lines], anew, skipped)
