"""The JSON body of a request: read once, and passed on byte for byte but for the model's name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.serve.replies import Refused

_decode: Final = json.JSONDecoder().raw_decode
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NAMES: Final = ("model", "name")
MOST_VALUES: Final = 1_000_000
"""Parted by commas. Tiny values need many times their own size in memory, and a second for each few megabytes, in which
nobody else is answered."""
_EXAMPLE: Final = 'Send a JSON object like {"model": "…", …}.'


@dataclass(frozen=True, slots=True)
class Body:
    """A request's fields by their names in lower case, and where in its text the model is named."""

    text: str
    fields: Mapping[str, Any]
    model: str
    places: Sequence[tuple[int, int]]

    def for_model(self, name: str) -> bytes:
        """The body with another name of the model; everything else stays as it came."""
        text = self.text
        # One of several could be the one that counts for the server behind, so that all get the name that was routed.
        if name != self.model or len(self.places) > 1:
            for start, end in reversed(self.places):
                text = text[:start] + json.dumps(name) + text[end:]
        return text.encode()


def read_body(data: bytes) -> Body:
    """Reads the body of a request. Raises Refused (400) for what is no JSON object or names no model.

    The last of several fields of one name counts, whatever their case, as it does for Ollama (Go's encoding/json);
    `name` is what `model` was called before.
    """
    if data.count(b",") > MOST_VALUES:
        raise Refused(400, f"The body holds more than {MOST_VALUES:,} values.", hint="Send it in parts.")
    try:
        text = data.decode()
        fields, spans = _object(text)
    except UnicodeDecodeError as error:
        raise Refused(400, f"The body is not UTF-8 (byte {error.start}).", hint=_EXAMPLE) from error
    except RecursionError as error:
        raise Refused(400, "The body is nested too deeply.", hint=_EXAMPLE) from error
    except ValueError as error:
        raise Refused(400, f"The body is no JSON: {str(error)[:100]}.", hint=_EXAMPLE) from error
    for wanted in _NAMES:
        if wanted not in fields:
            continue
        model = fields[wanted]
        if not isinstance(model, str) or not model.strip():
            raise Refused(400, "`model` must be the name of a model.", hint="GET /api/tags lists them.")
        return Body(text, fields, model, [(start, end) for key, start, end in spans if key == wanted])
    raise Refused(400, "The body names no model.", hint=_EXAMPLE)


def _object(text: str) -> tuple[dict[str, Any], list[tuple[str, int, int]]]:
    """The fields of a JSON object, by names in lower case, and where each value stands.

    Raises ValueError and RecursionError.
    """
    fields: dict[str, Any] = {}
    spans: list[tuple[str, int, int]] = []
    at = _expect(text, _skip(text, 0), "{")
    if text[at : at + 1] == "}":
        at += 1
    else:
        while True:
            key, at = _decode(text, at)
            if not isinstance(key, str):
                raise ValueError(f"a field's name is missing at {at}")
            start = _expect(text, _skip(text, at), ":")
            key = key.lower()
            fields[key], at = _decode(text, start)
            spans.append((key, start, at))
            at = _skip(text, at)
            if text[at : at + 1] == "}":
                at += 1
                break
            at = _expect(text, at, ",")
    if _skip(text, at) != len(text):
        raise ValueError(f"more follows at {at}")
    return fields, spans


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, sign: str) -> int:
    """Where the next thing stands after a sign and white space."""
    if text[at : at + 1] != sign:
        raise ValueError(f"`{sign}` is missing at {at}")
    return _skip(text, at + 1)
