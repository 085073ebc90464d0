"""A bundle opened for reading: nothing of it is used before every file in it was found to be what its manifest says."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from core.capture.formats.archives import ARCHIVE_FAULTS
from core.errors import FinetuneError
from core.paths import free_bytes
from core.share.manifest import MANIFEST, Manifest, Stored, damaged, from_json, is_manifest

BLOCK: Final = 1 << 20
_MANIFEST_BYTES: Final = 64 << 20
# Text packs to a tenth, a bomb to a thousandth; models do not pack at all.
_FREE_BYTES: Final = 256 << 20
_MOST_RATIO: Final = 200
_RESERVE: Final = 64 << 20


def is_bundle(path: Path) -> bool:
    """Whether a file is a bundle of finetune-tui, sound or not."""
    try:
        if not path.is_file() or not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return is_manifest(_manifest_bytes(archive))
    except (*ARCHIVE_FAULTS, KeyError, FinetuneError):
        return False


class Archive:
    """An open bundle; `manifest` says what is in it. Raises FinetuneError when it is no sound bundle."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except ARCHIVE_FAULTS as error:
            raise damaged(f"{path.name} is no readable zip file ({error})") from error
        try:
            self.manifest: Manifest = from_json(_manifest_bytes(self._zip))
            self._check_members()
        except KeyError as error:
            self._zip.close()
            raise damaged("it has no manifest") from error
        except ARCHIVE_FAULTS as error:
            self._zip.close()
            raise damaged(str(error)) from error
        except FinetuneError:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def _check_members(self) -> None:
        """What the zip file itself says of its members, before any is unpacked."""
        entries = self._zip.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise damaged("two of its files have one name")
        known = {entry.filename: entry for entry in entries}
        for name, stored in self.manifest.files.items():
            entry = known.get(name)
            if entry is None:
                raise damaged(f"{name} is missing")
            if entry.file_size != stored.bytes:
                raise damaged(f"{name} has {entry.file_size:,} bytes instead of {stored.bytes:,}")
            if entry.flag_bits & 0x1:
                raise damaged(f"{name} is encrypted")
            if entry.file_size > max(_FREE_BYTES, entry.compress_size * _MOST_RATIO):
                raise damaged(f"{name} would unpack to {_MOST_RATIO} times its size and more, as no feedback does")

    def check_room(self, place: Path) -> None:
        """Raises FinetuneError when the disk of `place` could not hold what the bundle says that it holds."""
        needed, free = sum(stored.bytes for stored in self.manifest.files.values()), free_bytes(place)
        if needed + _RESERVE > free:
            raise FinetuneError(
                f"The bundle holds {needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free.",
                title="No room for the bundle",
                hint="Make room, or ask for a bundle without models (`export --bundle FILE --no-models`).",
            )

    def verify(self, progress: Callable[[str], None] | None = None) -> None:
        """Reads every file once. Raises FinetuneError when one is not what the manifest says."""
        for name, stored in self.manifest.files.items():
            if progress is not None:
                progress(name)
            for _ in self.blocks(name, stored):
                pass

    def blocks(self, name: str, stored: Stored) -> Iterator[bytes]:
        """The content of a file; at its end FinetuneError when it is not what the manifest says."""
        digest = hashlib.sha256()
        try:
            with self._zip.open(name) as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
                    yield block
        except ARCHIVE_FAULTS as error:
            raise damaged(f"{name} cannot be read ({error})") from error
        if digest.hexdigest() != stored.sha256:
            raise damaged(f"the SHA-256 of {name} is not the one in its manifest")

    def lines(self, name: str, limit: int) -> Iterator[tuple[int, bytes | None]]:
        """The lines of a file with their numbers from 1; None for one of more than `limit` bytes, which is not held."""
        with self._zip.open(name) as stream:
            text: IO[bytes] = io.BufferedReader(stream, BLOCK)  # type: ignore[type-var]
            number = 0
            while line := text.readline(limit + 1):
                number += 1
                if len(line) <= limit:
                    yield number, line
                    continue
                while line and not line.endswith(b"\n"):
                    line = text.readline(limit)
                yield number, None


def _manifest_bytes(archive: zipfile.ZipFile) -> bytes:
    """Raises KeyError when there is none."""
    if archive.getinfo(MANIFEST).file_size > _MANIFEST_BYTES:
        raise damaged("its manifest is too large")
    return archive.read(MANIFEST)
