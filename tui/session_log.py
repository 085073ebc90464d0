"""What the app has said since it was started, and the end of what earlier sessions have left in the log file."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from tui.text import plain

Severity = Literal["information", "warning", "error"]
KEPT: Final = 500
TAIL_BYTES: Final = 65_536
TAIL_ENTRIES: Final = 100
_LINE: Final = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ([A-Z]+) (.*)", re.DOTALL)
_SEVERITIES: Final[dict[str, Severity]] = {"ERROR": "error", "CRITICAL": "error", "WARNING": "warning"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One message. `at` is local time as text, `doing` what the app was about, `trace` where in the code it failed,
    `times` how often it came in a row. The texts may hold anything: nothing here has passed `tui.text.plain` yet."""

    at: str
    severity: Severity
    title: str
    message: str
    hint: str = ""
    doing: str = ""
    trace: str = ""
    times: int = 1

    @property
    def repeated(self) -> str:
        """How often it came, where that is more than once."""
        return f" (×{self.times})" if self.times > 1 else ""

    def as_text(self) -> str:
        """All of it, to be copied."""
        lines = [f"{self.at} {self.severity}{self.repeated}: {self.title or self.message}"]
        if self.title:
            lines.append(self.message)
        lines += [self.hint, f"While {self.doing}." if self.doing else "", self.trace]
        return "\n".join(line for line in lines if line)


class SessionLog:
    """The newest messages of this session in memory; errors also go into the file, which outlives it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.unseen = 0
        self._before = path.stat().st_size if path.exists() else 0
        self._file = logging.getLogger(f"finetune_tui.{id(self)}")
        self._file.propagate = False
        handler = logging.FileHandler(path, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._file.handlers = [handler]

    def add(self, severity: Severity, title: str, message: str, hint: str = "", doing: str = "") -> None:
        """Take a message in; one that only repeats the newest is counted with it, as what is read again and again may
        fail again and again. An error counts as unseen until the log is looked at."""
        entry = Entry(time.strftime("%Y-%m-%d %H:%M:%S"), severity, title, message, hint, doing)
        last = self.entries[-1] if self.entries else None
        again = last is not None and replace(last, at=entry.at, times=1) == entry
        if again:
            entry = replace(entry, times=self.entries.pop().times + 1)
        self.entries.append(entry)
        self.unseen += severity == "error" and not (again and self.unseen)

    def write_error(self, doing: str, error: BaseException, *, trace: bool) -> None:
        """Into the file, with the traceback when the error is none that was foreseen."""
        self._file.error("%s: %s", doing, plain(str(error)), exc_info=error if trace else None)

    def note(self, text: str) -> None:
        """A line into the file that concerns nobody but who looks for a fault."""
        self._file.warning("%s", plain(text))

    def earlier(self) -> list[Entry]:
        """The last entries of earlier sessions, oldest first; for a thread. Raises OSError."""
        return read_tail(self.path, self._before)

    def close(self) -> None:
        """Close the file."""
        for handler in self._file.handlers:
            handler.close()


def read_tail(path: Path, end: int) -> list[Entry]:
    """Up to TAIL_ENTRIES entries of the last TAIL_BYTES before byte `end`, oldest first. Raises OSError."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        begin = max(0, min(end, os.fstat(file.fileno()).st_size) - TAIL_BYTES)
        file.seek(begin)
        lines = file.read(max(0, end - begin)).decode("utf-8", "replace").splitlines()
    entries: list[Entry] = []
    trace: list[str] = []
    for line in reversed(lines):
        found = _LINE.match(line)
        if found is None:
            trace.append(line)
            continue
        at, level, text = found.groups()
        doing, _, message = text.partition(": ")
        said = "\n".join(reversed(trace))
        cause = trace[0] if trace and trace[-1].startswith("Traceback") else ""
        entries.append(Entry(at, _SEVERITIES.get(level, "information"), "", cause or message or text, doing=doing,
                             trace=said))  # fmt: skip
        trace = []
        if len(entries) == TAIL_ENTRIES:
            break
    entries.reverse()
    return entries
