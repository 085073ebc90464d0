"""`worker`: trains by itself what is due, in the foreground, until it is stopped."""

from __future__ import annotations

import json
import signal
import threading
import time
from dataclasses import replace

import click

from core.loop import LearningLoop
from core.only_one import only_one
from core.paths import Home
from core.teller import tell_hooks
from core.worker import Worker
from core.worker_report import Report
from tui.cli.output import json_option, with_home
from tui.text import plain

_MARKS = {
    "started": "▶",
    "resumed": "▶",
    "lost": "✗",
    "refused": "✗",
    "rolled back": "↶",
    "cleaned": "·",
    "delivered": "→",
}


@click.command()
@click.option("--once", is_flag=True, help="Do what is due now, say why the rest is not, and end.")
@click.option("--wait", is_flag=True, help="With --once: end only when the runs that were started have ended.")
@json_option
@with_home
def worker(home: Home, once: bool, wait: bool, as_json: bool) -> None:
    """Train by itself whenever enough new feedback is there; ctrl+c ends it, its runs go on."""
    if wait and not once:
        raise click.UsageError("--wait needs --once")
    home.ensure()
    stop = threading.Event()
    if not once:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    with only_one(home, "worker"), LearningLoop(home) as loop:
        at_work = Worker(loop, stop=stop)
        if once:
            report = at_work.look(now=time.time(), thorough=True)
            for step in report.did:
                if wait and step.run is not None and step.what in ("started", "resumed"):
                    loop.wait(step.run)
            _say(replace(report, did=report.did + tell_hooks(loop)), as_json=as_json, whole=True)
            return
        if not as_json:
            click.echo(f"Watching {home.root}; ctrl+c ends the watch, a run goes on.", err=True)
        at_work.run(lambda report: _say(report, as_json=as_json, whole=False))
        if not as_json:
            click.echo("Stopped.", err=True)


def _say(report: Report, *, as_json: bool, whole: bool) -> None:
    if as_json:
        if whole or report.did:
            click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    clock = time.strftime("%H:%M:%S", time.localtime(report.at))
    for step in report.did:
        click.echo(f"{clock} {_MARKS[step.what]} {plain(step.text)}")
    for each in report.waiting if whole or report.did else ():
        click.echo(f"{clock} · {plain(each.text)}")
    if whole and not report.did and not report.waiting:
        click.echo("Nothing is recorded yet.")
