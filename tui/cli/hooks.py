"""`hooks`: the programs that are told what happens, how telling them stands, a test, and delivery by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from core.config import close_names
from core.errors import ConfigError, FinetuneError
from core.hooks.channels import HookFailed, send
from core.hooks.delivery import deliver_due, pause_after, refresh
from core.hooks.message import Delivery, trial_message
from core.hooks.settings import Hook, load_hooks
from core.paths import Home
from storage import outbox
from storage.db import open_store
from tui.cli.output import json_option, print_json, table, with_home
from tui.text import plain

_GLYPHS = {"delivered": "✓", "due": "!", "given up": "✗"}


@click.command()
@click.option("--test", "tested", metavar="NAME", help='Send one hook an event that never happened ("test": true).')
@click.option("--deliver", is_flag=True, help="Deliver what is due now.")
@click.option("--retry", "renewed", metavar="NAME", help="Make due again what was given up for a hook.")
@click.option(
    "--log", "lines", metavar="N", type=click.IntRange(1, 10_000), help="The last N deliveries, newest first."
)
@json_option
@with_home
def hooks(home: Home, tested: str | None, deliver: bool, renewed: str | None, lines: int | None, as_json: bool) -> None:
    """List the hooks: programs, webhooks and Python functions that are told what happens in the loop.

    They are sections of config.toml, [hooks.NAME], each with `on` (a list of events, or "*"), if wanted `categories`,
    and one of `command` (a list: program and arguments; JSON on standard input), `url` (a POST; a `secret` signs it)
    and `callback` ("module:function"). The events are fine_tuning.completed, .failed, .ready_for_promotion, .promoted
    and .rolled_back, and ab_test.completed. The worker and the process of a run deliver them.
    """
    if sum((tested is not None, deliver, renewed is not None, lines is not None)) > 1:
        raise click.UsageError("Choose one of --test, --deliver, --retry and --log.")
    known = load_hooks(home)
    if tested is not None:
        _test(home, _named(known, tested), as_json=as_json)
    elif deliver:
        _deliver(home, known, as_json=as_json)
    elif renewed is not None:
        _renew(home, _named(known, renewed), as_json=as_json)
    elif lines is not None:
        _log(home, lines, as_json=as_json)
    else:
        _list(home, known, as_json=as_json)


def _named(known: Mapping[str, Hook], name: str) -> Hook:
    if name not in known:
        hint = close_names(name[:60], set(known)) if known else "Write a section [hooks.<name>] into config.toml."
        raise ConfigError(f"There is no hook `{name[:60]}`.", title="Unknown hook", hint=hint)
    return known[name]


def _list(home: Home, known: Mapping[str, Hook], *, as_json: bool) -> None:
    states: dict[str, outbox.HookCounts] = {}
    last: dict[str, tuple[outbox.OutboxRow, outbox.DeliveryRow]] = {}
    if home.store.exists():
        with open_store(home.store, create=False) as store:
            refresh(store, home, known)
            states = outbox.counts(store)
            last = {name: found[0] for name in known if (found := outbox.log(store, limit=1, hook=name))}
    if as_json:
        print_json({"hooks": [_as_json(one, states.get(one.name), last.get(one.name)) for one in known.values()]})
        return
    if not known:
        click.echo("No hooks. A section [hooks.<name>] in config.toml makes one; --help says what stands in it.")
        return
    rows = []
    for one in known.values():
        counts, latest = states.get(one.name, outbox.HookCounts()), last.get(one.name)
        when = f"{_GLYPHS[latest[1].state]} {_local(latest[1].last_at)} {latest[0].name}" if latest else "–"
        rows.append((one.name, one.kind, one.target, counts.due, counts.delivered, counts.given_up, when))
    click.echo(table(("hook", "kind", "leads to", "due", "delivered", "given up", "last attempt"), rows))
    for row, told in last.values():
        if told.state != "delivered":
            click.echo(
                f"{_GLYPHS[told.state]} {told.hook}: event {row.id}, attempt {told.attempts}: {_line(told.said)}"
            )
            click.echo(f"  → {_what_next(told)}")


def _what_next(told: outbox.DeliveryRow) -> str:
    if told.state == "due":
        return f"It is tried again at {_local(told.last_at + pause_after(told.attempts))}."
    return f"It was given up; `finetune-tui hooks --retry {told.hook}` makes it due again."


def _as_json(
    one: Hook, counts: outbox.HookCounts | None, latest: tuple[outbox.OutboxRow, outbox.DeliveryRow] | None
) -> dict[str, Any]:
    """Without arguments, path of the url and key: each may be a secret."""
    return {
        "name": one.name,
        "kind": one.kind,
        "target": one.target,
        "on": one.on,
        "categories": one.categories,
        "signed": bool(one.secret),
        "timeout": one.timeout,
        "tries": one.tries,
        **asdict(counts or outbox.HookCounts()),
        "last": _attempt_json(*latest) if latest else None,
    }


def _attempt_json(row: outbox.OutboxRow, found: outbox.DeliveryRow) -> dict[str, Any]:
    return {
        "hook": found.hook,
        "number": row.id,
        "event": row.name,
        "category": row.category,
        "at": _utc(found.last_at),
        "attempts": found.attempts,
        "state": found.state,
        "said": found.said,
        "next_at": _utc(found.last_at + pause_after(found.attempts)) if found.state == "due" else None,
    }


def _test(home: Home, hook: Hook, *, as_json: bool) -> None:
    try:
        said = send(hook, trial_message(hook, time.time()), home)
    except HookFailed as error:
        raise FinetuneError(
            f"{hook.name}: {error}.", title="The hook failed", hint=f"Correct [hooks.{hook.name}] or what it leads to."
        ) from error
    if as_json:
        print_json({"hook": hook.name, "state": "delivered", "said": said})
    else:
        click.echo(f"✓ {hook.name}: {_line(said)}")


def _deliver(home: Home, known: Mapping[str, Hook], *, as_json: bool) -> None:
    def tell(done: Delivery) -> None:
        if not as_json:
            click.echo(f"{_GLYPHS[done.state]} {done.hook}: event {done.number}, {done.event}: {_line(done.said)}")

    with open_store(home.store, create=False) as store:
        attempts = deliver_due(store, home, on_delivery=tell)
        left = sum(found.due for name, found in outbox.counts(store).items() if name in known)
    failed = [done for done in attempts if done.state != "delivered"]
    if as_json:
        print_json({"attempts": [asdict(done) for done in attempts], "due": left})
    elif left:
        click.echo(f"Still due: {left}; they wait for their next attempt, or another process delivers just now.")
    elif not attempts:
        click.echo("Nothing is due.")
    if failed:
        click.get_current_context().exit(1)


def _renew(home: Home, hook: Hook, *, as_json: bool) -> None:
    with open_store(home.store, create=False) as store:
        count = outbox.renew(store, hook.name)
    if as_json:
        print_json({"hook": hook.name, "renewed": count})
    else:
        click.echo(f"{count} due again for {hook.name}. `finetune-tui hooks --deliver` delivers them now.")


def _log(home: Home, lines: int, *, as_json: bool) -> None:
    with open_store(home.store, create=False) as store:
        found = outbox.log(store, limit=lines)
    if as_json:
        print_json({"deliveries": [_attempt_json(*each) for each in found]})
        return
    rows = [
        (_local(told.last_at), told.hook, row.id, row.name, row.category, told.state, told.attempts, _line(told.said))
        for row, told in found
    ]
    headers = ("last attempt", "hook", "event", "name", "category", "state", "attempts", "said")
    click.echo(table(headers, rows) if rows else "Nothing was delivered yet.")


def _line(text: str) -> str:
    return " ".join(plain(text).split())


def _local(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
