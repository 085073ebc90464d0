"""The app in a real terminal: what reaches it, byte by byte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.paths import Home
from storage import events, judgments
from storage.db import Store
from storage.rows import NewEvent

BUDGET = 60.0


class Terminal:
    """A child on a pseudo terminal of 100×30, and everything that it has written."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.fd, child_end = pty.openpty()
        fcntl.ioctl(child_end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.written = b""
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=child_end,
            stdout=child_end,
            stderr=child_end,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(child_end)

    def until(self, text: str) -> None:
        """Read until `text` was written."""
        end = time.monotonic() + BUDGET
        while text.encode() not in self.written:
            assert time.monotonic() < end, f"{text!r} did not appear: {self.written[-2000:]!r}"
            self._read(0.2)

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self) -> int:
        """Read until the child has ended; its exit status."""
        end = time.monotonic() + BUDGET
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.1)
        if self.process.poll() is None:
            self.process.kill()
        os.close(self.fd)
        return self.process.wait()

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            try:
                self.written += os.read(self.fd, 65_536)
            except OSError:
                return


@pytest.mark.process
def test_no_hostile_byte_reaches_the_terminal(
    home: Home, store: Store, hostile: list[str], an_event: Callable[..., NewEvent], root: Path
) -> None:
    text = "".join(one for one in hostile if not one.startswith("\ud800"))
    number = events.add(store, an_event(1, prompt=f"PROMPT {text}", response=f"RESPONSE {text}"))
    judgments.judge(store, number, "correct", correction=f"CORRECTION {text}\nmore", now=1.0)
    judgments.undo(store, now=2.0)
    code = (
        "from pathlib import Path; from core.paths import Home; from tui.app import FinetuneApp; "
        f"FinetuneApp(Home(Path({str(home.root)!r}))).run()"
    )
    terminal = Terminal([sys.executable, "-c", code], root)
    terminal.until("Categories")
    terminal.press("2")
    terminal.until("RESPONSE")
    terminal.press("c")
    terminal.until("Keep as draft")
    terminal.press("Z")
    terminal.until("+ ")
    terminal.press("\x1b")
    terminal.until("a correction was begun")
    terminal.press("/clip")
    terminal.until("pending clip")
    terminal.press("\x11")
    assert terminal.end() == 0
    output = terminal.written.decode("utf-8", errors="replace")
    assert "␛]52;c" in output
    for forbidden in ("\x1b]52", "\x1b[31mEVIL", "\x9b", "\u202e", "\u200b", "\ufeff", "\x07clip", "\x7f"):
        assert forbidden not in output
