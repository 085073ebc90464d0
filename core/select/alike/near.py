"""Near-duplicates over the whole store: MinHash bands find the candidates, the texts themselves decide.

MinHash (Broder 1997) with 32 permutations in 8 bands of 4 (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets",
3.4): two texts of Jaccard similarity s share a key with probability 1 − (1 − s⁴)⁸, that is 98.5 % at 0.8 and 19 % at
0.4. What is compared are pairs of neighbouring words, or three characters where a script has no spaces.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from rapidfuzz import fuzz
from rensa import RMinHash

from core.select.alike.similarity import COMPARED
from storage import events, near
from storage.db import Store

BANDS: Final = 8
ROWS: Final = 4
_SEED: Final = 7
_VERIFIED: Final = 3
_WORD = re.compile(r"\w+")
_LONG_WORD: Final = 20
_BAND = struct.Struct(f"<{ROWS + 1}I")

Texts = tuple[str, str]
"""Prompt and output of an event."""


def near_keys(category: str, prompt: str, response: str) -> tuple[int, ...]:
    """The 8 keys (signed 64 bit) of an output in its category; outputs that share one may be near-duplicates."""
    minhash = RMinHash(num_perm=BANDS * ROWS, seed=_SEED)
    minhash.update(_shingles(f"{prompt[:COMPARED]} {response[:COMPARED]}".casefold()))
    digest = minhash.digest()
    own = category.encode()
    return tuple(_key(own, at, digest[at : at + ROWS]) for at in range(0, BANDS * ROWS, ROWS))


def _key(category: bytes, at: int, band: Sequence[int]) -> int:
    hashed = hashlib.blake2b(_BAND.pack(at, *band) + category, digest_size=8)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def _shingles(text: str) -> list[str]:
    words = _WORD.findall(text)
    if len(words) * _LONG_WORD < len(text):
        return [text[at : at + 3] for at in range(max(1, len(text) - 2))]
    return [f"{first} {second}" for first, second in pairwise(words)] or words


def alike(first: Texts, second: Texts, floor: float) -> bool:
    """Whether prompts and outputs both have a normalised Indel similarity of at least `floor` (0-1)."""
    cutoff = 100.0 * floor
    return all(
        one == other or fuzz.ratio(one[:COMPARED], other[:COMPARED], score_cutoff=cutoff) > 0.0
        for one, other in zip(first, second, strict=True)
    )


def likeliest(keys: Sequence[int], known: Mapping[int, Sequence[int]]) -> list[int]:
    """The events that share most keys, at most 3, the oldest first among equals; `known` maps a key to its events."""
    shared = Counter(event_id for key in keys for event_id in known.get(key, ()))
    return sorted(shared, key=lambda event_id: (-shared[event_id], event_id))[:_VERIFIED]


def nearest(own: Texts, likely: Iterable[int], texts: Mapping[int, Texts], floor: float) -> int | None:
    """The first of the `likely` events that is alike, or None; an event without texts is gone."""
    return next((each for each in likely if each in texts and alike(own, texts[each], floor)), None)


def near_clusters(store: Store, category: str, floor: float) -> list[list[int]]:
    """Groups of near-duplicate events of a category, the largest first, ids ascending; every event is in at most one.

    Within a group each event is alike to at least one other. Time grows with the events that share a key.
    """
    shared: dict[int, list[int]] = {}
    for key, event_id in near.shared_keys(store, category):
        shared.setdefault(key, []).append(event_id)
    groups = _Groups()
    texts: dict[int, Texts] = {}
    for ids in shared.values():
        missing = [event_id for event_id in ids if event_id not in texts]
        texts.update(events.texts(store, missing))
        for other in ids[1:]:
            # Against the first of the key and the one before: enough to chain a group, linear in its size.
            for one in {ids[0], ids[ids.index(other) - 1]}:
                if not groups.together(one, other) and alike(texts[one], texts[other], floor):
                    groups.join(one, other)
    return groups.listed()


class _Groups:
    """Disjoint sets of event ids."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def _root(self, event_id: int) -> int:
        while (parent := self._parent.get(event_id, event_id)) != event_id:
            self._parent[event_id] = self._parent.get(parent, parent)
            event_id = parent
        return event_id

    def together(self, one: int, other: int) -> bool:
        return self._root(one) == self._root(other)

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low
        self._parent.setdefault(low, low)

    def listed(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for event_id in sorted(self._parent):
            found.setdefault(self._root(event_id), []).append(event_id)
        return sorted(found.values(), key=lambda group: (-len(group), group[0]))


def index_older(store: Store, *, batch: int = 2_000) -> int:
    """Gives keys to the events of an older schema, which has none; how many there were."""
    done, after = 0, 0
    while ids := near.without_keys(store, after, batch):
        near.add(store, _keys_of(store, ids))
        done, after = done + len(ids), ids[-1]
    return done


def _keys_of(store: Store, ids: Iterable[int]) -> dict[int, tuple[int, ...]]:
    return {row.id: near_keys(row.category, row.prompt, row.response) for row in events.get_many(store, list(ids))}
