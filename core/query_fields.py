"""The fields of the query language: how the value of each is read. Every fault is a plain sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta
from typing import Final, get_args

from core.config import close_names
from storage.rows import Comparison, Condition, ConditionField, Tier
from storage.search import PARTS, STATES

MAX_VALUES: Final = 50
_LARGEST: Final = 2**63 - 1
_OPERATOR = re.compile(r"(<=|>=|<|>|=)?(.*)", re.DOTALL)
_LENGTH = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(min|h|d|w|mo|y)")
_SECONDS: Final = {"min": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0, "mo": 2_592_000.0, "y": 31_536_000.0}
_DATES: Final = {4: "%Y", 7: "%Y-%m", 10: "%Y-%m-%d", 16: "%Y-%m-%dT%H:%M"}


class QueryFault(Exception):
    """A term that cannot be understood; the text says why in a sentence."""


Reader = Callable[[str, float], Condition]
"""Reads a value (without quotes) into a condition; the second argument is now, in seconds since the epoch."""


def operator_of(value: str) -> str:
    """What the value of a field begins with or has in its middle: `<`, `<=`, `>`, `>=`, `..`, or `:` for none."""
    begins, rest = _split(value)
    return ".." if ".." in rest else begins.replace("=", ":") if begins == "=" else begins or ":"


def _split(value: str) -> tuple[str, str]:
    found = _OPERATOR.fullmatch(value)
    assert found is not None  # both halves may be empty
    return found[1] or "", found[2].strip()


def _values(field: str, value: str) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(part.strip().lower() for part in value.split(",") if part.strip()))
    if not values:
        raise QueryFault(f"`{field}:` needs a value.")
    if len(values) > MAX_VALUES:
        raise QueryFault(f"`{field}:` takes {MAX_VALUES} values at most.")
    return values


def _text(field: ConditionField) -> Reader:
    return lambda value, _: Condition(field, "=", _values(field, value))


def _one_of(name: str, field: ConditionField, known: Collection[str]) -> Reader:
    def read(value: str, _: float) -> Condition:
        values = _values(name, value)
        for one in values:
            if one not in known:
                raise QueryFault(f"`{name}:` has no `{one[:40]}`. {close_names(one[:40], set(known))}")
        return Condition(field, "=", values)

    return read


def _number(field: ConditionField, highest: float, example: str, kind: type[float] | type[int] = float) -> Reader:
    def figure(text: str) -> float:
        try:
            found = float(kind(text))
        except ValueError:
            raise QueryFault(f"`{field}:` needs a number, such as {field}:{example}.") from None
        if not 0 <= found <= highest:  # not a number passes neither bound
            top = f"{highest:g}" if highest <= 100 else "9 quintillion"
            raise QueryFault(f"`{field}:` goes from 0 to {top}.")
        return found

    def read(value: str, _now: float) -> Condition:
        begins, rest = _split(value)
        if not rest:
            raise QueryFault(f"`{field}:` needs a number, such as {field}:{example}.")
        if ".." in rest and not begins:
            low, _, high = rest.partition("..")
            bounds = (figure(low) if low else 0.0, figure(high) if high else highest)
            if bounds[0] > bounds[1]:
                raise QueryFault(f"`{field}:{rest[:40]}` has its larger bound first.")
            return Condition(field, "between", bounds)
        if begins in ("", "="):
            return Condition(field, "=", tuple(figure(part) for part in _values(field, rest)))
        return Condition(field, _comparison(begins), (figure(rest),))

    return read


def _comparison(operator: str) -> Comparison:
    for known in get_args(Comparison):
        if known == operator:
            return known  # type: ignore[no-any-return]
    raise QueryFault(f"`{operator}` compares nothing.")


def _moment(field: str, operator: Comparison) -> Reader:
    """A day by its beginning, in local time."""

    def read(value: str, now: float) -> Condition:
        word = value.strip().lower()
        try:
            if word in ("today", "yesterday"):
                day = date.fromtimestamp(now) - timedelta(days=word == "yesterday")
                return Condition("created_at", operator, (datetime.combine(day, time()).timestamp(),))
            moment = datetime.strptime(word.upper(), _DATES[len(word)]).timestamp()
        except (KeyError, ValueError, OverflowError, OSError):
            raise QueryFault(f"`{field}:` needs a day, such as {field}:2026-01-31 or {field}:yesterday.") from None
        return Condition("created_at", operator, (moment,))

    return read


def _age(value: str, now: float) -> Condition:
    begins, rest = _split(value)
    found = _LENGTH.fullmatch(rest.lower())
    if found is None:
        raise QueryFault("`age:` needs a length of time, such as age:<7d (min, h, d, w, mo, y).")
    then = now - float(found[1]) * _SECONDS[found[2]]
    # Older than a week means made before then.
    turned: Mapping[str, Comparison] = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
    return Condition("created_at", turned.get(begins, ">="), (then,))


FIELDS: Final[Mapping[str, Reader]] = {
    "category": _text("category"),
    "tier": _one_of("tier", "tier", get_args(Tier)),
    "is": _one_of("is", "state", STATES),
    "has": _one_of("has", "has", PARTS),
    "model": _text("model"),
    "source": _text("source"),
    "finding": _text("finding"),
    "score": _number("score", 100.0, "<60"),
    "quality": _number("quality", 1.0, ">0.5"),
    "id": _number("id", _LARGEST, "12", int),
    "after": _moment("after", ">="),
    "before": _moment("before", "<"),
    "age": _age,
}
"""Every field but those that search the text, and `sort`."""
