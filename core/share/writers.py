"""How rows become a file: JSON lines, one JSON list, a table of text, or a SQLite file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from core.paths import sha256_of
from core.share.formats import ExportFormat, Row
from storage.table_file import write_table

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_rows(path: Path, chosen: ExportFormat, rows: Iterator[Row]) -> str:
    """Writes the rows to a new file; its SHA-256. Raises OSError and StoreError."""
    if chosen.shape == "sqlite":
        write_table(path, "events", rows, key="id", searched=("prompt", "response"))
        return sha256_of(path)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for piece in _pieces(chosen, rows):
            data = piece.encode("utf-8", "replace")
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _pieces(chosen: ExportFormat, rows: Iterator[Row]) -> Iterator[str]:
    match chosen.shape:
        case "jsonl":
            for row in rows:
                yield json.dumps(row, ensure_ascii=False) + "\n"
        case "json":
            separator = "[\n"
            for row in rows:
                yield separator + json.dumps(row, ensure_ascii=False)
                separator = ",\n"
            yield "\n]\n"
        case "csv":
            yield from _csv(rows)
        case "spreadsheet":
            yield "\ufeff"
            yield from _csv({key: spreadsheet_cell(value) for key, value in row.items()} for row in rows)


def spreadsheet_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: one that could begin one gets an apostrophe before it.

    The characters are those that OWASP's page on CSV injection names, with their full-width forms.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(rows: Iterator[Row]) -> Iterator[str]:
    header: list[str] | None = None
    for row in rows:
        text = io.StringIO()
        writer = csv.DictWriter(text, header or list(row), lineterminator="\r\n")
        if header is None:
            header = list(row)
            writer.writeheader()
        writer.writerow(row)
        yield text.getvalue()
