"""Tables from outside, a row at a time as an object with a key a column: CSV, Parquet and SQLite."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

from core.capture.formats.encoding import NOT_UTF8, ROW_BYTES, lines
from core.capture.formats.json_text import TOO_LARGE
from core.capture.formats.parts import Row
from core.errors import FinetuneError
from storage.foreign import Foreign, open_foreign

_DELIMITERS: Final = ",\t;|"
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_SEPARATOR: Final = re.compile(r"sep=(.)\s*")
_ESCAPED: Final = re.compile("[\udc80-\udcff]")
_LOST: Final = "\udc00"
_BATCH_ROWS: Final = 512


def csv_rows(chunks: Iterator[bytes]) -> Iterator[Row]:
    """The records below the header, numbered from 1; every value is text, a missing cell at the end is empty.

    The delimiter is the comma, tab, semicolon or bar that the header holds most of; Excel's `sep=` line is heeded.
    A quote that is never closed makes an error row of what it swallowed.
    """
    # The limit is the process's own; every reader here raises it to the same value.
    csv.field_size_limit(ROW_BYTES)
    texts = _texts(chunks)
    first = next(texts, "")
    told = _SEPARATOR.fullmatch(first)
    if told:
        delimiter = told.group(1)
    else:
        plain = _QUOTED.sub("", first)
        delimiter = max(_DELIMITERS, key=plain.count)
        texts = chain([first], texts)
    records = csv.reader(texts, delimiter=delimiter, skipinitialspace=delimiter == ",", strict=True)
    header: list[str] | None = None
    number = 0
    while True:
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield Row(number, None, f"It is no CSV: {error}.")
            continue
        if header is None:
            header = _unique(cells)
        elif cells:
            number += 1
            yield _record(number, header, cells)


def _record(number: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) > len(header):
        if any(cells[len(header) :]):
            return Row(number, None, f"It has {len(cells)} cells, the header {len(header)}.")
        del cells[len(header) :]
    joined = "".join(cells)
    if not joined.isascii() and _ESCAPED.search(joined):
        return Row(number, None, NOT_UTF8)
    if _LOST in joined:
        return Row(number, None, TOO_LARGE)
    cells.extend([""] * (len(header) - len(cells)))
    return Row(number, dict(zip(header, cells, strict=True)))


def _texts(chunks: Iterator[bytes]) -> Iterator[str]:
    for line in lines(chunks):
        # A line that is too long is not held; this mark makes its record one that is refused.
        yield f"{_LOST}\n" if line is None else line.decode("utf-8", "surrogateescape") + "\n"


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for place, name in enumerate(names, 1):
        plain = name.strip() or f"column_{place}"
        seen[plain] = seen.get(plain, 0) + 1
        unique.append(plain if seen[plain] == 1 else f"{plain}_{seen[plain]}")
    return unique


def parquet_rows(stream: IO[bytes]) -> Iterator[Row]:
    """The rows of a Parquet file, a few hundred held at a time. Raises OSError or ValueError for a damaged file."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise FinetuneError(
            "Reading Parquet needs the package pyarrow, which is not installed.",
            title="The file was not read",
            hint="Run `pip install pyarrow`, or save the data as JSONL.",
        ) from error
    number = 0
    with ParquetFile(stream) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            for value in batch.to_pylist():
                number += 1
                yield Row(number, _plain(value))


def _plain(value: Any) -> Any:
    """The value as JSON knows it: times as ISO text, bytes as text."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"<{len(value)} bytes>"
    return str(value)


@contextmanager
def _database(path: Path) -> Iterator[Foreign]:
    try:
        with open_foreign(path) as database:
            yield database
    except UnicodeError as error:
        # A name in the schema is no text: neither SQLite's complaint about it nor a query for it can be decoded.
        raise FinetuneError(
            f"{path.name} cannot be read as a SQLite database: its schema is damaged.",
            title="The database was not read",
            hint="Fetch or copy it again; the copy may have been made while it was written to.",
        ) from error


def sqlite_tables(path: Path) -> tuple[str, ...]:
    """The names of a database's own tables. Raises FinetuneError when it cannot be read."""
    with _database(path) as database:
        return database.tables()


def sqlite_rows(path: Path, table: str) -> Iterator[Row]:
    """The rows of a table in the order in which they were written. Raises FinetuneError when it cannot be read."""
    with _database(path) as database:
        for number, values in enumerate(database.rows(table), 1):
            plain = {key: _plain(value) for key, value in values.items()}
            damaged = any(isinstance(value, str) and _ESCAPED.search(value) for value in plain.values())
            yield Row(number, None, NOT_UTF8) if damaged else Row(number, plain)
