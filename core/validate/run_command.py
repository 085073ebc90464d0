"""Runs one program with a time limit and bounded output, and leaves none of its processes behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

OUTPUT_BYTES: Final = 64 * 1024
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: `code` is the exit code, negative for a signal, None when the time was up. `output` and `errors`
    are the first 64 KiB of each, read as UTF-8."""

    code: int | None
    output: str
    errors: str


def run_command(
    command: Sequence[str], data: bytes, *, folder: str, environment: Mapping[str, str], timeout: float
) -> Ended:
    """Runs `command` in `folder` with `data` on its standard input, for `timeout` seconds at most.

    When it has ended, or its time is up, every process of its group is killed. Raises OSError when it cannot start.
    """
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        process = subprocess.Popen(
            list(command),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout as output, process.stderr as errors:
        try:
            written = _collect(process, (output, errors), time.monotonic() + timeout)
            code = process.poll()
        finally:
            # Also when it has ended: what it left behind in the background belongs to its group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Ended(code, *(bytes(each).decode("utf-8", "replace") for each in written))


def _collect(
    process: subprocess.Popen[bytes], pipes: tuple[IO[bytes], IO[bytes]], deadline: float
) -> tuple[bytearray, bytearray]:
    """Reads both pipes until the program has ended or its time is up; what is over the limit is read and dropped."""
    written = bytearray(), bytearray()
    with selectors.DefaultSelector() as waiting:
        for pipe, buffer in zip(pipes, written, strict=True):
            waiting.register(pipe, selectors.EVENT_READ, buffer)
        while (left := deadline - time.monotonic()) > 0.0:
            ended = process.poll() is not None
            ready = waiting.select(0.0 if ended else min(left, _POLL_SECONDS)) if waiting.get_map() else []
            for key, _ in ready:
                block = os.read(key.fd, OUTPUT_BYTES)
                if not block:
                    waiting.unregister(key.fileobj)
                key.data.extend(block[: OUTPUT_BYTES - len(key.data)])
            if ended and not ready:
                break
            if not waiting.get_map() and not ended:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(left)
    return written
