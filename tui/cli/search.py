"""`search`: the best hyper-parameters of a category, by trials that can be broken off and gone on with."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, Final

import click

from core.categories import category, load_categories
from core.config import load_config
from core.errors import NotFoundError
from core.loop import LearningLoop
from core.paths import Home
from core.search.defaults import applied, apply, forget, search_base
from core.search.search import Search
from core.search.study import Overview, Trial, overview
from core.search.tries import Moment, describe
from core.training import named_base
from storage.db import open_store
from tui.cli.output import ProgressLine, bar, home_option_hint, json_option, print_json, table, with_home
from tui.text import plain
from tui.words import duration

_STATES = {"waiting": "◌ waiting", "running": "● running", "complete": "✓ done", "pruned": "✂ cut short",
           "failed": "✗ failed"}  # fmt: skip
_KEPT: Final = "What is done is kept; the same command goes on from here."
_ENDED: Final = 128 + signal.SIGTERM


@click.command()
@click.argument("category_name", metavar="CATEGORY")
@click.option("--trials", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Trials in all.")
@click.option("--base", help="Base model: a preset's name or a local folder (default: the category's).")
@click.option("--limit", type=click.IntRange(1), help="Train on the most informative N examples only.")
@click.option("--seed", type=click.IntRange(0, 2**31), help="Seed of the selection and of what is tried (default: 0).")
@click.option(
    "--storage",
    envvar="FINETUNE_TUI_SEARCH_STORAGE",
    show_envvar=True,
    metavar="PLACE",
    help="Share the search: postgresql://…, mysql://…, sqlite:////path.db or journal:/path.log. `home` keeps it here.",
)
@click.option("--fresh", is_flag=True, help="Begin another search, on the feedback of today.")
@click.option("--apply", "applies", is_flag=True, help="Make the best settings the category's defaults.")
@click.option("--forget", "forgets", is_flag=True, help="Take applied settings back and try nothing.")
@click.option("--status", is_flag=True, help="Show how the search stands and try nothing.")
@json_option
@with_home
def search(
    home: Home,
    category_name: str,
    trials: int,
    base: str | None,
    limit: int | None,
    seed: int | None,
    storage: str | None,
    fresh: bool,
    applies: bool,
    forgets: bool,
    status: bool,
    as_json: bool,
) -> None:
    """Search the hyper-parameters of CATEGORY: learning rate, batch, epochs, warm-up, LoRA rank and alpha.

    Each trial trains on the same examples and is judged by its answers to validation prompts; hopeless ones are cut
    short. The prompts of A/B tests are not looked at. Broken off at any moment, the same command goes on from there.

    With --storage (or `storage` in the [search] section of config.toml) several processes and machines work on one
    search, each with a home folder of its own and one trial at a time; the trials of one that dies are tried again by
    the others. The training examples lie in that place too. The other machines need the base model under the same name
    and the same category, but no examples. Begin it on the machine that has them.
    """
    if forgets:
        _forget(home, category_name, base, as_json=as_json)
        return
    if status:
        place = load_config(home).search.storage if storage is None else storage
        found = overview(home, category_name, _base(home, category_name, base), place)
        if found is None:
            raise NotFoundError(
                f"There is no search for {category_name} on this base model yet.",
                hint=f"Begin one: finetune-tui{home_option_hint(home)} search {category_name}",
            )
    else:
        with LearningLoop(home) as loop:
            asked = Search(
                loop, category_name, base, trials=trials, seed=seed, limit=limit, fresh=fresh, storage=storage
            )
            found = _searched(asked, as_json=as_json)
    with open_store(home.store) as store:
        defaults = apply(store, found, now=time.time()) if applies else applied(store, category_name, found.spec.base)
    if as_json:
        print_json({**found.to_json(), "applied": defaults})
        return
    _show(found)
    if applies:
        click.echo(f"✓ now the defaults of {category_name} on {found.spec.base}: {describe(defaults)}")
    elif found.best is not None and defaults != found.best.settings:
        click.echo(
            f"  next: finetune-tui{home_option_hint(home)} search {category_name} --base {found.spec.base} "
            f"{'' if storage is None else '--storage … '}--status --apply"
        )


def _searched(asked: Search, *, as_json: bool) -> Overview:
    """The search to its end, with a line for each trial; ctrl+c ends it and says how to go on."""
    progress = ProgressLine(enabled=not as_json)
    trial = ""

    def hear(moment: Moment) -> None:
        nonlocal trial
        if moment.kind == "step":
            share = moment.done / moment.total if moment.total else 0.0
            progress.show(f"{bar(share, 12)} {moment.done}/{moment.total}  {trial}")
            return
        progress.clear()
        if moment.kind == "begins":
            trial = moment.text
        if not as_json:
            count = f"  ({moment.done} of {moment.total})" if moment.kind == "ends" else ""
            click.echo(plain(moment.text) + count, err=moment.kind == "waits")

    with _told_to_end() as ending:
        try:
            found = asked.run(hear, ending)
        except KeyboardInterrupt:
            progress.clear()
            click.echo(f"\n{_KEPT}", err=True)
            raise
        progress.clear()
        if found is None or ending():
            click.echo(_KEPT, err=True)
            raise click.exceptions.Exit(_ENDED)
    return found


@contextmanager
def _told_to_end() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come, which ends the search as ctrl+c does: its trial is saved first."""
    ending = Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        yield ending.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def _forget(home: Home, category_name: str, base: str | None, *, as_json: bool) -> None:
    named = _base(home, category_name, base)
    with open_store(home.store) as store:
        known = forget(store, category_name, named)
    if as_json:
        print_json({"forgotten": known})
    else:
        click.echo("The configured settings hold again." if known else "There were no applied settings.")


def _base(home: Home, category_name: str, base: str | None) -> str:
    own = category(load_categories(home), category_name)
    return search_base(named_base(base or own.base_model or load_config(home).train.base_model, home))


def _show(found: Overview) -> None:
    click.echo(table(("trial", "state", "objective", "score", "loss", "settings", "seconds"), map(_line, found.trials)))
    if found.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importances.items())
        click.echo(f"what mattered: {shares}")
    if found.best is not None:
        click.echo(f"best: trial {found.best.number}, objective {_number(found.best.value)}")
        click.echo(f"  {describe(found.best.settings)}")


def _line(trial: Trial) -> tuple[Any, ...]:
    return (
        trial.number,
        _STATES[trial.state],
        _number(trial.value),
        _number(trial.score),
        _number(trial.loss),
        describe(trial.settings) + (f"; {trial.note}" if trial.note else ""),
        duration(trial.seconds) if trial.seconds else "",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
