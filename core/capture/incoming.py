"""Feedback as it comes in: checked, cleaned and sanitised, before anything is judged or stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, get_args

from core.capture.sanitize import Seen, reserve, sanitize
from core.config import close_names
from core.errors import FinetuneError
from core.validate.feedback import FEEDBACK_TYPES
from storage.columns import clean as writable
from storage.rows import EventRow, FeedbackType, Opinion

_TITLE: Final = "The feedback was not stored"
_TEXTS: Final = ("prompt", "response", "correction", "context", "system", "note")
_LABELS: Final = ("category", "model", "source", "group_key")
_LABEL_CHARS: Final = 500
OPINIONS: Final[tuple[Opinion, ...]] = get_args(Opinion)
_USER_KEYS: Final = frozenset(
    (
        "user_id",
        "user",
        "author",
        "author_id",
        "username",
        "userId",
        "user_name",
        "completed_by",
        "annotator",
        "sender",
        "member_id",
        "handle",
        "login",
    )
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One recorded output with what is said of it; the fields are the arguments of `Recorder.record`."""

    prompt: str
    response: str
    category: str
    model: str
    score: float | None = None
    feedback_type: FeedbackType | None = None
    correction: str | None = None
    verdict: Opinion | None = None
    confidence: float | None = None
    context: str = ""
    system: str = ""
    source: str = "api"
    group_key: str = ""
    latency_ms: float | None = None
    metadata: Mapping[str, Any] | None = None
    created_at: float | None = None
    sanitize: bool = True
    seconds: float | None = None
    history: Sequence[Mapping[str, Any]] = ()
    note: str = ""


_FIELDS: Final = tuple(entry.name for entry in fields(Incoming))


@dataclass(frozen=True, slots=True)
class Clean:
    """What is left after checking and sanitising; `counts` says what was replaced, by kind."""

    incoming: Incoming
    texts: Mapping[str, str]
    metadata: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    counts: Mapping[str, int]


def incoming_from(row: Mapping[str, Any]) -> Incoming:
    """The feedback in a mapping. Raises FinetuneError for a key that is missing or unknown."""
    for key in row:
        if key not in _FIELDS:
            raise _refused(f"`{key}` is no field of feedback.", hint=close_names(str(key), set(_FIELDS)))
    for key in _FIELDS[:4]:
        if key not in row:
            raise _refused(f"`{key}` is missing.", hint="Prompt, response, category and model are needed.")
    return Incoming(**row)


def clean(incoming: Incoming, *, max_chars: int, secret: bytes | None) -> Clean:
    """Checks every field and sanitises the texts; `secret` keys the hash of user ids, None keeps personal data.

    NUL and lone surrogates, which no file or terminal can hold, become U+FFFD. Raises FinetuneError.
    """
    _check_numbers(incoming)
    texts = {name: _text(getattr(incoming, name), name, max_chars) for name in _TEXTS}
    for name in ("prompt", "response"):
        if not texts[name].strip():
            raise _refused(f"The {name} is empty.", hint=f"Feedback needs a {name} with some text in it.")
    for name in _LABELS:
        if len(_text(getattr(incoming, name), name, _LABEL_CHARS)) == 0 and name in ("category", "model"):
            raise _refused(f"The {name} is empty.", hint=f"Say which {name} answered.")
    metadata = _plain_metadata(incoming.metadata, max_chars)
    history = _turns(incoming.history, max_chars)
    if secret is None:
        return Clean(incoming, texts, metadata, history, {})
    seen: Seen = {}
    counts: Counter[str] = Counter()
    for text in texts.values():
        if text:
            reserve(text, seen)
    # The earlier turns first, so that a person who is named in them has the same placeholder there and here.
    earlier = _sanitised(history, secret, seen, counts) if history else history
    sanitised = {}
    for name, text in texts.items():
        sanitised[name], found = sanitize(text, seen=seen) if text else (text, {})
        counts.update(found)
    kept = _sanitised(metadata, secret, seen, counts) if metadata else metadata
    return Clean(incoming, sanitised, kept, earlier, dict(counts))


def clean_correction(text: str, event: EventRow, *, max_chars: int, sanitised: bool) -> str:
    """The correction of a stored event; a placeholder of the event stands for nobody else in it."""
    plain = _text(text, "correction", max_chars)
    if not sanitised:
        return plain
    seen: Seen = {}
    for kept in (event.prompt, event.response, event.context, event.system):
        reserve(kept, seen)
    return sanitize(plain, seen=seen)[0]


def _text(value: Any, name: str, max_chars: int) -> str:
    if value is None and name in ("correction", "note"):
        return ""
    if not isinstance(value, str):
        raise _refused(f"The {name} is {type(value).__name__}, not text.", hint="Give it as a string.")
    if len(value) > max_chars:
        raise _refused(
            f"The {name} has {len(value):,} characters; at most {max_chars:,} are taken.",
            hint="Shorten it, or raise capture.max_chars in the configuration.",
        )
    return writable(value)


def _check_numbers(incoming: Incoming) -> None:
    limits: tuple[tuple[str, float, float], ...] = (
        ("score", 0.0, 100.0),
        ("confidence", 0.0, 1.0),
        ("latency_ms", 0.0, 1e12),
        ("seconds", 0.0, 1e9),
        ("created_at", 0.0, 1e11),
    )
    for name, low, high in limits:
        value = getattr(incoming, name)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            huge = isinstance(value, int) and abs(value) > 1e18  # Python refuses to write thousands of digits
            shown = "far out of range" if huge else repr(value)[:60]
            raise _refused(
                f"{name} is {shown}, not a number from {low:g} to {high:g}.", hint="Correct it or leave it out."
            )
    if incoming.feedback_type is not None and incoming.feedback_type not in FEEDBACK_TYPES:
        raise _refused(
            f"There is no feedback type `{incoming.feedback_type}`.",
            hint=close_names(str(incoming.feedback_type), set(FEEDBACK_TYPES)),
        )
    if incoming.verdict is not None and incoming.verdict not in OPINIONS:
        raise _refused(f"`{str(incoming.verdict)[:60]}` is no verdict.", hint=f"Use one of {', '.join(OPINIONS)}.")


def _turns(history: Any, max_chars: int) -> list[Mapping[str, Any]]:
    if not history:
        return []
    if isinstance(history, str | Mapping) or not isinstance(history, Sequence):
        raise _refused("The history is no list of turns.", hint='Give it as [{"role": "user", "content": "…"}, …].')
    for number, turn in enumerate(history, 1):
        role = turn.get("role") if isinstance(turn, Mapping) else None
        if not isinstance(role, str) or not role or not isinstance(turn.get("content"), str):
            raise _refused(
                f"Turn {number} of the history has no role or no text as content.",
                hint='Give each turn as {"role": "user", "content": "…"}.',
            )
    return list(_plain({"turns": [dict(turn) for turn in history]}, "history", max_chars)["turns"])


def _plain_metadata(metadata: Any, max_chars: int) -> Mapping[str, Any]:
    if not metadata:
        return {}
    if not isinstance(metadata, Mapping):
        raise _refused("The metadata is no mapping.", hint="Give it as an object with keys and values.")
    return _plain(dict(metadata), "metadata", max_chars)


def _plain(value: dict[str, Any], name: str, max_chars: int) -> dict[str, Any]:
    try:
        # Through JSON once, so that what is judged now is exactly what will be read back later.
        text = json.dumps(value, allow_nan=False)
        loaded: dict[str, Any] = _writable(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(f"The {name} cannot be written as JSON ({error}).", hint="Use plain values only.") from error
    if len(text) > max_chars:
        raise _refused(f"The {name} has {len(text):,} characters.", hint=f"At most {max_chars:,} are taken.")
    return loaded


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, list):
        return [_writable(each) for each in value]
    if isinstance(value, dict):
        return {writable(key): _writable(each) for key, each in value.items()}
    return value


def _sanitised(value: Any, secret: bytes, seen: Seen, counts: Counter[str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _sanitised(each, secret, seen, counts, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_sanitised(each, secret, seen, counts, key) for each in value]
    if key in _USER_KEYS and isinstance(value, str | int) and not isinstance(value, bool):
        counts["user_id"] += 1
        return user_hash(str(value), secret)
    if isinstance(value, str):
        plain, found = sanitize(value, seen=seen)
        counts.update(found)
        return plain
    return value


def user_hash(user: str, secret: bytes) -> str:
    """A stand-in for a user id that only the holder of `secret` could test a guess against; stable, not reversible."""
    if re.fullmatch(r"user_[0-9a-f]{16}", user):
        return user
    return f"user_{hmac.new(secret, user.encode('utf-8', 'replace'), hashlib.sha256).hexdigest()[:16]}"


def _refused(message: str, *, hint: str) -> FinetuneError:
    return FinetuneError(message, title=_TITLE, hint=hint)
