"""What a person says of answers that were tried: only then are they recorded, through the one way in, and taken back.

Each function is one durable transaction: answer and what is said of it are in the store together, or neither is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from core.capture.comparing import record_comparison, undo_comparison
from core.capture.incoming import Incoming
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import load_config
from core.errors import ConflictError, FinetuneError
from core.paths import Home
from core.playground.take import Take
from core.select.alike.near import near_keys
from core.select.split import content_hash
from storage import events, pairs, retention
from storage.comparisons import Choice
from storage.db import Store
from storage.rows import Verdict

SOURCE: Final = "playground"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the store now. `event_id` is the answer, `replaced` the new events of answers it took the place of.

    `known` tells that the very same answer was in the store before. `verdict` is what was said, None where the answer
    was only kept; `paired` whether a preference pair came of it.
    """

    event_id: int
    known: bool
    verdict: Verdict | None = None
    paired: bool = False
    replaced: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Voted:
    """A comparison of two events, and whether it made a preference pair. `choice` names the events as given."""

    comparison_id: int
    category: str
    first_event: int
    second_event: int
    choice: Choice
    paired: bool


def keep(store: Store, home: Home, take: Take) -> Kept:
    """Records an answer without saying anything of it. Raises FinetuneError for one that cannot be taken."""
    recorder = _recorder(store, home)
    with _numbered() as numbers:
        return _kept(store, recorder, take, numbers)


def judge(
    store: Store, home: Home, take: Take, kind: Verdict, *, correction: str | None = None, seconds: float | None = None
) -> Kept:
    """Records the answer where it is not yet, and what the person says of it; `seconds` is the time it took them."""
    recorder = _recorder(store, home)
    with _numbered() as numbers, store.transaction(durable=True):
        kept = _kept(store, recorder, take, numbers)
        recorder.judging.judge(kept.event_id, kind, correction=correction, seconds=seconds)
        paired = kind == "correct" and pairs.of_correction(store, kept.event_id)
    return Kept(kept.event_id, kept.known, kind, paired, kept.replaced)


def compare(
    store: Store, home: Home, first: Take, second: Take, choice: Choice, *, swapped: bool, seconds: float | None = None
) -> Voted:
    """Records both answers where they are not yet, and which is better; `swapped` tells that the second stood left.

    Raises ConflictError where they are the same text.
    """
    if content_hash("", first.text) == content_hash("", second.text):
        raise ConflictError(
            "Both answers are the same text.",
            title="There is nothing to compare",
            hint="Regenerate one of them, or choose another model.",
        )
    recorder = _recorder(store, home)
    with _numbered() as numbers, store.transaction(durable=True):
        one, other = (_kept(store, recorder, take, numbers).event_id for take in (first, second))
        added = record_comparison(store, one, other, choice, swapped=swapped, seconds=seconds)
        paired = choice in ("first", "second") and "ranking" in pairs.sources_between(
            store, *((one, other) if choice == "first" else (other, one))
        )
    return Voted(added, first.question.category, one, other, choice, paired)


def note(store: Store, take: Take) -> None:
    """Brings what was done with a recorded answer (copied, regenerated) into the store; nothing before it is there."""
    if take.event_id is not None:
        done = {name: True for name in ("copied", "regenerated") if getattr(take, name)}
        events.add_metadata(store, take.event_id, done)


def undo_judgment(store: Store, home: Home, event_id: int) -> None:
    """Takes back the last judgment, which must be of this event. Raises ConflictError where another came after it."""
    with store.transaction(durable=True):
        taken = _recorder(store, home).judging.undo()
        if taken is None or tuple(taken.event_ids) != (event_id,):
            raise ConflictError(
                f"Something else was judged after #{event_id}.",
                title="Nothing was taken back",
                hint="Undo it in Review, the newest judgment first.",
            )


def undo_vote(store: Store, voted: Voted) -> None:
    """Takes back a comparison, and the pair that came of it."""
    undo_comparison(store, voted.category, comparison_id=voted.comparison_id)


def undo_keep(store: Store, takes: Sequence[Take], event_ids: Sequence[int]) -> None:
    """Removes answers that were only kept. Raises ConflictError, and removes none, where something rests on one."""
    with store.transaction(durable=True):
        keys = [
            (key, row.id)
            for row in events.get_many(store, event_ids)
            for key in near_keys(row.category, row.prompt, row.response)
        ]
        retention.remove(store, event_ids, keys)
    for take in takes:
        if take.event_id in event_ids:
            take.event_id = None


def _recorder(store: Store, home: Home) -> Recorder:
    return Recorder(store, home, load_config(home), load_categories(home))


@contextmanager
def _numbered() -> Iterator[list[tuple[Take, int]]]:
    """Tells answers their events once these are on the disk, and not before."""
    numbers: list[tuple[Take, int]] = []
    yield numbers
    for take, event_id in numbers:
        take.event_id = event_id


def _kept(store: Store, recorder: Recorder, take: Take, numbers: list[tuple[Take, int]]) -> Kept:
    """The event of an answer; made with those of the answers before it, which are worth something beside it."""
    if take.event_id is not None:
        return Kept(take.event_id, known=True)
    if not take.usable:
        raise FinetuneError("There is no text in it.", title="The answer was not kept", hint="Ask again.")
    now = time.time()
    different = [one for one in take.before if one.usable and one.event_id is None and one.text != take.text]
    fresh = [*different, take]
    judged = [recorder.preparer.prepare(_incoming(one), now) for one in fresh]
    with store.transaction(durable=True):
        recorded = recorder.keep(judged, now, {})
    numbers += [(one, row.event_id) for one, row in zip(fresh, recorded, strict=True)]
    replaced = tuple(row.event_id for row in recorded[:-1] if not row.duplicate)
    return Kept(recorded[-1].event_id, recorded[-1].duplicate, replaced=replaced)


def _incoming(take: Take) -> Incoming:
    asked = take.question
    return Incoming(
        prompt=asked.prompt,
        response=take.text,
        category=asked.category,
        model=take.model,
        system=asked.system,
        source=SOURCE,
        group_key=take.group,
        latency_ms=1000 * take.figures.seconds,
        metadata=take.metadata,
        created_at=take.ended_at,
        history=[dict(turn) for turn in asked.history],
    )
