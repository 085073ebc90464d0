"""How one event is shown: a line in the queue, and everything about it beside the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from textual.content import Content

from storage.rows import EventSummary, Tier
from tui.review.folding import folded
from tui.review.items import ReviewItem
from tui.text import plain, safe
from tui.why import next_batch, reward_line, why
from tui.widgets.diff_view import diff_content, diff_lines
from tui.words import ago, counted, number, percent, signed

if TYPE_CHECKING:
    from core.explain import Explanation
    from core.standing import Standing
    from storage.judgments import Turned

TIER_MARKS = {
    "gold": ("★", "$text-warning"),
    "silver": ("◆", "$text-primary"),
    "bronze": ("●", "$text-accent"),
    "rejected": ("▽", "$text-error"),
}
VERDICT_MARKS: Mapping[str | None, tuple[str, str, str]] = {
    None: ("○", "pending", "$text-muted"),
    "good": ("✓", "good", "$text-success"),
    "bad": ("✗", "bad", "$text-error"),
    "correct": ("✎", "corrected", "$text-primary"),
    "reject": ("⊘", "rejected", "$text-error"),
    "skip": ("→", "skipped", "$text-warning"),
}
_SEVERITY = {"error": ("✗", "$text-error"), "warning": ("!", "$text-warning"), "info": ("·", "$text-muted")}
_FINDINGS_SHOWN = 40
_INVALID = Content.styled("✗ not valid", "$text-error")
_WORD_WIDTH = 9
_TURN_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Look:
    """How an event is shown. `now` is in seconds since the epoch, `width` in cells.

    With `blind`, the tier that it would have without its verdict, that verdict shows in nothing; with `in_full` every
    part of the explanation stands at the top, else three lines of it stand below the findings. `prompt_lines` is how
    much of the prompt is shown, None for all; `dense` leaves the blank lines between the blocks out.
    """

    now: float
    width: int
    has_draft: bool = False
    blind: Tier | None = None
    in_full: bool = False
    prompt_lines: int | None = None
    dense: bool = False


def queue_line(row: EventSummary, width: int, *, marked: bool = False, blind: Tier | None = None) -> Content:
    """Verdict by glyph and word, tier by glyph, score, then as much of the prompt as there is room for."""
    glyph, word, colour = VERDICT_MARKS[None if blind else row.verdict]
    tier_glyph, tier_colour = TIER_MARKS[blind or row.tier]
    score = "  –" if row.score is None else f"{row.score:3.0f}"
    mark = ("▪", "bold $text-accent") if marked else " "
    return Content.assemble(
        mark,
        (f"{glyph} {word:<{_WORD_WIDTH}} ", colour),
        (tier_glyph, tier_colour),
        f" {score}  ",
        safe(row.prompt, one_line=True, limit=200),
    )


def event_title(item: ReviewItem, *, blind: bool = False) -> Content:
    """Number, category and verdict, for the pane's border."""
    glyph, word, colour = VERDICT_MARKS[None if blind else item.event.verdict]
    return Content.assemble(
        f"#{item.event.id} ", safe(item.event.category, one_line=True, limit=30), " ", (f"{glyph} {word}", colour)
    )


def turned_note(word: str, turned: Turned) -> str:
    """What undo or redo did: `undone: ✓ good on #12`, `redone: ✗ bad on 312 outputs`, `undone: move to erd of #12`."""
    whom = f"#{turned.event_id}" if turned.count == 1 else counted(turned.count, "output")
    if turned.kind == "move":
        return f"{word}: {whom} moved to {turned.moved_to}"
    glyph, verdict, _ = VERDICT_MARKS[turned.kind]
    return f"{word}: {glyph} {verdict} on {whom}"


def event_content(item: ReviewItem, standing: Standing | None, look: Look) -> Content:
    """Everything about an event, top to bottom in the order in which it is needed to judge it.

    `standing` is where it stands in its category, None while that is not known.
    """
    event, known = item.event, replace(item.why, standing=standing)
    blocks = [_facts(item, look)]
    if look.has_draft:
        blocks.append(Content.styled("✎ a correction was begun; c goes on with it", "$text-warning"))
    if look.in_full and not look.blind:
        blocks.append(_block("Why", _why_in_full(known)))
    if event.history:
        blocks.append(_block(f"Earlier in this chat ({counted(len(event.history), 'turn')})", _turns(event.history)))
    response = event.response.rstrip("\n") if look.dense else event.response
    blocks += [_prompt(event.prompt, look), _block("Response", safe(response))]
    if event.correction is not None and not look.blind:
        blocks.append(_block("Correction", diff_content(diff_lines(event.response, event.correction))))
    blocks.append(_block("Findings", findings_content(event.findings, valid=event.valid)))
    if not look.in_full and not look.blind:
        blocks.append(_block("Why (w for all of it)", _why_in_short(known)))
    for title, text in (("Context", event.context), ("System prompt", event.system)):
        if text:
            blocks.append(_block(title, safe(text)))
    return Content("\n" if look.dense else "\n\n").join(blocks)


def _prompt(prompt: str, look: Look) -> Content:
    if look.prompt_lines is None:
        return _block("Prompt", safe(prompt))
    shown, hidden = folded(plain(prompt), look.width, look.prompt_lines)
    title = f"Prompt (p for {counted(hidden, 'more line')})" if hidden else "Prompt"
    return _block(title, safe(shown))


def _why_in_full(known: Explanation) -> Content:
    return Content("\n").join(
        Content.assemble((f"{part.title}  ", "$text-muted"), safe(part.value, "bold", one_line=True, limit=200),
                         "  " if part.value and part.text else "", safe(part.text, one_line=True, limit=600))
        for part in why(known)
    )  # fmt: skip


def _why_in_short(known: Explanation) -> Content:
    quality, reward = known.quality, known.reward
    lines = [
        Content.assemble(f"quality {number(quality.value, 2)} {quality.tier}  ", _parts(quality.parts)),
        Content.assemble(f"reward {signed(reward.value, 2)}  ", (reward_line(reward), "$text-muted")),
        safe(next_batch(known), one_line=True, limit=300),
    ]
    return Content("\n").join(lines)


def _turns(history: Sequence[Mapping[str, Any]]) -> Content:
    lines = [
        Content.assemble(
            safe(turn.get("role", ""), "$text-muted", one_line=True, limit=20),
            (": ", "$text-muted"),
            safe(str(turn.get("content", "")), limit=_TURN_CHARS),
        )
        for turn in history
    ]
    return Content("\n").join(lines)


def _facts(item: ReviewItem, look: Look) -> Content:
    event = item.event
    tier = look.blind or item.why.quality.tier
    glyph, colour = TIER_MARKS[tier]
    parts = [
        Content.styled(f"{glyph} {tier}", colour),
        Content(f"score {number(event.score, 0)}"),
        safe(event.model, "$text-muted", one_line=True, limit=40),
        Content.styled(ago(event.created_at, look.now), "$text-muted"),
    ]
    problems = sum(found.get("severity") != "info" for found in event.findings)
    if problems:
        parts.insert(2, Content.styled(counted(problems, "finding"), "$text-error"))
    if event.confidence is not None:
        parts.append(Content.styled(f"confidence {percent(event.confidence)}", "$text-muted"))
    if event.sanitized:
        parts.append(Content.styled(f"{sum(event.sanitized.values())} personal details replaced", "$text-muted"))
    return Content(" · ").join(parts)


def _block(title: str, body: Content) -> Content:
    return Content.assemble((title, "bold $text-accent"), "\n", body)


def findings_content(findings: Sequence[Mapping[str, Any]], *, valid: bool) -> Content:
    """What the validator found, a line each, or that it found nothing."""
    if not findings:
        return Content.styled("✓ nothing found", "$text-success") if valid else _INVALID
    lines = [_finding(found) for found in findings[:_FINDINGS_SHOWN]]
    if len(findings) > _FINDINGS_SHOWN:
        lines.append(Content.styled(f"… {len(findings) - _FINDINGS_SHOWN} more", "$text-muted"))
    return Content("\n").join(lines)


def _finding(found: Mapping[str, Any]) -> Content:
    glyph, colour = _SEVERITY.get(str(found.get("severity")), _SEVERITY["info"])
    line, message = found.get("line"), str(found.get("message", ""))
    where = f"line {line}: " if isinstance(line, int) else ""
    return Content.assemble(
        (f"{glyph} ", colour),
        ("" if message.startswith(where) else where, "$text-muted"),
        safe(message, one_line=True, limit=400),
        safe(f" ({found.get('kind', '')})", "$text-muted", one_line=True, limit=60),
    )


def _parts(parts: Mapping[str, float]) -> Content:
    if not parts:
        return Content.styled("nothing speaks for it yet", "$text-muted")
    shown = [f"{name.replace('_', ' ')} {number(value, 2)}" for name, value in parts.items()]
    return safe("  ".join(shown), "$text-muted", one_line=True, limit=300)
