"""Turns what a person types, and a filter, into conditions on the events table."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal

from storage.columns import clean, placeholders
from storage.db import Store
from storage.rows import Condition, EventFilter, TextTerm

MAX_TERMS = 64
"""FTS5 refuses expressions deeper than 256; a pasted page is found by its first words."""
SHORTEST_BEGINNING: Final = 3
"""Letters that an unfinished word needs: what begins with one or two is half the index, and reading that takes as long
as reading the whole of it."""
LONG_CHARS: Final = 2_000
FAILED_BELOW: Final = 60.0
STATES: Final[Mapping[str, str]] = {
    "pending": "verdict IS NULL",
    "done": "verdict IS NOT NULL",
    "good": "verdict = 'good'",
    "bad": "verdict = 'bad'",
    "corrected": "verdict = 'correct'",
    "rejected": "verdict = 'reject'",
    "skipped": "verdict = 'skip'",
    "valid": "valid",
    "invalid": "NOT valid",
    "scored": "score IS NOT NULL",
    "unscored": "score IS NULL",
    "hard": f"(verdict IS 'bad' OR score < {FAILED_BELOW} AND coalesce(verdict, '') NOT IN ('good', 'reject'))",
    "edited": "correction IS NOT NULL",
    "long": f"length(response) > {LONG_CHARS}",
    "generic": "generic",
}
"""What an event can be, and the condition for it."""
PARTS: Final[Mapping[str, str]] = {
    "correction": "correction IS NOT NULL",
    "findings": "findings <> '[]'",
    "history": "history <> '[]'",
    "context": "context <> ''",
    "system": "system <> ''",
}
"""What an event can have, and the condition for it."""

_Part = tuple[str, Sequence[Any]]


def conditions(chosen: EventFilter) -> tuple[str, list[Any]]:
    """`(sql, params)` for a WHERE clause on `events`; unscored events pass no bound on the score."""
    parts: list[str] = []
    params: list[Any] = []
    for sql, values in _parts(chosen):
        parts.append(sql)
        params.extend(values)
    return " AND ".join(parts) or "1", params


def _parts(chosen: EventFilter) -> Iterator[_Part]:
    for sql, value in (
        ("category = ?", chosen.category),
        ("tier = ?", chosen.tier),
        ("score >= ?", chosen.min_score),
        ("score <= ?", chosen.max_score),
        ("quality >= ?", chosen.min_quality),
        ("model = ?", chosen.model),
        ("created_at >= ?", chosen.since),
        ("created_at < ?", chosen.until),
    ):
        if value is not None:
            yield sql, (value,)
    if chosen.tiers:
        yield f"tier IN ({placeholders(len(chosen.tiers))})", chosen.tiers
    match chosen.verdict:
        case None:
            pass
        case "pending" | "done":
            yield STATES[chosen.verdict], ()
        case verdict:
            yield "verdict = ?", (verdict,)
    yield from map(_condition, chosen.conditions)
    yield from _texts([TextTerm(chosen.text), *chosen.terms])


def newest(store: Store, chosen: EventFilter, limit: int, *, within: int | None = None) -> tuple[array[int], bool]:
    """At most `limit` ids (signed 64 bit) that pass, the newest first, and whether every event was looked at for that.

    For words the newest are those added last, because the index knows that order; else those with the latest time.
    With `within`, what no index answers is looked for only among so many of the events added last.
    """
    last = last_id(store)
    lowest = 0 if within is None else max(0, last - within)
    index, rest = "", []
    params: list[Any] = []
    for sql, values in _parts(chosen):
        if sql == _IN_INDEX:
            index, params = sql, [*values, lowest, *params]
        elif sql == _NOT_IN_INDEX:
            rest.append("id NOT IN (SELECT rowid FROM events_fts WHERE events_fts MATCH ? AND rowid > ?)")
            params += [*values, lowest]
        else:
            rest.append(sql)
            params.extend(values)
    by_time = not index and _is_indexed(chosen)
    if not index and not by_time:
        rest.append("id > ?")
        params.append(lowest)
    where = " AND ".join(rest) or "1"
    if index:
        sql = (
            "SELECT rowid FROM events_fts WHERE events_fts MATCH ? AND rowid > ? AND "
            f"EXISTS (SELECT 1 FROM events WHERE id = events_fts.rowid AND {where}) ORDER BY rowid DESC LIMIT ?"
        )
    else:
        # Most events are pending: going through them by time ends sooner than sorting them.
        how = "INDEXED BY events_by_time" if by_time and chosen.category is None else "" if by_time else "NOT INDEXED"
        sql = f"SELECT id FROM events {how} WHERE {where} ORDER BY created_at DESC, id DESC LIMIT ?"
    with store.reading(sql, [*params, limit]) as rows:
        found = array("q", chain.from_iterable(rows))
    return found, len(found) < limit and (by_time or lowest == 0)


def added(store: Store, chosen: EventFilter, after: int) -> array[int]:
    """The ids (signed 64 bit) above `after` that pass, ascending; what was there before is not looked at."""
    where, params = ["id > ?"], [after]
    for sql, values in _parts(chosen):
        negated = "NOT " if sql == _NOT_IN_INDEX else ""
        if sql in (_IN_INDEX, _NOT_IN_INDEX):
            where.append(f"id {negated}IN (SELECT rowid FROM events_fts WHERE events_fts MATCH ? AND rowid > ?)")
            params += [*values, after]
        else:
            where.append(sql)
            params.extend(values)
    # By the table's own order: an index would be gone through from its beginning.
    with store.reading(f"SELECT id FROM events NOT INDEXED WHERE {' AND '.join(where)} ORDER BY id", params) as rows:
        return array("q", chain.from_iterable(rows))


def _is_indexed(chosen: EventFilter) -> bool:
    """Whether an index by time holds all that has to be known."""
    if chosen.terms or chosen.text or chosen.model is not None or chosen.min_quality is not None:
        return False
    return all(one.field in ("id", "created_at", "score", "tier") for one in chosen.conditions)


# Single conditions.


def _condition(wanted: Condition) -> _Part:
    one = _ONE.get(wanted.field)
    if one is not None:
        parts = [one(str(value)) for value in wanted.values]
    elif wanted.field in ("state", "has"):
        known = STATES if wanted.field == "state" else PARTS
        parts = [(known.get(str(value), "0"), ()) for value in wanted.values]
    elif wanted.operator == "between":
        parts = [(f"{_COLUMNS[wanted.field]} BETWEEN ? AND ?", wanted.values)]
    else:
        # Both names come from closed sets; a field or an operator beside them is a mistake of the caller.
        column, operator = _COLUMNS[wanted.field], _OPERATORS[wanted.operator]
        parts = [(f"{column} {operator} ?", (value,)) for value in wanted.values]
    sql = " OR ".join(sql for sql, _ in parts) or "0"
    # Without the coalesce a value that is not known would pass neither the condition nor its opposite.
    sql = f"NOT coalesce(({sql}), 0)" if wanted.negated else f"({sql})"
    return sql, [value for _, values in parts for value in values]


def _named(column: str) -> Callable[[str], _Part]:
    def one(value: str) -> _Part:
        start = clean(value)
        if not start.endswith("*"):
            return f"{column} = ?", (start,)
        return f"substr({column}, 1, ?) = ?", (len(start) - 1, start[:-1])

    return one


def _contains(value: str) -> _Part:
    return "instr(lower(model), lower(?))", (clean(value),)


def _finding(value: str) -> _Part:
    # The first half spares most events the reading of their JSON.
    kind = clean(value)
    return (
        "(instr(findings, ?) AND EXISTS (SELECT 1 FROM json_each(findings) AS found WHERE CASE found.type "
        "WHEN 'object' THEN ? IN (json_extract(found.value, '$.kind'), json_extract(found.value, '$.severity')) END))",
        (json.dumps(kind)[1:-1], kind),
    )


_ONE: Final[Mapping[str, Callable[[str], _Part]]] = {
    "category": _named("category"),
    "source": _named("source"),
    "model": _contains,
    "finding": _finding,
}
_COLUMNS: Final = {name: name for name in ("id", "created_at", "score", "quality", "tier")}
_OPERATORS: Final = {name: name for name in ("=", "<", "<=", ">", ">=")}


# Full text.


def _texts(terms: Iterable[TextTerm]) -> Iterator[_Part]:
    """At most two searches of the index (one of them for what must not occur where nothing else is looked for), and
    one condition for each term without a letter or digit (`||--o{`), which only the texts can tell."""
    wanted: list[str] = []
    unwanted: list[str] = []
    marks: list[TextTerm] = []
    pieces = list(dict.fromkeys(piece for term in terms for piece in _pieces(term)))[:MAX_TERMS]
    last = next((piece for piece in reversed(pieces) if not piece.negated), None)
    for piece in pieces:
        if not _is_word(piece):
            marks.append(piece)
        elif piece.negated:
            unwanted.append(_quoted(piece))
        else:
            wanted.append(_quoted(piece) + (" *" if piece is last and _may_be_unfinished(piece) else ""))
    if wanted:
        yield _IN_INDEX, (" NOT ".join([" ".join(wanted), *unwanted]),)
    elif unwanted:
        yield _NOT_IN_INDEX, (" OR ".join(unwanted),)
    for mark in marks:
        columns = (mark.column,) if mark.column else ("prompt", "response")
        sql = " OR ".join(f"instr({column}, ?)" for column in columns)
        yield f"{'NOT ' if mark.negated else ''}({sql})", (mark.text,) * len(columns)


_IN_INDEX: Final = "id IN (SELECT rowid FROM events_fts WHERE events_fts MATCH ?)"
_NOT_IN_INDEX: Final = f"NOT {_IN_INDEX}"
_Column = Literal["prompt", "response"] | None


def _pieces(term: TextTerm) -> Iterator[TextTerm]:
    """A phrase whole, else each of its words."""
    text = clean(term.text)
    for word in [text.strip()] if term.phrase else text.split():
        if word:
            yield TextTerm(word, term.column, term.phrase, term.negated)


def _is_word(term: TextTerm) -> bool:
    return any(character.isalnum() for character in term.text)


def _may_be_unfinished(term: TextTerm) -> bool:
    return not term.phrase and (len(term.text) >= SHORTEST_BEGINNING or not term.text.isascii())


def _quoted(term: TextTerm) -> str:
    """Quoted, nothing in a text is FTS5 syntax."""
    column: _Column = term.column
    text = '"' + term.text.replace('"', '""') + '"'
    return f"{column} : {text}" if column else text


def last_id(store: Store) -> int:
    """The id of the event that was added last, 0 for none."""
    return int(store.value("SELECT max(id) FROM events") or 0)
