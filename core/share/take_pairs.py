"""The preference pairs of a bundle on their way in, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from core.capture.formats.parts import RowError
from core.capture.record import Recorder
from core.capture.sanitize import Seen, reserve, sanitize
from core.categories import category
from core.share.take_events import number_in
from storage import events, pairs
from storage.columns import clean

_SOURCES: Final = ("ranking", "sibling", "candidate", "import")
_TEXTS: Final = ("prompt", "chosen", "rejected")


class PairTaker:
    """Stores pairs; `ids` maps the sender's events to those of this store. Call it inside a transaction."""

    def __init__(self, recorder: Recorder, ids: Mapping[int, int], *, keep_pii: bool) -> None:
        self._store = recorder.store
        self._categories = recorder.categories
        self._max_chars = recorder.config.capture.max_chars
        self._sanitised = recorder.config.capture.sanitize and not keep_pii
        self._ids = ids
        self._known: dict[str, set[bytes]] = {}

    def take(self, row: Mapping[str, Any]) -> bool:
        """Whether the pair was new. Raises FinetuneError when it cannot be taken."""
        told = [row.get("chosen_event"), row.get("rejected_event")]
        source = row.get("source")
        if source not in _SOURCES:
            raise RowError("The preference has no known source.")
        margin = number_in(row.get("margin"), 1.0, "The margin of a preference")
        at = number_in(row.get("created_at"), 1e11, "The time of a preference")
        ids = [self._ids.get(each) if isinstance(each, int) else None for each in told]
        if None in told:
            return self._of_texts(row, ids, margin, at, str(source))
        return self._between(ids[0], ids[1], margin, at, str(source))

    def _between(self, chosen: int | None, rejected: int | None, margin: float, at: float, source: str) -> bool:
        if chosen is None or rejected is None:
            raise RowError("The preference lost one of its two answers.")
        if chosen == rejected:
            raise RowError("The preference is between two equal answers.")
        if pairs.between(self._store, chosen, rejected):
            return False
        texts = pairs.texts(self._store, chosen, rejected)
        pairs.add(
            self._store,
            created_at=at,
            category=events.get(self._store, chosen).category,
            **texts._asdict(),
            margin=margin,
            source=source,
            chosen_event=chosen,
            rejected_event=rejected,
        )
        return True

    def _of_texts(self, row: Mapping[str, Any], ids: list[int | None], margin: float, at: float, source: str) -> bool:
        name = row.get("category")
        texts = {key: row.get(key) for key in _TEXTS}
        if not isinstance(name, str) or not all(
            isinstance(each, str) and each.strip() and len(each) <= self._max_chars for each in texts.values()
        ):
            raise RowError("The preference has no category or no texts that could be taken.")
        category(self._categories, name)
        plain = self._plain({key: clean(str(each)) for key, each in texts.items()})
        key = _digest(*plain.values())
        if name not in self._known:
            listed = pairs.list_pairs(self._store, name)
            self._known[name] = {_digest(one.prompt, one.chosen, one.rejected) for one in listed}
        if key in self._known[name]:
            return False
        self._known[name].add(key)
        pairs.add(
            self._store,
            created_at=at,
            category=name,
            **plain,
            margin=margin,
            source=source,
            chosen_event=ids[0],
            rejected_event=ids[1],
        )
        return True

    def _plain(self, texts: Mapping[str, str]) -> dict[str, str]:
        if not self._sanitised:
            return dict(texts)
        seen: Seen = {}
        for text in texts.values():
            reserve(text, seen)
        return {key: sanitize(text, seen=seen)[0] for key, text in texts.items()}


def _digest(*texts: str) -> bytes:
    return hashlib.blake2b("\x00".join(texts).encode("utf-8", "replace"), digest_size=16).digest()
