"""What the screen of the hard negatives reads, in worker threads: the list, its patterns, and one of them in full."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.categories import Category, load_categories, select_of
from core.config import Config, load_config
from core.errors import FinetuneError
from core.paths import Home
from core.select.hard.hard_negatives import TO_DO, HardNegative, Target, siblings_of, targets, worst_negatives
from storage import events, hard_tests, pins, retention, versions
from storage.db import Store, open_store
from storage.hard_tests import HardTestRow
from storage.rows import EventRow

if TYPE_CHECKING:
    from core.explain import Explanation
    from core.select.hard.patterns import Failure, Pattern

WORST: Final = 2_000
"""So many are listed: more than anybody goes through, and few enough to be looked through at every key of a search."""


@dataclass(frozen=True, slots=True)
class HardList:
    """Every hard negative of a category, worst first, whatever its state; `pinned` are wished into the next batch.

    `failures` holds, by event id, what each was about, `texts` what a search looks in; `categories` are all that have
    events, with `category` one of them ("" where there is none). `siblings` have good answers to the same prompts.
    `settings` are those that it was read by. `key` differs where the patterns may differ. `left_out` counts those that
    are less hard than the WORST that stand here.
    """

    category: str
    categories: tuple[str, ...] = ()
    every: tuple[HardNegative, ...] = ()
    failures: Mapping[int, Failure] | None = None
    texts: Mapping[int, str] | None = None
    siblings: Mapping[int, int] | None = None
    pinned: frozenset[int] = frozenset()
    settings: tuple[Config, Category] | None = None
    key: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class HardPatterns:
    """The patterns of what is still to do, and of all, each the worst first; `compared_by` says how texts were."""

    to_do: tuple[Pattern, ...]
    all: tuple[Pattern, ...]
    compared_by: str


@dataclass(frozen=True, slots=True)
class HardTest:
    """What a version answered to the prompt of a hard negative."""

    version: str
    row: HardTestRow
    answer: str


@dataclass(frozen=True, slots=True)
class HardItem:
    """One hard negative in full. `tests` stand oldest first; `newest` names the version that a re-test would ask, ""
    where none can answer."""

    event: EventRow
    why: Explanation
    target: Target
    tests: tuple[HardTest, ...]
    newest: str


def read_list(home: Home, wanted: str) -> HardList:
    """The hard negatives of the category that is `wanted`, else of the one with the most events."""
    from core.select.hard.patterns import failures_of

    config, known = load_config(home), load_categories(home)
    with open_store(home.store) as store:
        totals = retention.totals(store)
        names = tuple(name for name in totals if name in known)
        if not names:
            return HardList("")
        name = wanted if wanted in names else max(names, key=lambda each: totals[each])
        every, total = worst_negatives(store, known[name], constants=select_of(known[name], config), limit=WORST)
        failures = {each.event_id: each for each in failures_of(store, name, every)}
        there = tuple(each for each in every if each.event_id in failures)
        return HardList(
            name,
            names,
            there,
            failures,
            {each.event_id: _searched(each) for each in failures.values()},
            siblings_of(store, known[name], there),
            frozenset(pins.open_pins(store, name)),
            (config, known[name]),
            hash((name, there, tuple(failures.values()))),
            total - len(every),
        )


def _searched(failure: Failure) -> str:
    kind = failure.kind.replace("_", " ")
    return f"#{failure.event_id} {failure.prompt}\n{failure.note}\n{kind}".casefold()


def read_patterns(home: Home, found: HardList, kept: Collection[int] = ()) -> HardPatterns:
    """The patterns among them, with those that are `kept` among what is to do, whatever their state.

    Texts are compared by the embeddings that are there already, else by n-grams.
    """
    from core.select.alike.meaning import Meaning, preview
    from core.select.hard.patterns import Prompt, patterns

    failures = list((found.failures or {}).values())
    left = [each for each in failures if each.state in TO_DO or each.event_id in kept]
    with open_store(home.store) as store:

        def work(meaning: Meaning) -> HardPatterns:
            def among(some: list[Failure]) -> tuple[Pattern, ...]:
                others = hard_tests.other_prompts(store, found.category, [each.event_id for each in some], 1_000)
                return tuple(patterns(some, meaning.embed, [Prompt(*each) for each in others]))

            to_do = among(left)
            return HardPatterns(to_do, to_do if len(left) == len(failures) else among(failures), meaning.label)

        return preview(store, load_config(home), work)


def read_item(home: Home, found: HardList, negative: HardNegative) -> HardItem | None:
    """All about one of those found; None when its event was removed meanwhile."""
    from core.explain import explain_event

    if found.settings is None:
        return None
    config, own = found.settings
    with open_store(home.store) as store:
        rows = events.get_many(store, [negative.event_id])
        if not rows:
            return None
        [event] = rows
        [target] = targets(store, own, [negative], constants=select_of(own, config), siblings=found.siblings or {})
        names = {version.id: version.name for version in versions.list_versions(store, event.category)}
        return HardItem(
            event=event,
            why=explain_event(store, home, config, own, event, now=time.time()),
            target=target,
            tests=tuple(
                HardTest(names.get(row.version_id, f"version {row.version_id}"), row, text)
                for row, text in hard_tests.answers(store, event.id)
            ),
            newest=_newest(store, home, event.category),
        )


def _newest(store: Store, home: Home, category_name: str) -> str:
    from core.release.answering import newest_version

    try:
        return newest_version(store, home, category_name).name
    except FinetuneError:
        return ""


def counts(found: HardList) -> Counter[str]:
    """How many stand in each state."""
    return Counter(each.state for each in found.every)
