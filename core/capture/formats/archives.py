"""Zip and gzip archives, read in place: nothing is ever unpacked to the disk."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Final

from core.capture.formats.encoding import Readable
from core.errors import FinetuneError

ARCHIVE_FAULTS: Final = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What the standard library raises for archives that are damaged, encrypted or packed in an unknown way."""

# Text packs to a tenth, logs that repeat themselves to a fiftieth; a bomb to a thousandth.
_FREE_BYTES: Final = 256 << 20
_MOST_RATIO: Final = 200
_MOST_MEMBERS: Final = 20_000
# Tables are read from their end, so a packed one has to be held.
_HELD_BYTES: Final = 512 << 20


class Unpacked:
    """What a packed stream holds, refusing with OSError to go on beyond a ratio that no text has."""

    def __init__(self, stream: Readable, packed_bytes: int) -> None:
        self._stream = stream
        self._left = max(_FREE_BYTES, packed_bytes * _MOST_RATIO)

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        data = self._stream.read(size if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"it unpacks to more than {_MOST_RATIO} times its size, as no text does")
        return data


def held(stream: Unpacked) -> IO[bytes]:
    """The whole of a packed table, to be read at any place. Raises OSError when it is too large for that."""
    buffer = BytesIO()
    while data := stream.read(1 << 20):
        if buffer.tell() + len(data) > _HELD_BYTES:
            raise OSError(f"a packed table of more than {_HELD_BYTES >> 20} MB has to be unpacked first")
        buffer.write(data)
    buffer.seek(0)
    return buffer


@contextmanager
def open_gzip(path: Path) -> Iterator[Unpacked]:
    """The contents of a .gz file."""
    with gzip.open(path) as stream:
        yield Unpacked(stream, path.stat().st_size)


@contextmanager
def open_member(path: Path, member: str) -> Iterator[Unpacked]:
    """The contents of a member of a zip file."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(member)
        if entry.flag_bits & 0x1:
            raise OSError("it is encrypted; unpack it first")
        with archive.open(entry) as stream:
            yield Unpacked(stream, entry.compress_size)


def members(path: Path) -> tuple[str, ...]:
    """The names of a zip file's visible members, sorted. Raises FinetuneError for a file that is no sound archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except ARCHIVE_FAULTS as error:
        raise FinetuneError(
            f"{path.name} cannot be read as a zip file: {error}.",
            title="The archive was not read",
            hint="Fetch or export it again; the download may have been cut off.",
        ) from error
    if len(names) > _MOST_MEMBERS:
        raise FinetuneError(
            f"{path.name} holds {len(names):,} files.",
            title="The archive was not read",
            hint=f"At most {_MOST_MEMBERS:,} are read; unpack it and import the folder that matters.",
        )
    return tuple(sorted({name for name in names if _visible(name)}))


def _visible(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in parts)
