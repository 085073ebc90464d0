"""What the log of judgments tells of the person who judges: pace, and whether the same answer comes twice.

Only judgments that were timed and made one by one count: those of a person in front of the event. What was imported,
said by a program or given to many events at once tells nothing of that.
"""

from __future__ import annotations

from storage.db import Store
from storage.rows import Verdict

_TIMED = "j.seconds IS NOT NULL AND j.batch IS NULL"


def timed(store: Store, *, since: float) -> list[tuple[float, float]]:
    """When each judgment in force since that moment was made, and the seconds that it took, oldest first."""
    return store.rows(
        "SELECT j.created_at, j.seconds FROM effective_judgments j "
        f"WHERE j.created_at >= ? AND {_TIMED} ORDER BY j.created_at, j.id",
        (since,),
    )


def since_last_repeat(store: Store, category: str, most: int) -> int:
    """How many verdicts, skips apart, were given in the category since a question was asked again last; at most `most`.

    A repeated question counts as asked also where the answer was taken back.
    """
    last = store.value(
        "SELECT max(+j.id) FROM judgments j INDEXED BY judgments_by_repeats CROSS JOIN events e ON e.id = j.event_id "
        "WHERE j.repeats IS NOT NULL AND e.category = ?",
        (category,),
    )
    return int(
        store.value(
            # CROSS JOIN: down the log from its end, where the verdicts of a sitting stand.
            "SELECT count(*) FROM (SELECT 1 FROM effective_judgments j CROSS JOIN events e ON e.id = j.event_id "
            f"WHERE j.id > ? AND e.category = ? AND j.kind <> 'skip' AND j.repeats IS NULL AND {_TIMED} "
            "ORDER BY j.id DESC LIMIT ?)",
            (last or 0, category, most),
        )
    )


def repeatable(store: Store, category: str, *, before: float, passed: int, limit: int) -> list[int]:
    """Events that may be asked about again, those judged first first, at most `limit`.

    The verdict in force was given before that moment, or `passed` verdicts ago in the category; it is no skip and no
    correction, and the event was never asked about again.
    """
    old = store.value(
        "SELECT j.id FROM effective_judgments j CROSS JOIN events e ON e.id = j.event_id "
        f"WHERE e.category = ? AND j.kind <> 'skip' AND {_TIMED} ORDER BY j.id DESC LIMIT 1 OFFSET ?",
        (category, passed),
    )
    rows = store.rows(
        "SELECT j.event_id FROM effective_judgments j CROSS JOIN events e ON e.id = j.event_id "
        f"WHERE e.category = ? AND j.kind IN ('good', 'bad', 'reject') AND {_TIMED} AND j.kind = e.verdict "
        "AND j.created_at = e.judged_at AND (j.id <= ? OR j.created_at <= ?) "
        "AND NOT EXISTS (SELECT 1 FROM judgments r JOIN judgments f ON f.id = r.repeats WHERE f.event_id = j.event_id) "
        "ORDER BY j.id LIMIT ?",
        (category, old or 0, before, limit),
    )
    return list(dict.fromkeys(event_id for (event_id,) in rows))


def repeated(store: Store, category: str | None = None) -> list[tuple[Verdict, Verdict]]:
    """The first and the second verdict of each question that was asked again and answered both times, in order.

    A skip is no answer, and what was taken back counts no more. Without a category those of all of them.
    """
    return store.rows(
        "SELECT f.kind, j.kind FROM effective_judgments j CROSS JOIN judgments f ON f.id = j.repeats "
        "CROSS JOIN events e ON e.id = j.event_id WHERE j.repeats IS NOT NULL AND f.kind <> 'skip' "
        "AND j.kind <> 'skip' AND (?1 IS NULL OR e.category = ?1) ORDER BY +j.id",
        (category,),
    )
