"""`doctor` and `backup`: whether everything stands, and a copy for the day it does not."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from core.backup import back_up
from core.doctor import examine
from core.doctor_fixes import follow_store
from core.errors import FinetuneError
from core.paths import Home
from tui.cli.output import ProgressLine, bar, json_option, print_json, with_home
from tui.text import plain

GLYPHS = {"ok": "✓", "warning": "!", "problem": "✗", "info": "·"}


@click.command()
@json_option
@with_home
def doctor(home: Home, as_json: bool) -> None:
    """Check the installation, the store, models, disk and memory; exit code 1 when something needs mending.

    An Ollama that does not agree with the store about what serves is made to follow first.
    """
    followed = _follow(home, as_json=as_json)
    checks = examine(home)
    if as_json:
        ok = all(one.state != "problem" for one in checks)
        print_json({"ok": ok, "checks": [asdict(one) for one in checks], "followed": followed})
    else:
        for said in followed:
            click.echo(f"· {plain(said)}")
        for one in checks:
            click.echo(f"{GLYPHS[one.state]} {one.name}: {plain(one.detail)}")
            if one.hint:
                click.echo(f"  → {plain(one.hint)}")
    if any(one.state == "problem" for one in checks):
        sys.exit(1)


def _follow(home: Home, *, as_json: bool) -> list[str]:
    """What was done so that Ollama agrees with the store; what cannot be looked at is left to the checks."""
    try:
        return follow_store(home, note=lambda text: None if as_json else click.echo(f"  {plain(text)}", err=True))
    except FinetuneError:
        return []


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace what is there.")
@json_option
@with_home
def backup(home: Home, target: Path, force: bool, as_json: bool) -> None:
    """Write a whole copy of the store to TARGET; safe while the app and a run use it.

    The searches of the home folder (search.db) are written beside it, as TARGET with `-search.db` for its ending; a
    shared search lies elsewhere and is not. Trained models and config.toml are not either: they are plain files.

    To restore: end the app, the worker and runs, move store.db and the files store.db-wal and store.db-shm away, and
    put the copy in the place of store.db; the same with search.db. `finetune-tui doctor` tells whether it is whole.
    """
    line = ProgressLine(enabled=not as_json)
    try:
        written = back_up(home, target, force=force, progress=lambda done, total: line.show(_share(done, total)))
    finally:
        line.clear()
    target, *searches = written
    if as_json:
        more = {"searches": {"path": str(searches[0]), "bytes": searches[0].stat().st_size}} if searches else {}
        print_json({"path": str(target), "bytes": target.stat().st_size, **more})
        return
    for path in written:
        click.echo(f"✓ {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _share(done: int, total: int) -> str:
    return f"copying {bar(done / max(1, total))} {100 * done // max(1, total)} %"
