"""`doctor` and `backup`: whether everything stands, and a copy for the day it does not."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from core.doctor import examine
from core.errors import FinetuneError
from core.paths import Home
from storage.db import backup as backup_store
from storage.db import open_store
from tui.cli.output import json_option, print_json, with_home
from tui.text import plain

GLYPHS = {"ok": "✓", "warning": "!", "problem": "✗", "info": "·"}


@click.command()
@json_option
@with_home
def doctor(home: Home, as_json: bool) -> None:
    """Check the installation, the store, models, disk and memory; exit code 1 when something needs mending."""
    checks = examine(home)
    if as_json:
        print_json({"ok": all(one.state != "problem" for one in checks), "checks": [asdict(one) for one in checks]})
    else:
        for one in checks:
            click.echo(f"{GLYPHS[one.state]} {one.name}: {plain(one.detail)}")
            if one.hint:
                click.echo(f"  → {plain(one.hint)}")
    if any(one.state == "problem" for one in checks):
        sys.exit(1)


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@json_option
@with_home
def backup(home: Home, target: Path, force: bool, as_json: bool) -> None:
    """Write a whole copy of the store to TARGET; safe while the app and a run use it."""
    if target.is_dir():
        target = target / "store.db"
    if target.exists() and not force:
        raise FinetuneError(f"{target} is there already.", title="No backup was written", hint="Add --force.")
    with open_store(home.store, create=False) as store:
        backup_store(store, target)
    size = target.stat().st_size
    if as_json:
        print_json({"path": str(target), "bytes": size})
    else:
        click.echo(f"✓ {target} ({size / 1e6:.1f} MB)")
