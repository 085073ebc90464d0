"""`explain`: why an event counts as it does, and whether the next training takes it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator

import click

from core.categories import load_categories
from core.config import load_config
from core.explain import Explanation, explain
from core.paths import Home
from storage.db import open_store
from tui.cli.output import json_option, print_json, with_home
from tui.text import plain
from tui.why import Why, why

_WIDTH = 78
_TITLE = 13


@click.command("explain")
@click.argument("event", type=click.IntRange(1))
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="Size of the next batch (else what the category's policy would take).",
)
@json_option
@with_home
def explain_command(home: Home, event: int, limit: int | None, as_json: bool) -> None:
    """Why EVENT (its number) counts as it does.

    Every part of its reward, quality, difficulty and information; the side of the split that it stands on; the verdict
    of the gate; what it nearly repeats; the pairs and versions that it went into; and whether the next training takes
    it, with the reason where it does not.
    """
    config, categories = load_config(home), load_categories(home)
    with open_store(home.store, create=False) as store:
        found = explain(store, home, config, categories, event, now=time.time(), limit=limit)
    if as_json:
        print_json(found.to_json())
        return
    click.echo("\n".join(lines(found)))


def lines(found: Explanation) -> Iterator[str]:
    """The explanation as text of at most 78 columns."""
    corrected = ", corrected" if found.corrected else ""
    verdict = found.verdict or "not judged"
    score = "no score" if found.score is None else f"score {found.score:.0f}"
    head = f"event {found.event_id}: {found.category}, {found.model}, {score}, {verdict}{corrected}"
    yield from textwrap.wrap(plain(head), _WIDTH)
    for each in why(found):
        yield from _wrapped(each)


def _wrapped(part: Why) -> Iterator[str]:
    body = plain("  ".join(filter(None, (part.value, part.text))))
    gap = " " * _TITLE
    yield from textwrap.wrap(
        body, _WIDTH, initial_indent=f"{part.title:<{_TITLE}}", subsequent_indent=gap, break_on_hyphens=False
    ) or [part.title]
