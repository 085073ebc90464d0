"""Turns what a person types, and a filter, into conditions on the events table."""

from __future__ import annotations

from typing import Any

from storage.columns import clean, placeholders
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
            need(sql, value)
    if chosen.tiers:
        need(f"tier IN ({placeholders(len(chosen.tiers))})", *chosen.tiers)
    match chosen.verdict:
        case None:
            pass
        case "pending":
            need("verdict IS NULL")
        case "done":
            need("verdict IS NOT NULL")
        case verdict:
            need("verdict = ?", verdict)
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
