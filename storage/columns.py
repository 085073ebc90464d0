"""Between frozen rows and table columns: column lists, JSON, and text that SQLite can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Generic, TypeVar

from storage.errors import StoreError

Row = TypeVar("Row")


class RowReader(Generic[Row]):
    """Reads tuples of `columns` into the dataclass `kind`; JSON and boolean columns arrive as Python values.

    What another program has stored may have another shape than the dataclass says: instead of a mapping, or of a
    sequence of mappings, that is an empty one, and what is no mapping in such a sequence, or no number in a mapping to
    numbers, is left out.
    """

    def __init__(
        self, kind: type[Row], *, json_columns: Iterable[str] = (), boolean_columns: Iterable[str] = ()
    ) -> None:
        types = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
        names = list(types)
        self.names = names
        self.columns = ", ".join(names)
        self._kind = kind
        self._json = [(names.index(name), _SHAPES.get(types[name].partition(" |")[0], _any)) for name in json_columns]
        self._boolean = [names.index(name) for name in boolean_columns]

    def __call__(self, values: Sequence[Any]) -> Row:
        """One row; `values` stand in the order of `columns`."""
        if self._json or self._boolean:
            parsed = list(values)
            for index, shaped in self._json:
                if parsed[index] is not None:
                    parsed[index] = shaped(_from_json(parsed[index]))
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
    """The value of a column; most are empty, and those need no parser. Raises StoreError."""
    try:
        return {} if text == "{}" else [] if text == "[]" else _decode(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"The store holds {text[:40]!r} where JSON should stand: {error}.", hint="Run `finetune-tui doctor`."
        ) from error


def _any(value: Any) -> Any:
    return value


def _mapping(value: Any) -> Any:
    return value if type(value) is dict else {}


def _numbers(value: Any) -> Any:
    return {name: each for name, each in value.items() if type(each) in _NUMBERS} if type(value) is dict else {}


def _mappings(value: Any) -> Any:
    return [each for each in value if type(each) is dict] if type(value) is list else []


def _mapping_of_mappings(value: Any) -> Any:
    return {name: each for name, each in value.items() if type(each) is dict} if type(value) is dict else {}


def findings_from(text: str) -> list[dict[str, Any]]:
    """A sequence of mappings from a column, read as `RowReader` reads it. Raises StoreError."""
    found: list[dict[str, Any]] = _mappings(_from_json(text))
    return found


_NUMBERS: Final = frozenset({int, float})
_SHAPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "Mapping[str, Any]": _mapping,
    "Mapping[str, int]": _numbers,
    "Mapping[str, float]": _numbers,
    "Mapping[str, Mapping[str, Any]]": _mapping_of_mappings,
    "Sequence[Mapping[str, Any]]": _mappings,
}


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
