"""A window on JSON text that is longer than memory: it grows at its end and is cut at its start."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from core.capture.formats.encoding import NOT_UTF8, ROW_BYTES

# Programs write raw tabs and line feeds into strings; strict reading would refuse the row for that.
_DECODER: Final = json.JSONDecoder(parse_constant=lambda _: None, strict=False)
decode: Final = _DECODER.raw_decode
"""`decode(text, start)` gives the JSON value there and where it ends. Raises ValueError, RecursionError."""

TOO_LARGE: Final = f"It is larger than {ROW_BYTES >> 20} MB."
TOO_DEEP: Final = "It is nested too deeply."
CUT_OFF: Final = "The file ends in the middle of it; it was cut off."

_ESCAPED: Final = re.compile("[\udc80-\udcff]")
_NOT_SPACE: Final = re.compile(r"[^ \t\r\n]")
_STRUCTURE: Final = re.compile(r'["\\{}\[\]]')
_VALUE_OR_COMMA: Final = re.compile(r'[,"{}\[\]]')
# Within so many characters of the window's end a complaint may only mean that the rest has not been read.
_EDGE: Final = 16


class BrokenValue(ValueError):
    """A value that is no JSON or cannot be held; the message says why."""


class LongValue(BrokenValue):
    """A value that goes on beyond the limit."""


def reason(error: ValueError) -> str:
    """Why a text is no JSON, for people."""
    if isinstance(error, json.JSONDecodeError):
        return f"It is no JSON: {error.msg} (line {error.lineno}, character {error.colno})."
    return f"It is no JSON: {error}."


class JsonText:
    """JSON text read from UTF-8 chunks; `at` is where reading goes on."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._tainted = False
        self._text = ""
        self._at = 0
        self._ended = False
        self._passed = 0

    @property
    def position(self) -> int:
        """How many characters have been passed."""
        return self._passed + self._at

    def peek(self) -> str:
        """The next character that is no white space, without taking it; empty at the end."""
        while True:
            found = _NOT_SPACE.search(self._text, self._at)
            if found:
                self._at = found.start()
                return found.group()
            self._at = len(self._text)
            if not self._more():
                return ""

    def take(self) -> None:
        """Passes the character that `peek` showed."""
        self._at += 1

    def value(self, limit: int = ROW_BYTES) -> Any:
        """The value that starts here. Raises BrokenValue without moving on; LongValue beyond `limit` characters."""
        while True:
            try:
                value, end = decode(self._text, self._at)
            except RecursionError:
                raise BrokenValue(TOO_DEEP) from None
            except ValueError as error:
                if self._ended or not self._may_go_on(error):
                    raise BrokenValue(self._reason(error)) from None
                if len(self._text) - self._at > limit:
                    raise LongValue(TOO_LARGE) from None
                self._more()
                continue
            if end == len(self._text) and isinstance(value, int | float) and self._more():
                continue
            if self._tainted and _ESCAPED.search(self._text, self._at, end):
                raise BrokenValue(NOT_UTF8)
            self._at = end
            return value

    def skip(self) -> bool:
        """Passes the value that starts here by its brackets alone, without holding it; False where the text ended."""
        depth, quoted = 0, False
        while True:
            found = _STRUCTURE.search(self._text, self._at)
            if found is None:
                self._at = len(self._text)
                if not self._more():
                    return False
                continue
            self._at = found.end()
            sign = found.group()
            if sign == "\\":
                while self._at >= len(self._text) and self._more():
                    pass
                self._at += 1
            elif sign == '"':
                quoted = not quoted
            elif not quoted:
                depth += 1 if sign in "{[" else -1
            if depth <= 0 and not quoted:
                return True

    def pass_plain(self) -> None:
        """Passes what starts here and is no list or object: a text up to its end, else up to where a value could be."""
        if self.peek() == '"':
            self.skip()
            return
        self._at += 1
        while (found := _VALUE_OR_COMMA.search(self._text, self._at)) is None:
            self._at = len(self._text)
            if not self._more():
                return
        self._at = found.start()

    def drain(self) -> None:
        """Passes all that is left; for text in which nothing can be found any more."""
        self._text, self._at, self._ended = "", 0, True

    def _may_go_on(self, error: ValueError) -> bool:
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.pos >= len(self._text) - _EDGE or error.msg.startswith("Unterminated string")

    def _reason(self, error: ValueError) -> str:
        if isinstance(error, json.JSONDecodeError):
            if error.msg.startswith("Unterminated string") or error.pos >= len(self._text.rstrip()):
                return CUT_OFF
            return f"It is no JSON: {error.msg} (character {error.pos - self._at + 1} of it)."
        return reason(error)

    def _more(self) -> bool:
        """Reads on, at least as much as is held, so that a long value is tried seldom; False at the end."""
        if self._ended:
            return False
        kept = self._text[self._at :]
        parts, gained = [kept], 0
        while gained <= len(kept) and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            piece = self._decoder.decode(chunk or b"", final=self._ended)
            gained += len(piece)
            self._tainted = self._tainted or (not piece.isascii() and _ESCAPED.search(piece) is not None)
            parts.append(piece)
        self._passed += self._at
        self._text, self._at = "".join(parts), 0
        return gained > 0
