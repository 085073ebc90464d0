"""Opens what a user points at, a file, a folder or an archive, as lists of records that are read in flat memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from core.capture.formats import tables
from core.capture.formats.archives import ARCHIVE_FAULTS, Unpacked, held, members, open_gzip, open_member
from core.capture.formats.encoding import utf8_chunks
from core.capture.formats.json_stream import is_jsonl, json_rows, jsonl_rows
from core.capture.formats.parts import Row, Source
from core.errors import FinetuneError

Opened = Callable[[], AbstractContextManager["IO[bytes] | Unpacked"]]

KINDS: Final = {
    ".json": "json",
    ".kiln": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}
"""What the ending of a file's name says of its contents."""

# These describe the data beside them and hold no rows of their own.
_SIDE_FILES: Final = frozenset({"dataset_info.json", "export_manifest.json"})


class FileSource:
    """The records of one file, or of one member of an archive."""

    def __init__(self, name: str, kind: str, opened: Opened, beside: Callable[[str], Source | None]) -> None:
        self.name = name
        self._told = kind
        self._opened = opened
        self._beside = beside
        self._reading: IO[bytes] | Unpacked | None = None

    @property
    def share(self) -> float | None:
        """How much of the file `rows` has read, 0-1; None before it began, after its end, and for a packed file."""
        stream = self._reading
        if stream is None or isinstance(stream, Unpacked) or stream.closed:
            return None
        size = os.fstat(stream.fileno()).st_size
        return min(1.0, stream.tell() / size) if size else None

    @cached_property
    def kind(self) -> str:
        """json, jsonl, csv or parquet, by what the file holds; lines of JSON are jsonl however the file is called."""
        if self._told not in ("json", "jsonl"):
            return self._told
        try:
            with self._opened() as stream:
                chunks = utf8_chunks(stream)
                head, more = next(chunks, b""), next(chunks, b"")
        except ARCHIVE_FAULTS:
            return self._told
        return "jsonl" if is_jsonl(head, named=self._told == "jsonl", whole=not more) else "json"

    def rows(self) -> Iterator[Row]:
        """Every record from the beginning; where the file cannot be read on, the last row says why."""
        number = 0
        try:
            kind = self.kind
            with self._opened() as stream:
                self._reading = stream
                for row in self._read(kind, stream):
                    number = row.number
                    yield row
        except (*ARCHIVE_FAULTS, ValueError) as error:
            yield Row(number + 1, None, f"{self.name} cannot be read from here on: {_cause(error)}.")

    def sibling(self, name: str) -> Source | None:
        """The file of that name in the same folder or archive; None when there is none."""
        return self._beside(name)

    @staticmethod
    def _read(kind: str, stream: IO[bytes] | Unpacked) -> Iterator[Row]:
        if kind == "parquet":
            return tables.parquet_rows(held(stream) if isinstance(stream, Unpacked) else stream)
        reader = {"json": json_rows, "jsonl": jsonl_rows, "csv": tables.csv_rows}[kind]
        return reader(utf8_chunks(stream))


class TableSource:
    """The rows of one table of a SQLite database."""

    kind = "sqlite"

    def __init__(self, name: str, path: Path, table: str, others: tuple[str, ...]) -> None:
        self.name = f"{name}#{_shown(table)}"
        self._file = name
        self._path = path
        self._table = table
        self._others = others

    def rows(self) -> Iterator[Row]:
        """Every row of the table; where the database cannot be read on, the last row says why."""
        number = 0
        try:
            for row in tables.sqlite_rows(self._path, self._table):
                number = row.number
                yield row
        except FinetuneError as error:
            yield Row(number + 1, None, error.message)

    def sibling(self, name: str) -> Source | None:
        """Another table of the same database; None when there is none of that name."""
        return TableSource(self._file, self._path, name, self._others) if name in self._others else None


class UnreadSource:
    """A file of a folder that cannot be opened at all; its only row says why, so that it is not passed over."""

    def __init__(self, name: str, problem: str, kind: str = "json") -> None:
        self.name = name
        self.kind = kind
        self._problem = problem

    def rows(self) -> Iterator[Row]:
        """One row with the reason."""
        yield Row(1, None, self._problem)

    def sibling(self, name: str) -> Source | None:
        """Nothing."""
        return None


def open_sources(path: Path) -> Iterator[Source]:
    """Every list of records in a file, folder or archive, in the order of their names.

    In a folder or archive, hidden files and those of other kinds are passed over, and links to folders are not
    followed; a damaged file becomes a source whose only row is the error. Nothing is unpacked to the disk, and archives
    in archives are not followed. Raises FinetuneError when the path itself is missing, unreadable or of no known kind.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _refused(f"{path} cannot be found: {_cause(error)}.", "Check the path.") from error
    if stat.S_ISDIR(mode):
        found = list(_walk(path))
        if not found:
            known = ", ".join(sorted({*KINDS, ".zip", ".gz"}))
            raise _refused(f"{path} holds no file that could be imported.", f"These kinds are read: {known}.")
        return _folder(path, found)
    if not stat.S_ISREG(mode):
        raise _refused(f"{path} is no plain file.", "Write what it gives into a file and import that.")
    if path.suffix.lower() not in {*KINDS, ".zip", ".gz"} and not _magic(path):
        raise _refused(
            f"{path.name} is of no kind that can be imported.",
            f"These kinds are read: {', '.join(sorted({*KINDS, '.zip', '.gz'}))}.",
        )
    return iter(_of_file(path, path.name))


def _folder(root: Path, files: list[Path]) -> Iterator[Source]:
    for file in files:
        name = f"{root.resolve().name}/{file.relative_to(root).as_posix()}"
        try:
            yield from _of_file(file, name)
        except FinetuneError as error:
            yield UnreadSource(_shown(name), error.message)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            known = path.suffix.lower() in {*KINDS, ".zip", ".gz"}
            if known and not name.startswith(".") and name not in _SIDE_FILES and path.is_file():
                yield path


def _of_file(path: Path, name: str) -> list[Source]:
    suffix = path.suffix.lower()
    kind = KINDS.get(suffix) or {".zip": "zip", ".gz": "gz"}.get(suffix) or _magic(path)
    shown = _shown(name)
    if kind == "zip":
        return _of_zip(path, shown)
    if kind == "sqlite":
        names = tables.sqlite_tables(path)
        return [TableSource(shown, path, table, names) for table in names]
    beside = partial(_beside_file, path, name)
    if kind == "gz":
        inner = KINDS.get(PurePosixPath(path.stem).suffix.lower(), "jsonl")
        if inner == "sqlite":
            return [UnreadSource(shown, "A packed database cannot be read in place; unpack it first.")]
        return [FileSource(shown, inner, partial(open_gzip, path), beside)]
    return [FileSource(shown, kind, partial(_open_plain, path), beside)]


def _of_zip(path: Path, shown: str) -> list[Source]:
    names = members(path)
    found = []
    for name in names:
        place = PurePosixPath(name)
        if place.suffix.lower() in KINDS and place.name not in _SIDE_FILES:
            found.append(_member(path, shown, names, name))
    if not found:
        raise _refused(f"{path.name} holds no file that could be imported.", "Archives in archives are not followed.")
    return found


def _member(path: Path, shown: str, names: tuple[str, ...], name: str) -> Source:
    kind = KINDS.get(PurePosixPath(name).suffix.lower(), "json")
    title = f"{shown}/{_shown(name)}"
    if kind == "sqlite":
        return UnreadSource(title, "A packed database cannot be read in place; unpack it first.")

    def beside(other: str) -> Source | None:
        wanted = str(PurePosixPath(name).parent / other)
        return _member(path, shown, names, wanted) if wanted in names else None

    return FileSource(title, kind, partial(open_member, path, name), beside)


def _beside_file(path: Path, name: str, other: str) -> Source | None:
    wanted = path.parent / other
    # A name from a file's own contents must not lead out of its folder.
    if Path(other).name != other or not wanted.is_file():
        return None
    try:
        found = _of_file(wanted, str(PurePosixPath(name).with_name(other)))
    except FinetuneError as error:
        return UnreadSource(_shown(other), error.message)
    return found[0] if len(found) == 1 else None


@contextmanager
def _open_plain(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as stream:
        yield stream


def _magic(path: Path) -> str:
    """What the first bytes of a file without a telling name say; empty when they say nothing."""
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise _refused(f"{path} cannot be read: {_cause(error)}.", "Check its permissions.") from error
    signs = ((b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gz"), (b"SQLite format 3\x00", "sqlite"), (b"PAR1", "parquet"))
    for sign, kind in signs:
        if head.startswith(sign):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "json" if text.startswith((b"{", b"[")) else ""


def _shown(name: str) -> str:
    # Names come from outside and are printed on terminals.
    return "".join(sign if sign.isprintable() else "�" for sign in name)


def _cause(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _refused(message: str, hint: str) -> FinetuneError:
    return FinetuneError(message, title="Nothing was imported", hint=hint)
