"""`doctor` and `backup`: whether everything stands, and a copy for the day it does not."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from core.config import load_config
from core.doctor import examine
from core.errors import FinetuneError, StoreError
from core.paths import Home
from core.release.ollama_serving import follow
from core.search.places import FILE
from storage.db import backup as backup_store
from storage.db import backup_file, open_store
from tui.cli.output import json_option, print_json, with_home
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
    if not home.store.exists():
        return []
    try:
        with open_store(home.store, create=False) as store:
            return follow(
                store,
                home,
                load_config(home),
                note=lambda text: None if as_json else click.echo(f"  {plain(text)}", err=True),
            )
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
    if target.is_dir():
        target = target / "store.db"
    searches = target.with_name(f"{target.stem}-search.db")
    wanted = [(home.root / FILE, searches)] if (home.root / FILE).exists() else []
    for there in (target, *(copy for _, copy in wanted)):
        if there.exists() and not force:
            raise FinetuneError(f"{there} is there already.", title="No backup was written", hint="Add --force.")
    with open_store(home.store, create=False) as store:
        backup_store(store, target)
    for source, copy in wanted:
        try:
            backup_file(source, copy)
        except StoreError as error:
            raise StoreError(
                f"{error.message} The copy of the store is written: {target}.",
                title="The searches were not copied",
                hint=error.hint,
            ) from error
    written = [target, *(copy for _, copy in wanted)]
    if as_json:
        more = {"searches": {"path": str(searches), "bytes": searches.stat().st_size}} if wanted else {}
        print_json({"path": str(target), "bytes": target.stat().st_size, **more})
        return
    for path in written:
        click.echo(f"✓ {path} ({path.stat().st_size / 1e6:.1f} MB)")
