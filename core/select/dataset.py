"""From all events of a category to the frozen dataset that a run trains on, with a reason for each that stays out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from core.categories import Category, select_of
from core.config import Config, Select
from core.errors import RunError
from core.paths import Home
from core.select.alike.meaning import PLAIN, Meaning
from core.select.eligible import Eligible, eligible
from core.select.examples import item, items_hash, numbered, train_items
from core.select.hard.hard_negatives import hard_negatives
from core.select.own_reward import reward_function
from core.select.training_batch import TrainingBatch, calibrated_difficulty, choose_batch
from core.select.variants import variants_of
from storage import datasets
from storage.db import Store
from storage.pins import open_pins
from storage.rows import DatasetItem

_REASONS_KEPT = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection before it is frozen. `items` stand in training order, then validation, then test.

    `counts`: considered, eligible, fresh (eligible and not learned yet), train, validation, test, corrections, hard,
    pinned (asked for by a person), replay, augmented, waiting (failures that wait for a correction), mean_quality
    (numbers), held_back (kind → number), reasons (kind → up to three examples), stages and tiers (name → number, of
    the train split), not_augmented (reason → number), faults (of the category's own reward function) and compared_by.
    A selection by another method than sft has its `method`, counts pairs (dpo) or thumbs (kto), and leaves out what
    does not apply.
    """

    category: str
    seed: int
    settings: Select
    items: list[DatasetItem]
    hash: str
    counts: Mapping[str, object]

    @property
    def summary(self) -> str:
        """In words: "erd: 31 of 50 eligible; 12 held back as near-duplicates, 7 for a low score"."""
        return describe(self.category, self.counts)


_HELD_WORDS: Mapping[str, str] = {
    "near-duplicate": "as near-duplicates",
    "near test": "as near-copies of what is kept for testing",
    "tools": "for using tools",
    "held out": "kept for testing",
    "low score": "for a low score",
    "no score": "for want of a score",
    "low tier": "for a low tier",
    "low reward": "for a low reward",
    "generic": "as generic",
    "rejected by a human": "rejected by a human",
    "invalid correction": "for an invalid correction",
    "invalid answer": "for an invalid answer",
    "truncated": "as cut off",
    "duplicate": "as duplicates",
    "contradiction": "for contradicting others",
    "empty": "as empty",
    "empty pair": "for an empty side",
    "liked by a human": "for rejecting what a person likes",
    "taken back": "for a correction that was taken back",
}
_UNITS: Mapping[str, str] = {"dpo": "pairs ", "kto": "thumbs "}
_NEXT: Mapping[str, str] = {
    "sft": "Review some outputs: what you confirm or correct becomes an example.",
    "dpo": "Correct outputs or compare answers to one prompt; `finetune-tui preferences CATEGORY --infer` makes pairs "
    "of answers that are there, `finetune-tui candidates CATEGORY` lets a model write some.",
    "kto": "Mark some outputs in review as good and some as bad, or train by another method (--method).",
}


def describe(category: str, counts: Mapping[str, object]) -> str:
    """One sentence about the counts of a selection or a stored dataset."""
    held = counts.get("held_back")
    numbers = sorted(held.items(), key=lambda each: (-each[1], each[0])) if isinstance(held, Mapping) else []
    unit = _UNITS.get(str(counts.get("method")), "")
    text = f"{category}: {counts.get('eligible', 0)} of {counts.get('considered', 0)} {unit}eligible"
    if not numbers:
        return text
    (kind, number), *rest = numbers
    parts = [
        f"{number} held back {_HELD_WORDS.get(kind, kind)}" if kind != "held out" else f"{number} kept for testing"
    ]
    parts += [f"{number} {_HELD_WORDS.get(kind, kind)}" for kind, number in rest]
    return f"{text}; {', '.join(parts)}"


def describe_eligible(category: str, found: Eligible) -> str:
    """The same sentence before anything is chosen."""
    held = Counter(each.kind for each in found.held.values())
    return describe(category, {"eligible": found.count, "considered": found.considered, "held_back": held})


def select_dataset(
    store: Store,
    home: Home,
    category: Category,
    *,
    now: float,
    seed: int,
    limit: int | None = None,
    config: Config,
    level: int | None = None,
    learned: Collection[int] = (),
    meaning: Meaning = PLAIN,
    found: Eligible | None = None,
) -> Selection:
    """What a run of `category` would train on: everything eligible, or the `limit` examples that teach most.

    With a `limit`, `level` (0-3) sets the curriculum's mix of stages; None takes the most informative of any stage.
    `learned` are the events that the version to go on from has learned: they are not chosen again, but some of them
    are replayed. `meaning` compares texts; `found` saves looking through the category again. The same store, seed and
    arguments give the same selection at any time of asking.
    """
    constants = select_of(category, config)
    found = found or eligible_of(store, home, category, now=now, config=config)
    negatives = [each for each in hard_negatives(store, category, constants=constants) if each.own_failure]
    batch = choose_batch(
        found.train,
        limit=limit,
        level=level,
        learned=learned,
        failures={each.event_id for each in negatives if each.corrected},
        seed=seed,
        constants=constants,
        embed=meaning.embed,
        pinned=open_pins(store, category.name),
    )
    watching = [item(each.event, "validation", each.target, category) for each in found.validation]
    tested = [item(event, "test", event.correction or event.response, category) for event in found.test]
    apart = [(each.prompt, each.target) for each in (*tested, *watching)]
    variants, refused = (
        variants_of(batch.fresh, apart, category, home, constants=constants, meaning=meaning, seed=seed)
        if constants.augmentation
        else ({}, {})
    )
    items = train_items(
        [*batch.fresh, *batch.replayed],
        replayed=frozenset(each.event.id for each in batch.replayed),
        difficulty=calibrated_difficulty(found.train),
        variants=variants,
        category=category,
        seed=seed,
        constants=constants,
    )
    items = numbered([*items, *watching, *tested])
    counts = _counts(found, items, batch, learned) | {
        "waiting": sum(not each.corrected and not each.held_out for each in negatives),
        "not_augmented": refused,
        "compared_by": meaning.label,
    }
    return Selection(category.name, seed, constants, items, items_hash(items), counts)


def eligible_of(store: Store, home: Home, category: Category, *, now: float, config: Config) -> Eligible:
    """Every event of the category in its place, by its own settings and its own reward function."""
    return eligible(
        store, category, now=now, constants=select_of(category, config), own=reward_function(category, home)
    )


def require_examples(selection: Selection) -> Selection:
    """The selection. Raises RunError where there is nothing to train on, or for kto only thumbs of one side."""
    counts, method = selection.counts, str(selection.counts.get("method", "sft"))
    if not counts.get("train"):
        raise RunError(
            f"There is no training example, so there is nothing to train on yet. {selection.summary}.",
            title="No examples",
            hint=_NEXT[method],
        )
    if method == "kto" and not (counts["desirable"] and counts["undesirable"]):
        some, none = ("good", "bad") if counts["desirable"] else ("bad", "good")
        raise RunError(
            f"All {counts['train']} answers to train on were marked {some} and none {none}, but kto learns from the "
            f"difference. {selection.summary}.",
            title="Thumbs of one side only",
            hint=_NEXT["kto"],
        )
    return selection


def freeze(store: Store, selection: Selection, *, now: float) -> int:
    """Stores a selection for good and returns the id of the dataset; an equal one keeps its id.

    Raises RunError for one that nothing can be learned from, see `require_examples`.
    """
    require_examples(selection)
    return datasets.add(
        store,
        created_at=now,
        category=selection.category,
        hash=selection.hash,
        seed=selection.seed,
        settings=asdict(selection.settings),
        counts=selection.counts,
        items=selection.items,
    )


def _counts(
    found: Eligible, items: Sequence[DatasetItem], batch: TrainingBatch, learned: Collection[int]
) -> dict[str, object]:
    examples: dict[str, list[str]] = {}
    for each in found.held.values():
        known = examples.setdefault(each.kind, [])
        if each.reason not in known and len(known) < _REASONS_KEPT:
            known.append(each.reason)
    splits = Counter(each.split for each in items)
    train = [*batch.fresh, *batch.replayed]
    origins = Counter(each.origin for each in items if each.split == "train")
    return {
        "considered": found.considered,
        "eligible": found.count,
        "fresh": sum(each.event.id not in learned for each in found.train),
        "train": splits["train"],
        "validation": splits["validation"],
        "test": splits["test"],
        "corrections": sum(each.corrected for each in train),
        "hard": batch.hard,
        "pinned": batch.pinned,
        "replay": origins["replay"],
        "augmented": splits["train"] - origins["replay"] - origins["event"],
        "mean_quality": round(fmean(each.quality for each in train), 4) if train else 0.0,
        "held_back": dict(Counter(each.kind for each in found.held.values()).most_common()),
        "reasons": examples,
        "faults": [each.message for each in found.faults],
        "stages": dict(Counter(each.stage for each in items if each.split == "train")),
        "tiers": dict(Counter(each.tier for each in train)),
    }
