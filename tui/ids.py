"""Long arrays of ids, worked on in one piece: a million of them one by one would hold up a key."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping


def index_of(ids: array[int], wanted: int) -> int:
    """The first index of an id, -1 where it is not there; a millisecond for a million."""
    if not -(2**63) <= wanted < 2**63:
        return -1
    sought, held, at = array("q", [wanted]).tobytes(), ids.tobytes(), -1
    while (at := held.find(sought, at + 1)) >= 0:
        if at % ids.itemsize == 0:  # else it lies across two ids
            return at // ids.itemsize
    return -1


def places_of(ids: array[int], wanted: Collection[int]) -> dict[int, int]:
    """The last index of each of the `wanted` that is there. Goes through all of them: for a worker thread."""
    among = frozenset(wanted)
    return {item_id: at for at, item_id in enumerate(ids) if item_id in among}


def without(ids: array[int], places: Mapping[int, int], unwanted: Collection[int]) -> array[int]:
    """The ids in order but for the `unwanted`, of which `places` tells where each stands; it may know of others."""
    left, start = array("q"), 0
    for at in sorted(places[item_id] for item_id in unwanted if item_id in places):
        left.extend(ids[start:at])
        start = at + 1
    left.extend(ids[start:])
    return left
