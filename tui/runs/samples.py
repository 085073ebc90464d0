"""The examples of a run as the trainer will read them, and where each comes from; read in a worker's thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.categories import category, load_categories, select_of
from core.config import load_config
from core.paths import Home
from storage import events
from storage.db import Store, open_store
from storage.rows import DatasetItem, EventSummary
from tui.runs.mix import AUGMENTED, CORRECTED, DISLIKED, HARD, LIKED, PASSED, REPLAY, kind_of
from tui.widgets.run_fields import RunRequest

if TYPE_CHECKING:
    from core.train.samples import Sample, Samples

_PAIR: Final = "preference"
_WHY: Final[Mapping[str, str]] = {
    CORRECTED: "a person wrote this answer in place of the model's",
    HARD: "the model failed here, and a person wrote the answer",
    LIKED: "a person liked this answer",
    DISLIKED: "a person disliked this answer: it becomes less likely",
    PASSED: "nobody has judged it; it passed the checks of its category",
    REPLAY: "learned before, repeated so that it is not forgotten",
    AUGMENTED: "made from that event, worded differently",
    _PAIR: "the first answer is preferred to the second",
}


@dataclass(frozen=True, slots=True)
class ShownSample:
    """One example: what the trainer reads of it, the event it comes from (0 for none), and why it was selected."""

    sample: Sample
    event_id: int
    kind: str
    why: str
    facts: Sequence[str]


def read_samples(
    home: Home, request: RunRequest, items: Sequence[DatasetItem], check_stop: Callable[[], None]
) -> tuple[Samples, Sequence[ShownSample]]:
    """The items to train on as the request's base model and method read them.

    A child process tokenises them; `check_stop` is called meanwhile. Raises FinetuneError, ModelError where the base
    model is not on this machine yet.
    """
    from core.train.presets import resolve_base
    from core.train.samples import MOST
    from core.train.samples import read_samples as tokenised

    base = resolve_base(request.base, home, make=False).path
    length = int(request.settings["max_length"])
    found = tokenised(base, items, method=request.method, max_length=length, check_stop=check_stop)  # type: ignore[arg-type]
    first = items[:MOST]
    with open_store(home.store) as store:
        ids = sorted({item.event_id for item in first if item.event_id})
        known = {event.id: event for event in events.summaries(store, ids)}
        failures = _failures(store, home, request) if request.method == "sft" else ()
    shown = [
        _shown(sample, item, known.get(item.event_id), request.method, failures)
        for sample, item in zip(found.shown, first, strict=True)
    ]
    return found, shown


def _failures(store: Store, home: Home, request: RunRequest) -> Collection[int]:
    from core.select.hard.hard_negatives import hard_negatives

    chosen = category(load_categories(home), request.category)
    negatives = hard_negatives(store, chosen, constants=select_of(chosen, load_config(home)))
    return {each.event_id for each in negatives if each.own_failure and each.corrected}


def _shown(
    sample: Sample, item: DatasetItem, event: EventSummary | None, method: str, failures: Collection[int]
) -> ShownSample:
    kind = _PAIR if method == "dpo" else kind_of(item, event, method)
    if kind == CORRECTED and item.event_id in failures:
        kind = HARD
    facts = [f"event {item.event_id}" if item.event_id else "without an event"]
    facts += [event.tier, f"scored {event.score:.0f}" if event.score is not None else "no score"] if event else []
    facts += [item.stage] if item.stage else []
    facts += [item.origin.replace("_", " ")] if item.origin not in ("event", "replay") else []
    return ShownSample(sample, item.event_id, kind, _WHY[kind], [*facts, f"weight {item.weight:.2f}"])
