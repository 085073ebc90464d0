"""`hard-negatives`: where the model failed, in patterns or one by one, and what each one waits for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from core.categories import Category, category, load_categories, select_of
from core.config import Config, load_config
from core.paths import Home
from core.select.alike.meaning import Meaning, preview
from core.select.hard.hard_negatives import STATES, TO_DO, HardNegative, hard_negatives, targets
from core.select.hard.patterns import Pattern, failures_of, patterns_of
from storage import events, pins, retention
from storage.db import Store, open_store
from tui.cli.output import json_option, print_json, table, with_home
from tui.hard.words import waits_for, why_failed
from tui.tabs import key_of
from tui.text import plain

_PROMPT_CHARS = 200
_CELL = 120


@click.command("hard-negatives")
@click.argument("category_name", metavar="[CATEGORY]", required=False)
@click.option("--patterns/--list", "as_patterns", default=True, help="Group them (the default), or list each event.")
@click.option(
    "--state", type=click.Choice([*STATES, "all"]), help="Only these; without it the open and the reopened ones."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Show at most so many lines.")
@click.option("--next", "wanted", multiple=True, type=int, metavar="EVENT", help="Take it first in the next training.")
@click.option("--not-next", "unwanted", multiple=True, type=int, metavar="EVENT", help="Take that wish back.")
@json_option
@with_home
def hard_negatives_command(
    home: Home,
    category_name: str | None,
    as_patterns: bool,
    state: str | None,
    limit: int,
    wanted: Sequence[int],
    unwanted: Sequence[int],
    as_json: bool,
) -> None:
    """Where the model failed in CATEGORY (or anywhere), worst first.

    An event is hard when it scored below 60, when you called it bad, or when a new version lost an A/B test on its
    prompt. It is solved when a version passes its prompt in the re-test after each training, and reopened when a later
    one fails it again.
    """
    config = load_config(home)
    known = load_categories(home)
    states = TO_DO if state is None else [each for each in STATES if state in (each, "all")]
    found: list[dict[str, Any]] = []
    with open_store(home.store, create=False) as store:
        _wish(store, wanted, unwanted)
        if category_name is None:
            chosen = [known[name] for name in retention.totals(store) if name in known]
        else:
            chosen = [category(known, category_name)]
        for own in chosen:
            every = hard_negatives(store, own, constants=select_of(own, config), states=STATES)
            negatives = [each for each in every if each.state in states]
            if negatives or category_name is not None:
                counts = Counter(each.state for each in every)
                report: dict[str, Any] = {"category": own.name, "counts": {each: counts[each] for each in STATES}}
                show = _patterns if as_patterns else _events
                found.append(report | show(store, own, config, negatives, limit))
    if as_json:
        print_json({"categories": found})
        return
    for number, report in enumerate(found):
        click.echo(f"{'' if number == 0 else chr(10)}{_heading(report)}")
        lines = report["patterns"] if as_patterns else report["events"]
        if lines:
            click.echo(_pattern_table(lines) if as_patterns else _event_table(lines))
            if report["total"] > len(lines):
                click.echo(f"… and {report['total'] - len(lines):,} more (--limit)")
    _hint(found, as_patterns=as_patterns)


def _wish(store: Store, wanted: Sequence[int], unwanted: Sequence[int]) -> None:
    """Raises NotFoundError for an event that does not exist; then no wish is kept."""
    now = time.time()
    with store.transaction():
        for event_id in (*wanted, *unwanted):
            events.get(store, event_id)
        for event_id in wanted:
            pins.pin(store, event_id, now=now)
        for event_id in unwanted:
            pins.unpin(store, event_id, now=now)


def _patterns(
    store: Store, own: Category, config: Config, negatives: Sequence[HardNegative], limit: int
) -> dict[str, Any]:
    def work(meaning: Meaning) -> tuple[str, list[Pattern]]:
        return meaning.label, patterns_of(store, own.name, negatives, meaning.embed)

    label, found = preview(store, config, work)
    shown = [asdict(each) | {"count": len(each.members), "worst": each.worst} for each in found[:limit]]
    waiting = sum(each.own_failure and not each.corrected and not each.held_out for each in negatives)
    return {"total": len(found), "waiting": waiting, "compared_by": label, "patterns": shown}


def _events(
    store: Store, own: Category, config: Config, negatives: Sequence[HardNegative], limit: int
) -> dict[str, Any]:
    shown = negatives[:limit]
    failures = {each.event_id: each for each in failures_of(store, own.name, shown)}
    pinned = pins.open_pins(store, own.name)
    listed = []
    for target in targets(store, own, shown, constants=select_of(own, config)):
        failure = failures.get(target.negative.event_id)
        if failure is not None:  # else removed meanwhile
            told = {"kind": failure.kind, "note": failure.note, "prompt": failure.prompt[:_PROMPT_CHARS]}
            chances = {"trainable": target.trainable, "waits": target.waits, "sibling": target.sibling}
            chances["pinned"] = target.negative.event_id in pinned
            listed.append(asdict(target.negative) | told | chances)
    waiting = sum(each.own_failure and not each.corrected and not each.held_out for each in negatives)
    return {"total": len(negatives), "waiting": waiting, "events": listed}


def _heading(report: Mapping[str, Any]) -> str:
    counts = report["counts"]
    return f"{report['category']}: {', '.join(f'{counts[state]:,} {state}' for state in STATES)}"


def _pattern_table(patterns: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            each["count"],
            "" if each["mean_score"] is None else f"{each['mean_score']:.0f}",
            each["corrected"],
            each["reopened"],
            ", ".join(map(str, each["worst"])),
            each["name"],
        )
        for each in patterns
    ]
    return table(("failures", "score", "corrected", "reopened", "worst events", "pattern"), rows)


def _event_table(listed: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            each["event_id"],
            "" if each["score"] is None else f"{each['score']:.0f}",
            each["state"],
            f"{each['failed']}×" if each["failed"] else "",
            time.strftime("%Y-%m-%d", time.gmtime(each["since"])),
            _line(why_failed(each["reasons"], each["kind"])),
            _line(
                waits_for(each["state"], each["waits"], each["sibling"]) + ", first in the next batch" * each["pinned"]
            ),
        )
        for each in listed
    ]
    return table(("event", "score", "state", "failed again", "since", "why", "waits for"), rows)


def _line(text: str) -> str:
    return plain(" ".join(text.split()), limit=_CELL)


def _hint(found: Sequence[Mapping[str, Any]], *, as_patterns: bool) -> None:
    if not any(report["total"] for report in found):
        click.echo("Nothing on this list." if found else "There are no hard negatives.")
        return
    waiting = sum(report["waiting"] for report in found)
    if waiting:
        verb = "waits" if waiting == 1 else "wait"
        click.echo(
            f"\n{waiting:,} {verb} for a correction. Correct them in the app: open finetune-tui, press "
            f"{key_of('hard')}, then c."
        )
    if as_patterns:
        click.echo(f"{'' if waiting else chr(10)}Add --list to see each event and what it waits for.")
