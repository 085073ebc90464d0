"""`train --check`: what a run would be, said before it is queued."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from tui.cli.output import print_json
from tui.text import plain
from tui.words import mebibytes

if TYPE_CHECKING:
    from core.train.rehearsal import RunCheck

_ROW: Final = 1_200  # characters of each side of an example
_MIB: Final = 2**20


def show_check(check: RunCheck, *, as_json: bool) -> None:
    """Prints it for people, or as one object."""
    if as_json:
        print_json(as_object(check))
        return
    before, step = check.preflight, check.step
    method = check.settings["method"]
    click.echo(f"{check.category} on {check.base}, {method}: nothing was queued, nothing is kept")
    click.echo(f"  disk     needs {before.disk_needed / 1e9:.1f} of {before.disk_free / 1e9:.1f} GB free")
    click.echo(f"  memory   {before.memory.sentence}")
    click.echo(f"  data     {plain(check.summary)}")
    counts = check.counts
    click.echo(
        f"           {counts['train']} to learn from, {counts['validation']} to watch, {counts['test']} to test; "
        f"{before.total_steps} steps; {check.tokens:,} tokens, {check.longest} in the longest example"
    )
    for reason, number in check.left_out.items():
        click.echo(f"           {number} of {counts['train']}: {plain(reason)}")
    click.echo(
        f"  one step {step.examples} examples, {step.tokens} tokens on {step.device}: loss {step.loss:.3f}, "
        f"gradient norm {step.gradient_norm:.3g}, {step.seconds:.1f} s after {step.load_seconds:.1f} s of loading"
    )
    click.echo(
        f"           peak memory {_size(step.peak)}, planned {_size(step.planned)} for these examples "
        f"({100 * (step.planned / max(1, step.peak) - 1):+.0f} %)"
    )
    for note in (*before.warnings, *step.notes):
        click.echo(f"  ! {plain(note)}")
    for row in check.rows:
        click.echo(f"\n{row.kind or 'example'}: {row.prompt_tokens} tokens read, {row.answer_tokens} tokens learned")
        click.echo(click.style(plain(row.prompt, limit=_ROW), dim=True) + _marked(plain(row.answer, limit=_ROW)))


def _marked(answer: str) -> str:
    """The part with the loss, told apart without colour too."""
    return click.style("⟦", fg="green") + click.style(answer, fg="green") + click.style("⟧", fg="green")


def _size(count: int) -> str:
    return mebibytes(count / _MIB)


def as_object(check: RunCheck) -> dict[str, Any]:
    """A check for programs."""
    memory = check.preflight.memory
    told = asdict(check)
    told["preflight"]["memory"] |= {"total": memory.total, "sentence": memory.sentence}
    if memory.suggestion is not None:
        told["preflight"]["memory"]["suggestion"] = memory.suggestion.to_mapping()
    return told
