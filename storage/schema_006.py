"""The step from schema 5 to schema 6. Released, so never edited: a change is a new migration."""

from __future__ import annotations

_FLAGS = {
    "gold": "({0}.tier = 'gold')",
    "silver": "({0}.tier = 'silver')",
    "bronze": "({0}.tier = 'bronze')",
    "rejected": "({0}.tier = 'rejected')",
    "judged": "({0}.verdict IS NOT NULL)",
    "corrected": "({0}.verdict IS 'correct')",
    "scored": "({0}.score IS NOT NULL)",
    "scores": "CAST (round(coalesce({0}.score, 0) * 1000000) AS INTEGER)",
    "qualities": "CAST (round({0}.quality * 1000000) AS INTEGER)",
}
"""What `category_totals` sums up of an event, by its column."""
_SUMS = ", ".join(f"sum({value.format('e')})" for value in _FLAGS.values())
COUNTED = f"SELECT e.category, count(*), {_SUMS} FROM events e GROUP BY e.category"
"""What `category_totals` holds, counted anew."""
_ADDED = "total = total + 1, " + ", ".join(f"{name} = {name} + {value.format('new')}" for name, value in _FLAGS.items())
_TAKEN = "total = total - 1, " + ", ".join(f"{name} = {name} - {value.format('old')}" for name, value in _FLAGS.items())
_CHANGED = ", ".join(
    f"{name} = {name} + {value.format('new')} - {value.format('old')}" for name, value in _FLAGS.items()
)
_NOTHING = ", ".join("0" for _ in ("total", *_FLAGS))

STEP = f"""
-- The log of judgments also holds that an event was moved to another category, so that one chain of undo leads through
-- both. `batch` is the id of the first of the rows that were said at once, and are taken back and restored at once;
-- `repeats` is the judgment in force that was asked for again, blind, to see whether the person still says the same.
-- SQLite cannot widen a CHECK, so the table is made anew; renaming it renames what refers to it.
DROP VIEW current_judgments;
DROP VIEW effective_judgments;
CREATE TABLE judgments_6 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES events (id),
    created_at REAL NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('good', 'bad', 'correct', 'reject', 'skip', 'move', 'undo', 'redo')),
    correction TEXT,
    note TEXT NOT NULL,
    seconds REAL,
    target INTEGER REFERENCES judgments_6 (id),
    below INTEGER,
    batch INTEGER REFERENCES judgments_6 (id),
    repeats INTEGER REFERENCES judgments_6 (id),
    CHECK ((kind = 'correct') = (correction IS NOT NULL)),
    CHECK ((kind IN ('undo', 'redo')) = (target IS NOT NULL)),
    CHECK ((target IS NULL) = (below IS NOT NULL)),
    CHECK (target IS NULL OR (batch IS NULL AND repeats IS NULL))
) STRICT;
INSERT INTO judgments_6 (id, event_id, created_at, kind, correction, note, seconds, target, below)
    SELECT id, event_id, created_at, kind, correction, note, seconds, target, below FROM judgments ORDER BY id;
DROP TABLE judgments;
ALTER TABLE judgments_6 RENAME TO judgments;
CREATE INDEX judgments_by_event ON judgments (event_id, id);
CREATE INDEX judgments_by_target ON judgments (target, id) WHERE target IS NOT NULL;
CREATE INDEX judgments_by_below ON judgments (below, id) WHERE below IS NOT NULL;
CREATE INDEX judgments_by_time ON judgments (created_at);
CREATE INDEX judgments_by_batch ON judgments (batch, id) WHERE batch IS NOT NULL;
CREATE INDEX judgments_by_repeats ON judgments (repeats, id) WHERE repeats IS NOT NULL;
CREATE INDEX judgments_with_note ON judgments (id, event_id) WHERE note <> '';
CREATE TRIGGER judgments_never_change BEFORE UPDATE ON judgments BEGIN
    SELECT RAISE (ABORT, 'the log of judgments is append-only');
END;
CREATE TRIGGER judgments_never_go BEFORE DELETE ON judgments BEGIN
    SELECT RAISE (ABORT, 'the log of judgments is append-only');
END;
-- Verdicts alone: a move says nothing of an answer, and who passes over a repeated question leaves the first verdict.
CREATE VIEW effective_judgments AS
    SELECT j.id, j.event_id, j.created_at, j.kind, j.correction, j.note, j.seconds, j.target, j.batch, j.repeats
    FROM judgments j
    WHERE j.target IS NULL AND j.kind <> 'move' AND (j.repeats IS NULL OR j.kind <> 'skip')
      AND coalesce((SELECT u.kind FROM judgments u WHERE u.target = j.id ORDER BY u.id DESC LIMIT 1), '') <> 'undo';
CREATE VIEW current_judgments AS
    SELECT e.* FROM effective_judgments e
    JOIN (SELECT event_id, max(id) AS id FROM effective_judgments GROUP BY event_id) last ON last.id = e.id;

-- A move of an event: the two categories, and as JSON what each makes of the event, so that an undo or a redo needs no
-- validator, which may be gone by then.
CREATE TABLE moves (
    judgment INTEGER PRIMARY KEY REFERENCES judgments (id),
    from_category TEXT NOT NULL,
    to_category TEXT NOT NULL CHECK (to_category <> from_category),
    before TEXT NOT NULL,
    after TEXT NOT NULL
) STRICT;
CREATE TRIGGER moves_never_change BEFORE UPDATE ON moves BEGIN
    SELECT RAISE (ABORT, 'the log of moves is append-only');
END;
CREATE TRIGGER moves_never_go BEFORE DELETE ON moves BEGIN
    SELECT RAISE (ABORT, 'the log of moves is append-only');
END;

-- A pair or a comparison of two events belongs to the category that they have by now; while they stand in different
-- ones it says nothing, and its category is empty. So a comparison's category may change, and nothing else of it.
DROP TRIGGER comparisons_never_change;
CREATE TRIGGER comparisons_never_change
BEFORE UPDATE OF id, at, first_event, second_event, choice, swapped, seconds, target ON comparisons BEGIN
    SELECT RAISE (ABORT, 'the log of comparisons is append-only');
END;

-- Wishes of events into the next training batch (`pinned` 1) and wishes taken back (0); an event's newest row counts.
CREATE TABLE pins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    event_id INTEGER NOT NULL REFERENCES events (id),
    pinned INTEGER NOT NULL CHECK (pinned IN (0, 1))
) STRICT;
CREATE INDEX pins_by_event ON pins (event_id, id);
CREATE TRIGGER pins_never_change BEFORE UPDATE ON pins BEGIN
    SELECT RAISE (ABORT, 'the log of wishes is append-only');
END;
CREATE TRIGGER pins_never_go BEFORE DELETE ON pins BEGIN
    SELECT RAISE (ABORT, 'the log of wishes is append-only');
END;

-- The other answers to a prompt, and the prompts with several answers, from the index alone.
CREATE INDEX events_by_prompt ON events (category, prompt_hash, response_hash, id, score, bucket);

-- What is typed is looked for at every letter. Without these lists a beginning of three or four letters makes SQLite
-- put together the places of every word that begins so: a second where half of a million events have one.
DROP TABLE events_fts;
CREATE VIRTUAL TABLE events_fts USING fts5 (
    prompt, response,
    content = 'events', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2', prefix = '3 4'
);
INSERT INTO events_fts (events_fts) VALUES ('rebuild');

-- What every screen tells of a category, kept as events come, change and go: counting a million takes a third of a
-- second, and it is asked for after every change. Sums are whole millionths, which never drift.
CREATE TABLE category_totals (
    category TEXT PRIMARY KEY,
    total INTEGER NOT NULL,
    gold INTEGER NOT NULL,
    silver INTEGER NOT NULL,
    bronze INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    corrected INTEGER NOT NULL,
    scored INTEGER NOT NULL,
    scores INTEGER NOT NULL,
    qualities INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO category_totals {COUNTED};
CREATE TRIGGER events_counted_in AFTER INSERT ON events BEGIN
    INSERT OR IGNORE INTO category_totals VALUES (new.category, {_NOTHING});
    UPDATE category_totals SET {_ADDED} WHERE category = new.category;
END;
CREATE TRIGGER events_counted_out AFTER DELETE ON events BEGIN
    UPDATE category_totals SET {_TAKEN} WHERE category = old.category;
END;
CREATE TRIGGER events_counted_anew AFTER UPDATE OF score, quality, tier, verdict, category ON events
WHEN old.category = new.category BEGIN
    UPDATE category_totals SET {_CHANGED} WHERE category = new.category;
END;
CREATE TRIGGER events_counted_over AFTER UPDATE OF category ON events WHEN old.category <> new.category BEGIN
    UPDATE category_totals SET {_TAKEN} WHERE category = old.category;
    INSERT OR IGNORE INTO category_totals VALUES (new.category, {_NOTHING});
    UPDATE category_totals SET {_ADDED} WHERE category = new.category;
END;
"""
