"""Bytes as they come from outside, as UTF-8 chunks and lines, in flat memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final, Protocol

CHUNK_BYTES: Final = 1 << 20
ROW_BYTES: Final = 64 << 20
"""The longest row that is held; a longer one becomes an error row without ever being held."""

NOT_UTF8: Final = "It holds bytes that are not UTF-8; save the file as UTF-8 and import it again."

# The longer marks first: the one of UTF-32 starts with the one of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Readable(Protocol):
    """Anything that reads bytes: a file, a member of an archive, a buffer."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def utf8_chunks(stream: Readable) -> Iterator[bytes]:
    """The stream's text as UTF-8 without a byte order mark, about a megabyte at a time.

    UTF-16 and UTF-32 are told by their mark, UTF-16 also by the zeros that ASCII leaves in it. What cannot be decoded
    arrives as bytes that are no UTF-8 either, so that the row which holds them can be refused.
    """
    head = stream.read(CHUNK_BYTES)
    encoding, skip = _encoding(head)
    chunk = head[skip:]
    if encoding == "utf-8":
        while chunk:
            yield chunk
            chunk = stream.read(CHUNK_BYTES)
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    try:
        while chunk:
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
            chunk = stream.read(CHUNK_BYTES)
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        yield b"\xff"


def _encoding(head: bytes) -> tuple[str, int]:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    if len(head) >= 2 and head[0] != head[1]:
        if head[1] == 0:
            return "utf-16-le", 0
        if head[0] == 0:
            return "utf-16-be", 0
    return "utf-8", 0


def lines(chunks: Iterator[bytes], *, limit: int = ROW_BYTES) -> Iterator[bytes | None]:
    """The lines without their line feed; None stands for a line of more than `limit` bytes, which is not held.

    Only a line feed ends a line: JSON may hold U+2028 as it is.
    """
    parts: list[bytes] = []
    held, dropped = 0, False
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        if not rest:
            held += len(first)
            dropped = dropped or held > limit
            if dropped:
                parts.clear()
            else:
                parts.append(first)
            continue
        if dropped or held + len(first) > limit:
            yield None
        else:
            parts.append(first)
            yield b"".join(parts)
        last = rest.pop()
        yield from rest
        parts = [last]
        held, dropped = len(last), len(last) > limit
    if dropped:
        yield None
    elif held:
        yield b"".join(parts)
