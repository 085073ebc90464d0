"""What applications report by name ("scam.detected"): each event is mapped to its category by a table of data.

The table is assets/domain_events.toml, which also explains how its entries are written. A payload may come alone or in
an envelope such as `{"event": …, "data": {…}, "timestamp": …}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from assets import ASSETS
from core.capture.formats.export_values import details, number, parsed, seconds, shown, verdict_of
from core.capture.formats.parts import Answer, RowError
from core.capture.payload import Alternatives, Payload
from core.config import close_names, read_toml

NAME_KEYS: Final = ("event", "event_type", "event_name", "type", "name")
DATA_KEYS: Final = ("data", "payload", "detail", "properties")
_TABLE: Final = "domain_events.toml"
_LONGEST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """How one named event is read: for each part of an example the alternatives to look for, the first found counting.

    See the head of the table for what an alternative and the other entries mean.
    """

    name: str
    title: str
    category: str
    prompt: Alternatives
    response: Alternatives
    label: Alternatives = ()
    object: Mapping[str, Alternatives] = field(default_factory=dict)
    needs: Alternatives = ()
    labelled: str = ""
    synonyms: Mapping[str, str] = field(default_factory=dict)
    correction: Alternatives = ()
    correction_key: str = ""
    must_correct: bool = False
    expected: Alternatives = ()
    system: Alternatives = ()
    context: Alternatives = ()
    note: Alternatives = ()
    model: Alternatives = ()
    group: Alternatives = ()
    confidence: Alternatives = ()
    score: Alternatives = ()
    latency_ms: Alternatives = ()
    created_at: Alternatives = ()
    verdict: Alternatives = ()
    right: Alternatives = ()
    wrong: Alternatives = ()
    metadata: Mapping[str, Alternatives] = field(default_factory=dict)

    @property
    def mapping(self) -> dict[str, Alternatives]:
        """Which keys of the payload become what: part of the example to alternatives, in reading order."""
        response = self.response + self.label
        parts: dict[str, Alternatives] = {"prompt": self.prompt}
        if response:
            parts["response"] = response
        parts.update((f"response.{key}", found) for key, found in self.object.items())
        for name in ("correction", "note", "verdict", "right", "wrong", "expected", "score", "confidence"):
            parts[name] = getattr(self, name)
        for name in ("context", "system", "model", "group", "latency_ms", "created_at"):
            parts[name] = getattr(self, name)
        parts.update((f"metadata.{key}", found) for key, found in self.metadata.items())
        return {name: found for name, found in parts.items() if found}


@cache
def domain_events() -> Mapping[str, DomainEvent]:
    """The events that are known, by name."""
    tables = read_toml(ASSETS / _TABLE)
    common = tables["common"]
    found: dict[str, DomainEvent] = {}
    for name, own in tables["events"].items():
        values = {**common, **own, "metadata": {**common["metadata"], **own.get("metadata", {})}}
        found[name] = DomainEvent(name=name, **{key: _frozen(value) for key, value in values.items()})
    return found


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(each) for key, each in value.items()}
    return tuple(value) if isinstance(value, list) else value


def domain_event(name: str) -> DomainEvent:
    """The event of that name. Raises RowError that names the closest ones."""
    found = domain_events().get(name.strip().lower())
    if found is None:
        hint = close_names(name.strip().lower()[:_LONGEST_NAME], domain_events())
        raise RowError(f"There is no event {shown(name)}.", hint=hint)
    return found


def unwrap(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Name and payload of an event in its envelope; what stands beside the payload, such as a time, joins it.

    Without an object under data, payload, detail or properties the rest of the envelope is the payload.
    Raises RowError when no name is there.
    """
    if not isinstance(value, Mapping):
        raise RowError(f"An event is an object, not {shown(value)}.", hint='Write {"event": "…", "data": {…}}.')
    key = _name_key(value)
    if key is None:
        raise RowError(
            f"No event is named: none of {', '.join(NAME_KEYS)} is there.",
            hint=f"Known events: {', '.join(domain_events())}.",
        )
    beside = {name: each for name, each in value.items() if name != key}
    data = next((name for name in DATA_KEYS if isinstance(beside.get(name), Mapping)), None)
    payload = beside if data is None else {**beside, **beside.pop(data)}
    return str(value[key]), payload


def _name_key(value: Mapping[str, Any]) -> str | None:
    """The key that names a known event, else the first that holds any text."""
    texts = [key for key in NAME_KEYS if isinstance(value.get(key), str) and value[key].strip()]
    known = [key for key in texts if value[key].strip().lower() in domain_events()]
    return next(iter(known or texts), None)


def answer_from_envelope(value: Any) -> Answer:
    """The example in an event with its envelope. Raises RowError."""
    name, payload = unwrap(value)
    return answer_from(name, payload)


def answer_from(name: str, payload: Any) -> Answer:
    """The example that an event's payload makes; the payload may also stand in its envelope.

    Raises RowError for an unknown name, and for a payload that lacks what an example needs, naming the keys that are
    looked for.
    """
    event = domain_event(name)
    if not isinstance(payload, Mapping):
        raise RowError(f"The payload of `{event.name}` is {shown(payload)}, not an object.", hint="Give it as {…}.")
    if any(isinstance(payload.get(key), Mapping) for key in DATA_KEYS) and _named(payload, event.name):
        _, payload = unwrap(payload)
    read = Payload(payload)
    prompt = read.text(event.prompt)
    if not prompt:
        raise _missing(event, "prompt", event.prompt, payload)
    response = _response(event, read, payload)
    correction = _correction(event, read)
    if event.must_correct and not correction:
        raise _missing(event, "correction", event.correction, payload)
    return Answer(
        prompt=prompt,
        response=response,
        system=read.text(event.system),
        context=read.passages(event.context),
        category=event.category,
        model=read.text(event.model),
        score=_within(event, read, "score", 100.0),
        confidence=_within(event, read, "confidence", 1.0),
        verdict=None if correction else _verdict(event, read),
        correction=correction or None,
        note=read.text(event.note),
        latency_ms=_within(event, read, "latency_ms", 1e12),
        created_at=_created_at(event, read),
        group=read.text(event.group),
        metadata=_metadata(event, read),
    )


def _named(payload: Mapping[str, Any], name: str) -> bool:
    key = _name_key(payload)
    return key is not None and payload[key].strip().lower() == name


def _missing(event: DomainEvent, part: str, wanted: Alternatives, payload: Mapping[str, Any]) -> RowError:
    present = ", ".join(list(map(str, payload))[:20])[:300] or "nothing"
    return RowError(
        f"`{event.name}` has no {part}; looked for: {' · '.join(wanted)}. The payload has: {present}.",
        hint="`finetune-tui categories events` shows which keys are read.",
    )


def _response(event: DomainEvent, read: Payload, payload: Mapping[str, Any]) -> str:
    whole = read.text(event.response)
    if whole:
        return whole
    if not event.object:
        label = read.scalar(event.label)
        if not label:
            raise _missing(event, "response", event.response + event.label, payload)
        return _label(event, label)
    parts = {key: parsed(read.value(wanted)) for key, wanted in event.object.items()}
    found = {key: value for key, value in parts.items() if value is not None}
    for key in event.needs:
        if key not in found:
            raise _missing(event, f"`{key}`", event.object[key], payload)
    return read.json(_normal(event, found))


def _label(event: DomainEvent, text: str) -> str:
    plain = "_".join(text.replace("-", " ").lower().split())
    return event.synonyms.get(plain, plain)


def _normal(event: DomainEvent, found: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its label in its usual form, and a score as a number where it came as text."""
    normal = dict(found)
    value = normal.get(event.labelled)
    if isinstance(value, str | bool):
        normal[event.labelled] = _label(event, str(value))
    score = normal.get(event.correction_key)
    if isinstance(score, str) and event.correction_key != event.labelled:
        normal[event.correction_key] = score if number(score) is None else number(score)
    return normal


def _correction(event: DomainEvent, read: Payload) -> str:
    value = read.value(event.correction)
    if event.object and isinstance(value, str):
        value = parsed(value)
    if isinstance(value, Mapping):
        return read.json(_normal(event, value))
    if event.label:
        return _label(event, read.scalar(event.correction))
    if event.correction_key and isinstance(value, str | int | float):
        return read.json(_normal(event, {event.correction_key: value}))
    return read.text(event.correction)


def _within(event: DomainEvent, read: Payload, part: str, high: float) -> float | None:
    """A number from 0 to `high`; a confidence above 1 is a percentage."""
    value = read.value(getattr(event, part))
    if value is None:
        return None
    found = number(value)
    if found is not None and part == "confidence" and 1.0 < found <= 100.0:
        found /= 100.0
    if found is None or not 0.0 <= found <= high:
        raise RowError(
            f"The {part} of `{event.name}` is {shown(value)}, not a number from 0 to {high:g}.",
            hint="Correct it or leave it out.",
        )
    return found


def _created_at(event: DomainEvent, read: Payload) -> float | None:
    value = read.value(event.created_at)
    found = None if value is None else seconds(value)
    if value is not None and found is None:
        raise RowError(
            f"The time of `{event.name}` is {shown(value)}.",
            hint="Give seconds or milliseconds since 1970, or ISO 8601 such as 2026-01-31T12:00:00Z.",
        )
    return found


def _verdict(event: DomainEvent, read: Payload) -> Any:
    """What a person said of the answer: a verdict in words, or a flag that confirms or overturns it."""
    said = verdict_of(read.value(event.verdict))
    if said is not None:
        return said
    if read.value(event.wrong) is True:
        return "bad"
    return verdict_of(found) if isinstance(found := read.value(event.right), bool) else None


def _metadata(event: DomainEvent, read: Payload) -> dict[str, Any]:
    named = {key: read.hidden(read.value(wanted)) for key, wanted in event.metadata.items()}
    kept = details(event=event.name, **named)
    expected = read.scalar(event.expected)
    if expected:
        kept["expected"] = {"label": _label(event, expected)}
    return kept
