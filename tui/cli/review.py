"""`review`: what to judge next, and judging it, without the app."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from core.categories import category, load_categories
from core.config import load_config
from core.errors import FinetuneError
from core.paths import Home
from core.select.split import content_hash
from storage import events
from storage.db import Store, open_store
from storage.rows import Opinion
from tui.cli.output import ProgressLine, json_option, print_json, with_home
from tui.cli.review_list import DONE, show_guidelines, show_queue, show_turned
from tui.review.queue import START, Choice, choose
from tui.words import counted

if TYPE_CHECKING:
    from core.capture.judging import Judge

_SHOWN: Final = 20
_KEPT: Final = "Nothing was judged"


@click.command("review")
@click.argument("named", metavar="[EVENT]...", nargs=-1, type=click.IntRange(1))
@click.option("--good", "verdict", flag_value="good", help="The answer is right as it is.")
@click.option("--bad", "verdict", flag_value="bad", help="The answer is wrong.")
@click.option("--reject", "verdict", flag_value="reject", help="No lesson: the prompt itself is broken or off topic.")
@click.option("--skip", "verdict", flag_value="skip", help="You cannot tell.")
@click.option("--correct", metavar="FILE", help="The right answer, from a file, or from stdin with -.")
@click.option(
    "--category", "category_name", metavar="NAME", help="With EVENT: move it there. Else: only this category."
)
@click.option("--move-to", metavar="NAME", help="Move what --all finds to another category.")
@click.option("--note", default="", help="What was wrong or right, in your words.")
@click.option("--query", metavar="TEXT", help=f"Which outputs, as in the app; without it `{START}`.")
@click.option("--all", "everything", is_flag=True, help="Judge or move everything that the query finds, at once.")
@click.option("--yes", is_flag=True, help="Do not ask before --all.")
@click.option("--limit", type=click.IntRange(1), help=f"At most so many (listed: {_SHOWN}; --all: everything).")
@click.option("--undo", "turn", flag_value="undo", help="Take back what was said last, here or in the app.")
@click.option("--redo", "turn", flag_value="redo", help="Restore what was taken back last.")
@click.option("--guidelines", metavar="CATEGORY", help="What a good answer is like, and how to judge.")
@json_option
@with_home
def review_command(
    home: Home,
    named: tuple[int, ...],
    verdict: str | None,
    correct: str | None,
    category_name: str | None,
    move_to: str | None,
    note: str,
    query: str | None,
    everything: bool,
    yes: bool,
    limit: int | None,
    turn: str | None,
    guidelines: str | None,
    as_json: bool,
) -> None:
    """List the outputs to judge next, the most informative first, or judge EVENT.

    \b
      finetune-tui review                                what to judge next
      finetune-tui review --query 'score:<60 table'      what a search finds
      finetune-tui review 12 --bad --note 'no keys'      judge one or several
      finetune-tui review 12 --correct answer.txt        correct one
      finetune-tui review 12 --category workflows        move it to another category
      finetune-tui review --all --query 'is:pending score:>95' --good
      finetune-tui review --undo                         all of it, as it was said

    Exit code 1, with nothing changed, where something is not as it should be.

    \b
    --json prints one object. A list: {"query", "order", "total", "events": [{"id", "category", "model",
    "created_at" (seconds), "score", "tier", "feedback_type", "verdict", "prompt", "response"
    (200 characters each)}], "warnings": [texts], "agreement": {"same", "asked", "interval"}}.
    Judged or moved: {"done": good|bad|correct|reject|skip|move, "count", "events": [ids; with --all
    none], "category" (moved to, else null), "correction_score" (0-100, else null)}.
    Undo, redo: {"done": undo|redo, "kind", "event", "count", "from": [categories], "to"}.
    Guidelines: {"category", "title", "guidelines"}. An error: {"error": {"title", "message", "hint"}}.
    """
    target = move_to or (category_name if named else None)
    doing = [each for each in (verdict, correct and "correct", target and "move") if each]
    _check_usage(named, doing, everything=everything, asks=bool(turn or guidelines), query=query, move_to=move_to)
    if guidelines is not None:
        show_guidelines(category(load_categories(home), guidelines), as_json=as_json)
        return
    choice = choose(START if query is None else query)
    if category_name and not named:
        choice = choose(choice.query.with_field("category", category(load_categories(home), category_name).name))
    if not turn and not named and not everything:
        show_queue(home, choice, limit or _SHOWN, as_json=as_json)
        return
    with open_store(home.store, create=False) as store:
        judge = _judge(store, home)
        if turn:
            show_turned(turn, judge.undo() if turn == "undo" else judge.redo(), as_json=as_json)
            return
        ids: Sequence[int] = named or _found(store, choice, limit)
        if everything:
            _ask(ids, doing[0], target, choice, yes=yes, as_json=as_json)
        _missing(store, named)
        done = _do(judge, ids, doing[0], correct=correct, target=target, note=note, as_json=as_json)
    if as_json:
        print_json(done | {"events": list(named)})
        return
    where = f" to {target}" if target else ""
    score = done["correction_score"]
    scored = "" if score is None else f", the correction scores {score:.0f}"
    click.echo(f"✓ {counted(done['count'], 'output')} {DONE.get(doing[0], 'moved')}{where}{scored}")


def _check_usage(
    named: Sequence[int], doing: Sequence[str], *, everything: bool, asks: bool, query: str | None, move_to: str | None
) -> None:
    if len(doing) + asks > 1:
        raise click.UsageError("Say one thing at a time.")
    if named and (everything or query is not None):
        raise click.UsageError("Name events, or search for them with --query, not both.")
    if named and asks:
        raise click.UsageError("--undo, --redo and --guidelines take no EVENT.")
    if named and not doing:
        raise click.UsageError("Say --good, --bad, --correct FILE, --reject, --skip or --category NAME.")
    if everything and not doing:
        raise click.UsageError("Say what to do with all of them: --good, --bad, --reject, --skip or --move-to NAME.")
    if doing and not named and not everything:
        raise click.UsageError("Name the events, or add --all for everything that the query finds.")
    if doing == ["correct"] and len(named) != 1:
        raise click.UsageError("--correct takes one EVENT.")


def _judge(store: Store, home: Home) -> Judge:
    # Imported when something is judged: it brings numpy along, which a list does not need.
    from core.capture.judging import Judge

    return Judge(store, load_config(home), load_categories(home))


def _found(store: Store, choice: Choice, limit: int | None) -> Sequence[int]:
    if choice.query.errors:
        # A term that is passed over would make more events match than were meant.
        raise FinetuneError(choice.query.errors[0], title=_KEPT, hint="Correct the query.")
    order = "newest" if choice.query.sort in ("", "informative") else choice.query.sort
    return events.event_ids(store, choice.query.filter, order=cast(Any, order))[:limit]


def _ask(ids: Sequence[int], doing: str, target: str | None, choice: Choice, *, yes: bool, as_json: bool) -> None:
    """Asks whether to go on. Raises FinetuneError where nobody can be asked, or nothing matches."""
    if not ids:
        raise FinetuneError(
            f"Nothing matches `{choice.query.text}`.", title=_KEPT, hint="Look with --query, without --all."
        )
    if yes:
        return
    what = f"moved to {target}" if target else DONE[doing]
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        raise FinetuneError(f"{counted(len(ids), 'output')} would be {what}.", title=_KEPT, hint="Add --yes to do it.")
    click.confirm(f"{counted(len(ids), 'output')} will be {what}. Go on?", abort=True)


def _missing(store: Store, named: Sequence[int]) -> None:
    there = {one.id for one in events.summaries(store, list(named))}
    gone = [event_id for event_id in named if event_id not in there]
    if gone:
        raise FinetuneError(
            f"There is no event {gone[0]}.", title=_KEPT, hint="`finetune-tui review` lists what there is."
        )


def _do(
    judge: Judge,
    ids: Sequence[int],
    doing: str,
    *,
    correct: str | None,
    target: str | None,
    note: str,
    as_json: bool,
) -> dict[str, Any]:
    done: dict[str, Any] = {"done": doing, "count": 1, "category": target, "correction_score": None}
    line = ProgressLine(enabled=not as_json)

    def told(at: int, total: int) -> None:
        line.show(f"{100 * at // total} %")

    try:
        if target is not None:
            done["count"] = len(judge.move(ids, target, note=note, progress=told))
        elif correct is not None:
            text = _correction(correct)
            if content_hash("", text) == content_hash("", events.get(judge.store, ids[0]).response):
                raise FinetuneError("The correction changes nothing.", title=_KEPT, hint="Say --good instead.")
            validation = judge.judge(ids[0], "correct", correction=text, note=note)
            done["correction_score"] = validation.score if validation and validation.judged else None
        elif len(ids) == 1:
            judge.judge(ids[0], cast(Opinion, doing), note=note)
        else:
            done["count"] = judge.judge_many(ids, cast(Opinion, doing), note=note, progress=told)
    finally:
        line.clear()
    return done


def _correction(source: str) -> str:
    if source == "-":
        text = sys.stdin.read() if sys.stdin is not None else ""
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FinetuneError(f"{source} is not written in UTF-8.", title=_KEPT, hint="Save it as UTF-8.") from error
    if not text.strip():
        raise FinetuneError("The correction is empty.", title=_KEPT, hint="Give the whole answer as it should be.")
    return text.removeprefix("\ufeff").rstrip("\n")
