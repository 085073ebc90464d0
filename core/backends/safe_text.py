"""What of a growing answer may be sent: whole characters, and nothing that a stop string may yet take back."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class SafeText:
    """Text from the bytes of tokens, which end anywhere: within a character, or within a stop string.

    Whatever the pieces are, `push` and `finish` together give the text of all bytes before the first stop string, and
    U+FFFD stands where they are no UTF-8.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.stopped = False
        self._stops = [stop.encode("utf-8", "replace") for stop in stops if stop]
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = b""

    def push(self, piece: bytes) -> str:
        """The text that is sure with one piece more, often none. Nothing may be pushed once `stopped` is true."""
        if not self._stops:
            return self._decode(piece)
        text = self._held + piece
        found = [at for at in map(text.find, self._stops) if at >= 0]
        if found:
            self.stopped = True
            self._held = b""
            return self._decode(text[: min(found)])
        sure = len(text) - max(_begun(text, stop) for stop in self._stops)
        self._held = text[sure:]
        return self._decode(text[:sure])

    def finish(self) -> str:
        """What was held back, when no more comes."""
        held, self._held = self._held, b""
        return self._decode(held, True)


def _begun(text: bytes, stop: bytes) -> int:
    """How many bytes at the end of `text` are the beginning of `stop`, not all of it."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
