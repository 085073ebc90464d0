"""How commands speak: lines and tables for people, one JSON object for programs, progress only on a terminal."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from core.errors import FinetuneError
from core.paths import Home, locate_home
from tui.forward import tell_way_forward
from tui.text import plain

Params = ParamSpec("Params")
Result = TypeVar("Result")


def json_option(command: Callable[Params, Result]) -> Callable[Params, Result]:
    """Add `--json` as the keyword argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(command)


def with_home(command: Callable[..., Result]) -> Callable[..., Result]:
    """Pass the home folder (from `--home`, the environment or the platform) as the first argument."""

    @click.pass_context
    @wraps(command)
    def wrapped(ctx: click.Context, *args: Any, **kwargs: Any) -> Result:
        home: Path | None = ctx.find_root().obj
        located = locate_home(home)
        tell_way_forward(located.store)
        return command(located, *args, **kwargs)

    return wrapped


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document on stdout; what is not JSON by nature (paths, rows' tuples) is written as text or lists."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def report_error(error: FinetuneError, *, as_json: bool) -> None:
    """Say what happened and what to do next: on stderr for people, as an object on stdout for programs."""
    if as_json:
        print_json({"error": {"title": error.title, "message": error.message, "hint": error.hint}})
        return
    click.secho(f"✗ {error.title}", fg="red", bold=True, err=True)
    click.echo(f"  {plain(error.message)}", err=True)
    if error.hint:
        click.echo(f"  → {plain(error.hint)}", err=True)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns padded to their widest cell; numbers stand right, and the last column is cut at the terminal's edge."""
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max([len(header), *(len(row[column]) for row in cells)]) for column, header in enumerate(headers)]
    numeric = [
        all(not row[column] or row[column].lstrip("+-").replace(".", "").replace("%", "").isdigit() for row in cells)
        for column in range(len(headers))
    ]
    room = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000

    def line(values: Sequence[str]) -> str:
        padded = [
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(values, widths, numeric, strict=True)
        ]
        return "  ".join(padded).rstrip()[:room]

    return "\n".join([line(headers), line(["─" * width for width in widths]), *(line(row) for row in cells)])


class ProgressLine:
    """One line that overwrites itself on a terminal; silent elsewhere and with `--json`."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._painted_at = 0.0
        self._width = 0

    def show(self, text: str, *, force: bool = False) -> None:
        """Paint the line, at most ten times a second."""
        now = time.monotonic()
        if not self._enabled or (not force and now - self._painted_at < 0.1):
            return
        self._painted_at = now
        text = plain(text)[: shutil.get_terminal_size((80, 24)).columns - 1]
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)
        self._width = len(text)

    def clear(self) -> None:
        """Wipe the line so that ordinary output can follow."""
        if self._enabled and self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
            self._width = 0


def bar(share: float, width: int = 24) -> str:
    """A bar of `width` cells for a share of 0-1."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return "█" * filled + "░" * (width - filled)


def home_option_hint(home: Home) -> str:
    """How to name this home in a command: nothing when it is the one found without being told."""
    return "" if home == locate_home() else f" --home {shlex.quote(str(home.root))}"
