"""What the selections of pairs and of thumbs have in common: rules for answers, order, replay, and the account."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from core.categories import Category
from core.config import Select
from core.select import curriculum
from core.select.alike.similarity import near_duplicates
from core.select.examples import item
from core.validate.gate import Held
from core.validate.generic import is_generic
from storage.datasets import Learned
from storage.rows import DatasetItem, EventRow

REASONS_KEPT = 3
_PLAIN_ROLES = frozenset({"user", "assistant"})

Key = TypeVar("Key", int, str)
Source = TypeVar("Source")


def held_by_tools(event: EventRow) -> Held | None:
    """Why an answer in a chat with tools may not be learned from, or None."""
    if any(turn["role"] not in _PLAIN_ROLES or "tool_calls" in turn for turn in event.history):
        return Held("tools", "its chat uses tools, which no recipe can train on yet")
    return None


def held_as_answer(event: EventRow, common: Sequence[str]) -> Held | None:
    """Why a model's own answer may not be shown as a good one whatever was said of it, or None.

    `common` are outputs that many prompts got.
    """
    if event.metadata.get("finish_reason") == "length":
        return Held("truncated", "its answer was cut off")
    if why := is_generic(event.prompt, event.response, common):
        return Held("generic", f"generic: {why}")
    return Held("generic", "generic") if event.generic else None


def near_held_out(texts: Sequence[tuple[str, str]], apart: Sequence[tuple[str, str]], floor: float) -> set[int]:
    """Which of the texts (prompt, answer), by index, nearly repeat one that stands `apart`, kept for testing."""
    prompts = [prompt for prompt, _ in (*apart, *texts)]
    answers = [answer for _, answer in (*apart, *texts)]
    repeated = near_duplicates(prompts, answers, floor, always=len(apart))
    return {at - len(apart) for at, other in repeated.items() if at >= len(apart) > other}


def known_as(each: DatasetItem) -> Learned:
    """By what an example is known again."""
    return Learned(each.prompt, each.target, each.rejected, each.desirable)


def in_order(
    items: Sequence[DatasetItem], hardness: Sequence[float], constants: Select, seed: int
) -> list[DatasetItem]:
    """The train split in training order: easy to hard where the curriculum is on, shuffled by `seed` within a stage.

    `hardness` (of any scale) becomes the calibrated difficulty of each item. Good and bad examples mix.
    """
    difficulty = curriculum.calibrate(dict(enumerate(hardness)))
    stages = {at: curriculum.stage_of(value) for at, value in difficulty.items()}
    order = curriculum.order(stages if constants.curriculum else dict.fromkeys(stages, "easy"), seed)
    return [replace(items[at], difficulty=round(difficulty[at], 6), stage=stages[at]) for at in order]


def replayed(
    known: Sequence[Source], key: Callable[[Source], str], fresh: int, seed: int, share: float
) -> list[Source]:
    """Some of what was learned before, drawn by `seed`, so that `share` of all examples are old ones.

    The draw depends on the texts (`key`) alone, not on their order.
    """

    def drawn(each: Source) -> bytes:
        return hashlib.blake2b(f"{seed}:{key(each)}".encode("utf-8", "replace"), digest_size=8).digest()

    return sorted(known, key=drawn)[: int(fresh * share / (1.0 - share) + 0.5)]


def tested_items(test: Iterable[EventRow], category: Category) -> list[DatasetItem]:
    """The test split, which is the same for every method."""
    return [item(event, "test", event.correction or event.response, category) for event in test]


def split_by(sources: Iterable[Source], is_known: Callable[[Source], bool]) -> tuple[list[Source], list[Source]]:
    """Those that are not known yet, and those that are."""
    fresh: list[Source] = []
    known: list[Source] = []
    for each in sources:
        (known if is_known(each) else fresh).append(each)
    return fresh, known


def account(held: Collection[Held], items: Sequence[DatasetItem]) -> dict[str, object]:
    """The counts of a selection that do not depend on its method; see `core.select.dataset.Selection`."""
    reasons: dict[str, list[str]] = {}
    for each in held:
        known = reasons.setdefault(each.kind, [])
        if each.reason not in known and len(known) < REASONS_KEPT:
            known.append(each.reason)
    splits = Counter(each.split for each in items)
    train = [each for each in items if each.split == "train"]
    counts: Mapping[str, object] = {
        "train": splits["train"],
        "validation": splits["validation"],
        "test": splits["test"],
        "replay": sum(each.origin == "replay" for each in train),
        "held_back": dict(Counter(each.kind for each in held).most_common()),
        "reasons": reasons,
        "stages": dict(Counter(each.stage for each in train)),
    }
    return dict(counts)
