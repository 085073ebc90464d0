"""Values out of a nested payload by alternatives: paths, templates, constants and counts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from core.capture.formats.export_values import plain
from core.capture.formats.parts import RowError

Alternatives = tuple[str, ...]
"""Where a value may stand; the first place that has one counts."""

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_PASSAGE_KEYS: Final = ("text", "content", "page_content", "passage", "body", "chunk")
_PERSON = re.compile(
    r"(?:target|source|reporting|reported)?(?:user|member|author|moderator|sender|actor|account|owner)"
    r"(?:id|name|tag|handle)?"
)
_PERSONS = re.compile(
    r"(?:target|source|reporting|reported)?(?:user|member|author|moderator|sender|actor|account|owner)"
    r"(?:ids|names|tags|handles|s)"
)


class Payload:
    """A payload to read from. Whoever is named in an object that becomes text is written as `[USER_1]`, `[USER_2]`, …:
    the same person alike throughout one payload, because an example teaches nothing by an id."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value
        self._persons: dict[str, str] = {}

    def value(self, wanted: Alternatives) -> Any:
        """The first value that is there, or None; empty texts, lists and objects are not there."""
        return next((found for each in wanted if not _empty(found := self._one(each))), None)

    def text(self, wanted: Alternatives) -> str:
        """The first value as text: an object or a list as JSON; empty when none is there."""
        found = self.value(wanted)
        return "" if found is None else self._written(found).strip()

    def scalar(self, wanted: Alternatives) -> str:
        """The first value that is text, a number or a boolean, as text."""
        for each in wanted:
            found = self._one(each)
            if isinstance(found, str | int | float) and not _empty(found):
                return self._written(found).strip()
        return ""

    def passages(self, wanted: Alternatives) -> str:
        """The first value as text; of a list of passages their texts, an empty line between two."""
        found = self.value(wanted)
        if isinstance(found, list):
            return "\n\n".join(self._passage(each) for each in found)
        return "" if found is None else self._written(found)

    def json(self, value: Any) -> str:
        """`value` as JSON with persons hidden. Raises RowError for what cannot be written."""
        try:
            return json.dumps(self.hidden(value), ensure_ascii=False)
        except (ValueError, RecursionError) as error:
            raise RowError(f"The payload cannot be written as JSON ({error}).", hint="Use plain values.") from error

    def hidden(self, value: Any) -> Any:
        """`value` as plain JSON values, with the persons named inside it hidden."""
        return self._hidden(plain(value), "")

    def _one(self, alternative: str) -> Any:
        if alternative.startswith("="):
            return json.loads(alternative[1:])
        if alternative.startswith("#"):
            found = _at(self._value, alternative[1:])
            return len(found) if isinstance(found, list) else found if type(found) is int else None
        if "{" not in alternative:
            return _at(self._value, alternative)
        return self._filled(alternative)

    def _filled(self, template: str) -> str | None:
        for names in _PLACEHOLDER.findall(template):
            if not self.text(tuple(names.split("|"))):
                return None
        return _PLACEHOLDER.sub(lambda match: self._inline(tuple(match.group(1).split("|"))), template)

    def _inline(self, wanted: Alternatives) -> str:
        found = self.value(wanted)
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return ", ".join(found)
        return self._written(found).strip()

    def _passage(self, value: Any) -> str:
        if isinstance(value, Mapping):
            inner = next((value[key] for key in _PASSAGE_KEYS if isinstance(value.get(key), str)), None)
            return self.json(value) if inner is None else inner
        return self._written(value)

    def _written(self, value: Any) -> str:
        return value if isinstance(value, str) else self.json(value)

    def _hidden(self, value: Any, key: str) -> Any:
        name = _folded(key)
        if isinstance(value, Mapping):
            return {str(own): self._hidden(each, str(own)) for own, each in value.items()}
        if isinstance(value, list):
            several = bool(_PERSONS.fullmatch(name))
            return [self._person(each) if several and _is_id(each) else self._hidden(each, "") for each in value]
        return self._person(value) if _PERSON.fullmatch(name) and _is_id(value) else value

    def _person(self, value: str | int) -> str:
        return self._persons.setdefault(str(value), f"[USER_{len(self._persons) + 1}]")


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return plain(value) is None if isinstance(value, int | float) else value in (None, [], {})


def _at(value: Any, path: str) -> Any:
    """What stands at a dotted path, or None; keys match without regard to case, `_` and `-`."""
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        elif not isinstance(value, Mapping):
            return None
        elif key in value:
            value = value[key]
        else:
            folded = _folded(key)
            value = next((each for name, each in value.items() if _folded(str(name)) == folded), None)
    return value


@lru_cache(maxsize=4096)
def _folded(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()
