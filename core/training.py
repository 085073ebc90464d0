"""Starting a run: what it trains on, from which version it goes on, and with which settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from core.backends.by_name import OLLAMA
from core.categories import Category, select_of
from core.config import Config
from core.errors import ConflictError, FinetuneError, RunError
from core.paths import Home
from core.release import promote, registry
from core.search.defaults import applied
from core.select.batch import LARGEST
from core.train.checkpoints import ADAPTER
from core.train.config import TrainSettings, configured
from core.train.preflight import Preflight, preflight
from core.train.presets import BaseModel, resolve_base
from core.train.search_space import LEARNING_RATES
from core.triggers import Outlook
from storage import ab_tests, datasets, runs, totals, versions
from storage.db import Store
from storage.rows import RunOrigin, VersionRow

if TYPE_CHECKING:
    from core.select.dataset import Selection
    from core.select.eligible import Eligible

_GEOMETRY = ("rank", "alpha", "target_modules")
_PREFERENCE_RATE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it is queued. `base` is a preset's name or a folder; `limit` None trains on everything fresh.

    With `start` the run goes on from that version's adapter, learns what it has not learned and replays some of what it
    has. With `hold` it waits for whoever resumes or launches it.
    """

    category: Category
    base: str
    settings: Mapping[str, Any]
    seed: int = 0
    limit: int | None = None
    start: VersionRow | None = None
    origin: RunOrigin = "manual"
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan thought through to its end. `base` is the base model as runs name it, `check` what a start looks at."""

    model: BaseModel
    base: str
    settings: TrainSettings
    selection: Selection
    check: Preflight


def start_run(
    store: Store,
    home: Home,
    config: Config,
    plan: Plan,
    *,
    check_stop: Callable[[], None] = lambda: None,
    found: Eligible | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> int:
    """Selects and freezes the dataset of a run and queues it; the run's id. Nothing is queued that could not end well.

    Raises FinetuneError as `prepare` does, and for a plan of the worker also where another run of the category is open
    by now.
    """
    from core.select.dataset import freeze

    ready = prepare(store, home, config, plan, check_stop=check_stop, found=found, note=note)
    ready.check.require()
    now = time.time()
    with store.transaction(durable=True):
        if plan.origin == "adaptive" and (other := runs.open_run(store, plan.category.name, ready.base)):
            raise ConflictError(
                f"Run {other.id} of this category is {other.status} already.", hint="Wait until it has ended."
            )
        dataset_id = freeze(store, ready.selection, now=now)
        parent = plan.start.id if plan.start else _parent(store, config, plan.category.name, ready.model.name)
        return runs.enqueue(
            store,
            created_at=now,
            category=plan.category.name,
            base_model=ready.base,
            method=ready.settings.method,
            settings=ready.settings.to_mapping(),
            dataset_id=dataset_id,
            parent_version=parent,
            total_steps=ready.check.total_steps,
            origin=plan.origin,
            start_version=plan.start.id if plan.start else None,
            held=plan.hold,
        )


def prepare(
    store: Store,
    home: Home,
    config: Config,
    plan: Plan,
    *,
    check_stop: Callable[[], None] = lambda: None,
    found: Eligible | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """What a run of this plan would be: its base model, settings and examples, and what speaks against it.

    Embedding texts may take minutes: `check_stop` is called meanwhile, and may raise to break off. So may making a GGUF
    file ready, of which `note` hears. `found` saves looking through the category again. Raises FinetuneError.
    """
    from core.select.dataset import eligible_of, require_examples
    from core.select.methods.selecting import Wanted, selected

    model = resolve_base(plan.base, home, note=note)
    # The process of the run may stand in another folder.
    base = named_base(plan.base, home)
    own = default_settings(store, config, plan.category.name, base, {"seed": plan.seed, **_given(plan)})
    if plan.start is not None:
        own |= {name: plan.start.settings[name] for name in _GEOMETRY if name in plan.start.settings}
    wanted = TrainSettings.from_mapping(own)
    constants = select_of(plan.category, config)
    now = time.time()
    limit, known = plan.limit, learned(store, plan.start)
    if plan.origin == "adaptive" and limit is not None:
        found = found or eligible_of(store, home, plan.category, now=now, config=config)
        limit, known = with_missed(found, datasets.taken_event_ids(store, plan.category.name, base), known, limit)
    selection = selected(
        store,
        home,
        config,
        plan.category,
        Wanted(
            method=wanted.method,
            seed=plan.seed,
            limit=limit,
            level=level(store, plan.category.name) if limit and constants.curriculum else None,
            learned=known,
            start=plan.start.id if plan.start else None,
        ),
        now=now,
        found=found,
        check_stop=check_stop,
    )
    require_examples(selection)
    return Prepared(model, base, wanted, selection, preflight(model.path, wanted, selection.items, home.runs))


def _given(plan: Plan) -> Mapping[str, Any]:
    """What the plan asks for. The worker counts fresh lessons, so it trains by the method that learns them."""
    return {**plan.settings, "method": "sft"} if plan.origin == "adaptive" else plan.settings


def default_settings(
    store: Store, config: Config, category_name: str, base: str, given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The settings of a run: the configured ones, over them what a search found for the category, then what is `given`.

    The rate that suits answers is far too high for preferences: where no learning rate was named beside the method, dpo
    and kto take a twentieth of what sft would (with LoRA 1e-5 for 2e-4).
    """
    found = applied(store, category_name, base)
    own = {**configured(config, base), **found, **given}
    # A search trains by the configured method, so what it found suits that one.
    suits = own["method"] == config.train.settings.get("method")
    named = "learning_rate" in given or (suits and "learning_rate" in {**found, **config.train.settings})
    if own["method"] != "sft" and not named:
        own["learning_rate"] = max(LEARNING_RATES[0], own["learning_rate"] / _PREFERENCE_RATE)
    return own


def named_base(base: str, home: Home, *, make: bool = True) -> str:
    """A base model as runs name it: a preset's name, a hub id, or the whole path of a folder.

    A GGUF file and what Ollama holds are named by the folder that is made of them, which takes minutes the first time;
    without `make` ModelError says that it is not there yet.
    """
    local = base.lower().startswith(OLLAMA) or base.lower().endswith(".gguf") or Path(base).expanduser().is_dir()
    return str(resolve_base(base, home, make=make).path) if local else base


def learned(store: Store, start: VersionRow | None) -> Collection[int]:
    """The events that a version to go on from has learned."""
    return datasets.learned_event_ids(store, start.id) if start is not None else frozenset()


def with_missed(
    found: Eligible, taken: Collection[int], learned: Collection[int], limit: int
) -> tuple[int, Collection[int]]:
    """The size of an automatic batch of `limit` fresh examples, and the events that it does not choose from.

    What earlier runs have taken and the version to go on from has not learned (since they failed, or lost their test)
    may be learned again, the newest first, up to `LARGEST` examples in all. The batch grows by as many, so that
    whatever is chosen `limit` of them are fresh: else a successor of lost versions could choose the same for ever.
    """
    missed = [each.event.id for each in found.train if each.event.id in taken and each.event.id not in learned]
    again = missed[-(LARGEST - limit) :] if limit < LARGEST else []
    return limit + len(again), {*learned, *missed} - {*again}


def start_of(store: Store, home: Home, config: Config, category_name: str, base: str) -> VersionRow | None:
    """The version that an incremental run goes on from, or None for a fresh adapter.

    It is the newest proved version on that base model that did not lose its last A/B test, but never an older one than
    what serves; a version without its adapter's file is passed over.
    """
    serving = promote.serving(store, config, category_name)
    tests = ab_tests.list_tests(store, category_name)
    for version in reversed(versions.list_versions(store, category_name)):
        if version.base_model != base or version.number == 0 or not version.proved:
            continue
        serves = serving is not None and serving.id == version.id
        verdict = next((one.result["verdict"] for one in tests if one.version_b == version.id and one.result), None)
        if (serves or verdict != "keep") and adapter_of(home, version).is_file():
            return version
        if serves:
            return None
    return None


def adapter_of(home: Home, version: VersionRow) -> Path:
    """The file of a version's adapter."""
    return home.resolve(version.folder) / "adapter" / ADAPTER


def require_start(home: Home, version: VersionRow, base: str) -> VersionRow:
    """A version that a run on `base` may go on from. Raises RunError with the reason where it may not."""
    model = resolve_base(base, home)
    if version.number == 0 or version.base_model != model.name:
        raise RunError(
            f"{version.name} is no version trained on {model.name}.",
            hint="Name a version of the same base model, or leave it out to begin with a fresh adapter.",
        )
    if not adapter_of(home, version).is_file():
        raise RunError(
            f"The adapter of {version.name} is gone.", hint="Leave the version out to begin with a fresh adapter."
        )
    return version


def outlook(store: Store, home: Home, config: Config, category: Category, found: Eligible) -> Outlook:
    """What a trigger looks at; fresh is what no run of the category on its base model has taken."""
    known = taken(store, home, category)
    fresh = [each for each in found.train if each.event.id not in known]
    return Outlook(
        fresh=len(fresh),
        eligible=found.count,
        gold=sum(each.tier == "gold" for each in found.train),
        total=found.considered,
        mean_quality=fmean(each.quality for each in found.train) if found.train else 0.0,
        fresh_quality=fmean(each.quality for each in fresh) if fresh else 0.0,
        trend=totals.score_trend(store, category.name),
    )


def taken(store: Store, home: Home, category: Category) -> set[int]:
    """The events that some run of the category on its base model has taken."""
    base = category.base_model
    with suppress(FinetuneError):  # where its base model is not on this machine, the runs on it still have its name
        base = named_base(base, home, make=False)
    return datasets.taken_event_ids(store, category.name, base)


def level(store: Store, category_name: str) -> int:
    """Where the curriculum stands, after the held-out scores of the versions trained so far."""
    from core.select.curriculum import level_of

    trained = [version for version in versions.list_versions(store, category_name) if version.number > 0]
    return level_of([float(one.metrics["mean_score"]) for one in trained if "mean_score" in one.metrics])


def _parent(store: Store, config: Config, category_name: str, base: str) -> int | None:
    """The version that a new one is compared with in the lineage: what serves, else the untouched base."""
    current = promote.serving(store, config, category_name)
    if current is not None and current.base_model == base:
        return current.id
    untouched = registry.base_of(store, category_name, base)
    return untouched.id if untouched else None
