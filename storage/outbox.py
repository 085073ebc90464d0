"""What happened in the loop, written in the transaction that made it happen, and what became of telling each hook.

Six things are published, each as one JSON object, the same for every hook:

    {"id": "6f…", "number": 17, "event": "fine_tuning.completed", "at": "2030-01-31T12:00:00.000Z",
     "category": "erd", "data": {…}}

`id` is unique over all stores and is the same however often the event is delivered; `number` counts up in one store.
An event that was only sent to test a hook has `"test": true` and the number 0. `data` holds, by `event`:

    fine_tuning.completed            run_id, origin, method, attempts, and of the version
    fine_tuning.failed               the same, with status (failed or lost), error and hint
    ab_test.completed                test_id, against, verdict, summary, metrics of the test, and of the version
    fine_tuning.ready_for_promotion  the same: the verdict is `promote`
    fine_tuning.promoted             alias, from, to, who, why, summary, verdict, evidence, undo, and of the version
    fine_tuning.rolled_back          the same; `reconcile` is true where a file was damaged and nobody asked for it

"Of the version" are run_id, version, version_id, base_model and metrics (figures alone), as far as there is a version;
after a promotion or rollback it is the one that serves now. `from` and `to` are names of versions, `from` null before
the first; `undo` is true where the change took back one of the other kind. Errors are told in the program's words,
`why` in the user's; `evidence` holds the figures that a change was made on. No prompt and no answer is ever part of an
event.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

from storage import versions
from storage.columns import LISTED, RowReader, clean, listed, to_json
from storage.db import Store

EventName = Literal[
    "fine_tuning.completed",
    "fine_tuning.failed",
    "fine_tuning.ready_for_promotion",
    "fine_tuning.promoted",
    "fine_tuning.rolled_back",
    "ab_test.completed",
]
EVENTS: Final[tuple[str, ...]] = get_args(EventName)
DeliveryState = Literal["due", "delivered", "given up"]
_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A published event. `payload` is {"id": its own name in the world, "data": what is told of it}."""

    id: int
    at: float
    name: str
    category: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """How telling one hook of one event stands. An attempt counts from its begin; `said` is what came of the last."""

    outbox_id: int
    hook: str
    attempts: int
    last_at: float
    state: DeliveryState
    said: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one hook is told of: names of events, and categories, where none means all."""

    names: tuple[str, ...]
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookCounts:
    """How many events wait for a hook, were delivered and were given up."""

    due: int = 0
    delivered: int = 0
    given_up: int = 0


_read = RowReader(OutboxRow, json_columns=("payload",))
_read_delivery = RowReader(DeliveryRow)
_both = ", ".join(
    [*(f"o.{field.name}" for field in fields(OutboxRow)), *(f"d.{field.name}" for field in fields(DeliveryRow))]
)
_WIDTH: Final = len(fields(OutboxRow))


def publish(store: Store, name: EventName, category: str, data: Mapping[str, Any], *, now: float) -> int:
    """Adds an event, part of the transaction that the caller has open; its number.

    Texts are cut to 2,000 characters.
    """
    told = {key: clean(value)[:_LONGEST] if isinstance(value, str) else value for key, value in data.items()}
    payload = to_json({"id": secrets.token_hex(16), "data": told})
    with store.transaction():
        added = store.write(
            "INSERT INTO outbox (at, name, category, payload) VALUES (?, ?, ?, ?)",
            (now, name, clean(category), payload),
        )
        return int(added.lastrowid or 0)


def of_version(store: Store, version_id: int | None) -> dict[str, Any]:
    """What every event tells of a version; nothing of None."""
    if version_id is None:
        return {}
    version = versions.get(store, version_id)
    return {
        "run_id": version.run_id,
        "version": version.name,
        "version_id": version.id,
        "base_model": version.base_model,
        "metrics": figures(version.metrics),
    }


def figures(found: Mapping[str, Any]) -> dict[str, float]:
    """The entries that are finite numbers, which JSON can hold and which tell of no text."""
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def is_told(store: Store, name: EventName, key: str, value: int) -> bool:
    """Whether an event of this name was published with this value in its data."""
    found = store.value(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE name = ? AND json_extract(payload, '$.data.' || ?) = ?)",
        (name, key, value),
    )
    return bool(found)


def newest(store: Store) -> int:
    """The number of the newest event, 0 before the first."""
    return int(store.value("SELECT coalesce(max(id), 0) FROM outbox"))


def since(store: Store, after: int) -> list[OutboxRow]:
    """The events with a higher number than `after`, oldest first."""
    return [_read(row) for row in store.rows(f"SELECT {_read.columns} FROM outbox WHERE id > ? ORDER BY id", (after,))]


def arrange(store: Store, hooks: Mapping[str, Wanted], *, configured_at: float) -> None:
    """Brings the hooks of the store to those that are configured, and makes due for each what has happened for it.

    A hook that was not known gets what happened since `configured_at` (seconds since the epoch), not what was before;
    what is known of one that is configured no more is removed. Writes nothing where nothing has changed.
    """
    last = newest(store)
    if dict.fromkeys(hooks, last) == dict(store.rows("SELECT name, after FROM hooks")):
        return
    with store.transaction():
        last = newest(store)
        known: dict[str, int] = dict(store.rows("SELECT name, after FROM hooks"))
        gone = listed([name for name in known if name not in hooks])
        store.write(f"DELETE FROM deliveries WHERE hook IN {LISTED}", (gone,))
        store.write(f"DELETE FROM hooks WHERE name IN {LISTED}", (gone,))
        for name, wanted in hooks.items():
            after = known.get(name)
            if after is None:
                history = store.value("SELECT max(id) FROM outbox WHERE at < ?", (configured_at,))
                after = int(history or 0)
            chosen = f"name IN {LISTED}" + (f" AND category IN {LISTED}" if wanted.categories else "")
            store.write(
                "INSERT OR IGNORE INTO deliveries (outbox_id, hook, attempts, last_at, state, said) "
                f"SELECT id, ?, 0, at, 'due', '' FROM outbox WHERE id > ? AND id <= ? AND {chosen}",
                (name, after, last, *(listed(part) for part in (wanted.names, wanted.categories) if part)),
            )
            store.write(
                "INSERT INTO hooks (name, after) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET after = excluded.after",
                (name, last),
            )


def head(store: Store, hook: str) -> tuple[OutboxRow, DeliveryRow] | None:
    """The oldest event that waits for a hook, or None."""
    row = store.row(
        f"SELECT {_both} FROM deliveries d JOIN outbox o ON o.id = d.outbox_id "
        "WHERE d.hook = ? AND d.state = 'due' ORDER BY d.outbox_id LIMIT 1",
        (hook,),
    )
    return (_read(row[:_WIDTH]), _read_delivery(row[_WIDTH:])) if row else None


def begin(store: Store, outbox_id: int, hook: str, *, said: str, now: float) -> None:
    """Counts an attempt before it is made, so that one which ends the process is counted too."""
    with store.transaction():
        store.write(
            "UPDATE deliveries SET attempts = attempts + 1, last_at = ?, said = ? WHERE outbox_id = ? AND hook = ?",
            (now, clean(said), outbox_id, hook),
        )


def settle(store: Store, outbox_id: int, hook: str, state: DeliveryState, said: str) -> None:
    """Notes what came of an attempt."""
    with store.transaction():
        store.write(
            "UPDATE deliveries SET state = ?, said = ? WHERE outbox_id = ? AND hook = ?",
            (state, clean(said), outbox_id, hook),
        )


def renew(store: Store, hook: str) -> int:
    """Makes due again, with all its tries, what was given up for a hook; how many events that are."""
    with store.transaction():
        return store.write(
            "UPDATE deliveries SET state = 'due', attempts = 0 WHERE hook = ? AND state = 'given up'", (hook,)
        ).rowcount


def counts(store: Store) -> dict[str, HookCounts]:
    """By hook, for those that have anything to count."""
    rows = store.rows(
        "SELECT hook, sum(state = 'due'), sum(state = 'delivered'), sum(state = 'given up') "
        "FROM deliveries GROUP BY hook"
    )
    return {hook: HookCounts(*numbers) for hook, *numbers in rows}


def log(store: Store, *, limit: int, hook: str | None = None) -> list[tuple[OutboxRow, DeliveryRow]]:
    """The events that were tried to deliver, to a hook or to any, those tried last first."""
    rows = store.rows(
        f"SELECT {_both} FROM deliveries d JOIN outbox o ON o.id = d.outbox_id WHERE d.hook = coalesce(?, d.hook) "
        "AND d.attempts > 0 ORDER BY d.last_at DESC, d.outbox_id DESC LIMIT ?",
        (hook, limit),
    )
    return [(_read(row[:_WIDTH]), _read_delivery(row[_WIDTH:])) for row in rows]
