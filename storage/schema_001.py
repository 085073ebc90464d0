"""The tables of schema 1. Released, so never edited: a change is a new migration."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE migrations (
    name TEXT PRIMARY KEY,
    applied_at REAL NOT NULL
) STRICT;

-- Short columns first: a filter or a list then never follows the overflow pages of long texts.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    created_at REAL NOT NULL,
    category TEXT NOT NULL,
    model TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    response_hash INTEGER NOT NULL,
    bucket INTEGER NOT NULL CHECK (bucket BETWEEN 0 AND 99),
    feedback_type TEXT NOT NULL,
    score REAL CHECK (score BETWEEN 0 AND 100),
    valid INTEGER NOT NULL,
    quality REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
    tier TEXT NOT NULL CHECK (tier IN ('gold', 'silver', 'bronze', 'rejected')),
    generic INTEGER NOT NULL,
    confidence REAL,
    source TEXT NOT NULL,
    group_key TEXT NOT NULL,
    latency_ms REAL,
    verdict TEXT,
    judged_at REAL,
    findings TEXT NOT NULL,
    quality_parts TEXT NOT NULL,
    sanitized TEXT NOT NULL,
    metadata TEXT NOT NULL,
    prompt TEXT NOT NULL,
    response TEXT NOT NULL,
    correction TEXT,
    system TEXT NOT NULL,
    context TEXT NOT NULL
) STRICT;

-- Each answers a list of ids with any combination of filters from the index alone.
CREATE INDEX events_by_category ON events (category, created_at, id, verdict, tier, score, quality);
CREATE INDEX events_by_time ON events (created_at, id, verdict, tier, score);
CREATE INDEX events_by_verdict ON events (verdict, category, created_at, id, tier, score);
CREATE INDEX events_by_score ON events (category, score, id, verdict, tier, created_at);
CREATE INDEX events_by_content ON events (category, content_hash);
CREATE INDEX events_by_response ON events (category, response_hash);

CREATE VIRTUAL TABLE events_fts USING fts5 (
    prompt, response,
    content = 'events', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);
-- storage/events.py adds to the index itself: a trigger on each insert takes five times as long, because FTS5
-- flushes what it holds at every nested statement (11,000 against 28,000 rows/s, 80 words a row).
CREATE TRIGGER events_fts_delete AFTER DELETE ON events BEGIN
    INSERT INTO events_fts (events_fts, rowid, prompt, response)
    VALUES ('delete', old.id, old.prompt, old.response);
END;
CREATE TRIGGER events_fts_update AFTER UPDATE OF prompt, response ON events BEGIN
    INSERT INTO events_fts (events_fts, rowid, prompt, response)
    VALUES ('delete', old.id, old.prompt, old.response);
    INSERT INTO events_fts (rowid, prompt, response) VALUES (new.id, new.prompt, new.response);
END;

-- `target` is the judgment that an undo takes back or a redo restores. `below` is the judgment that was in force
-- last when this one was made (0 for none): the judgments form a tree, and undo and redo walk one branch of it.
CREATE TABLE judgments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES events (id),
    created_at REAL NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('good', 'bad', 'correct', 'reject', 'skip', 'undo', 'redo')),
    correction TEXT,
    note TEXT NOT NULL,
    seconds REAL,
    target INTEGER REFERENCES judgments (id),
    below INTEGER,
    CHECK ((kind = 'correct') = (correction IS NOT NULL)),
    CHECK ((kind IN ('undo', 'redo')) = (target IS NOT NULL)),
    CHECK ((target IS NULL) = (below IS NOT NULL))
) STRICT;
CREATE INDEX judgments_by_event ON judgments (event_id, id);
CREATE INDEX judgments_by_target ON judgments (target, id) WHERE target IS NOT NULL;
CREATE INDEX judgments_by_below ON judgments (below, id) WHERE below IS NOT NULL;
CREATE INDEX judgments_by_time ON judgments (created_at);
CREATE TRIGGER judgments_never_change BEFORE UPDATE ON judgments BEGIN
    SELECT RAISE (ABORT, 'the log of judgments is append-only');
END;
CREATE TRIGGER judgments_never_go BEFORE DELETE ON judgments BEGIN
    SELECT RAISE (ABORT, 'the log of judgments is append-only');
END;
CREATE VIEW effective_judgments AS
    SELECT j.id, j.event_id, j.created_at, j.kind, j.correction, j.note, j.seconds, j.target
    FROM judgments j
    WHERE j.target IS NULL
      AND coalesce((SELECT u.kind FROM judgments u WHERE u.target = j.id ORDER BY u.id DESC LIMIT 1), '') <> 'undo';
CREATE VIEW current_judgments AS
    SELECT e.* FROM effective_judgments e
    JOIN (SELECT event_id, max(id) AS id FROM effective_judgments GROUP BY event_id) last ON last.id = e.id;

CREATE TABLE pairs (
    id INTEGER PRIMARY KEY,
    created_at REAL NOT NULL,
    category TEXT NOT NULL,
    prompt TEXT NOT NULL,
    chosen TEXT NOT NULL,
    rejected TEXT NOT NULL,
    margin REAL NOT NULL CHECK (margin BETWEEN 0 AND 1),
    source TEXT NOT NULL,
    chosen_event INTEGER REFERENCES events (id),
    rejected_event INTEGER REFERENCES events (id)
) STRICT;
CREATE INDEX pairs_by_category ON pairs (category, id);
CREATE INDEX pairs_by_chosen ON pairs (chosen_event) WHERE chosen_event IS NOT NULL;
CREATE INDEX pairs_by_rejected ON pairs (rejected_event) WHERE rejected_event IS NOT NULL;

CREATE TABLE datasets (
    id INTEGER PRIMARY KEY,
    created_at REAL NOT NULL,
    category TEXT NOT NULL,
    hash TEXT NOT NULL,
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    counts TEXT NOT NULL,
    UNIQUE (category, hash)
) STRICT;
CREATE TABLE dataset_items (
    dataset_id INTEGER NOT NULL REFERENCES datasets (id),
    position INTEGER NOT NULL,
    event_id INTEGER NOT NULL REFERENCES events (id),
    split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    prompt TEXT NOT NULL,
    target TEXT NOT NULL,
    system TEXT NOT NULL,
    weight REAL NOT NULL,
    difficulty REAL NOT NULL,
    stage TEXT NOT NULL,
    PRIMARY KEY (dataset_id, position)
) STRICT;
CREATE INDEX dataset_items_by_event ON dataset_items (event_id);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at REAL NOT NULL,
    category TEXT NOT NULL,
    base_model TEXT NOT NULL,
    method TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'stopped', 'finished', 'failed', 'lost')),
    stage TEXT NOT NULL
        CHECK (stage IN ('queued', 'training', 'evaluating', 'exporting', 'proving', 'testing', 'done')),
    settings TEXT NOT NULL,
    dataset_id INTEGER NOT NULL REFERENCES datasets (id),
    parent_version INTEGER REFERENCES versions (id),
    folder TEXT NOT NULL,
    pid INTEGER,
    pid_started REAL,
    heartbeat REAL,
    stop_requested INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    finished_at REAL,
    step INTEGER NOT NULL DEFAULT 0,
    total_steps INTEGER NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    hint TEXT NOT NULL DEFAULT '',
    version_id INTEGER REFERENCES versions (id)
) STRICT;
CREATE INDEX runs_by_category ON runs (category, id);
CREATE INDEX runs_by_dataset ON runs (dataset_id);
CREATE UNIQUE INDEX one_run_at_a_time ON runs (status) WHERE status = 'running';
CREATE INDEX runs_queued ON runs (id) WHERE status = 'queued';
CREATE TRIGGER finished_runs_never_change BEFORE UPDATE ON runs WHEN old.status = 'finished' BEGIN
    SELECT RAISE (ABORT, 'a finished run never changes');
END;

-- AUTOINCREMENT: a replaced figure gets a new, higher id, so that whoever follows the figures sees it.
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    step INTEGER NOT NULL,
    value REAL,
    at REAL NOT NULL,
    UNIQUE (run_id, name, step)
) STRICT;
CREATE INDEX metrics_by_run ON metrics (run_id, id);

CREATE TABLE versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at REAL NOT NULL,
    name TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    base_model TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 0),
    run_id INTEGER REFERENCES runs (id),
    parent_id INTEGER REFERENCES versions (id),
    dataset_id INTEGER REFERENCES datasets (id),
    folder TEXT NOT NULL,
    gguf TEXT NOT NULL DEFAULT '{}',
    settings TEXT NOT NULL,
    metrics TEXT NOT NULL DEFAULT '{}',
    proof TEXT NOT NULL DEFAULT '[]',
    proved INTEGER NOT NULL DEFAULT 0,
    code_version TEXT NOT NULL,
    UNIQUE (category, base_model, number)
) STRICT;

CREATE TABLE aliases (
    name TEXT PRIMARY KEY,
    category TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES versions (id),
    updated_at REAL NOT NULL
) STRICT;
CREATE TABLE alias_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    alias TEXT NOT NULL REFERENCES aliases (name),
    at REAL NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('promote', 'rollback', 'undo', 'reconcile')),
    from_version INTEGER REFERENCES versions (id),
    to_version INTEGER NOT NULL REFERENCES versions (id),
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    evidence TEXT NOT NULL,
    undoes INTEGER UNIQUE REFERENCES alias_changes (id)
) STRICT;
CREATE INDEX alias_changes_by_alias ON alias_changes (alias, id);

CREATE TABLE ab_tests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at REAL NOT NULL,
    category TEXT NOT NULL,
    version_a INTEGER NOT NULL REFERENCES versions (id),
    version_b INTEGER NOT NULL REFERENCES versions (id),
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    result TEXT,
    finished_at REAL,
    CHECK ((result IS NULL) = (finished_at IS NULL))
) STRICT;
CREATE INDEX ab_tests_by_arms ON ab_tests (version_a, version_b, id);
CREATE TABLE ab_pairs (
    test_id INTEGER NOT NULL REFERENCES ab_tests (id),
    position INTEGER NOT NULL,
    event_id INTEGER REFERENCES events (id),
    prompt TEXT NOT NULL,
    response_a TEXT NOT NULL,
    response_b TEXT NOT NULL,
    score_a REAL NOT NULL,
    score_b REAL NOT NULL,
    latency_a REAL NOT NULL,
    latency_b REAL NOT NULL,
    tokens_a INTEGER NOT NULL,
    tokens_b INTEGER NOT NULL,
    winner TEXT NOT NULL CHECK (winner IN ('a', 'b', 'tie')),
    PRIMARY KEY (test_id, position)
) STRICT;

CREATE TABLE ui_state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
"""
