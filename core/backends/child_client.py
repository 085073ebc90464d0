"""The parent's side of a child process that answers one line of JSON for each line of JSON."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from core.backends.child_process import command, environment, log_tail
from core.errors import BackendError

LOG_LIMIT_BYTES = 1 << 20
CLOSE_SECONDS = 3.0


class ChildClient:
    """Asks `module`, run with `arguments` in a process that the first call starts, and the first after a crash.

    what: the name for the user of what runs there. log: the file that the child writes its standard error to.
    A request is `{"op": …, …}`, a reply `{"ok": result}` or `{"error": "what happened, in words"}`. Calls from several
    threads are served one after the other. Every failure is a BackendError.
    """

    def __init__(self, what: str, module: str, *arguments: str, log: Path, refusal_hint: str) -> None:
        self._what = what
        self._command = command(module, *arguments)
        self._log = log
        self._log_start = 0
        self._refusal_hint = refusal_hint
        self._lock = threading.Lock()
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
        request = json.dumps({"op": operation, **fields}).encode() + b"\n"
        with self._lock:
            if self._closed:
                raise BackendError("The model server was closed.", hint="Open it again to ask for more.")
            child = self._child or self._start()
            if self._closed:  # closed from another thread just before the start
                self._end()
                raise self._crash(operation, None)
            assert child.stdin is not None and child.stdout is not None
            line = b""
            try:
                with contextlib.suppress(OSError, ValueError):  # a broken or closed pipe: the reply is missing too
                    child.stdin.write(request)
                    child.stdin.flush()
                    line = child.stdout.readline()
            except BaseException:
                self._end()  # an interrupt: the reply of this request must not be read as that of the next
                raise
            if not line.endswith(b"\n"):
                code = self._end()
                raise self._crash(operation, code)
        reply = json.loads(line)
        if "error" in reply:
            raise BackendError(reply["error"], title="The model did not answer", hint=self._refusal_hint)
        return reply["ok"]

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
