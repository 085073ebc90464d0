"""Where a model failed, and what newer versions answered there. Nothing is kept here that follows from other tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.columns import LISTED, RowReader, clean, findings_from, listed
from storage.db import Store

SHOWN = 4_000
"""Characters of a prompt that are read to compare it with others."""


@dataclass(frozen=True, slots=True)
class FailureRow:
    """An event on which a model failed, without its texts.

    `low` tells that its own score was too low. `bad_at` and `lost_at` are when a person said that it is bad and when
    the prompt was last lost in an A/B test, with the loser's score, each None when it never was.
    """

    id: int
    created_at: float
    bucket: int
    prompt_hash: str
    score: float | None
    corrected: bool
    prompt_chars: int
    context_chars: int
    low: bool
    bad_at: float | None
    lost_at: float | None
    lost_score: float | None


@dataclass(frozen=True, slots=True)
class HardTestRow:
    """What a version answered to the prompt of a failure; `score` None: nobody could judge it."""

    id: int
    event_id: int
    version_id: int
    at: float
    score: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class FailureText:
    """What a failure was about: the beginning of its prompt, with the length of the whole, and what was found."""

    id: int
    prompt: str
    prompt_chars: int
    findings: Sequence[Mapping[str, Any]]


_read = RowReader(FailureRow, boolean_columns=("corrected", "low"))
_read_test = RowReader(HardTestRow, boolean_columns=("passed",))


def failures(store: Store, category: str, *, below: float) -> list[FailureRow]:
    """Every event of the category on which a model failed, by id.

    Its score is under `below` (0-100) and nobody called it good; or a person called it bad, corrected since or not; or
    the newer arm lost on its prompt in a finished A/B test. What a person rejected as an example is none.
    """
    # CROSS JOIN keeps SQLite to this order of the tables: only the failures are looked up, not every event.
    rows = store.rows(
        "WITH low AS (SELECT id FROM events WHERE category = ?1 AND score < ?2 "
        "AND coalesce(verdict, '') NOT IN ('good', 'reject')), "
        "bad AS (SELECT e.id, min(j.created_at) AS at FROM events e JOIN effective_judgments j ON j.event_id = e.id "
        "WHERE e.category = ?1 AND e.verdict IN ('bad', 'correct') AND j.kind = 'bad' GROUP BY e.id), "
        "lost AS (SELECT p.event_id AS id, t.finished_at AS at, p.score_b AS score, max(t.id) FROM ab_tests t "
        "CROSS JOIN ab_pairs p ON p.test_id = t.id JOIN events e ON e.id = p.event_id WHERE t.category = ?1 "
        "AND t.finished_at IS NOT NULL AND p.winner = 'a' AND e.category = ?1 AND e.verdict IS NOT 'reject' "
        "GROUP BY p.event_id) "
        "SELECT e.id, e.created_at, e.bucket, e.prompt_hash, e.score, e.correction IS NOT NULL, length(e.prompt), "
        "length(e.context), low.id IS NOT NULL, bad.at, lost.at, lost.score "
        "FROM (SELECT id FROM low UNION SELECT id FROM bad UNION SELECT id FROM lost) found "
        "CROSS JOIN events e ON e.id = found.id LEFT JOIN low ON low.id = e.id LEFT JOIN bad ON bad.id = e.id "
        "LEFT JOIN lost ON lost.id = e.id ORDER BY e.id",
        (category, below),
    )
    return [_read(row) for row in rows]


def add(
    store: Store, event_id: int, version_id: int, *, at: float, response: str, score: float | None, passed: bool
) -> bool:
    """Keeps what a version answered, once for ever; False when that is known already or the event is gone meanwhile.

    `score` is 0-100, None when nobody could judge the answer. Raises ConflictError for an unknown version.
    """
    with store.transaction():
        added = store.write(
            "INSERT INTO hard_tests (event_id, version_id, at, response, score, passed) SELECT id, ?, ?, ?, ?, ? "
            "FROM events WHERE id = ? ON CONFLICT (event_id, version_id) DO NOTHING",
            (version_id, at, clean(response), score, passed, event_id),
        )
        return added.rowcount > 0


def tests(store: Store, category: str) -> list[HardTestRow]:
    """Every re-test of an event of the category by a version of that category, oldest first."""
    rows = store.rows(
        "SELECT t.id, t.event_id, t.version_id, t.at, t.score, t.passed FROM hard_tests t "
        "JOIN events e ON e.id = t.event_id JOIN versions v ON v.id = t.version_id AND v.category = e.category "
        "WHERE e.category = ? ORDER BY t.id",
        (category,),
    )
    return [_read_test(row) for row in rows]


def answers(store: Store, event_id: int) -> list[tuple[HardTestRow, str]]:
    """The re-tests of an event with what was answered, oldest first."""
    rows = store.rows(
        f"SELECT {_read_test.columns}, response FROM hard_tests WHERE event_id = ? ORDER BY id", (event_id,)
    )
    return [(_read_test(row[:-1]), row[-1]) for row in rows]


def trained_prompts(store: Store, category: str) -> set[str]:
    """The hashes of the prompts that a run of the category has started to train on."""
    rows = store.rows(
        "SELECT DISTINCT e.prompt_hash FROM runs r JOIN dataset_items d ON d.dataset_id = r.dataset_id "
        "JOIN events e ON e.id = d.event_id "
        "WHERE r.category = ? AND r.started_at IS NOT NULL AND d.split = 'train'",
        (category,),
    )
    return {prompt for (prompt,) in rows}


def passing_siblings(store: Store, category: str, ids: Sequence[int], *, least: float) -> dict[int, int]:
    """For each of these events that has one: another answer to the same prompt that is good, by event id.

    It has a score of at least `least` and no judgment against it, or a person called it good; the highest score, then
    the oldest.
    """
    rows = store.rows(
        f"WITH failed AS (SELECT id, prompt_hash, system FROM events WHERE id IN {LISTED}), "
        "good AS (SELECT id, prompt_hash, system, row_number() OVER (PARTITION BY prompt_hash, system "
        "ORDER BY score DESC NULLS LAST, id) AS place FROM events WHERE category = ? "
        "AND (score >= ? AND coalesce(verdict, 'skip') = 'skip' OR verdict = 'good') "
        "AND prompt_hash IN (SELECT prompt_hash FROM failed)) "
        "SELECT f.id, g.id FROM failed f JOIN good g ON g.prompt_hash = f.prompt_hash AND g.system = f.system "
        "WHERE g.place = 1 AND g.id <> f.id",
        (listed(ids), category, least),
    )
    return dict(rows)


def texts(store: Store, ids: Sequence[int]) -> list[FailureText]:
    """What these events were about, by id; ids that do not exist are left out."""
    rows = store.rows(
        f"SELECT id, substr(prompt, 1, {SHOWN}), length(prompt), findings FROM events WHERE id IN {LISTED} ORDER BY id",
        (listed(ids),),
    )
    return [FailureText(event_id, prompt, chars, findings_from(findings)) for event_id, prompt, chars, findings in rows]


def notes(store: Store, category: str) -> dict[int, str]:
    """By event: what a person wrote down last about what was wrong."""
    rows = store.rows(
        "SELECT j.event_id, j.note FROM effective_judgments j CROSS JOIN events e ON e.id = j.event_id "
        "WHERE e.category = ? AND j.note <> '' ORDER BY j.id",
        (category,),
    )
    return dict(rows)


def other_prompts(store: Store, category: str, without: Sequence[int], limit: int) -> list[tuple[str, int]]:
    """The beginnings of other prompts of the category with the lengths of the whole.

    At most `limit`, in the order of their hashes: a sample that stays the same while nothing is added.
    """
    return store.rows(
        f"SELECT substr(prompt, 1, {SHOWN}), length(prompt) FROM events WHERE category = ? "
        f"AND id NOT IN {LISTED} ORDER BY content_hash, id LIMIT ?",
        (category, listed(without), limit),
    )


def stamp(store: Store, category: str) -> tuple[int, ...]:
    """Figures of which one differs as soon as anything has changed that hard negatives follow from; about 1 ms."""
    return tuple(
        int(store.value(sql, (category,) if "?" in sql else ()) or 0)
        for sql in (
            "SELECT max(id) FROM events",
            "SELECT count(*) FROM events WHERE category = ?",
            "SELECT max(id) FROM judgments",
            "SELECT max(id) FROM hard_tests",
            "SELECT max(id) FROM pins",
            "SELECT count(finished_at) FROM ab_tests",
            "SELECT count(started_at) FROM runs",
        )
    )
