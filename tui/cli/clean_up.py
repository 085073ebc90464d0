"""`clean-up`: brings every category down to as many events as are to be kept."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from core.capture.retention import CleanedUp, clean_up
from core.categories import category, load_categories
from core.config import load_config
from core.paths import Home
from storage import near, retention
from storage.db import open_store
from tui.cli.output import json_option, print_json, with_home


@click.command("clean-up")
@click.option("--category", "names", multiple=True, help="Only this category; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@json_option
@with_home
def clean_up_command(home: Home, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Remove the oldest events of the lowest tier where a category has more than `capture.retention`.

    Events that a person judged, that are held out for testing, or that a dataset, a preference pair or an A/B test
    uses are never removed.
    """
    config, known = load_config(home), load_categories(home)
    with open_store(home.store, create=False) as store:
        # A category that is configured no longer may still have events.
        stored = retention.totals(store) if names else {}
        chosen = [name if name in stored else category(known, name).name for name in names] or None
        reports = clean_up(store, config, chosen, now=time.time(), dry_run=dry_run)
        if not dry_run:
            near.drop_orphans(store)
    if as_json:
        print_json(
            {
                "limit": config.capture.retention,
                "dry_run": dry_run,
                "categories": [{**asdict(one), "remaining": one.remaining, "over": one.over} for one in reports],
            }
        )
        return
    for one in reports:
        click.echo(_line(one, dry_run=dry_run))
    if not reports:
        click.echo(f"Nothing to remove: no category has more than {config.capture.retention:,} events.")


def _line(one: CleanedUp, *, dry_run: bool) -> str:
    tiers = ", ".join(f"{count:,} {tier}" for tier, count in one.removed.items())
    verb = "would be removed" if dry_run else "removed"
    gone = f"{one.before - one.remaining:,} of {one.before:,} {verb} ({tiers})" if tiers else "nothing to remove"
    kept = ", ".join(f"{count:,} {reason}" for reason, count in one.protected.items())
    over = f"; {one.remaining:,} stay, {one.over:,} over the limit, because they are protected: {kept}" if kept else ""
    return f"{one.category}: {gone}{over}"
