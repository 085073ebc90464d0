"""What the form of a new run needs to know, and what would come of what it says; read in worker threads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.categories import category, load_categories
from core.config import load_config
from core.errors import ModelError
from core.paths import Home
from storage import events
from storage.db import open_store
from tui.widgets.run_form import FIELDS, RunRequest


@dataclass(frozen=True, slots=True)
class FormChoices:
    """The form as it opens: categories as (label, name), the one with most outputs first, and the defaults."""

    categories: Sequence[tuple[str, str]]
    bases: Mapping[str, str]
    presets: Sequence[str]
    settings: Mapping[str, Any]
    empty: bool
    """Whether nothing was ever recorded, in any category."""


@dataclass(frozen=True, slots=True)
class MemoryVerdict:
    """Whether a run fits: `verdict` is fits, tight or does not fit, `sentence` the same with figures.

    `suggestion` holds the settings to change so that it fits, empty where none would do or none is needed; `missing`
    says why the model cannot be trained yet although its size is known.
    """

    verdict: str
    sentence: str
    suggestion: Mapping[str, Any]
    missing: str


def read_choices(home: Home) -> FormChoices:
    """Read what can be chosen. Raises FinetuneError for a fault in the configuration."""
    from core.search.defaults import applied
    from core.train.config import configured
    from core.train.presets import PRESETS

    config = load_config(home)
    known = load_categories(home)
    with open_store(home.store) as store:
        counts = {one.category: one.total for one in events.category_counts(store, now=time.time())}
        names = sorted(known, key=lambda name: (-counts.get(name, 0), name))
        bases = {name: known[name].base_model or config.train.base_model for name in names}
        first = bases[names[0]] if names else config.train.base_model
        start = configured(config, first) | (applied(store, names[0], first) if names else {})
    return FormChoices(
        [(f"{name} · {counts.get(name, 0):,} recorded", name) for name in names],
        bases,
        sorted(PRESETS),
        {field.key: start[field.key] for field in FIELDS},
        empty=not any(counts.values()),
    )


def read_selection(home: Home, category_name: str, seed: int) -> tuple[str, Mapping[str, object]]:
    """What a run would be trained on, as a sentence and as counts. Raises FinetuneError."""
    from core.select.dataset import select_dataset

    config = load_config(home)
    chosen = category(load_categories(home), category_name)
    with open_store(home.store) as store:
        selection = select_dataset(store, home, chosen, now=time.time(), seed=seed, config=config)
    return selection.summary, selection.counts


def read_memory(home: Home, request: RunRequest) -> MemoryVerdict:
    """Estimate the memory of the run that the form describes. Raises FinetuneError for a wrong model or setting."""
    from core.train.base_model import read_config
    from core.train.config import TrainSettings
    from core.train.memory import detect_device, estimate
    from core.train.presets import PRESETS, resolve_base

    settings = TrainSettings.from_mapping(request.settings)
    missing = ""
    try:
        model = read_config(resolve_base(request.base, home).path)
    except ModelError as error:
        preset = PRESETS.get(request.base.lower())
        if preset is None or not preset.config:
            raise
        model, missing = preset.config, str(error)
    plan = estimate(model, settings, detect_device())
    before, after = settings.to_mapping(), plan.suggestion.to_mapping() if plan.suggestion is not None else {}
    changes = {key: value for key, value in after.items() if value != before[key]}
    return MemoryVerdict(plan.verdict, plan.sentence, changes, missing)
