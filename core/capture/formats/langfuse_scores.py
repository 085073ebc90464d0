"""Langfuse's scores: what they say of an answer, and where they are found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from core.capture.formats.export_values import Judged, items, joined, label, mapping, number, parsed, text, verdict_of
from core.capture.formats.parts import Source

_SNAKE: Final = re.compile(r"(?<!_)_+([a-z0-9])")
_FEEDBACK: Final = re.compile(
    r"feedback|thumb|like|vote|rating|helpful|correct|good|approv|accept|quality|satisf|useful", re.IGNORECASE
)
_OPPOSITE: Final = re.compile(
    r"dislik|likelihood|unlik|incorrect|unhelp|down|dissatisf|disapprov|unaccept|useless", re.IGNORECASE
)
_BEFORE: Final = re.compile(r"traces|observations_v2|observations|generations|dataset_items|dataset-items")
_ENDINGS: Final = (".json", ".jsonl", ".csv")


def camel(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with snake_case keys in camelCase: scheduled exports write the one, the API the other."""
    return {_SNAKE.sub(lambda found: found[1].upper(), str(key)): value for key, value in row.items()}


@dataclass(frozen=True, slots=True)
class Told:
    """What scores say of one answer; `elsewhere` holds, by observation, those of a trace that are not about itself."""

    verdict: Judged | None = None
    score: float | None = None
    correction: str | None = None
    note: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    elsewhere: Mapping[str, Told] = field(default_factory=dict)

    def joined(self, other: Told | None) -> Told:
        """Both together; where they differ, the other's word counts."""
        if other is None:
            return self
        return Told(
            verdict=other.verdict or self.verdict,
            score=self.score if other.score is None else other.score,
            correction=other.correction or self.correction,
            note=joined(self.note, other.note),
            values={**self.values, **other.values},
            problems=(*self.problems, *other.problems),
            elsewhere=self.elsewhere,
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores from beside a source, by observation and by trace, and the ranges (low, high) of numbers by name."""

    on_observations: Mapping[str, Told] = field(default_factory=dict)
    on_traces: Mapping[str, Told] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def of_row(self, row: Mapping[str, Any]) -> Told:
        """The scores that a row carries: a list of scores, or an object with values by name."""
        held = parsed(row.get("scores"))
        here = Told()
        elsewhere: dict[str, Told] = {}
        for score in _listed(held):
            about = label(score.get("observationId"))
            told = _told(score, self.ranges)
            if about and about != label(row.get("id")):
                elsewhere[about] = elsewhere.get(about, Told()).joined(told)
            else:
                here = here.joined(told)
        return Told(here.verdict, here.score, here.correction, here.note, here.values, here.problems, elsewhere)


def _listed(held: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(held, Mapping):
        for name, value in held.items():
            entry = mapping(value)
            found = entry.get("values") or entry.get("value") if entry else value
            for each in items(found) if isinstance(found, list) else [found]:
                kind = text(entry.get("type")) or text(entry.get("dataType"))
                yield {"name": str(name), "value": each, "dataType": kind, "comment": entry.get("comment")}
    else:
        for each in items(held):
            yield camel(mapping(each))


def scores_beside(source: Source) -> Scores:
    """The scores, and the configurations of scores, in the files next to `source`."""
    ranges = {}
    for entry in _rows(source, ("score_configs", "score-configs")):
        low, high = number(entry.get("minValue")), number(entry.get("maxValue"))
        if low is not None and high is not None and low < high:
            ranges[text(entry.get("name"))] = (low, high)
    on_observations: dict[str, Told] = {}
    on_traces: dict[str, Told] = {}
    for entry in _rows(source, _score_files(source)):
        observation, trace = label(entry.get("observationId")), label(entry.get("traceId"))
        place, key = (on_observations, observation) if observation else (on_traces, trace)
        if key:
            place[key] = place.get(key, Told()).joined(_told(entry, ranges))
    return Scores(on_observations, on_traces, ranges)


def _score_files(source: Source) -> tuple[str, ...]:
    """Names that the scores may have: "…-traces-export-…" has "…-scores-export-…" beside it."""
    stem = PurePosixPath(source.name).stem
    return tuple(dict.fromkeys((_BEFORE.sub("scores", stem), "scores"))) if stem != "scores" else ()


def _rows(source: Source, stems: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for stem in stems:
        for ending in _ENDINGS:
            beside = source.sibling(f"{stem}{ending}")
            if beside is not None:
                yield from (camel(mapping(row.value)) for row in beside.rows() if not row.error)
                return


def _told(score: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> Told:
    """One score. A judge model's score (source EVAL) is no verdict of a person.

    A number becomes (v - low) / (high - low) * 100 where the range is known. Only scores whose name says feedback
    count; the others (toxicity, latency, …) might be better low than high.
    """
    name = text(score.get("name")) or "score"
    kind = text(score.get("dataType")).upper()
    said = score.get("stringValue")
    value = number(score.get("value"))
    comment = text(score.get("comment"))
    if kind == "CORRECTION":
        corrected = text(said) or text(score.get("value"))
        return Told(correction=corrected if corrected.strip() else None, note=comment)
    shown = text(said) or (score.get("value") if isinstance(score.get("value"), str | bool) else value)
    told = Told(note=comment, values={name: shown} if shown not in (None, "") else {})
    if not _FEEDBACK.search(name) or _OPPOSITE.search(name):
        return told
    human = text(score.get("source")).upper() != "EVAL"
    verdict: Judged | None = None
    if human and kind == "BOOLEAN":
        verdict = verdict_of(_truth(said)) or verdict_of(_truth(score.get("value")))
    elif human and kind in ("CATEGORICAL", "TEXT", ""):
        verdict = verdict_of(shown) if isinstance(shown, str | bool) else None
    limits = ranges.get(name) or _limits(score)
    scaled = None
    if kind in ("NUMERIC", "") and value is not None and verdict is None and limits and limits[0] <= value <= limits[1]:
        scaled = (value - limits[0]) / (limits[1] - limits[0]) * 100.0
    return told.joined(Told(verdict=verdict, score=scaled))


def _truth(value: Any) -> Any:
    """A boolean, which exports write as true, "True", 1 or "1"."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    found = number(value)
    return bool(found) if found in (0.0, 1.0) else value


def _limits(score: Mapping[str, Any]) -> tuple[float, float] | None:
    config = camel(mapping(score.get("config"))) or score
    low, high = number(config.get("minValue")), number(config.get("maxValue"))
    return (low, high) if low is not None and high is not None and low < high else None
