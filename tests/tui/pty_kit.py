"""The app in a real terminal: keys and the mouse go in, every byte that comes out is kept, and the picture is known."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyte

BUDGET: Final = 60.0
ROOT: Final = Path(__file__).parents[2]
_APP: Final = "import sys; from tui.__main__ import main; sys.argv = ['finetune-tui', *sys.argv[1:]]; main()"
# What pyte takes for text: questions to the terminal and key modes that it does not know.
_UNKNOWN: Final = re.compile(rb"\x1b\[[>=<?][0-9;]*(?:\$p|u|q|m|n)|\x1b\[[0-9;]* q|\x1bP[^\x1b]*\x1b\\")


class RealTerminal:
    """A program on a pseudo terminal of `size` (columns, rows): `written` is what it wrote, `lines` what is shown.

    Without a `picture` nothing is known of what is shown; to draw it takes longer than the app needs to send it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (100, 30),
        environment: Mapping[str, str] | None = None,
        picture: bool = True,
    ) -> None:
        self.written = bytearray()
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self._half = b""
        self._picture = picture
        self.fd, child_end = pty.openpty()
        self.before = termios.tcgetattr(child_end)
        self._child_end = child_end
        self._set_size(*size)
        self.process = subprocess.Popen(
            list(command), cwd=ROOT, stdin=child_end, stdout=child_end, stderr=child_end, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
        )  # fmt: skip

    @classmethod
    def app(cls, home: Path, *, options: Sequence[str] = (), **how: Any) -> RealTerminal:
        """The app on a home folder, as `finetune-tui --home` starts it."""
        return cls([sys.executable, "-c", _APP, "--home", str(home), *options], **how)

    @property
    def lines(self) -> list[str]:
        """The rows of the screen."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """All rows of the screen."""
        return "\n".join(self.lines)

    def until(self, *words: str, gone: str = "", seconds: float = BUDGET) -> None:
        """Read until one of `words` is on the screen and `gone` is not."""
        end = time.monotonic() + seconds
        while not any(word in self.text for word in words) or (gone and gone in self.text):
            assert time.monotonic() < end, f"{words!r} did not appear:\n{self.text}"
            assert self.read(0.2) or self.process.poll() is None, f"it ended before {words!r}:\n{self.text}"

    def rest(self, quiet: float = 0.25, seconds: float = 10.0) -> None:
        """Read until nothing has come for a moment."""
        end = time.monotonic() + seconds
        while self.read(quiet) and time.monotonic() < end:
            continue

    def press(self, keys: str, *, then: float = 0.15) -> None:
        """Type, and read what follows at once."""
        os.write(self.fd, keys.encode())
        self.rest(then)

    def click(self, column: int, row: int) -> None:
        """Press and release the left button on a cell, counted from 0, as xterm tells it (SGR)."""
        at = f"{column + 1};{row + 1}"
        self.press(f"\x1b[<0;{at}M\x1b[<0;{at}m")

    def resize(self, columns: int, rows: int) -> None:
        """Another size, and the signal that tells of it."""
        self._set_size(columns, rows)
        self.screen.resize(rows, columns)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGWINCH)

    def read(self, seconds: float) -> bool:
        """Take in what comes within that time; False when nothing did."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65_536)
        except OSError:  # the child has closed its end
            return False
        self.written += data
        if self._picture:
            self._draw(data)
        return bool(data)

    def _draw(self, data: bytes) -> None:
        data = self._half + data
        cut = data.rfind(b"\x1b", max(0, len(data) - 32))  # a sequence may come in two pieces
        whole = len(data) if cut < 0 or re.match(rb"\x1b(\[[0-?]*[ -/]*[@-~]|[^\[\]P_])", data[cut:]) else cut
        self._half = data[whole:]
        self._stream.feed(_UNKNOWN.sub(b"", data[:whole]))

    def end(self, seconds: float = BUDGET) -> int:
        """Read until the child has ended; its exit status. `after` is then how it left the terminal, as `before`."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        if self.process.poll() is None:
            self.process.kill()
        self.rest(0.1)
        self.after = termios.tcgetattr(self._child_end)
        os.close(self._child_end)
        os.close(self.fd)
        return self.process.wait()

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


# What an app of this kind tells a terminal: cursor, colours, modes, questions about it. Nothing in it comes from data.
_KNOWN: Final = re.compile(
    rb"\x1b\[[0-9;:]*[mHJKABCDGdr]|\x1b\[[?>=<][0-9;]*(?:[hlumnq]|\$p)|\x1b\[6n|\x1b\[14t|\x1b\[[0-9;]* q|\x1b[78=>]"
    rb"|\x1b\[[0-9;]*t|\x1b\]22;[a-z-]*\x07|\x1b\]52;c;(?P<copied>[A-Za-z0-9+/=]*)\x07"
)
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def obeyed(written: bytes | bytearray) -> list[str]:
    """What a terminal would obey, or nobody would see, in `written`, beside what an app of this kind has to send."""
    found = [f"{match[0]!r}" for match in re.finditer(rb"\x1b\[31;7;53m|\x1b\]52;c;aGFybQ|\x1b\[6n.{0,9}evil", written)]
    rest = _KNOWN.sub(b"", bytes(written))
    found += [f"{match[0]!r}" for match in re.finditer(rb"\x1b.{0,20}", rest)]
    found += [f"{match[0]!r}" for match in re.finditer(_UNSEEN, rest.decode("utf-8", "replace"))]
    return found


def copied(written: bytes | bytearray) -> list[bytes]:
    """What was given to the clipboard, in base64."""
    return [match["copied"] for match in _KNOWN.finditer(written) if match["copied"] is not None]


def words(written: bytes | bytearray) -> str:
    """All that was ever written, without what tells the terminal where and how."""
    return _KNOWN.sub(b"", bytes(written)).decode("utf-8", "replace")
