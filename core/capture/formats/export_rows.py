"""Rows of an export: each is answered, and what a sample of them says of the format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core.capture.formats.parts import Lessons, Row, RowError, Source


def answered(source: Source, read: Callable[[Any], Lessons]) -> Iterator[tuple[Row, Lessons | RowError]]:
    """Every row with what `read` makes of its value, or why it cannot be taken."""
    for row in source.rows():
        if row.error:
            yield row, RowError(row.error)
            continue
        try:
            yield row, read(row.value)
        except RowError as error:
            yield row, error
        except RecursionError:
            yield row, RowError("It is nested too deeply.")


def share(sample: Sequence[Any], is_one: Callable[[Mapping[str, Any]], bool]) -> float:
    """How surely a sample is of a format: 0.95 when at least half of its rows have the characteristic keys, else 0."""
    hits = sum(1 for row in sample if isinstance(row, Mapping) and is_one(row))
    return 0.95 if hits and hits * 2 >= len(sample) else 0.0
