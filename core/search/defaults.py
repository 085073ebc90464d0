"""The best settings that a search found, kept as the defaults of a category on a base model until taken back.

They lie between `config.toml` and what is asked for one run: `{**configured(config, base), **applied(...), **asked}`.
"""

from __future__ import annotations

from typing import Any

from core.errors import RunError
from core.search.study import Overview
from core.train.presets import PRESETS
from storage import ui_state
from storage.db import Store


def applied(store: Store, category: str, base: str) -> dict[str, Any]:
    """The settings that were applied, by name; none before. `base` as runs name it (`core.training.named_base`)."""
    found = ui_state.load(store, _key(category, base))
    return dict(found["settings"]) if found else {}


def apply(store: Store, found: Overview, *, now: float) -> dict[str, Any]:
    """Makes the best trial's settings the defaults and returns them. Raises RunError before a trial is complete."""
    if found.best is None:
        raise RunError(
            "No trial of this search is complete, so there is nothing to apply.", hint="Let the search go on first."
        )
    settings = dict(found.best.settings)
    origin = {"trial": found.best.number, "value": found.best.value, "dataset": found.spec.dataset_id, "at": now}
    ui_state.save(store, _key(found.spec.category, found.spec.base), {"settings": settings, **origin})
    return settings


def forget(store: Store, category: str, base: str) -> bool:
    """Takes applied settings back, so that the configured ones hold again; False when none were applied."""
    known = bool(applied(store, category, base))
    if known:
        ui_state.save(store, _key(category, base), None)
    return known


def search_base(base: str) -> str:
    """A preset's name as it is written everywhere; anything else stays as it is."""
    return base.lower() if base.lower() in PRESETS else base


def _key(category: str, base: str) -> str:
    return f"search.best.{category}.{search_base(base)}"
