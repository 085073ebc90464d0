"""`watch`: how what serves does in production, against what served before."""

from __future__ import annotations

import time

import click

from core.categories import category as known_category
from core.categories import loop_of
from core.loop import LearningLoop
from core.paths import Home
from core.prove.watch import Side, Watch
from core.prove.watch import watch as look
from storage import aliases
from tui.cli.output import json_option, print_json, table, with_home
from tui.text import plain

HEADERS = ("", "answers", "judged", "success (95 %)", "score (95 %)")
_MARKS = {"worse": "✗", "better": "✓", "no difference yet": "·", "nothing to watch": "·"}


@click.command()
@click.argument("category", required=False)
@json_option
@with_home
def watch(home: Home, category: str | None, as_json: bool) -> None:
    """How what serves CATEGORY (default: each that has something serving) does against what served before.

    Only looks. The worker and the gateway roll a version back that does worse, where loop.auto_rollback is on.
    """
    with LearningLoop(home) as loop:
        named = [alias.category for alias in aliases.list_aliases(loop.store)]
        if category is not None:
            names = [known_category(loop.categories, category).name]
        else:
            names = [name for name in named if name in loop.categories]
        own = {name: loop.categories[name] for name in names}
        found = [
            look(loop.store, loop.config, name, success_score=own[name].success_score, now=time.time())
            for name in names
        ]
        automatic = {name: loop_of(own[name], loop.config).auto_rollback for name in names}
    if as_json:
        print_json([{**one.to_json(), "auto_rollback": automatic[one.category]} for one in found])
        return
    for one in found:
        _say(one, automatic=automatic[one.category])
    if not found:
        click.echo("Nothing serves yet. Promote a version: finetune-tui promote VERSION")


def _say(one: Watch, *, automatic: bool) -> None:
    click.echo(f"{_MARKS[one.verdict]} {plain(one.why)}")
    if one.new is None or one.old is None:
        return
    click.echo(table(HEADERS, [_row("before", one.old), _row("now", one.new)]))
    if one.verdict == "worse" and not (automatic and one.automatic):
        click.echo(f"→ Roll it back: finetune-tui rollback {one.category}")


def _row(when: str, side: Side) -> tuple[object, ...]:
    success = "–" if side.success is None else f"{side.success:.0%} ({_span(side.success_interval, '.0%')})"
    score = "–" if side.score is None else f"{side.score:.1f} ({_span(side.score_interval, '.1f')})"
    return f"{when}: {side.version}", side.answers, side.judged, success, score


def _span(ends: tuple[float, float], form: str) -> str:
    return f"{ends[0]:{form}} to {ends[1]:{form}}"
