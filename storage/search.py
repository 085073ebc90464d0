"""Turns what a person types, and a filter, into conditions on the events table."""

from __future__ import annotations

from typing import Any

from storage.columns import clean
from storage.rows import EventFilter

MAX_TERMS = 64
"""FTS5 refuses expressions deeper than 256; a pasted page is found by its first words."""


def conditions(chosen: EventFilter) -> tuple[str, list[Any]]:
    """`(sql, params)` for a WHERE clause on `events`; unscored events pass no bound on the score."""
    parts: list[str] = []
    params: list[Any] = []

    def need(sql: str, *values: Any) -> None:
        parts.append(sql)
        params.extend(values)

    if chosen.category is not None:
        need("category = ?", chosen.category)
    match chosen.verdict:
        case None:
            pass
        case "pending":
            need("verdict IS NULL")
        case "done":
            need("verdict IS NOT NULL")
        case verdict:
            need("verdict = ?", verdict)
    if chosen.tier is not None:
        need("tier = ?", chosen.tier)
    if chosen.min_score is not None:
        need("score >= ?", chosen.min_score)
    if chosen.max_score is not None:
        need("score <= ?", chosen.max_score)
    words, marks = _terms(chosen.text)
    if words:
        need("id IN (SELECT rowid FROM events_fts WHERE events_fts MATCH ?)", _expression(words))
    for mark in marks:
        need("(instr(prompt, ?) OR instr(response, ?))", mark, mark)
    return " AND ".join(parts) or "1", params


def _terms(text: str) -> tuple[list[str], list[str]]:
    """The words, for the index, and the terms without a letter or digit (`||--o{`), which only the texts can tell."""
    terms = list(dict.fromkeys(clean(text).split()))[:MAX_TERMS]
    words = [term for term in terms if any(character.isalnum() for character in term)]
    return words, [term for term in terms if term not in words]


def _expression(words: list[str]) -> str:
    """All words must occur; the last one may be unfinished. Quoted, nothing in them is FTS5 syntax."""
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    return " ".join(quoted) + " *"
