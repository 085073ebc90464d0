"""The frozen dataset of a search as bytes: beside each trial, and with a shared study to other machines.

Beside the items it holds what is known of the outputs that the validation items came from, since some judges compare
with it. Ids of events mean nothing on another machine, so nobody looks them up there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from core.errors import RunError
from storage import datasets, events
from storage.db import Store
from storage.rows import DatasetItem

PIECE: Final = 48_000  # characters; a TEXT column of MySQL holds 65,535 bytes
_KEY: Final = "dataset:"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Items by position, and the metadata of their events by id, where a judge may want it."""

    items: Sequence[DatasetItem]
    known: Mapping[int, Mapping[str, Any]]

    @property
    def validation(self) -> list[DatasetItem]:
        """What trials are compared on."""
        return [item for item in self.items if item.split == "validation"]


def frozen(store: Store, dataset_id: int) -> Frozen:
    """A dataset of this machine's store. Raises NotFoundError when it is not there any more."""
    datasets.get(store, dataset_id)
    items = datasets.items(store, dataset_id)
    judged = [item.event_id for item in items if item.split == "validation" and item.event_id]
    return Frozen(items, {event.id: event.metadata for event in events.get_many(store, judged)})


def to_bytes(data: Frozen) -> bytes:
    """Compressed JSON; `from_bytes` gives the same dataset back."""
    told = {
        "items": [asdict(item) for item in data.items],
        "known": {str(key): dict(value) for key, value in sorted(data.known.items())},
    }
    return zlib.compress(json.dumps(told, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass"), 9)


def from_bytes(content: bytes) -> Frozen:
    """Raises RunError for anything that `to_bytes` did not write."""
    try:
        told = json.loads(zlib.decompress(content).decode("utf-8", "surrogatepass"))
        items = [DatasetItem(**values) for values in told["items"]]
        return Frozen(items, {int(key): value for key, value in told["known"].items()})
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged() from error


def fingerprint(content: bytes) -> str:
    """The SHA-256 of the dataset in hexadecimal, the same whatever compressed it."""
    try:
        return hashlib.sha256(zlib.decompress(content)).hexdigest()
    except zlib.error as error:
        raise _damaged() from error


def to_pieces(content: bytes) -> dict[str, str]:
    """The bytes as attributes of a study, each short enough for any database."""
    text = base64.b64encode(content).decode("ascii")
    parts = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    return {f"{_KEY}{number}": part for number, part in enumerate(parts)}


def from_pieces(attributes: Mapping[str, Any], expected: str) -> bytes:
    """The bytes back from a study's attributes. Raises RunError unless their fingerprint is the `expected` one."""
    numbers = sorted(int(key.removeprefix(_KEY)) for key in attributes if key.startswith(_KEY))
    try:
        content = base64.b64decode("".join(attributes[f"{_KEY}{number}"] for number in numbers), validate=True)
    except (ValueError, TypeError) as error:
        raise _damaged() from error
    if fingerprint(content) != expected:
        raise _damaged()
    return content


def _damaged() -> RunError:
    return RunError(
        "The dataset of the search is damaged, so its trials could not be compared.",
        title="The dataset is damaged",
        hint="Begin another search with --fresh on the machine that has the examples.",
    )
