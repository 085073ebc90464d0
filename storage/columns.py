"""Between frozen rows and table columns: column lists, JSON, and text that SQLite can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")


class RowReader(Generic[Row]):
    """Reads tuples of `columns` into the dataclass `kind`; JSON and boolean columns arrive as Python values."""

    def __init__(
        self, kind: type[Row], *, json_columns: Iterable[str] = (), boolean_columns: Iterable[str] = ()
    ) -> None:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self.names = names
        self.columns = ", ".join(names)
        self._kind = kind
        self._json = [names.index(name) for name in json_columns]
        self._boolean = [names.index(name) for name in boolean_columns]

    def __call__(self, values: Sequence[Any]) -> Row:
        """One row; `values` stand in the order of `columns`."""
        if self._json or self._boolean:
            parsed = list(values)
            for index in self._json:
                if parsed[index] is not None:
                    parsed[index] = _from_json(parsed[index])
            for index in self._boolean:
                if parsed[index] is not None:
                    parsed[index] = bool(parsed[index])
            values = parsed
        return self._kind(*values)


def to_json(value: Any) -> str:
    """Compact JSON. Non-ASCII is escaped, so that even a lone surrogate survives."""
    return _encode(value)


def _plain(value: Any) -> Any:
    """Mappings and sequences of other kinds become dict and list."""
    return dict(value) if isinstance(value, Mapping) else list(value)


_decode = json.JSONDecoder().decode


def _from_json(text: str) -> Any:
    """The value of a column; most are empty, and those need no parser."""
    return {} if text == "{}" else [] if text == "[]" else _decode(text)


# Made once: `json.dumps` with arguments makes an encoder at every call, half of its time for a short value.
_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def clean(text: str) -> str:
    """`text` as SQLite can hold it: lone surrogates and NUL become the replacement character.

    A lone surrogate has no UTF-8, and SQLite's text functions stop at a NUL.
    """
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


LISTED = "(SELECT value FROM json_each(?))"
"""For an IN of any length: one statement, where a placeholder for each value would make one for each length, and every
such statement stays in memory."""


def listed(values: Sequence[int | str]) -> str:
    """The parameter of `LISTED`."""
    return _encode(values)


def placeholders(count: int) -> str:
    """`?, ?, …` for an IN list."""
    return ", ".join("?" * count)
