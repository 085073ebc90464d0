"""Broken input from sound input: bytes flipped, cut and spliced, JSON values replaced by what nobody expects."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

# What json.dumps cannot write (or not without recursion) stands in the text as one of these marks first.
_DEEP: Final = "@deep@"
_HUGE: Final = "@huge@"
_MARKS: Final = (_DEEP, _HUGE)
_CONTROL: Final = (
    b"\x00",
    b"\x1b[2J",
    b"\r",
    b"\n",
    b"\xff",
    b"\xfe\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
)
_STRUCTURE: Final = (b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e999", b"-", b"\\u", b"\\ud800")
_ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**63, -(2**64), 10**400, 1e308, 1e-320, float("nan"), float("inf"), 1e11, 1717e9,
    "", " ", "\x00", "\ud800", "a\udfffb", "\u202eabc", "👍", "{}", "[1]", '{"a":', '"x"', "null", "NaN", "1e999",
    "9999-12-31T23:59:59", "0001-01-01T00:00:00+14:00", "user", "assistant", "system", "tool", "good", "thumbs_up",
    "x" * 3_000, "é" * 300, "\n\nHuman: ", "[INST] ", "<|im_start|>", "```mermaid\nerDiagram\n",
    "erDiagram\n A ||--o{ B : x",
    [], {}, [[]], [{}], {"": None}, [None], ["x", 1, None], {"role": "user"}, {"role": "assistant", "content": "x"},
    [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}], {"from": "gpt", "value": {"a": [1]}},
    _DEEP, _HUGE,
)  # fmt: skip


def mutate_bytes(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """`data` with one to four changes; pieces of `other` are spliced in."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        size = len(found)
        at = draw.randrange(size + 1)
        length = min(size - at, draw.choice((1, 1, 2, 8, 64, 512)))
        kind = draw.randrange(7)
        if kind == 0 and at < size:
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del found[at : at + length]
        elif kind == 2:
            found[at:at] = found[at : at + length] * draw.choice((1, 1, 3, 50))
        elif kind == 3:
            del found[at:]
        elif kind == 4 and other:
            start = draw.randrange(len(other))
            found[at : at + draw.choice((0, length))] = other[start : start + draw.choice((1, 16, 256))]
        elif kind == 5:
            found[at:at] = draw.choice(_CONTROL)
        else:
            found[at : at + draw.choice((0, 1))] = draw.choice(_STRUCTURE)
    return bytes(found)


def mutate_value(draw: random.Random, value: Any, others: Sequence[Any]) -> Any:
    """A copy of a JSON value with one to four fields replaced, removed, renamed or doubled."""
    if draw.randrange(200) == 0:
        return _odd(draw, others)
    holder = [copy.deepcopy(value)]
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(_places(holder))
        inside, key = draw.choice(places)
        kind = draw.randrange(8)
        if kind <= 3:
            inside[key] = _odd(draw, others)
        elif kind == 4 and inside is not holder:
            del inside[key]
        elif kind == 5:
            inside[key] = draw.choice(([inside[key]], {"x": inside[key]}, _as_text(inside[key])))
        elif kind == 6 and isinstance(inside, dict):
            inside[draw.choice((*inside, "x", ""))] = inside.pop(key)
        elif isinstance(inside, list) and inside is not holder:
            inside.extend([copy.deepcopy(inside[key])] * draw.choice((1, 1, 40)))
        elif isinstance(inside, dict):
            inside[draw.choice((*inside, "x"))] = copy.deepcopy(inside[key])
    return holder[0]


def _odd(draw: random.Random, others: Sequence[Any]) -> Any:
    if others and draw.randrange(4) == 0:
        inside, key = draw.choice(list(_places([draw.choice(others)])))
        return copy.deepcopy(inside[key])
    return copy.deepcopy(draw.choice(_ODD))


def _as_text(value: Any) -> Any:
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):
        return ""


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def written(draw: random.Random, value: Any) -> str:
    """A value as JSON on one line, with the nesting and the numbers that Python itself would not write."""
    text = json.dumps(value, ensure_ascii=draw.random() < 0.7)
    if any(mark in text for mark in _MARKS):
        depth = draw.choice((200, 990, 5_000, 100_000)) if text.count(_DEEP) < 5 else 200
        opened, closed = draw.choice((("[", "]"), ('{"a":', "}")))
        text = text.replace(f'"{_DEEP}"', opened * depth + "1" + closed * depth)
        text = text.replace(
            f'"{_HUGE}"', draw.choice(("9" * 5_000, "-" + "9" * 400, "1e99999", "0." + "0" * 5_000 + "1"))
        )
    return text
