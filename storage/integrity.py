"""Whether a store is whole: its file, what its tables say of each other, and what is kept of what they hold."""

from __future__ import annotations

import sqlite3

from storage.schema_006 import COUNTED
from storage.store import Store


def integrity_problems(store: Store) -> list[str]:
    """What is wrong with the store, in words; empty when all is well. Takes seconds per gigabyte."""
    problems = [f"file: {line}" for (line,) in store.rows("PRAGMA integrity_check(20)") if line != "ok"]
    problems += [
        f"{table} row {rowid} refers to a missing row of {parent}"
        for table, rowid, parent, _ in store.rows("PRAGMA foreign_key_check")[:20]
    ]
    try:
        # rank = 1 also compares the index with the texts it was made from (sqlite.org/fts5.html, 6.5).
        store.connection.execute("INSERT INTO events_fts(events_fts, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as error:
        problems.append(f"full-text index: {error}")
    problems += [
        f"category {category}: what is kept of it is not what its events come to"
        for (category,) in store.rows(
            f"SELECT DISTINCT category FROM (SELECT * FROM ({COUNTED} EXCEPT SELECT * FROM category_totals) "
            f"UNION ALL SELECT * FROM (SELECT * FROM category_totals WHERE total > 0 EXCEPT {COUNTED})) ORDER BY 1"
        )
    ]
    problems += [
        f"event {event}: its verdict is not what the log of judgments says"
        for (event,) in store.rows(
            "SELECT e.id FROM events e LEFT JOIN current_judgments c ON c.event_id = e.id "
            "WHERE e.verdict IS NOT c.kind OR e.correction IS NOT c.correction OR e.judged_at IS NOT c.created_at "
            "LIMIT 20"
        )
    ]
    return problems
