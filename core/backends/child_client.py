"""The parent's side of a child process that answers one line of JSON for each line of JSON."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from core.backends.child_process import CANCEL, command, environment, log_tail
from core.errors import BackendError

LOG_LIMIT_BYTES = 1 << 20
CLOSE_SECONDS = 3.0

Part = TypeVar("Part")


def _line(operation: str, fields: Mapping[str, object]) -> bytes:
    return json.dumps({"op": operation, **fields}).encode() + b"\n"


class RequestRefusedError(BackendError):
    """The request itself cannot be done; the same one would be refused again."""


class ChildStream(Iterator[Part]):
    """The parts of one answer as they come. Made by `ChildClient.stream`.

    Until it ends or is closed, other requests to the same child wait. Nothing is asked before the first part is.
    """

    def __init__(self, replies: Generator[Any], cancel: Callable[[], None], read: Callable[[Any], Part]) -> None:
        self._replies = replies
        self._cancel = cancel
        self._read = read

    def __next__(self) -> Part:
        return self._read(next(self._replies))

    def cancel(self) -> None:
        """Give the rest up, from any thread and without waiting: the iteration ends soon, without its last part."""
        self._cancel()

    def close(self) -> None:
        """Give the rest up, from any thread; the child is free afterwards, or as soon as another thread has read on."""
        self._cancel()
        with contextlib.suppress(ValueError):  # another thread waits for the next part: it sees the end
            self._replies.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class ChildClient:
    """Asks `module`, run with `arguments` in a process that the first call starts, and the first after a crash.

    what: the name for the user of what runs there. log: the file that the child writes its standard error to.
    `core.backends.child_process.serve` tells the protocol. Calls from several threads are served one after the other.
    Every failure is a BackendError.
    """

    def __init__(self, what: str, module: str, *arguments: str, log: Path, refusal_hint: str) -> None:
        self._what = what
        self._command = command(module, *arguments)
        self._log = log
        self._log_start = 0
        self._refusal_hint = refusal_hint
        self._turn = threading.Lock()
        # Guards what is written and `_streaming`; entered again where collecting a dropped stream cancels it.
        self._wire = threading.RLock()
        self._streaming: threading.Event | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process; None before the first call and after the last."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        """End the child, also in the middle of an answer (which then fails in its thread)."""
        self._closed = True
        self._end()

    def call(self, operation: str, **fields: object) -> Any:
        """The result of one request."""
        with self._turn:
            child = self._running(operation)
            with self._wire:
                self._write(child, _line(operation, fields))
            reply = self._reply(child, operation)
        return self._checked(reply)["ok"]

    def stream(self, operation: str, read: Callable[[Any], Part], **fields: object) -> ChildStream[Part]:
        """The parts of one answer; `read` makes them of the replies, {"part": …} each and {"ok": result} last."""
        cancelled = threading.Event()
        replies = self._replies(operation, _line(operation, fields), cancelled)
        return ChildStream(replies, lambda: self._cancel(cancelled), read)

    def _replies(self, operation: str, line: bytes, cancelled: threading.Event) -> Generator[Any]:
        with self._turn:
            if cancelled.is_set():
                return
            child = self._running(operation)
            try:
                with self._wire:
                    if cancelled.is_set():
                        return
                    self._streaming = cancelled
                    self._write(child, line)
                while "part" in (reply := self._reply(child, operation)):
                    yield reply
            except GeneratorExit:
                self._cancel(cancelled)
                with contextlib.suppress(BackendError):  # a crash: the next request starts the child afresh
                    while "part" in self._reply(child, operation):
                        pass
                raise
            except BackendError:
                if cancelled.is_set():
                    return
                raise
            finally:
                with self._wire:
                    self._streaming = None
        if "cancelled" not in reply:
            yield self._checked(reply)

    def _cancel(self, cancelled: threading.Event) -> None:
        """Tells the child to give up the answer that `cancelled` stands for; the answer may be over, or not begun."""
        with self._wire:
            cancelled.set()
            if self._streaming is cancelled and self._child is not None:
                self._streaming = None
                self._write(self._child, CANCEL + b"\n")

    def _running(self, operation: str) -> subprocess.Popen[bytes]:
        if self._closed:
            raise BackendError("The model server was closed.", hint="Open it again to ask for more.")
        child = self._child or self._start()
        if self._closed:  # closed from another thread just before the start
            self._end()
            raise self._crash(operation, None)
        return child

    def _write(self, child: subprocess.Popen[bytes], line: bytes) -> None:
        assert child.stdin is not None
        try:
            with contextlib.suppress(OSError, ValueError):  # a broken or closed pipe: the reply will be missing too
                child.stdin.write(line)
                child.stdin.flush()
        except BaseException:
            self._end()  # an interrupt: half a line may be written
            raise

    def _reply(self, child: subprocess.Popen[bytes], operation: str) -> Any:
        assert child.stdout is not None
        line = b""
        try:
            with contextlib.suppress(OSError, ValueError):
                line = child.stdout.readline()
        except BaseException:
            self._end()  # an interrupt: the reply of this request must not be read as that of the next
            raise
        if not line.endswith(b"\n"):
            code = self._end()
            raise self._crash(operation, code)
        return json.loads(line)

    def _checked(self, reply: Any) -> Any:
        if "error" in reply:
            kind = RequestRefusedError if reply.get("refused") else BackendError
            raise kind(reply["error"], title="The model did not answer", hint=self._refusal_hint)
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._log.exists() or self._log.stat().st_size > LOG_LIMIT_BYTES
            with self._log.open("wb" if fresh else "ab") as log:
                self._log_start = log.tell()
                self._child = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise BackendError(
                f"The process for {self._what} could not be started: {error}.",
                hint="Check free memory and disk space, then try again.",
            ) from error
        return self._child

    def _end(self) -> int | None:
        """End and reap the child; the exit code, negative for a signal."""
        child, self._child = self._child, None
        if child is None:
            return None
        assert child.stdin is not None and child.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            child.stdin.close()
        try:
            code = child.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        with contextlib.suppress(OSError, ValueError):
            child.stdout.close()
        return code

    def _crash(self, operation: str, code: int | None) -> BackendError:
        if self._closed:
            return BackendError("The model server was closed during an answer.", hint="Open it again to ask for more.")
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        tail = log_tail(self._log, self._log_start)
        said = f" It last said:\n{tail}" if tail else " It left no message."
        return BackendError(
            f"{self._what} {how} during {operation!r}.{said}",
            hint="The next request starts it afresh. If it happens again, check free memory and the model file.",
        )
