"""The step from schema 1 to schema 2. Released, so never edited: a change is a new migration."""

from __future__ import annotations

STEP = """
-- Earlier turns of the chat, oldest first, as a JSON list of {role, content}.
ALTER TABLE events ADD COLUMN history TEXT NOT NULL DEFAULT '[]';
ALTER TABLE dataset_items ADD COLUMN history TEXT NOT NULL DEFAULT '[]';

-- MinHash bands: texts that share a key are likely near-duplicates (core/select/near.py computes them). An event that
-- is gone may leave its keys behind until the next clean-up; whoever looks one up asks whether the event is there.
CREATE TABLE near_keys (
    key INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    PRIMARY KEY (key, event_id)
) STRICT, WITHOUT ROWID;

-- One row for each file or folder that was imported; `position` and `counts` say how far an import came.
CREATE TABLE imports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    started_at REAL NOT NULL,
    finished_at REAL,
    position TEXT NOT NULL DEFAULT '{}',
    counts TEXT NOT NULL DEFAULT '{}'
) STRICT;

-- What the dataset builder has read, so that an unchanged file is not read again.
CREATE TABLE built_files (
    category TEXT NOT NULL,
    path TEXT NOT NULL,
    hash TEXT NOT NULL,
    read_at REAL NOT NULL,
    examples INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    PRIMARY KEY (category, path)
) STRICT, WITHOUT ROWID;
"""
