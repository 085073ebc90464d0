"""What can be tried in the playground, read in a thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from core.categories import Category, load_categories
from core.config import load_config
from core.paths import Home
from core.playground.choices import Choice, choices, first_choice, ollama_choices
from storage import events, versions
from storage.db import Store, open_store

_FIRST = "erd"
"""The category in which the shipped model answers well."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A category, its models, which of them is asked where nobody has chosen, and all categories by name and title."""

    category: Category
    models: Sequence[Choice]
    first: str
    categories: Sequence[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """Of all models."""
        return [choice.name for choice in self.models]


def read_offer(home: Home, category: str, *, ollama: bool = False) -> Offer:
    """What there is in a category, or in the one that is used most where there is none of that name.

    `ollama` asks for its models too, which takes as long as it needs to answer.
    """
    config, known = load_config(home), load_categories(home)
    with open_store(home.store) as store:
        own = known.get(category) or known[_usual(store, list(known))]
        local = choices(store, home, config, own)
    listed = [*local, *ollama_choices()] if ollama else local
    return Offer(own, listed, first_choice(local), [(one.name, one.title) for one in known.values()])


def category_of(store: Store, version: str) -> str:
    """The category of a version; empty where there is none of that name."""
    return next((row.category for row in versions.list_versions(store) if row.name == version), "")


def _usual(store: Store, known: Sequence[str]) -> str:
    """The category of the newest version, else the one with the most events, else that of the shipped model."""
    trained = [row.category for row in reversed(versions.list_versions(store))]
    recorded = sorted(events.category_counts(store, now=time.time()), key=lambda one: -one.total)
    wanted = [*trained, *(one.category for one in recorded), _FIRST, *known]
    return next(name for name in wanted if name in known)
