"""Exchanges to record, and what the store holds of them afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from core.categories import Category, load_categories
from core.config import Config
from core.paths import Home
from core.serve.exchange import Exchange
from core.serve.journal import Entry, Journal, folder_of
from core.serve.recording import Recording
from storage import responses
from storage.db import Store, open_store

AT = 1_700_000_000.0


def exchange(number: int = 0, **over: Any) -> Exchange:
    """An answer of a model that is no version, with a prompt and an id of its own."""
    fields: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "at": AT + number,
        "api": "ollama",
        "category": "erd",
        "model": "ft-erd",
        "version_id": None,
        "version_name": "llama3.2:3b",
        "system": "",
        "history": [],
        "between": [],
        "prompt": f"ER diagram for shop {number}: customer, order.",
        "response": f"erDiagram\n    customer ||--o{{ order : places_{number}",
        "seconds": 1.5,
        "first_token_seconds": 0.25,
        "complete": True,
    }
    return Exchange(**{**fields, **over})


def journal_of(home: Home, entries: Iterable[Entry] = ()) -> Journal:
    journal = Journal(folder_of(home))
    for entry in entries:
        assert journal.append(entry)
    return journal


def left_behind(home: Home, entries: Iterable[Entry]) -> None:
    """What a killed process has written down: segments that nobody holds."""
    journal_of(home, entries).close()


def record(home: Home, journal: Journal | None = None, **more: Any) -> Recording:
    """Records all that is there; the recording has ended."""
    categories: Mapping[str, Category] = more.pop("categories", None) or load_categories(home)
    config: Config = more.pop("config", Config())
    recording = Recording(home, config, categories, journal or journal_of(home), **more)
    recording.start()
    assert recording.stop(30.0), recording.problem
    return recording


def segments(home: Home) -> list[Path]:
    return sorted(folder_of(home).glob("*"))


def rows(home: Home) -> dict[str, responses.ResponseRow]:
    with open_store(home.store) as store:
        found = (responses.get(store, key) for (key,) in store.rows("SELECT id FROM responses"))
        return {row.id: row for row in found if row is not None}


def event_count(home: Home) -> int:
    with open_store(home.store) as store:
        return int(store.value("SELECT count(*) FROM events"))


def in_store(home: Home, look: Callable[[Store], Any]) -> Any:
    with open_store(home.store) as store:
        return look(store)
