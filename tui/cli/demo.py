"""`demo`: the whole loop on the shipped model, told stage by stage, with the figures it measured."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from core.demo import DemoResult, run_demo
from core.loop import LearningLoop
from core.paths import Home, locate_home
from storage.rows import RunRow
from tui.cli.output import ProgressLine, bar, json_option, print_json, table
from tui.cli.runs import describe_run
from tui.text import plain


class Teller:
    """Prints the stages as they come; with `--json` only the result is printed."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line = ProgressLine(enabled=not quiet)
        self._number = 0

    def stage(self, title: str) -> None:
        self._line.clear()
        self._number += 1
        if not self._quiet:
            click.secho(f"\n{self._number}. {title}", bold=True)

    def say(self, text: str) -> None:
        self._line.clear()
        if not self._quiet:
            click.echo(f"   {plain(text)}")

    def progress(self, text: str) -> None:
        self._line.show(f"   {text}")

    def run(self, loop: LearningLoop, run: RunRow) -> None:
        self.progress(describe_run(loop, run))

    def end(self) -> None:
        """Leave the terminal's line clean."""
        self._line.clear()


@click.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of selection, training and sampling.")
@json_option
@click.pass_context
def demo(ctx: click.Context, seed: int, as_json: bool) -> None:
    """Run the whole loop on the shipped model: about two minutes on two cores, no GPU, no Ollama, no download.

    It works in a fresh home folder of its own, unless `finetune-tui --home FOLDER demo` names one.
    """
    named: Path | None = ctx.find_root().obj
    home = Home(named) if named else fresh_home()
    teller = Teller(quiet=as_json)
    if not as_json:
        click.echo(f"Everything of this demonstration is kept in {home.root}")
    try:
        result = run_demo(home, teller, seed=seed)
    finally:
        teller.end()
    if as_json:
        print_json(result_json(result))
    else:
        print_result(result)


def fresh_home() -> Home:
    """A folder that is not there yet, beside the user's own home folder, named after the moment."""
    own = locate_home().root
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Home(own.with_name(f"{own.name}-demo-{stamp}-{os.getpid()}"))


def print_result(result: DemoResult) -> None:
    """The before/after table, and how to look at all of it."""
    rows = [
        ("mean score (0-100)", f"{result.before['mean_score']:.1f}", f"{result.after['mean_score']:.1f}"),
        ("success rate", f"{result.before['success_rate']:.0%}", f"{result.after['success_rate']:.0%}"),
        ("", bar(result.before["mean_score"] / 100, 20), bar(result.after["mean_score"] / 100, 20)),
    ]
    click.echo("\n" + table((f"{result.before['n']:.0f} held-out prompts", "base", "tuned"), rows))
    (low, high), test = result.ab["interval"], result.ab
    least, most = test["difference_interval"]
    click.echo(f"\nmean difference {test['difference']:+.1f} points (95 % interval {least:+.1f} to {most:+.1f})")
    click.echo(
        f"won {test['wins']}, lost {test['losses']}, tied {test['ties']}: win rate {test['win_rate']:.1%} "
        f"({low:.1%} to {high:.1%}); verdict: {test['verdict']}; {result.seconds:.0f} s in all"
    )
    click.secho("\nOpen the app on it:", bold=True)
    click.echo(f"  {_program()} --home {shlex.quote(str(result.home))}")


def _program() -> str:
    """How this program was called, so that the line can be pasted."""
    if shutil.which("finetune-tui"):
        return "finetune-tui"
    script = Path(sys.argv[0])
    return str(script.relative_to(Path.cwd())) if script.is_relative_to(Path.cwd()) else str(script)


def result_json(result: DemoResult) -> Mapping[str, Any]:
    """The result as one object for programs."""
    return asdict(result)
