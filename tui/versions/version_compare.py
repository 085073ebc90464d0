"""Two versions beside each other: what differs in how they came about, what they can do, and what they weigh."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from storage import datasets
from storage.db import Store
from storage.rows import VersionRow
from tui.versions.views import ModelsView
from tui.words import clock, data_size, number, percent

_METRICS: Final[tuple[tuple[str, str, Callable[[Any], str], bool], ...]] = (
    ("mean_score", "mean score", number, True),
    ("success_rate", "pass rate", percent, True),
    ("generic_share", "generic answers", percent, False),
    ("tokens_per_second", "tokens in a second", number, True),
)


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """One line: what it is, both values as text, and which of them is better (0, 1, or None)."""

    label: str
    values: tuple[str, str]
    better: int | None = None


def differences(one: VersionRow, other: VersionRow, view: ModelsView) -> Mapping[str, list[VersionDifference]]:
    """What is told of two versions, by the title of each table: standing, figures, settings that differ, data."""
    pair = (one, other)
    return {
        "Where they come from": [
            _row("made", pair, lambda version: clock(version.created_at)),
            _row("from", pair, lambda version: view.name(version.parent_id) if version.parent_id else "–"),
            _row("base model", pair, lambda version: version.base_model),
            _row("in production", pair, lambda version: "★ yes" if version.id in view.production else "no"),
            _row("proof", pair, _proof),
            _row("files", pair, _size),
        ],
        "Figures on held-out prompts": [_figure(key, label, form, high, pair) for key, label, form, high in _METRICS],
        "Settings that differ": _settings(one.settings, other.settings),
        "Trained on": _data(pair, view),
    }


def shared_events(store: Store, one: VersionRow, other: VersionRow) -> tuple[int, int, int]:
    """How many events only the first was trained on, both, and only the second."""
    first, second = (_trained_on(store, version) for version in (one, other))
    return len(first - second), len(first & second), len(second - first)


def _trained_on(store: Store, version: VersionRow) -> set[int]:
    return datasets.event_ids(store, version.dataset_id, "train") if version.dataset_id is not None else set()


def _row(label: str, pair: tuple[VersionRow, VersionRow], say: Callable[[VersionRow], str]) -> VersionDifference:
    return VersionDifference(label, (say(pair[0]), say(pair[1])))


def _proof(version: VersionRow) -> str:
    passed = sum(bool(check.get("passed")) for check in version.proof)
    mark = "✓" if version.proved else "✗"
    return f"{mark} {passed} of {len(version.proof)} checks hold" if version.proof else "nothing is proved"


def _size(version: VersionRow) -> str:
    if not version.gguf:
        return "none"
    total = data_size(sum(float(file.get("bytes") or 0) for file in version.gguf.values()))
    return f"{total} ({', '.join(map(str, version.gguf))})"


def _figure(
    key: str, label: str, form: Callable[[Any], str], high: bool, pair: tuple[VersionRow, VersionRow]
) -> VersionDifference:
    first, second = (version.metrics.get(key) for version in pair)
    better = None
    if _is_figure(first) and _is_figure(second) and first != second:
        better = int((second > first) == high)
    return VersionDifference(label, (form(first), form(second)), better)


def _is_figure(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[VersionDifference]:
    return [
        VersionDifference(name.replace("_", " "), (_value(one.get(name)), _value(other.get(name))))
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]


def _data(pair: tuple[VersionRow, VersionRow], view: ModelsView) -> list[VersionDifference]:
    sets = [view.datasets.get(version.dataset_id or 0) for version in pair]
    counts = [found.counts if found is not None else {} for found in sets]
    names = ("train", "validation", "test", "corrections")
    return [
        VersionDifference(name, (_value(counts[0].get(name)), _value(counts[1].get(name))))
        for name in names
        if any(name in each for each in counts)
    ]


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
