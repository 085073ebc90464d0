"""What a version was trained on: every example of its dataset with what it is, read in a worker thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.paths import Home
from storage import datasets, events, runs
from storage.db import open_store
from storage.errors import NotFoundError
from storage.rows import DatasetItem, DatasetRow, EventSummary, Split, VersionRow
from tui.runs.mix import kind_of, read_mix

SPLITS: Final[Mapping[Split, str]] = {"train": "trained on", "validation": "watched while training"}


@dataclass(frozen=True, slots=True)
class Lesson:
    """One example: what kind it is, in a word, and the event that it comes from, None where that is gone."""

    item: DatasetItem
    kind: str
    event: EventSummary | None


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The examples of a dataset, those that were trained on first in the order of training; how many are of each kind;
    `method` names the way of learning."""

    dataset: DatasetRow
    method: str
    lessons: Sequence[Lesson]
    mix: Mapping[str, int]


def read_trained_on(home: Home, version: VersionRow) -> TrainedOn:
    """Read what a version was trained on. Raises StoreError, NotFoundError for a version without a dataset."""
    if version.dataset_id is None:
        raise NotFoundError(f"{version.name} was not trained, so there is nothing that it was trained on.")
    with open_store(home.store) as store:
        dataset = datasets.get(store, version.dataset_id)
        method = runs.get(store, version.run_id).method if version.run_id is not None else "sft"
        items = [item for split in SPLITS for item in datasets.items(store, dataset.id, split)]
        ids = sorted({item.event_id for item in items if item.event_id})
        known = {event.id: event for event in events.summaries(store, ids)}
        trained = [item for item in items if item.split == "train"]
        mix = read_mix(store, method, trained, dataset.counts)
    lessons = [
        Lesson(item, kind_of(item, known.get(item.event_id), method), known.get(item.event_id)) for item in items
    ]
    return TrainedOn(dataset, method, lessons, mix)
