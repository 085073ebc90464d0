"""How one event is shown: a line in the queue, and everything about it beside the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.content import Content

from storage.rows import EventSummary, JudgmentRow
from tui.review_items import ReviewItem
from tui.text import safe
from tui.why import next_batch, reward_line, why
from tui.widgets.diff_view import diff_content, diff_lines
from tui.words import ago, counted, number, percent, signed

if TYPE_CHECKING:
    from core.explain import Explanation
    from core.standing import Standing

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


def queue_line(row: EventSummary, width: int) -> Content:
    """Verdict by glyph and word, tier by glyph, score, then as much of the prompt as there is room for."""
    glyph, word, colour = VERDICT_MARKS[row.verdict]
    tier_glyph, tier_colour = TIER_MARKS[row.tier]
    score = "  –" if row.score is None else f"{row.score:3.0f}"
    return Content.assemble(
        (f"{glyph} {word:<{_WORD_WIDTH}} ", colour),
        (tier_glyph, tier_colour),
        f" {score}  ",
        safe(row.prompt, one_line=True, limit=200),
    )


def event_title(item: ReviewItem) -> Content:
    """Number, category and verdict, for the pane's border."""
    glyph, word, colour = VERDICT_MARKS[item.event.verdict]
    return Content.assemble(
        f"#{item.event.id} ", safe(item.event.category, one_line=True, limit=30), " ", (f"{glyph} {word}", colour)
    )


def turned_note(word: str, judgment: JudgmentRow) -> str:
    """What undo or redo did: `undone: ✓ good on #12`."""
    glyph, verdict, _ = VERDICT_MARKS.get(judgment.kind, VERDICT_MARKS[None])
    return f"{word}: {glyph} {verdict} on #{judgment.event_id}"


def event_content(
    item: ReviewItem, standing: Standing | None, *, now: float, has_draft: bool, in_full: bool
) -> Content:
    """Everything about an event, top to bottom in the order in which it is needed to judge it.

    `standing` is where it stands in its category, None while that is not known. With `in_full` every part of the
    explanation stands at the top, else three lines of it stand below the findings.
    """
    event, known = item.event, replace(item.why, standing=standing)
    blocks = [_facts(item, now)]
    if has_draft:
        blocks.append(Content.styled("✎ a correction was begun; c goes on with it", "$text-warning"))
    if in_full:
        blocks.append(_block("Why", _why_in_full(known)))
    if event.history:
        blocks.append(_block(f"Earlier in this chat ({counted(len(event.history), 'turn')})", _turns(event.history)))
    blocks += [_block("Prompt", safe(event.prompt)), _block("Response", safe(event.response))]
    if event.correction is not None:
        blocks.append(_block("Correction", diff_content(diff_lines(event.response, event.correction))))
    blocks.append(_block("Findings", findings_content(event.findings, valid=event.valid)))
    if not in_full:
        blocks.append(_block("Why (w for all of it)", _why_in_short(known)))
    for title, text in (("Context", event.context), ("System prompt", event.system)):
        if text:
            blocks.append(_block(title, safe(text)))
    return Content("\n\n").join(blocks)


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
            safe(f"{turn.get('role', '')}: ", "$text-muted", one_line=True, limit=20),
            safe(str(turn.get("content", "")), limit=_TURN_CHARS),
        )
        for turn in history
    ]
    return Content("\n").join(lines)


def _facts(item: ReviewItem, now: float) -> Content:
    event = item.event
    tier = item.why.quality.tier
    glyph, colour = TIER_MARKS[tier]
    parts = [
        Content.styled(f"{glyph} {tier}", colour),
        Content(f"score {number(event.score, 0)}"),
        safe(event.model, "$text-muted", one_line=True, limit=40),
        Content.styled(ago(event.created_at, now), "$text-muted"),
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
