"""What served when: promotions, roll-backs and undos with what spoke for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from textual.content import Content

from storage.rows import AliasChange
from tui.text import safe
from tui.versions.views import ModelsView
from tui.words import ago, clock, counted, odds, percent

ACTIONS: Final[Mapping[str, tuple[str, str, str]]] = {
    "promote": ("▲", "promoted", "$text-success"),
    "rollback": ("▼", "rolled back", "$text-warning"),
    "undo": ("↶", "undone", "$text-warning"),
    "reconcile": ("✚", "put right after a crash", "$text-muted"),
}
_UNKNOWN: Final = ("·", "changed", "$text-muted")


MOST_READ: Final = 300
"""As many changes of an alias make a text that opens at once."""


def timeline(view: ModelsView, *, now: float, category: str = "", most: int = 10) -> Content:
    """The newest `most` changes of every alias, or of one category's, the newest first."""
    blocks: list[Content] = []
    for alias in view.aliases:
        if category and alias.category != category:
            continue
        serving = view.name(alias.version_id)
        blocks.append(
            Content.assemble(
                safe(alias.name, "bold $text-accent", one_line=True),
                ("  now ", "$text-muted"),
                ("★ ", "$text-success"),
                safe(serving, "bold", one_line=True),
            )
        )
        changes = view.history.get(alias.name, ())
        blocks += _changes(changes, view, now, most)
        if len(changes) > most:
            blocks.append(
                Content.styled(f"… and {counted(len(changes) - most, 'older change')}; a report has all", "$text-muted")
            )
    return Content("\n\n").join(blocks)


def _changes(changes: Sequence[AliasChange], view: ModelsView, now: float, most: int) -> list[Content]:
    taken_back = {change.undoes for change in changes if change.undoes is not None}
    return [_change(change, view, now, taken_back=change.id in taken_back) for change in changes[:most]]


def _change(change: AliasChange, view: ModelsView, now: float, *, taken_back: bool) -> Content:
    glyph, word, colour = ACTIONS.get(change.action, _UNKNOWN)
    before = view.name(change.from_version) if change.from_version is not None else "the base model"
    head = Content.assemble(
        (f"{glyph} {word} ", colour),
        safe(f"{before} → {view.name(change.to_version)}", "bold", one_line=True),
        (" (taken back since)" if taken_back else "", "$text-muted"),
    )
    lines = [head, safe(f"  {clock(change.at)}, {ago(change.at, now)}, by {change.who}", "$text-muted", one_line=True)]
    if change.why:
        lines.append(safe(f"  because: {change.why}", one_line=True))
    lines += [safe(f"  {line}", "$text-muted", one_line=True) for line in evidence_lines(change.evidence)]
    return Content("\n").join(lines)


def evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """What a change's evidence says, in words; nothing for one that needed none."""
    lines = []
    if evidence.get("summary"):
        lines.append(str(evidence["summary"]))
    if isinstance(evidence.get("evidence"), int | float):
        lines.append(f"odds that it is better, against chance: {odds(evidence['evidence'])}")
    for name, label in (("old", "before"), ("new", "after")):
        side = evidence.get(name)
        if isinstance(side, Mapping) and "success" in side:
            lines.append(f"{label}: {percent(side['success'])} of {side.get('n', 0):,} answers succeeded")
    if evidence.get("forced"):
        lines.append("although the A/B test did not say so")
    return lines
