"""Values out of an export, where any field may hold anything: each helper takes whatever stands there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

Judged = Literal["good", "bad"]

_LATEST: Final = 1e11
_SHOWN: Final = 40
_EXACT: Final = 10**15
_GOOD: Final = frozenset(
    [
        "thumbsup",
        "thumbup",
        "up",
        "upvote",
        "like",
        "liked",
        "positive",
        "good",
        "great",
        "helpful",
        "correct",
        "right",
        "yes",
        "pass",
        "passed",
        "accept",
        "accepted",
        "approve",
        "approved",
        "👍",
        "excellent",
        "satisfied",
    ]
)
_BAD: Final = frozenset(
    [
        "thumbsdown",
        "thumbdown",
        "down",
        "downvote",
        "dislike",
        "disliked",
        "negative",
        "bad",
        "poor",
        "unhelpful",
        "nothelpful",
        "incorrect",
        "wrong",
        "no",
        "fail",
        "failed",
        "reject",
        "rejected",
        "disapproved",
        "👎",
        "unsatisfied",
        "dissatisfied",
    ]
)


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` when it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> Sequence[Any]:
    """`value` when it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def text(value: Any) -> str:
    """`value` when it is text, else empty."""
    return value if isinstance(value, str) else ""


def label(value: Any) -> str:
    """An id or a name, which exports write as text or as a whole number; else empty."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _EXACT:
        return str(value)
    return ""


def number(value: Any) -> float | None:
    """A finite number, also one that a CSV holds as text; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def seconds(value: Any) -> float | None:
    """A moment in seconds since the epoch: from seconds, milli-, micro- or nanoseconds, ISO 8601 text or a datetime.

    Text without a zone is UTC. None when it is no moment from 1970 on. A count above 10^11 cannot be seconds (that is
    the year 5138), so it is taken to be a thousandth of the next larger unit.
    """
    if isinstance(value, datetime):
        found: float | None = _moment(value)
    else:
        found = number(value)
        if found is None and isinstance(value, str):
            found = _iso(value)
    if found is None or found <= 0:
        return None
    for _ in range(3):
        if found > _LATEST:
            found /= 1000.0
    return found if found <= _LATEST else None


def _iso(value: str) -> float | None:
    try:
        return _moment(datetime.fromisoformat(value.strip()))
    except ValueError:
        return None


def _moment(value: datetime) -> float | None:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def parsed(value: Any) -> Any:
    """What a cell of a CSV holds: JSON written as text is read, any other text stays as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def as_text(value: Any) -> str:
    """`value` as text: text as it is, an object or a list as JSON, nothing as empty."""
    if isinstance(value, str):
        return value
    if value is None or value in ({}, []):
        return ""
    try:
        return json.dumps(plain(value), ensure_ascii=False)
    except ValueError:  # a whole number with thousands of digits
        return ""


def plain(value: Any) -> Any:
    """`value` with what JSON cannot hold taken out: NaN and infinity, bytes, numbers beyond 64 bits become None."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None


def details(**values: Any) -> dict[str, Any]:
    """The values that say something, as plain JSON: metadata without empty entries."""
    cleaned = ((name, plain(value)) for name, value in values.items())
    return {name: value for name, value in cleaned if value not in (None, "", [], {})}


def verdict_of(value: Any) -> Judged | None:
    """What a word, a boolean or a signed number of a thumb says; None when it says neither."""
    if isinstance(value, bool):
        return "good" if value else "bad"
    if isinstance(value, str):
        word = re.sub(r"[\s_\-:.!]", "", value[:_SHOWN]).lower()
        return "good" if word in _GOOD else "bad" if word in _BAD else None
    found = number(value)
    return None if found is None or found not in (1.0, -1.0) else "good" if found > 0 else "bad"


def five_star(value: float) -> float:
    """Stars from 1 to 5 on the scale 0-100: (v - 1) / 4 * 100."""
    return (value - 1.0) / 4.0 * 100.0


def star_verdict(value: float) -> Judged | None:
    """Four stars and more of five are praise, two and fewer are not, three says neither."""
    return "good" if value >= 4 else "bad" if value <= 2 else None


def shown(value: Any) -> str:
    """`value` for a message: short, on one line."""
    if isinstance(value, str):
        cut = " ".join(value[: _SHOWN + 1].split())
        return f"`{cut[:_SHOWN]}{'…' if len(value) > _SHOWN else ''}`"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return label(value) or (f"{value:g}" if isinstance(value, float) else type(value).__name__)


def joined(*notes: Any) -> str:
    """The remarks that are there, each once, in one text."""
    found = dict.fromkeys(note.strip() for note in notes if isinstance(note, str) and note.strip())
    return "\n".join(found)
