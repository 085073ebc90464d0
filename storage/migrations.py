"""The schema, as numbered steps forward. A released step is never edited; a change is a new step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from storage.schema_001 import SCHEMA
from storage.schema_002 import STEP as SCHEMA_2
from storage.schema_003 import STEP as SCHEMA_3
from storage.schema_004 import STEP as SCHEMA_4
from storage.schema_005 import STEP as SCHEMA_5
from storage.schema_006 import STEP as SCHEMA_6

APPLICATION_ID = 0x46545549
"""Marks the file as this product's own (`PRAGMA application_id`, the letters FTUI)."""

Migration = Callable[[sqlite3.Connection], None]


def m001_first_schema(connection: sqlite3.Connection) -> None:
    """Events and judgments, pairs, datasets, runs, versions, aliases, A/B tests, state of the front end."""
    _run_script(connection, SCHEMA)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def m002_capture(connection: sqlite3.Connection) -> None:
    """Chats with earlier turns, near-duplicate keys, imports and the dataset builder's files."""
    _run_script(connection, SCHEMA_2)


def m003_selection_and_loop(connection: sqlite3.Connection) -> None:
    """Embeddings, tests of hard negatives, comparisons, the outbox of the hooks; origin and start of runs."""
    _run_script(connection, SCHEMA_3)


def m004_preferences_as_data(connection: sqlite3.Connection) -> None:
    """Examples with a rejected answer or a thumb, also of preferences that came without an event."""
    _run_script(connection, SCHEMA_4)


def m005_proof_and_serving(connection: sqlite3.Connection) -> None:
    """Shadow tests and votes, what Ollama holds of a version, answers of the gateway, versions without files."""
    _run_script(connection, SCHEMA_5)


def m006_judging_in_the_app(connection: sqlite3.Connection) -> None:
    """Judgments said at once, moves to another category, questions asked again; wishes for the next batch."""
    _run_script(connection, SCHEMA_6)


MIGRATIONS: tuple[Migration, ...] = (
    m001_first_schema,
    m002_capture,
    m003_selection_and_loop,
    m004_preferences_as_data,
    m005_proof_and_serving,
    m006_judging_in_the_app,
)


def migrate(connection: sqlite3.Connection, *, now: float) -> None:
    """Applies the steps that are missing, each in one transaction together with its record."""
    while _version(connection) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the lock: another process may have taken this step meanwhile.
            version = _version(connection)
            if version < len(MIGRATIONS):
                step = MIGRATIONS[version]
                step(connection)
                connection.execute("INSERT INTO migrations (name, applied_at) VALUES (?, ?)", (step.__name__, now))
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Runs each statement inside the open transaction (`executescript` would commit it)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
