"""A program in a real pseudo-terminal: keys in, bytes out, each chunk with the moment at which it arrived."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the program wrote, and when: seconds of `time.perf_counter`."""

    at: float
    data: bytes


class Terminal:
    """A child on a pseudo-terminal of `size` (columns, rows). Everything that it writes is kept in `chunks`."""

    def __init__(
        self, command: Sequence[str], *, size: tuple[int, int] = (80, 24), environment: Mapping[str, str] | None = None
    ) -> None:
        told = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", **(environment or {}))
        self.started = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), told)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.chunks: list[Chunk] = []
        self._tail = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def press(self, keys: str) -> float:
        """Type `keys`; the moment at which they were given to the terminal."""
        at = time.perf_counter()
        os.write(self.fd, keys.encode())
        return at

    def read(self, seconds: float) -> bytes:
        """Wait up to `seconds` for output and return what came, empty when nothing did or the program has ended."""
        if not select.select([self.fd], [], [], max(0.0, seconds))[0]:
            return b""
        try:
            data = os.read(self.fd, CHUNK)
        except OSError:  # the child has closed its end
            return b""
        self.chunks.append(Chunk(time.perf_counter(), data))
        return data

    def until(self, found: bytes | Callable[[bytes], bool], *, limit: float = 30.0) -> float:
        """Read until the output since the last call holds `found`; the moment at which that arrived.

        Raises TimeoutError, with what was on the terminal last, after `limit` seconds.
        """
        holds = found if callable(found) else (lambda seen: found in seen)
        end = time.perf_counter() + limit
        seen = self._tail
        while not holds(seen):
            if time.perf_counter() > end:
                raise TimeoutError(f"{found!r} was not painted; the terminal showed: {seen[-2000:]!r}")
            seen += self.read(0.5)
        self._tail = b""
        return self.chunks[-1].at if self.chunks else time.perf_counter()

    def rest(self, quiet: float = 0.3, *, limit: float = 30.0) -> None:
        """Read until nothing has come for `quiet` seconds."""
        end = time.perf_counter() + limit
        while self.read(quiet) and time.perf_counter() < end:
            continue
        self._tail = b""

    @property
    def resident_mb(self) -> float:
        """Resident memory of the child, in megabytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def close(self) -> None:
        """End the child, if it has not ended, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.fd)
