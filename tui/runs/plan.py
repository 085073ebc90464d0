"""What the form of a new run needs to know, and what would come of what it says; read in worker threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.categories import category, load_categories
from core.config import Config, load_config
from core.errors import ModelError, RunError
from core.paths import Home
from storage import events, retention, versions
from storage.db import Store, open_store
from storage.rows import DatasetItem
from tui.runs.base_look import BaseLook
from tui.runs.mix import read_mix
from tui.widgets.run_fields import RunRequest

if TYPE_CHECKING:
    from storage.rows import VersionRow

STARTS: Final = 8
"""How many versions the form offers to go on from at most."""


@dataclass(frozen=True, slots=True)
class FormChoices:
    """The form as it opens: categories as (label, name), that with most outputs first, and the base model of each."""

    categories: Sequence[tuple[str, str]]
    bases: Mapping[str, str]
    presets: Sequence[str]
    method: str
    empty: bool
    """Whether nothing was ever recorded, in any category."""


@dataclass(frozen=True, slots=True)
class FormDefaults:
    """What suits a category, base model and method: training settings by key, and the versions to go on from.

    Each of `starts` is (label, name, its settings), the newest first.
    """

    settings: Mapping[str, Any]
    starts: Sequence[tuple[str, str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class MemoryVerdict:
    """Whether a run fits: `verdict` is fits, tight or does not fit, `sentence` the same with figures.

    `suggestion` holds the settings to change so that it fits, empty where none would do or none is needed; `missing`
    says why the model cannot be trained yet although its size is known, `note` what the start does to make it ready.
    """

    verdict: str
    sentence: str
    suggestion: Mapping[str, Any]
    missing: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class DataOutlook:
    """What a run would be trained on, as a sentence and as counts; `problem` says why it cannot, empty where it can.

    `mix` parts the `items` to train on by what they are, see `tui.runs.mix`. `crowd` is how many outputs the category
    has where those are too many to look through for a form, else 0; then no more than `counts["tiers"]` is known.
    """

    summary: str
    counts: Mapping[str, object]
    problem: str
    mix: Mapping[str, int] = field(default_factory=dict)
    items: Sequence[DatasetItem] = ()
    crowd: int = 0


def read_choices(home: Home) -> FormChoices:
    """Read what can be chosen. Raises FinetuneError for a fault in the configuration."""
    from core.train.config import configured
    from core.train.presets import PRESETS

    config = load_config(home)
    known = load_categories(home)
    with open_store(home.store) as store:
        counts = retention.totals(store)
    names = sorted(known, key=lambda name: (-counts.get(name, 0), name))
    bases = {name: known[name].base_model or config.train.base_model for name in names}
    return FormChoices(
        [(f"{name} · {counts.get(name, 0):,} recorded", name) for name in names],
        bases,
        sorted(PRESETS),
        str(configured(config, config.train.base_model)["method"]),
        empty=not any(counts.values()),
    )


def read_defaults(home: Home, category_name: str, base: str, method: str) -> FormDefaults:
    """Read the settings that a run starts with, and the versions that it may go on from.

    Raises FinetuneError for a fault in the configuration; a base model that is not on this machine is none.
    """
    from core.train.presets import resolve_base
    from core.training import default_settings, named_base

    config, named, starts = load_config(home), base, []
    with open_store(home.store) as store:
        with suppress(ModelError):
            named = named_base(base, home, make=False)
        settings = default_settings(store, config, category_name, named, {"method": method})
        with suppress(ModelError):
            starts = _starts(store, home, config, category_name, resolve_base(base, home, make=False).name)
    return FormDefaults(settings, starts)


def _starts(
    store: Store, home: Home, config: Config, category_name: str, base: str
) -> list[tuple[str, str, Mapping[str, Any]]]:
    from core.release.promote import serving
    from core.training import adapter_of, start_of

    production, best = serving(store, config, category_name), start_of(store, home, config, category_name, base)

    def label(version: VersionRow) -> str:
        marks = [version.name]
        if production is not None and version.id == production.id:
            marks.append("★ in production")
        elif best is not None and version.id == best.id:
            marks.append("the newest good one")
        return " · ".join(marks)

    usable = [
        version
        for version in reversed(versions.list_versions(store, category_name))
        if version.base_model == base and version.number > 0 and version.proved and adapter_of(home, version).is_file()
    ]
    return [(label(version), version.name, version.settings) for version in usable[:STARTS]]


def read_selection(home: Home, request: RunRequest, check_stop: Callable[[], None] = lambda: None) -> DataOutlook:
    """What the run that the form describes would be trained on.

    Texts may have to be compared, which can take long: `check_stop` is called meanwhile. Raises FinetuneError.
    """
    from core.release import registry
    from core.select.dataset import require_examples
    from core.select.methods.selecting import Wanted, selected
    from core.standing import LARGEST
    from core.training import learned

    config = load_config(home)
    chosen = category(load_categories(home), request.category)
    with open_store(home.store) as store:
        counted = events.category_counts(store, now=time.time())
        known = next((one for one in counted if one.category == chosen.name), None)
        if known is not None and known.total > LARGEST:
            tiers = {"gold": known.gold, "silver": known.silver, "bronze": known.bronze, "rejected": known.rejected}
            return DataOutlook("", {"tiers": tiers}, "", crowd=known.total)
        start = registry.find(store, request.start) if request.start else None
        wanted = Wanted(
            method=request.method,
            seed=request.seed,
            learned=learned(store, start),
            start=start.id if start is not None else None,
        )
        selection = selected(store, home, config, chosen, wanted, now=time.time(), check_stop=check_stop)
        items = [item for item in selection.items if item.split == "train"]
        mix = read_mix(store, request.method, items, selection.counts)
    problem = ""
    try:
        require_examples(selection)
    except RunError as error:
        problem = error.message.removesuffix(f" {selection.summary}.")
    return DataOutlook(selection.summary, selection.counts, problem, mix, items)


def read_memory(home: Home, request: RunRequest, look: BaseLook) -> MemoryVerdict:
    """Estimate the memory of the run that the form describes. Raises FinetuneError for a wrong setting."""
    from core.train.config import TrainSettings
    from core.train.memory import detect_device, estimate

    settings = TrainSettings.from_mapping(request.settings)
    plan = estimate(look.config, settings, detect_device())
    before, after = settings.to_mapping(), plan.suggestion.to_mapping() if plan.suggestion is not None else {}
    changes = {key: value for key, value in after.items() if value != before[key]}
    return MemoryVerdict(plan.verdict, plan.sentence, changes, look.missing, look.note)
