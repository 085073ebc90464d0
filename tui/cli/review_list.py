"""What `review` says: the queue, what was taken back or restored, and the guidelines of a category."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from core.categories import Category
from core.errors import FinetuneError
from core.paths import Home
from storage import events
from storage.db import open_store
from storage.judgments import Turned
from storage.rows import EventSummary
from tui.cli.output import print_json, table
from tui.review.queue import START, Choice, read_queue
from tui.text import plain
from tui.words import counted

_CELL: Final = 60
_WIDTH: Final = 78
DONE: Final = {
    "good": "called good", "bad": "called bad", "correct": "corrected", "reject": "rejected", "skip": "skipped",
}  # fmt: skip


def show_queue(home: Home, choice: Choice, limit: int, *, as_json: bool) -> None:
    """The first `limit` events of a choice, in its order."""
    from core.capture.session import agreement

    query = choice.query
    with open_store(home.store, create=False) as store:
        ids = read_queue(home, choice)
        listed = events.summaries(store, ids[:limit])
        said = agreement(store)
    if as_json:
        told: dict[str, Any] = {"query": query.text, "order": choice.order, "total": len(ids)}
        told |= {"events": [asdict(one) for one in listed], "warnings": list(query.errors), "agreement": asdict(said)}
        print_json(told)
        return
    for error in query.errors:
        click.echo(f"! {plain(error)}", err=True)
    if not listed:
        click.echo("Nothing waits to be judged." if query.text == START else f"Nothing matches `{plain(query.text)}`.")
        return
    click.echo(_table(listed))
    if len(ids) > len(listed):
        click.echo(f"… and {len(ids) - len(listed):,} more (--limit)")
    if said.share is not None and said.interval is not None:
        low, high = said.interval
        click.echo(
            f"\nAsked again, you said the same {said.same} of {said.asked} times "
            f"({100 * said.share:.0f} %, 95 % interval {100 * low:.0f}-{100 * high:.0f} %)."
        )


def _table(listed: Sequence[EventSummary]) -> str:
    rows = [
        (
            one.id,
            one.category,
            "" if one.score is None else f"{one.score:.0f}",
            one.tier,
            one.verdict or "",
            _line(one.prompt),
            _line(one.response),
        )
        for one in listed
    ]
    return table(("event", "category", "score", "tier", "verdict", "prompt", "answer"), rows)


def _line(text: str) -> str:
    return plain(" ".join(text.split()))[:_CELL]


def show_guidelines(own: Category, *, as_json: bool) -> None:
    """What a good answer of the category is like. Raises FinetuneError where nobody wrote that down."""
    if as_json:
        print_json({"category": own.name, "title": own.title, "guidelines": own.guidelines.strip()})
        return
    if not own.guidelines.strip():
        raise FinetuneError(
            f"The category {own.name} has no guidelines.",
            title="No guidelines",
            hint=f"Write them as `guidelines` under [categories.{own.name}] in config.toml.",
        )
    click.echo(f"{plain(own.title)}\n")
    for line in plain(own.guidelines.strip()).split("\n"):
        indent = "  " if line.startswith("- ") else ""
        click.echo(textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False))


def show_turned(turn: str, turned: Turned | None, *, as_json: bool) -> None:
    """What an undo or a redo did. Raises FinetuneError where there was nothing to turn."""
    if turned is None:
        raise FinetuneError(
            "Nothing was judged yet, or all of it is taken back."
            if turn == "undo"
            else "Nothing was taken back, or something was said since.",
            title=f"Nothing to {turn}",
            hint="`finetune-tui review` lists what to judge next.",
        )
    if as_json:
        told: Mapping[str, Any] = {
            "done": turn,
            "kind": turned.kind,
            "event": turned.event_id,
            "count": turned.count,
            "from": list(turned.moved_from),
            "to": turned.moved_to or None,
        }
        print_json(told)
        return
    what = DONE.get(turned.kind) or f"moved from {', '.join(turned.moved_from)} to {turned.moved_to}"
    which = f"event {turned.event_id}" if turned.count == 1 else counted(turned.count, "output")
    click.echo(f"✓ {'Taken back' if turn == 'undo' else 'Restored'}: {which} {what}")
