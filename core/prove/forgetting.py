"""Does a model forget while it learns? Its loss on things that this training does not teach, before and after.

Two sets are watched: the general set that ships with the product, and gold examples that earlier versions have learned.
The figure is the mean loss in nats per answer token; exp(loss) is the perplexity of the known answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.prove.general_set import general_items
from storage import datasets, events, runs, versions
from storage.db import Store
from storage.rows import DatasetItem, EventRow

GENERAL: Final = "general"
OLDER: Final = "older"
WATCHED: Final[Mapping[str, str]] = {GENERAL: "the general set", OLDER: "what earlier versions learned"}

MOST_GROWTH: Final = 0.10
"""A loss that grew by more than this share of what it was counts as forgetting …"""
LEAST_GROWTH: Final = 0.05
"""… if it also grew by as many nats, which is 5 % in perplexity: near zero a share alone says nothing."""
MEASURABLE: Final = 3.0
"""Nats before training from which on nothing is said: at perplexity 20 on plain short answers a model does not know
them, as the small demonstration model, and has nothing there to forget. The bound is a choice, not a measurement."""

OLDER_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What became of one watched set. `growth` is relative: 0.1 is a loss 10 % above the one before.

    `forgot` is None where the model did not know the set to begin with; `text` says it in a sentence.
    """

    forgot: bool | None
    growth: float
    text: str


def watched_sets(
    store: Store, category: str, start_version: int | None, train: Sequence[DatasetItem], *, seed: int = 0
) -> dict[str, list[DatasetItem]]:
    """The sets that a run watches by name, see `WATCHED`; "older" only where there is something older.

    `train` is what the run learns: an example in it, also as a replay, tells nothing of forgetting.
    Raises FinetuneError when the general set is damaged.
    """
    found = {GENERAL: list(general_items())}
    taught = {item.event_id for item in train}
    if older := older_gold(store, category, start_version, seed=seed, taught=taught):
        found[OLDER] = older
    return found


def older_gold(
    store: Store,
    category: str,
    start_version: int | None,
    limit: int = OLDER_LIMIT,
    seed: int = 0,
    *,
    taught: Collection[int] = (),
) -> list[DatasetItem]:
    """At most `limit` gold examples of the category that `start_version`, or a version whose adapter it went on from,
    was trained on and that are not `taught` (event ids) by this run. None without an earlier version.

    An example must still hold: its event is gold today, and the answer that was learned is the one that it would teach
    now. Augmented variants do not count. The choice depends on the contents and the seed alone.
    """
    learned: dict[int, DatasetItem] = {}
    for dataset_id in _line_datasets(store, start_version):
        for item in datasets.items(store, dataset_id, "train"):
            if item.origin in {"event", "replay"} and item.event_id not in taught:
                learned.setdefault(item.event_id, item)
    known = {event.id: event for event in events.get_many(store, sorted(learned))}
    gold = [item for item in learned.values() if _holds(item, known.get(item.event_id), category)]
    return sorted(gold, key=lambda item: _draw(item, seed))[: max(0, limit)]


def forgetting(name: str, before: float, after: float) -> Forgetting:
    """What the losses of a watched set (a key of `WATCHED`), in nats per answer token, say in words."""
    growth = after / before - 1.0 if before > 0.0 else 0.0
    what = WATCHED[name]
    change = f"{before:.2f} → {after:.2f}"
    if before >= MEASURABLE:
        text = f"On {what} nothing can be said of forgetting: the model did not know it before either (loss {change})."
        return Forgetting(None, growth, text)
    if after > max(before + LEAST_GROWTH, before * (1.0 + MOST_GROWTH)):
        text = (
            f"The model forgets: its loss on {what} grew by {growth:.0%} ({change}), more than {MOST_GROWTH:.0%}. "
            "A lower learning rate or fewer epochs forget less."
        )
        return Forgetting(True, growth, text)
    return Forgetting(False, growth, f"Nothing is forgotten on {what}: loss {change} ({growth:+.0%}).")


def figures_of(watched: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Losses before and after by set, as they stand in a version's metrics: `general_loss_before` and so on."""
    return {
        f"{name}_loss_{when}": round(loss, 5)
        for name, losses in watched.items()
        if name in WATCHED
        for when, loss in zip(("before", "after"), losses, strict=True)
    }


def findings(figures: Mapping[str, Any]) -> list[Forgetting]:
    """What a version's metrics say of each watched set that was measured."""
    names = (name for name in WATCHED if {f"{name}_loss_before", f"{name}_loss_after"} <= figures.keys())
    return [
        forgetting(name, float(figures[f"{name}_loss_before"]), float(figures[f"{name}_loss_after"])) for name in names
    ]


def describe(figures: Mapping[str, Any]) -> str | None:
    """The same in words, what was forgotten first; None where nothing was measured."""
    found = sorted(findings(figures), key=lambda finding: not finding.forgot)
    return " ".join(finding.text for finding in found) or None


def _line_datasets(store: Store, start_version: int | None) -> Iterator[int]:
    """The datasets of a version and of those whose adapters it went on from, the newest first."""
    seen: set[int] = set()
    while start_version is not None and start_version not in seen:
        seen.add(start_version)
        version = versions.get(store, start_version)
        if version.dataset_id is not None:
            yield version.dataset_id
        start_version = runs.get(store, version.run_id).start_version if version.run_id is not None else None


def _holds(item: DatasetItem, event: EventRow | None, category: str) -> bool:
    if event is None or event.category != category or event.tier != "gold":
        return False
    return item.target.strip() == (event.correction or event.response).strip()


def _draw(item: DatasetItem, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\n{item.prompt}\n{item.target}".encode(errors="replace"), digest_size=16).digest()
