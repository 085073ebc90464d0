"""The step from schema 3 to schema 4. Released, so never edited: a change is a new migration."""

from __future__ import annotations

STEP = """
-- `rejected` is the answer that `target` is preferred to, `desirable` whether a person liked `target`. A preference may
-- come without any event (in a bundle, whose sender kept the outputs): then `event_id` is NULL. SQLite cannot drop a
-- NOT NULL, so the table is made anew; no other table refers to it.
CREATE TABLE dataset_items_4 (
    dataset_id INTEGER NOT NULL REFERENCES datasets (id),
    position INTEGER NOT NULL,
    event_id INTEGER REFERENCES events (id),
    split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    prompt TEXT NOT NULL,
    target TEXT NOT NULL,
    system TEXT NOT NULL,
    weight REAL NOT NULL,
    difficulty REAL NOT NULL,
    stage TEXT NOT NULL,
    history TEXT NOT NULL DEFAULT '[]',
    origin TEXT NOT NULL DEFAULT 'event',
    rejected TEXT NOT NULL DEFAULT '',
    desirable INTEGER NOT NULL DEFAULT 1 CHECK (desirable IN (0, 1)),
    PRIMARY KEY (dataset_id, position)
) STRICT;
INSERT INTO dataset_items_4
    (dataset_id, position, event_id, split, prompt, target, system, weight, difficulty, stage, history, origin)
    SELECT dataset_id, position, event_id, split, prompt, target, system, weight, difficulty, stage, history, origin
    FROM dataset_items;
DROP TABLE dataset_items;
ALTER TABLE dataset_items_4 RENAME TO dataset_items;
CREATE INDEX dataset_items_by_event ON dataset_items (event_id);
"""
