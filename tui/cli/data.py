"""`record` and `stats`: what comes in, and what is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from tui.cli.output import json_option, print_json, table, with_home
from tui.text import plain

FIELDS = (
    "prompt",
    "response",
    "category",
    "model",
    "score",
    "feedback_type",
    "correction",
    "verdict",
    "confidence",
    "context",
    "system",
    "source",
    "latency_ms",
    "metadata",
    "created_at",
    "group_key",
    "history",
    "note",
)
_LARGEST = 2**63


@click.command()
@click.option("--category", help="Kind of task, for example erd.")
@click.option("--model", help="Name of the model that answered.")
@click.option("--prompt", help="What was asked.")
@click.option("--response", help="What the model answered.")
@click.option("--score", type=click.FloatRange(0, 100), help="Score 0-100; else the category's validator gives it.")
@click.option("--good", "verdict", flag_value="good", help="Thumbs up.")
@click.option("--bad", "verdict", flag_value="bad", help="Thumbs down.")
@click.option("--correction", help="What the answer should have been; @FILE reads it from a file.")
@click.option("--note", default="", help="What was wrong or right, in your words.")
@click.option("--context", default="", help="Retrieval context that the model was given.")
@click.option("--keep-pii", is_flag=True, help="Store e-mail addresses, keys and the like as they are.")
@json_option
@with_home
def record(home: Home, as_json: bool, keep_pii: bool, **fields: Any) -> None:
    """Record one output from flags, or many from JSON on stdin.

    On stdin: one JSON object, a JSON array, or one object a line, with the keys prompt, response, category and model,
    and if known score, verdict (good, bad, reject or skip), correction, note, context, system, history (earlier turns,
    each with role and content), group_key, confidence, latency_ms, metadata and created_at. Flags stand in for keys
    that a row lacks. A fault names its row (empty lines do not count); nothing of that input is stored then, so it can
    be mended and sent again.
    """
    given = {key: value for key, value in fields.items() if value is not None and value != ""}
    if str(given.get("correction", "")).startswith("@"):
        given["correction"] = _read(Path(given["correction"][1:]))
    if "prompt" in given or "response" in given:
        rows = [given]
    else:
        found = _from_stdin(_stdin())
        rows = [{**given, **row} if isinstance(row, Mapping) else row for row in found]
    for number, row in enumerate(rows, 1):
        _check(row, number)
    with LearningLoop(home) as loop:
        done = loop.record_many([dict(row, sanitize=not keep_pii) for row in rows])
    if as_json:
        print_json({"recorded": [asdict(one) for one in done], "duplicates": sum(one.duplicate for one in done)})
        return
    for one in done:
        score = "no score" if one.score is None else f"score {one.score:.0f}"
        note = ", was there already" if one.duplicate else ""
        hidden = "".join(f", {count} {kind} replaced" for kind, count in one.sanitized.items())
        click.echo(f"event {one.event_id}: {score}, {one.tier}, reward {one.reward:+.2f}{note}{hidden}")


def _stdin() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    # Some editors begin a file with a byte order mark, which JSON does not allow.
    return sys.stdin.read().removeprefix("\ufeff")


def _from_stdin(text: str) -> list[Any]:
    if not text.strip():
        raise FinetuneError(
            "Neither --prompt and --response nor JSON on stdin was given.",
            title="Nothing to record",
            hint="Try: finetune-tui record --category erd --model demo --prompt '…' --response '…'",
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # Only \n ends a line here: JSON strings may hold the other separators that splitlines() knows.
        return [_parse_line(line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return value if isinstance(value, list) else [value]


def _parse_line(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        problem = f"cannot be read: {error}"
    raise FinetuneError(
        f"Line {number} of stdin {problem}.",
        title="Nothing was recorded",
        hint="Give one JSON object a line, or one JSON array.",
    )


def _check(row: object, number: int) -> None:
    if not isinstance(row, Mapping):
        problem = f"is {type(row).__name__}, not an object"
    elif unknown := sorted(set(row) - set(FIELDS)):
        problem = f"has the unknown key {unknown[0]!r}"
    elif missing := [key for key in ("prompt", "response", "category", "model") if not row.get(key)]:
        problem = f"has no {missing[0]!r}"
    elif not isinstance(row["category"], str):
        problem = "has a category that is not text"
    elif long := [key for key, value in row.items() if isinstance(value, int) and abs(value) > _LARGEST]:
        problem = f"has a number in {long[0]!r} that is out of all bounds"
    else:
        return
    raise FinetuneError(
        f"Row {number} {problem}.",
        title="Nothing was recorded",
        hint=f"Known keys: {', '.join(FIELDS)}. As flags the four that are needed are --prompt, --response, --category "
        "and --model.",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise FinetuneError(
            f"{path} cannot be read: {why}.",
            title="Nothing was recorded",
            hint="Name a text file after the @, or give the correction itself.",
        ) from error


@click.command()
@json_option
@with_home
def stats(home: Home, as_json: bool) -> None:
    """Totals by category, tier and source, runs by stage, versions that serve, and what to do next."""
    with LearningLoop(home) as loop:
        figures = loop.stats()
    if as_json:
        print_json(figures)
        return
    print_stats(figures)


def print_stats(figures: Mapping[str, Any]) -> None:
    """The figures of `LearningLoop.stats` as text."""
    if not figures["categories"]:
        click.echo("Nothing is recorded yet. Try `finetune-tui demo`, or `finetune-tui record --help`.")
        return
    headers = ("category", "events", "gold", "silver", "bronze", "rejected", "judged", "score", "serving", "next")
    rows = [
        (
            one["category"],
            one["total"],
            one["gold"],
            one["silver"],
            one["bronze"],
            one["rejected"],
            one["judged"],
            "" if one["mean_score"] is None else f"{one['mean_score']:.1f}",
            one["serving"] or "–",
            one["next_step"],
        )
        for one in figures["categories"]
    ]
    click.echo(table(headers, rows))
    for watched in (one["production"] for one in figures["categories"] if one["production"]):
        mark = {"worse": "✗", "better": "✓"}.get(watched["verdict"], "·")
        click.echo(f"{mark} {plain(watched['why'])}")
