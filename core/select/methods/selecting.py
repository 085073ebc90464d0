"""The one way from a category to what a run trains on, whatever the method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import fmean

from core.categories import Category, select_of
from core.config import Config, Select
from core.paths import Home
from core.select.alike import meaning as meanings
from core.select.alike.meaning import Meaning
from core.select.alike.vectors import Vectors
from core.select.dataset import Selection, select_dataset
from core.select.eligible import Eligible
from core.select.examples import items_hash, mean_one, numbered
from core.select.held_out import parted, sides_of
from core.select.methods.pairs import pair_item, teaching_pairs
from core.select.methods.sources import account, in_order, known_as, replayed, split_by, tested_items
from core.select.methods.thumbs import Thumb, thumb_item, thumbs
from storage import datasets
from storage.datasets import Learned
from storage.db import Store
from storage.rows import DatasetItem


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to select: by `method`, at most `limit` fresh examples (None: all that are fit).

    `start` is the version to go on from (its id): what it learned by the same method is not chosen again, but some of
    it is replayed. For sft, `learned` names these events instead, and `level` is the curriculum's (0-3, None: any).
    """

    method: str = "sft"
    seed: int = 0
    limit: int | None = None
    level: int | None = None
    learned: Collection[int] = field(default=frozenset())
    start: int | None = None


def selected(
    store: Store,
    home: Home,
    config: Config,
    category: Category,
    wanted: Wanted,
    *,
    now: float,
    found: Eligible | None = None,
    check_stop: Callable[[], None] = lambda: None,
) -> Selection:
    """What a run would train on, watch and be tested on. The test is that of every method.

    `found` saves an sft run looking through the category again. Embedding texts may take minutes: `check_stop` is
    called meanwhile, and may raise to break off. Raises FinetuneError.
    """
    if wanted.method == "dpo":
        return select_pairs(store, category, config, wanted)
    if wanted.method == "kto":
        return select_thumbs(store, category, config, wanted)
    constants = select_of(category, config)
    with _meaning(store, home, config, needed=wanted.limit is not None or constants.augmentation) as meaning:

        def embed(texts: Sequence[str]) -> Vectors:
            check_stop()
            return meaning.embed(texts)

        return select_dataset(
            store,
            home,
            category,
            now=now,
            seed=wanted.seed,
            limit=wanted.limit,
            level=wanted.level,
            config=config,
            learned=wanted.learned,
            meaning=replace(meaning, embed=embed),
            found=found,
        )


def select_pairs(store: Store, category: Category, config: Config, wanted: Wanted) -> Selection:
    """The dataset of a dpo run: every preference pair that may teach, or the best of them.

    Its weights have the mean 1 and are in proportion to the chosen answer's quality × the margin up to the middle.
    `counts` has, beside those of every method: `pairs` by source, and `mean_margin`.
    """
    constants = select_of(category, config)
    sides = sides_of(store, category.name, constants)
    teaching, held = teaching_pairs(store, category, sides, constants)
    able, watching = parted(teaching, lambda each: each.place, sides.trained_prompts, constants)
    learned = _learned(store, wanted)
    fresh, known = split_by(able, lambda each: known_as(pair_item(each, "train", category)) in learned)
    chosen = sorted(sorted(fresh, key=lambda each: each.rank)[: wanted.limit], key=lambda each: each.pair.id)
    again = replayed(known, lambda each: str(each.pair), len(chosen), wanted.seed, constants.replay_share)
    sources = [*chosen, *again]
    train = _weighed(
        [pair_item(each, "train", category) for each in sources],
        [each.strength for each in sources],
        fresh=len(chosen),
        constants=constants,
    )
    items = numbered(
        [
            # The smaller the margin, the harder it is to tell the answers apart.
            *in_order(train, [1.0 - each.margin for each in sources], constants, wanted.seed),
            *(pair_item(each, "validation", category) for each in watching),
            *tested_items(sides.test, category),
        ]
    )
    counts = account(held.values(), items) | {
        "method": "dpo",
        "considered": len(teaching) + len(held),
        "eligible": len(teaching),
        "fresh": len(fresh),
        "corrections": sum(each.pair.source == "correction" for each in sources),
        "mean_quality": _mean([each.quality for each in sources]),
        "mean_margin": _mean([each.pair.margin for each in sources]),
        "pairs": dict(Counter(each.pair.source for each in sources)),
    }
    return Selection(category.name, wanted.seed, constants, items, items_hash(items), counts)


def select_thumbs(store: Store, category: Category, config: Config, wanted: Wanted) -> Selection:
    """The dataset of a kto run: every answer with a thumb that may teach, or the best of both sides.

    Of more than are wanted each side gets half, or what the other one cannot fill. The weights have the mean 1, and
    both sides the same sum as far as 0.25-3 allow, so that the rarer thumb is heard (KTO's authors advise a like pull
    of both sides, Ethayarajh et al. 2024, arXiv 2402.01306). `counts` has, beside those of every method,
    `desirable` and `undesirable` of the train split; thumbs of one side alone do not watch the training but join it.
    """
    constants = select_of(category, config)
    sides = sides_of(store, category.name, constants)
    found, held = thumbs(category, sides, constants)
    able, watching = parted(found, lambda each: each.place, sides.trained_prompts, constants)
    if len({each.desirable for each in watching}) == 1:
        able, watching = found, []
    learned = _learned(store, wanted)
    fresh, known = split_by(able, lambda each: known_as(thumb_item(each, "train", category)) in learned)
    chosen = fresh if wanted.limit is None else _best_of_both(fresh, wanted.limit)
    again = replayed(
        known,
        lambda each: f"{each.event.content_hash} {each.desirable}",
        len(chosen),
        wanted.seed,
        constants.replay_share,
    )
    sources = [*chosen, *again]
    size = Counter(each.desirable for each in sources)
    train = _weighed(
        [thumb_item(each, "train", category) for each in sources],
        [1.0 / size[each.desirable] for each in sources],
        fresh=len(chosen),
        constants=constants,
    )
    items = numbered(
        [
            *in_order(train, [each.hardness(category) for each in sources], constants, wanted.seed),
            *(thumb_item(each, "validation", category) for each in watching),
            *tested_items(sides.test, category),
        ]
    )
    counts = account(held, items) | {
        "method": "kto",
        "considered": len(found) + len(held),
        "eligible": len(found),
        "fresh": len(fresh),
        "corrections": sum(each.written for each in sources),
        "mean_quality": _mean([each.event.quality for each in sources]),
        "desirable": size[True],
        "undesirable": size[False],
    }
    return Selection(category.name, wanted.seed, constants, items, items_hash(items), counts)


def _best_of_both(fresh: Sequence[Thumb], limit: int) -> list[Thumb]:
    ranked = sorted(fresh, key=lambda each: each.rank)
    liked, disliked = split_by(ranked, lambda each: not each.desirable)
    half = min(len(disliked), max(limit // 2, limit - len(liked)))
    best = [*liked[: limit - half], *disliked[:half]]
    return sorted(best, key=lambda each: (each.event.id, not each.desirable))


def _weighed(
    items: Sequence[DatasetItem], strengths: Sequence[float], *, fresh: int, constants: Select
) -> list[DatasetItem]:
    """The items with their weights; those after the `fresh` ones are replayed."""
    weights = mean_one(strengths, on=constants.weigh_by_reward)
    return [
        replace(each, weight=weight, origin="event" if at < fresh else "replay")
        for at, (each, weight) in enumerate(zip(items, weights, strict=True))
    ]


def _learned(store: Store, wanted: Wanted) -> set[Learned]:
    return datasets.learned_texts(store, wanted.start, wanted.method) if wanted.start is not None else set()


@contextmanager
def _meaning(store: Store, home: Home, config: Config, *, needed: bool) -> Iterator[Meaning]:
    """How texts are compared; without need for it no model is looked for, since one may take seconds to start."""
    if not needed:
        yield meanings.PLAIN
        return
    with meanings.open_meaning(store, home, config) as meaning:
        yield meaning


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), 4) if values else 0.0
