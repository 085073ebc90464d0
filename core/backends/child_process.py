"""A child process that ends with its parent: the parent holds the writing end of its standard input."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from core.one_thread import not_for_children

LOG_TAIL_BYTES = 4000
CANCEL = b'{"op": "cancel"}'


def read_lines_or_exit() -> queue.SimpleQueue[bytes]:
    """In the child: a queue of the lines on standard input, read in a thread.

    The end of the input means that the parent closed it or is gone; the process then ends at once, even in the middle
    of native code that would run on for minutes.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        # Unbuffered: at exit the interpreter would wait for the lock of a buffered reader that is blocked here.
        rest = b""
        while block := os.read(0, 1 << 16):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                lines.put(line)
        os._exit(0)

    threading.Thread(target=read, name="parent-watch", daemon=True).start()
    return lines


class RefusedRequest(Exception):
    """The request cannot be done, for a reason the user can act on."""


def serve(answer: Callable[[dict[str, Any]], Any]) -> None:
    """In the child: answers requests until the input ends, which ends the process at once.

    One JSON object a line on standard input, one a line on standard output for each, in order; standard error is a log
    for people.

        request   {"op": OP, ...}
        reply     {"ok": RESULT}  or  {"error": "what happened, in words"}, with "refused": true for a RefusedRequest

    Where `answer` returns a generator, what it yields is sent before, as {"part": PART} each, and what it returns is
    the result; an empty part is not sent. {"op": "cancel"} during such an answer closes the generator at its next
    part, and the reply is then {"cancelled": true}; one that comes after the answer is ignored.
    """
    # Native code may print: the pipe is kept for replies, and what goes to standard output lands in the log.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines = read_lines_or_exit()

    def send(reply: dict[str, Any]) -> None:
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()

    while True:
        line = lines.get()
        if line == CANCEL:
            continue
        try:
            result = answer(json.loads(line))
            reply = _stream(result, lines, send) if isinstance(result, Generator) else {"ok": result}
        except RefusedRequest as refusal:
            reply = {"error": str(refusal), "refused": True}
        except Exception as fault:  # noqa: BLE001 - the process boundary: reported to the caller and to the log
            traceback.print_exc()
            reply = {"error": f"{type(fault).__name__}: {fault}"}
        send(reply)


def _stream(
    parts: Generator[Any, None, Any], lines: queue.SimpleQueue[bytes], send: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Sends the parts; the last reply of the answer."""
    while True:
        try:
            part = next(parts)
        except StopIteration as end:
            return {"ok": end.value}
        if not lines.empty():  # the parent asks for nothing else before this answer ends: it is a cancel
            parts.close()
            return {"cancelled": True}
        if part:
            send({"part": part})


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this product, whatever the current folder holds (-P)."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The parent's environment, with the folder of this product first among the import paths."""
    root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "")
    inherited = {name: value for name, value in os.environ.items() if name not in not_for_children()}
    return {**inherited, "PYTHONPATH": os.pathsep.join(part for part in (root, known) if part)}


def log_tail(path: Path, start: int = 0) -> str:
    """The last lines a child wrote to its log after byte `start`; empty when there are none."""
    try:
        with path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(start, end - LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""
