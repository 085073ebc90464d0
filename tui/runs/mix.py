"""What the examples of a run are made of: how each came to be one, and how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from storage import events
from storage.db import Store
from storage.rows import DatasetItem, EventSummary

CORRECTED: Final = "corrected"
HARD: Final = "hard negative"
LIKED: Final = "liked"
DISLIKED: Final = "disliked"
PASSED: Final = "passed its checks"
REPLAY: Final = "replay"
AUGMENTED: Final = "augmented"


def kind_of(item: DatasetItem, event: EventSummary | None, method: str) -> str:
    """What an example of a run by `method` is, one word of those above; `event` is the one that it comes from."""
    if item.origin == "replay":
        return REPLAY
    if item.origin != "event":
        return AUGMENTED
    if method == "kto":
        return LIKED if item.desirable else DISLIKED
    if event is None:
        return PASSED
    if event.verdict == "correct":
        return CORRECTED
    liked = event.verdict == "good" or event.feedback_type == "explicit_positive"
    return LIKED if liked else PASSED


def read_mix(
    store: Store, method: str, items: Sequence[DatasetItem], counts: Mapping[str, object]
) -> Mapping[str, int]:
    """How many of the examples to train on are of each kind; the sum is their number.

    `counts` are those of the selection: pairs are told apart by where they come from, and of the corrections those that
    stand against a failure of the model count as hard negatives.
    """
    pairs = counts.get("pairs")
    if isinstance(pairs, Mapping):
        return {f"preference ({source})": int(number) for source, number in pairs.items()}
    ids = sorted({item.event_id for item in items if item.event_id})
    known = {event.id: event for event in events.summaries(store, ids)} if method == "sft" else {}
    mix = Counter(kind_of(item, known.get(item.event_id), method) for item in items)
    found = counts.get("hard")
    hard = min(found, mix[CORRECTED]) if isinstance(found, int) else 0
    mix[CORRECTED] -= hard
    order = (CORRECTED, HARD, LIKED, DISLIKED, PASSED, REPLAY, AUGMENTED)
    return {kind: mix[kind] if kind != HARD else hard for kind in order if (hard if kind == HARD else mix[kind])}
