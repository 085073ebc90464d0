"""JSON from outside, a row at a time: lines of JSON, and arrays and objects of any length.

NaN and the infinities, which Python writes although JSON has no such values, are read as null. Of a key that an object
holds twice the last value counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from core.capture.formats.encoding import NOT_UTF8, ROW_BYTES, lines
from core.capture.formats.json_text import (
    CUT_OFF,
    TOO_DEEP,
    TOO_LARGE,
    BrokenValue,
    JsonText,
    LongValue,
    decode,
    reason,
)
from core.capture.formats.parts import Row

WRAPPERS: Final = frozenset(
    {
        "data", "dataset", "rows", "items", "records", "entries", "examples", "samples", "instances", "results",
        "events", "feedback", "feedbacks", "conversations", "chats", "tasks", "traces", "observations", "scores",
        "train", "validation", "test",
    }
)  # fmt: skip
"""An object with one of these keys before a list of objects wraps the rows in that list; it is no record itself."""

# With one of these beside it the list is a part of a record: the scores of a trace, say.
_RECORD_KEYS: Final = frozenset({"id", "input", "output", "prompt", "messages", "question", "instruction", "text"})
# A longer object at the top of a file is looked into key by key, because it may wrap a list longer than memory.
_WINDOW: Final = 4 << 20


def jsonl_rows(chunks: Iterator[bytes]) -> Iterator[Row]:
    """One row a line, numbered by line; blank lines are passed over."""
    number = 0
    for line in lines(chunks):
        number += 1
        if line is None:
            yield Row(number, None, TOO_LARGE)
            continue
        try:
            text = line.decode().strip()
            if not text:
                continue
            value, end = decode(text)
        except UnicodeDecodeError:
            yield Row(number, None, NOT_UTF8)
        except ValueError as error:
            yield Row(number, None, reason(error))
        except RecursionError:
            yield Row(number, None, TOO_DEEP)
        else:
            if end == len(text):
                yield Row(number, value)
            else:
                yield Row(number, None, f"It is no JSON: something follows the value at character {end + 1}.")


def is_jsonl(head: bytes, *, named: bool, whole: bool) -> bool:
    """Whether text that starts with `head` is lines of JSON rather than one array or object.

    `named` says that the file is called so, `whole` that `head` is all of it. A file with one line of JSON is read as
    a JSON file, which may also be a wrapping around rows.
    """
    text = head.decode("utf-8", "replace").lstrip()
    if not text.startswith(("{", "[")):
        return named
    first, _, rest = text.partition("\n")
    if not rest.strip():
        return named and not (whole and _complete(first))
    if _complete(first):
        # A list on a line of its own is a row only where rows are expected.
        return named or first.startswith("{")
    return named and any(_complete(line) for line in rest.split("\n")[:8] if line.startswith("{"))


def _complete(line: str) -> bool:
    text = line.strip()
    if not text.startswith(("{", "[")):
        return False
    try:
        return decode(text)[1] == len(text)
    except (ValueError, RecursionError):
        return False


def json_rows(chunks: Iterator[bytes]) -> Iterator[Row]:
    """The objects of an array, of an object that wraps arrays, or simply one after the other; numbered by position.

    A broken or oversized element becomes an error row; the ones after it are read where its brackets still match.
    """
    text = JsonText(chunks)
    number = 0
    while sign := text.peek():
        if sign == ",":
            text.take()
            continue
        if sign == "[":
            found = _elements(text)
        elif sign == "{":
            found = _top(text)
        else:
            found = iter((_element(text),))
        for value, error in found:
            number += 1
            yield Row(number, value, error)


def is_turn(value: Any) -> bool:
    """Whether an object is a turn of a chat rather than a record."""
    return isinstance(value, dict) and (
        ("role" in value and ("content" in value or "tool_calls" in value or "value" in value))
        or ("from" in value and "value" in value)
    )


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and not is_turn(value)


def _elements(text: JsonText) -> Iterator[tuple[Any, str]]:
    """The elements of the array that starts here, broken ones with the reason."""
    text.take()
    while sign := text.peek():
        if sign == "]":
            text.take()
            return
        if sign == ",":
            text.take()
        else:
            value, problem = _element(text, among=True)
            yield value, problem
            if problem and not text.peek():
                return
    yield None, "The file ends before its list does; it was cut off."


def _element(text: JsonText, *, among: bool = False) -> tuple[Any, str]:
    """The value that starts here, or the reason why it is none; `among` others in a list the next one can be found."""
    opened = text.peek()
    try:
        return text.value(), ""
    except BrokenValue as error:
        problem = str(error)
    if opened not in ("{", "["):
        if among:
            text.pass_plain()
        else:
            text.drain()
    elif not text.skip() and problem != TOO_LARGE:
        problem = CUT_OFF
    return None, problem


def _top(text: JsonText) -> Iterator[tuple[Any, str]]:
    """The object that starts here: itself, or the rows that it wraps."""
    try:
        value = text.value(_WINDOW)
    except LongValue:
        yield from _members(text)
    except BrokenValue:
        yield _element(text)
    else:
        rows = _wrapped(value)
        yield from ((row, "") for row in rows) if rows else ((value, ""),)


def _wrapped(value: dict[str, Any]) -> list[Any]:
    """The rows in the lists of an object that is only their wrapping; none when it is a row itself."""
    if value.keys() & _RECORD_KEYS:
        return []
    lists = [each for each in value.values() if isinstance(each, list) and each and all(map(_is_record, each))]
    if len(value) > 1:
        lists = [each for key, each in value.items() if key in WRAPPERS and any(each is found for found in lists)]
    return [row for each in lists for row in each]


def _members(text: JsonText) -> Iterator[tuple[Any, str]]:
    """A long object, key by key; a list of rows in it is read element by element, otherwise it is a row itself."""
    held: dict[str, Any] = {}
    wrapped = False
    text.take()
    start = text.position
    try:
        while (sign := text.peek()) != "}":
            if sign == ",":
                text.take()
                continue
            key = text.value()
            if not isinstance(key, str) or text.peek() != ":":
                raise BrokenValue("It is no JSON: a key and a colon were expected." if sign else CUT_OFF)
            text.take()
            if text.peek() == "[" and key in WRAPPERS and not held.keys() & _RECORD_KEYS:
                elements = _elements(text)
                first = next(elements, None)
                if first and (_is_record(first[0]) or first[1]):
                    wrapped = True
                    yield first
                    yield from elements
                else:
                    held[key] = _held(first, elements, text, start)
            else:
                held[key] = text.value()
            if not wrapped and text.position - start > ROW_BYTES:
                raise BrokenValue(TOO_LARGE)
    except BrokenValue as error:
        text.drain()
        yield None, str(error)
        return
    text.take()
    if not wrapped:
        yield held, ""


def _held(first: tuple[Any, str] | None, rest: Iterator[tuple[Any, str]], text: JsonText, start: int) -> list[Any]:
    values = [first[0]] if first else []
    for value, problem in rest:
        if problem or text.position - start > ROW_BYTES:
            raise BrokenValue(problem or TOO_LARGE)
        values.append(value)
    return values
