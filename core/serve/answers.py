"""Answers put together from the bytes that pass by. Nothing here raises, whatever a server sends."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from core.serve.dialects import Kind, api_of_kind

LONGEST_LINE: Final = 8 * 1024 * 1024
"""Bytes of one line of a stream, or of a whole answer; what is longer is passed on and not recorded."""

LONGEST_TEXT: Final = 4 * 1024 * 1024
_END: Final = re.compile(rb'"done"\s*:\s*true|data:\s*\[DONE\]')
_LONGEST_END: Final = 24


class Answer:
    """One answer as far as it has come.

    done: it came to its end by its own account. error: it says that something failed. lost: what came could not be
    followed, so that `text` is not all of it. body_id, finish: as the server wrote them, else "".
    tokens_in, tokens_out: counts, or None.
    """

    def __init__(self, kind: Kind, *, streamed: bool) -> None:
        self.done = self.error = self.lost = self.tools = self._ending = False
        self.body_id = self.finish = ""
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self._openai = api_of_kind(kind) == "openai"
        self._streamed = streamed
        self._pieces: list[str] = []
        self._length = 0
        self._rest = bytearray()
        self._tail = b""

    @property
    def text(self) -> str:
        """What the model wrote so far."""
        return "".join(self._pieces)

    @property
    def complete(self) -> bool:
        """Whether it can be taken as what the model answered."""
        return self.done and not self.error and not self.lost

    def may_end(self, chunk: bytes) -> bool:
        """Whether the mark of the end seems to be in this chunk or in one before; a quick look that may err to yes."""
        if not self._ending:
            seen = self._tail + chunk
            self._tail = seen[-_LONGEST_END:]
            self._ending = _END.search(seen) is not None
        return self._ending

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of a stream."""
        first, *lines = chunk.split(b"\n")
        self._rest += first
        for line in lines:
            self._line(bytes(self._rest))
            self._rest = bytearray(line)
        if len(self._rest) > LONGEST_LINE:
            self._rest, self.lost = bytearray(), True

    def end(self) -> None:
        """Takes what stands without a line's end."""
        rest, self._rest = self._rest, bytearray()
        self._line(bytes(rest))

    def whole(self, body: bytes) -> None:
        """Takes an answer that came as one JSON object."""
        self._object(body)
        self.done = self.done or self._openai

    def _line(self, line: bytes) -> None:
        line = line.strip()
        if not self._openai:
            if line:
                self._object(line)
            return
        if not line.startswith(b"data:"):
            return  # an event's name, a comment, or the end of an event
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
        elif data:
            self._object(data)

    def _object(self, data: bytes) -> None:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            self.lost = True
            return
        if not isinstance(found, dict):
            self.lost = True
        elif found.get("error"):
            self.error = True
        elif self._openai:
            self._openai_object(found)
        else:
            self._ollama_object(found)

    def _ollama_object(self, found: Mapping[str, Any]) -> None:
        message = found.get("message")
        if isinstance(message, dict):
            self._add(message.get("content"))
            self.tools = self.tools or bool(message.get("tool_calls"))
        else:
            self._add(found.get("response"))
        if found.get("done") is True:
            self.done = True
            self.finish = _word(found.get("done_reason"))
            self.tokens_in = _count(found.get("prompt_eval_count"))
            self.tokens_out = _count(found.get("eval_count"))

    def _openai_object(self, found: Mapping[str, Any]) -> None:
        self.body_id = self.body_id or _word(found.get("id"))
        usage = found.get("usage")
        if isinstance(usage, dict):
            self.tokens_in, self.tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        choices = found.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            # Of several answers to one request the first is the one that is recorded.
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            said = choice.get("delta" if self._streamed else "message")
            if isinstance(said, dict):
                self._add(said.get("content"))
                self.tools = self.tools or bool(said.get("tool_calls") or said.get("function_call"))
            else:
                self._add(choice.get("text"))
            self.finish = _word(choice.get("finish_reason")) or self.finish

    def _add(self, text: Any) -> None:
        if not isinstance(text, str) or not text:
            return
        self._length += len(text)
        if self._length > LONGEST_TEXT:
            self.lost = True
        else:
            self._pieces.append(text)


def _word(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None
