"""The step from schema 4 to schema 5. Released, so never edited: a change is a new migration."""

from __future__ import annotations

STEP = """
-- A test is made on stored prompts by one run, or fed by the gateway for as long as both versions matter.
ALTER TABLE ab_tests ADD COLUMN source TEXT NOT NULL DEFAULT 'stored' CHECK (source IN ('stored', 'shadow'));

-- `confidence` is the mean log-probability of the answer's tokens in nats; `judged` is 0 where the validator could not
-- tell and the score only stands in; `correct` compares with a known answer (NULL where none is known).
ALTER TABLE ab_pairs ADD COLUMN confidence_a REAL;
ALTER TABLE ab_pairs ADD COLUMN confidence_b REAL;
ALTER TABLE ab_pairs ADD COLUMN correct_a INTEGER CHECK (correct_a IN (0, 1));
ALTER TABLE ab_pairs ADD COLUMN correct_b INTEGER CHECK (correct_b IN (0, 1));
ALTER TABLE ab_pairs ADD COLUMN judged INTEGER NOT NULL DEFAULT 1 CHECK (judged IN (0, 1));

-- What a person said of a pair without knowing which side is which, append-only: an undo names the row it takes back.
-- `swapped` tells whether arm b was shown first.
CREATE TABLE ab_votes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    test_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'tie', 'both_good', 'both_bad', 'skip', 'undo')),
    swapped INTEGER NOT NULL CHECK (swapped IN (0, 1)),
    seconds REAL,
    target INTEGER UNIQUE REFERENCES ab_votes (id),
    FOREIGN KEY (test_id, position) REFERENCES ab_pairs (test_id, position),
    CHECK ((choice = 'undo') = (target IS NOT NULL))
) STRICT;
CREATE INDEX ab_votes_by_pair ON ab_votes (test_id, position, id);
CREATE TRIGGER ab_votes_never_change BEFORE UPDATE ON ab_votes BEGIN
    SELECT RAISE (ABORT, 'the log of votes is append-only');
END;
CREATE TRIGGER ab_votes_never_go BEFORE DELETE ON ab_votes BEGIN
    SELECT RAISE (ABORT, 'the log of votes is append-only');
END;

-- What an Ollama server holds of a version: under which name, with which manifest (`digest`) and file, who renders the
-- chat there ('native': the file's own template, 'go': a template of Ollama's kind), and what was checked.
CREATE TABLE deployments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL REFERENCES versions (id),
    server TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('native', 'go')),
    server_version TEXT NOT NULL,
    checks TEXT NOT NULL,
    published_at REAL NOT NULL,
    UNIQUE (version_id, server)
) STRICT;

-- Every answer that went through the gateway, once, whatever became of it: recorded as an event, or why not.
-- `body_id` is the id in the answer's own body, which servers do not keep unique; empty where it has none.
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    api TEXT NOT NULL CHECK (api IN ('ollama', 'openai')),
    category TEXT NOT NULL,
    model TEXT NOT NULL,
    version_id INTEGER REFERENCES versions (id),
    event_id INTEGER REFERENCES events (id) ON DELETE SET NULL,
    note TEXT NOT NULL,
    body_id TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX responses_by_time ON responses (at);
CREATE INDEX responses_by_version ON responses (version_id, at) WHERE version_id IS NOT NULL;
CREATE INDEX responses_by_body ON responses (body_id, at) WHERE body_id <> '';
CREATE INDEX responses_by_event ON responses (event_id) WHERE event_id IS NOT NULL;

-- When the files of a version were removed to save space; its row, its adapter and its history stay.
ALTER TABLE versions ADD COLUMN retired_at REAL;
"""
