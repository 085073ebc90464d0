"""What stands beside the tree: one hard negative with all that happened to it, or a pattern as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content

from core.select.hard.hard_negatives import HardNegative
from tui.hard.items import HardItem, HardTest
from tui.hard.tree import Branch
from tui.hard.words import MARKS, mark_of, parts_in_words, reasons_in_words, waits_for
from tui.text import safe
from tui.why import next_batch
from tui.widgets.diff_view import diff_content, diff_lines
from tui.widgets.event_view import findings_content
from tui.words import ago, clock, counted, number, percent

if TYPE_CHECKING:
    from core.standing import Standing

_TURN_CHARS = 2_000
_TIMELINE = 12


def item_title(item: HardItem) -> Content:
    """Number, category and state, for the pane's border."""
    word = mark_of(item.target.negative)
    glyph, colour = MARKS[word]
    category = safe(item.event.category, one_line=True, limit=30)
    return Content.assemble(f"#{item.event.id} ", category, " ", (f"{glyph} {word}", colour))


def item_content(
    item: HardItem, standing: Standing | None, *, now: float, pinned: bool, has_draft: bool, again: Content | None
) -> Content:
    """Everything about one, what helps to decide first. `again` is the answer that a version gives right now."""
    event, negative = item.event, item.target.negative
    blocks = [_facts(item, now)]
    if has_draft:
        blocks.append(Content.styled("✎ a correction was begun; c goes on with it", "$text-warning"))
    if again is not None:
        blocks.append(again)
    blocks.append(block("Why it is hard", _why(negative)))
    blocks.append(block("Next", _next(item, standing, pinned=pinned)))
    blocks.append(block("Tests", _tests(item, now)))
    if event.history:
        blocks.append(block(f"Earlier in this chat ({counted(len(event.history), 'turn')})", _turns(item)))
    blocks += [block("Prompt", safe(event.prompt)), block("Answer", safe(event.response))]
    blocks.append(block("Findings", findings_content(event.findings, valid=event.valid)))
    if event.correction is not None:
        blocks.append(block("Correction", diff_content(diff_lines(event.response, event.correction))))
    if item.tests:
        last = item.tests[-1]
        title = Content.assemble("Answer of ", safe(last.version, one_line=True, limit=60))
        blocks.append(block(title, safe(last.answer)))
    for name, text in (("Context", event.context), ("System prompt", event.system)):
        if text:
            blocks.append(block(name, safe(text)))
    return Content("\n\n").join(blocks)


def branch_content(branch: Branch, prompts: Sequence[tuple[int, str]], compared_by: str, now: float) -> Content:
    """A pattern: what is in it, what is left to do, and its worst examples as (event, prompt)."""
    members, pattern = branch.members, branch.pattern
    states = Counter(mark_of(each) for each in members)
    lines = [
        Content.assemble((f"{MARKS[word][0]} {word:<13}", MARKS[word][1]), f"{count:>6,}")
        for word in MARKS
        if (count := states[word])
    ]
    share = branch.corrected / len(members)
    scores = [each.score for each in members if each.score is not None]
    facts = Content.assemble(
        f"{counted(len(members), 'hard negative')} · {percent(share)} corrected",
        f" · mean score {number(sum(scores) / len(scores), 0)}" if scores else "",
        (f" · newest {ago(pattern.latest, now)}", "$text-muted"),
    )
    kind = safe(pattern.kind.replace("_", " "), "bold", one_line=True, limit=60)
    told = [Content.assemble("What goes wrong  ", kind)]
    if pattern.terms:
        told.append(Content.assemble("Words of the prompts  ", safe(", ".join(pattern.terms), "bold", one_line=True)))
    if pattern.long_prompts:
        told.append(Content("Its prompts are longer than others."))
    if pattern.note:
        told.append(Content.assemble("A person wrote  ", safe(pattern.note, "bold", one_line=True, limit=200)))
    worst = [
        Content.assemble((f"#{event_id}  ", "$text-muted"), safe(prompt, one_line=True, limit=300))
        for event_id, prompt in prompts
    ]
    blocks = [
        facts,
        block("Pattern", Content("\n").join(told)),
        block("Where they stand", Content("\n").join(lines)),
        block("The worst", Content("\n").join(worst)),
        safe(f"Texts compared by {compared_by}.", "$text-muted"),
    ]
    return Content("\n\n").join(blocks)


def again_content(version: str, text: str, ended: str, *, running: bool) -> Content:
    """The answer of a version as it comes; `ended` says what became of it."""
    title = Content.assemble("Answered again by ", safe(version or "…", one_line=True, limit=60))
    state = safe("● answering… x stops", "$text-primary") if running else safe(ended, "$text-muted")
    return block(title, Content.assemble(state, "\n", safe(text)))


def block(title: str | Content, body: Content) -> Content:
    """A heading and what stands below it."""
    head = title if isinstance(title, Content) else Content(title)
    return Content.assemble(head.stylize("bold $text-accent"), "\n", body)


def _facts(item: HardItem, now: float) -> Content:
    negative, event = item.target.negative, item.event
    word = mark_of(negative)
    glyph, colour = MARKS[word]
    parts = [
        Content.styled(f"{glyph} {word}", colour),
        Content(f"difficulty {number(negative.difficulty, 2)}"),
        Content(f"score {number(event.score, 0)}"),
    ]
    if negative.held_out:
        parts.append(Content.styled("◇ kept for testing", "$text-warning"))
    parts.append(safe(event.model, "$text-muted", one_line=True, limit=40))
    parts.append(Content.styled(f"since {ago(negative.since, now)}", "$text-muted"))
    return Content(" · ").join(parts)


def _why(negative: HardNegative) -> Content:
    lines = [safe(reasons_in_words(negative.reasons))]
    if negative.failed:
        lines.append(safe(f"{counted(negative.failed, 're-test')} failed since."))
    sum_of = f"{number(negative.difficulty, 2)} = {parts_in_words(negative.parts)}"
    lines.append(Content.assemble("difficulty ", safe(sum_of, "$text-muted")))
    return Content("\n").join(lines)


def _next(item: HardItem, standing: Standing | None, *, pinned: bool) -> Content:
    target = item.target
    waits = waits_for(target.negative.state, target.waits, target.sibling)
    lines = [
        Content.assemble("waits for  ", safe(waits, "bold", one_line=True, limit=300)),
        safe(next_batch(replace(item.why, standing=standing)), one_line=True, limit=400),
    ]
    if pinned:
        lines.append(Content.styled("+ you asked for it in the next batch; - takes that back", "$text-accent"))
    return Content("\n").join(lines)


def _tests(item: HardItem, now: float) -> Content:
    lines = [Content("  ").join(_mark(test) for test in item.tests[-_TIMELINE:])] if len(item.tests) > 1 else []
    for test in item.tests[-_TIMELINE:]:
        lines.append(
            Content.assemble(
                _mark(test),
                f" {_outcome(test):<8} ",
                f"score {number(test.row.score, 0):>3}  ",
                safe(test.version, one_line=True, limit=60),
                (f"  {clock(test.row.at)}", "$text-muted"),
            )
        )
    if not item.tests:
        lines.append(Content.styled("No version was tested on it yet.", "$text-muted"))
    if not item.newest:
        lines.append(Content.styled("No version can be asked: train one first.", "$text-muted"))
    elif item.tests and any(test.version == item.newest for test in item.tests):
        lines.append(safe(f"{item.newest}, the newest, has answered it.", "$text-muted", one_line=True))
    else:
        lines.append(safe(f"t tests {item.newest}, the newest.", "$text-muted", one_line=True))
    return Content("\n").join(lines)


def _outcome(test: HardTest) -> str:
    return "passed" if test.row.passed else "unjudged" if test.row.score is None else "failed"


def _mark(test: HardTest) -> Content:
    glyph, colour = {
        "passed": ("✓", "$text-success"),
        "failed": ("✗", "$text-error"),
        "unjudged": ("?", "$text-muted"),
    }[_outcome(test)]
    return Content.styled(glyph, colour)


def _turns(item: HardItem) -> Content:
    return Content("\n").join(
        Content.assemble(
            safe(f"{turn.get('role', '')}: ", "$text-muted", one_line=True, limit=20),
            safe(str(turn.get("content", "")), limit=_TURN_CHARS),
        )
        for turn in item.event.history
    )
