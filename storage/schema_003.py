"""The step from schema 2 to schema 3. Released, so never edited: a change is a new migration."""

from __future__ import annotations

STEP = """
-- Who asked for a run, how often a process has taken it up, and the version whose adapter it goes on from.
ALTER TABLE runs ADD COLUMN origin TEXT NOT NULL DEFAULT 'manual' CHECK (origin IN ('manual', 'adaptive'));
ALTER TABLE runs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN start_version INTEGER REFERENCES versions (id);

-- How an example came about: from an event itself, replayed from an older dataset, or augmented from its event by the
-- method named.
ALTER TABLE dataset_items ADD COLUMN origin TEXT NOT NULL DEFAULT 'event';

-- Embeddings by text: `key` is the first 64 bits of the text's BLAKE2b hash, `vector` a unit vector in float16.
CREATE TABLE embedding_models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    dimensions INTEGER NOT NULL
) STRICT;
CREATE TABLE embeddings (
    model INTEGER NOT NULL REFERENCES embedding_models (id),
    key INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;

-- What a version answered to the prompt of an event on which a model had failed.
CREATE TABLE hard_tests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    version_id INTEGER NOT NULL REFERENCES versions (id),
    at REAL NOT NULL,
    response TEXT NOT NULL,
    score REAL CHECK (score BETWEEN 0 AND 100),
    passed INTEGER NOT NULL,
    UNIQUE (event_id, version_id)
) STRICT;

-- What a person said of two answers to one prompt, append-only like the judgments: an undo names the row it takes back.
-- `swapped` tells whether the second event was shown first; a comparison asked again measures consistency.
CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    category TEXT NOT NULL,
    first_event INTEGER NOT NULL REFERENCES events (id),
    second_event INTEGER NOT NULL REFERENCES events (id),
    choice TEXT NOT NULL CHECK (choice IN ('first', 'second', 'tie', 'both_good', 'both_bad', 'skip', 'undo')),
    swapped INTEGER NOT NULL,
    seconds REAL,
    target INTEGER UNIQUE REFERENCES comparisons (id),
    CHECK (first_event <> second_event),
    CHECK ((choice = 'undo') = (target IS NOT NULL))
) STRICT;
CREATE INDEX comparisons_by_category ON comparisons (category, id);
CREATE INDEX comparisons_by_first ON comparisons (first_event);
CREATE INDEX comparisons_by_second ON comparisons (second_event);
CREATE TRIGGER comparisons_never_change BEFORE UPDATE ON comparisons BEGIN
    SELECT RAISE (ABORT, 'the log of comparisons is append-only');
END;

-- What happened in the loop, written in the transaction that made it happen, and what became of telling each hook.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE TABLE hooks (
    name TEXT PRIMARY KEY,
    after INTEGER NOT NULL
) STRICT;
CREATE TABLE deliveries (
    outbox_id INTEGER NOT NULL REFERENCES outbox (id),
    hook TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('due', 'delivered', 'given up')),
    said TEXT NOT NULL,
    PRIMARY KEY (outbox_id, hook)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (hook, outbox_id) WHERE state = 'due';
"""
