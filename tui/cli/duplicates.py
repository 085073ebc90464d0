"""`duplicates`: what nearly repeats something else, in groups."""

from __future__ import annotations

import click

from core.categories import category, load_categories
from core.config import load_config
from core.paths import Home
from core.select.alike.near import index_older, near_clusters
from core.select.split import is_held_out
from storage import events
from storage.db import open_store
from tui.cli.output import json_option, print_json, with_home

_CELL = 70


@click.command()
@click.argument("category_name", metavar="CATEGORY")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Show at most so many groups.")
@json_option
@with_home
def duplicates(home: Home, category_name: str, limit: int, as_json: bool) -> None:
    """Groups of near-duplicate outputs of CATEGORY, the largest first.

    Only one of a group is trained on, and none when one of them is kept for testing. Exact copies are never stored
    twice and so do not stand here.
    """
    config = load_config(home)
    category(load_categories(home), category_name)
    with open_store(home.store, create=False) as store:
        index_older(store)
        found = near_clusters(store, category_name, config.select.near_duplicate)
        groups = [
            [
                {
                    "event": row.id,
                    "prompt": row.prompt,
                    "tier": row.tier,
                    "held_out": is_held_out(row.bucket, config.select.held_out_percent),
                }
                for row in events.get_many(store, ids)
            ]
            for ids in found[:limit]
        ]
    if as_json:
        print_json({"category": category_name, "groups": len(found), "events": sum(map(len, found)), "largest": groups})
        return
    click.echo(f"{category_name}: {sum(map(len, found)):,} events in {len(found):,} groups of near-duplicates")
    for group in groups:
        click.echo(f"\n{len(group)} alike:")
        for one in group[:5]:
            line = " ".join(str(one["prompt"]).split())[:_CELL]
            side = " (kept for testing)" if one["held_out"] else ""
            click.echo(f"  event {one['event']}: {line}{side}")
        if len(group) > 5:
            click.echo(f"  … and {len(group) - 5:,} more")
