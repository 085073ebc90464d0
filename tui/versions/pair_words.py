"""How one pair of an A/B test is put into words: who won by what, and what was found in the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from textual.content import Content

from storage.ab_votes import AbVoteRow
from storage.rows import AbPairRow, Winner
from tui.text import safe
from tui.versions.pair_reading import Decision, PairFindings
from tui.widgets.event_view import findings_content
from tui.words import ago, counted, number, signed

_WON: Final[Mapping[Winner | None, tuple[str, str]]] = {
    "a": ("✗ lost: the baseline is better", "bold $text-error"),
    "b": ("✓ won: the candidate is better", "bold $text-success"),
    "tie": ("= tie", "bold"),
    None: ("? not judged: only a vote can tell", "bold $text-warning"),
}
_NAMES: Final[Mapping[Winner | None, str]] = {
    "a": "the baseline",
    "b": "the candidate",
    "tie": "no difference",
    None: "",
}
CHOICES: Final[Mapping[str, str]] = {
    "a": "baseline",
    "b": "candidate",
    "tie": "no difference",
    "both_good": "both good",
    "both_bad": "both bad",
    "skip": "skipped",
}
_GLYPHS: Final = {"error": ("✗", "error"), "warning": ("!", "warning"), "info": ("·", "note")}
_KINDS_SHOWN: Final = 4


def outcome(pair: AbPairRow, decided: Decision, votes: Sequence[AbVoteRow], now: float) -> Content:
    """Who won, and by what; then what the scores and the votes say for themselves."""
    word, style = _WON[decided.winner]
    head = Content.assemble((word, style), f", by {decided.by}" if decided.by else "")
    scores = f"scores: {number(pair.score_a)} → {number(pair.score_b)} ({signed(pair.score_b - pair.score_a)})"
    scores = f"{scores}, {_NAMES[decided.scored]}" if decided.scored else "scores: nothing could judge these answers"
    return Content.assemble(head, "\n", (f"{scores} · {_votes(decided, votes, now)}", "$text-muted"))


def _votes(decided: Decision, votes: Sequence[AbVoteRow], now: float) -> str:
    if not votes:
        return "no vote"
    if decided.vote is None:
        return "skipped in the blind vote"
    side = ""
    if decided.vote.choice in ("a", "b"):
        side = ", then on the left" if (decided.vote.choice == "b") == decided.vote.swapped else ", then on the right"
    told = f"vote: {CHOICES[decided.vote.choice]}{side}, {ago(decided.vote.at, now)}"
    if len(votes) > 1:
        told += f" ({counted(len(votes), 'vote')}; the newest counts)"
    if decided.scored in ("a", "b") and decided.voted in ("a", "b"):
        told += "; the scores agree" if decided.scored == decided.voted else "; the scores say the other"
    return told


def findings_line(found: PairFindings) -> Content:
    """A line for each answer: how many faults of which kind; nothing where the validator does not say."""
    if found.baseline is None or found.candidate is None:
        return safe(f"findings: {found.why}", "$text-muted", one_line=True) if found.why else Content("")
    return Content("\n").join(
        Content.assemble((f"{name:<10}", "$text-muted"), _in_short(findings))
        for name, findings in (("baseline", found.baseline), ("candidate", found.candidate))
    )


def _in_short(findings: Sequence[Mapping[str, Any]]) -> Content:
    if not findings:
        return Content.styled("✓ nothing found", "$text-success")
    counts = Counter(str(each.get("severity")) for each in findings)
    told = [
        f"{glyph} {counted(counts[severity], word)}" for severity, (glyph, word) in _GLYPHS.items() if counts[severity]
    ]
    kinds = Counter(str(each.get("kind", "")).replace("_", " ") for each in findings).most_common()
    named = [f"{kind} × {count}" if count > 1 else kind for kind, count in kinds[:_KINDS_SHOWN]]
    named += ["…"] if len(kinds) > _KINDS_SHOWN else []
    return safe(f"{' '.join(told)}: {', '.join(named)}", one_line=True, limit=300)


def findings_in_full(found: PairFindings, names: tuple[str, str]) -> Content:
    """Every finding of both answers."""
    blocks = []
    for role, name, findings in (("Baseline", names[0], found.baseline), ("Candidate", names[1], found.candidate)):
        if findings is not None:
            head = safe(f"{role}: {name}", "bold $text-accent", one_line=True)
            blocks.append(Content.assemble(head, "\n", findings_content(findings, valid=True)))
    return Content("\n\n").join(blocks)
