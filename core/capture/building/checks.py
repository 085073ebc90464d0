"""Which of the examples that a teacher wrote are worth keeping, and the reason against each of the others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from core.capture.judged import Judged
from core.categories import Category
from core.select.alike.near import likeliest, nearest
from core.validate.extract import fences
from core.validate.generic import is_generic
from storage import events, near
from storage.db import Store
from storage.rows import NewEvent

_COPIED_FROM: Final = 60
_THING = r"(?:text|code|snippet|excerpt|passage|chunk|document|material|file|source|section)"
# A request that leans on what its reader cannot see. "The following text" is none: it may follow.
_LEANS = re.compile(
    rf"\b{_THING} (?:above|provided|supplied)\b|\bthe (?:provided|supplied|attached|above) {_THING}\b|"
    rf"\b(?:according to|based on|as (?:described|shown|stated|mentioned) in) (?:the|this) {_THING}\b|"
    r"\b(?:in|from) (?:the|this) (?:excerpt|passage|chunk|material)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an example is not kept: `kind` is one of a few that are counted, `reason` has the particulars."""

    kind: str
    reason: str


def refusal(example: Judged, category: Category) -> Refusal | None:
    """What speaks against a judged example, or None; `event.context` is the chunk that it was made from."""
    event = example.event
    first = f": {example.findings[0].message}" if example.findings else ""
    if not event.valid:
        return Refusal("not valid", f"the validator refuses it{first}")
    if event.score is not None and event.score < category.success_score:
        return Refusal("low score", f"score {event.score:.0f} is below {category.success_score:g}{first}")
    if why := is_generic(event.prompt, event.response):
        return Refusal("generic", why)
    if leaning := _LEANS.search(event.prompt):
        return Refusal("leans on the file", f"the request speaks of “{leaning.group()}”, which nobody will see")
    if _is_copied(event):
        return Refusal("copied", "the response stands in the file word for word")
    return None


def repeated(store: Store, example: Judged, floor: float) -> Refusal | None:
    """Whether an event of the store is the same or nearly so (similarity of at least `floor`, 0-1)."""
    event = example.event
    known = events.find_by_hash(store, event.category, event.content_hash)
    if known is not None:
        return Refusal("known already", f"the same as event {known}")
    likely = likeliest(example.keys, near.sharing(store, example.keys))
    older = nearest((event.prompt, event.response), likely, events.texts(store, likely), floor)
    return None if older is None else Refusal("near-duplicate", f"nearly the same as event {older}")


def _is_copied(event: NewEvent) -> bool:
    """Whether the response, without its code fences, is a part of the chunk; a short one may well be."""
    inside = "\n".join(each.text for each in fences(event.response)) or event.response
    plain = _folded(inside)
    return len(plain) >= _COPIED_FROM and plain in _folded(event.context)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
