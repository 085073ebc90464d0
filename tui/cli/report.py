"""`report`: one HTML page with what was recorded, trained, proved and promoted."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import click

from core.errors import FinetuneError
from core.paths import Home
from tui.cli.output import json_option, print_json, with_home
from tui.text import plain

_GENERATOR = b'name="generator" content="finetune-tui'
_DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


class Moment(click.ParamType[float]):
    """A date, or a date and time, in local time, as seconds since the epoch."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        for form in _DATES:
            try:
                return datetime.strptime(str(value), form).astimezone().timestamp()
            except (ValueError, OverflowError):
                continue
        self.fail(f"{value!r} is no date. Write 2026-01-31, or 2026-01-31T08:00.", param, ctx)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--category", help="Only this category (default: all).")
@click.option("--version", "version", help="Only this version: settings, curve, proof, tests.")
@click.option("--since", type=Moment(), help="Only what was recorded from this date on.")
@click.option("--until", type=Moment(), help="Only what was recorded before this date.")
@click.option("--force", is_flag=True, help="Write over a file that is no report.")
@json_option
@with_home
def report(
    home: Home,
    file: Path | None,
    category: str | None,
    version: str | None,
    since: float | None,
    until: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write one HTML page to keep or to send: score trend, tiers, rewards, A/B intervals, runs.

    FILE is report-DATE.html in the current folder unless it is named. The page holds figures and names, but no prompt
    and no answer; it loads nothing and has no script. `--json` prints {"file", "bytes", "events", "runs", "tests"}.
    """
    from core.loop import LearningLoop
    from core.paths import write_whole
    from core.release.registry import code_version
    from core.report.contents import Asked, contents
    from core.report.page import page

    target = file or Path(f"report-{time.strftime('%Y-%m-%d')}.html")
    _require_ours(target, force=force)
    with LearningLoop(home) as loop:
        found = contents(
            loop.store,
            home,
            loop.config,
            loop.categories,
            Asked(category=category, since=since, until=until, version=version),
            next_steps={one: loop.next_step(one) for one in loop.categories},
        )
    text = page(found, code_version=code_version()).encode("utf-8")
    write_whole(target, text)
    told = {
        "file": str(target.resolve()),
        "bytes": len(text),
        "events": found.total,
        "runs": len(found.runs),
        "tests": len(found.tests),
    }
    if as_json:
        print_json(told)
        return
    click.echo(f"{plain(str(target))}: {found.total:,} events, {len(found.runs)} runs, {len(found.tests)} tests.")
    click.echo("Open it in a browser, or send it: it is one file, and holds no prompt and no answer.")


def _require_ours(target: Path, *, force: bool) -> None:
    """A report may be written anew; another file only when that was said."""
    if not target.exists() or force:
        return
    with target.open("rb") as file:
        if _GENERATOR not in file.read(4_096):
            raise FinetuneError(
                f"{target} is there already, and is no report.",
                title="Nothing was written",
                hint="Name another file, or add --force to write over it.",
            )
