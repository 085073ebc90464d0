"""`promote`, `rollback` and `undo`: what serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import click

from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from storage.rows import AliasChange
from tui.cli.output import ProgressLine, json_option, print_json, with_home
from tui.text import plain


@click.command()
@click.argument("version")
@click.option("--why", default="", help="A note for the history.")
@json_option
@with_home
def promote(home: Home, version: str, why: str, as_json: bool) -> None:
    """Let VERSION serve its category; refused when its file is not proved, missing or altered.

    Where Ollama answers it is given the file first, and has to answer as the file itself does.
    """
    said, progress = _said(as_json), ProgressLine(enabled=not as_json)
    with LearningLoop(home) as loop:
        chosen = loop.find_version(version)
        try:
            change = loop.promote(
                chosen.id,
                why=why,
                note=said,
                progress=lambda done, total: progress.show(f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB"),
            )
        finally:
            progress.clear()
        _report(loop, change, as_json=as_json)


@click.command()
@click.argument("category")
@click.option("--why", default="", help="A note for the history.")
@json_option
@with_home
def rollback(home: Home, category: str, why: str, as_json: bool) -> None:
    """Let the version that served CATEGORY before serve again."""
    with LearningLoop(home) as loop:
        _report(loop, loop.rollback(category, why=why, note=_said(as_json)), as_json=as_json)


@click.command()
@click.argument("category")
@json_option
@with_home
def undo(home: Home, category: str, as_json: bool) -> None:
    """Take back the last promote or rollback of CATEGORY."""
    with LearningLoop(home) as loop:
        change = loop.undo(category, note=_said(as_json))
        if change is None:
            raise FinetuneError(
                f"Nothing was promoted or rolled back for {category}.",
                title="Nothing to undo",
                hint="`finetune-tui models` shows what there is.",
            )
        _report(loop, change, as_json=as_json)


def _said(as_json: bool) -> Callable[[str], None]:
    """Tells what happens with Ollama: on stderr, so that what is piped on is the result alone."""
    return lambda text: None if as_json else click.echo(f"  {plain(text)}", err=True)


def _report(loop: LearningLoop, change: AliasChange, *, as_json: bool) -> None:
    now = loop.version(change.to_version).name
    before = loop.version(change.from_version).name if change.from_version is not None else None
    if as_json:
        print_json(asdict(change) | {"from": before, "to": now})
    else:
        click.echo(f"✓ {change.alias}: {before or 'nothing'} → {now}")
