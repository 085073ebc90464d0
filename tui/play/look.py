"""How the playground puts an answer, its figures and its settings into words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style

from core.errors import FinetuneError
from core.playground.take import State, Take
from core.validate.validator import Validation
from storage.rows import Verdict
from tui.play.settings import PlaySettings
from tui.text import safe
from tui.widgets.event_view import VERDICT_MARKS, findings_content
from tui.words import counted, duration, number, speed

if TYPE_CHECKING:
    from tui.play.session import PlaySession

STATES: dict[State, tuple[str, str]] = {
    "loading": ("◌ loading the model", "$text-muted"),
    "answering": ("● answering", "$text-primary"),
    "done": ("✓ done", "$text-success"),
    "stopped": ("■ stopped", "$text-warning"),
    "failed": ("✗ failed", "$text-error"),
}
_PREFERRED = {"better": ("▲ better", "$text-success"), "worse": ("▽ worse", "$text-warning"),
              "tie": ("= no difference", "$text-primary")}  # fmt: skip

NOTHING = (
    ("enter", "writes a prompt"),
    ("ctrl+s", "sends it, also from within the box"),
    ("m", "chooses the model, M a second one beside it"),
    ("", "Nothing is recorded until you say what an answer is worth."),
)


def status(take: Take, *, hidden: bool) -> Content:
    """Where an answer stands, with its score and how fast it came; `hidden` leaves out what would tell the model."""
    word, colour = STATES[take.state]
    parts = [Content.styled(word, colour)]
    if take.running:
        parts.append(Content("x stops"))
    if not hidden and take.state != "failed":
        if take.validation is not None:
            parts.append(_score(take.validation))
        figures = take.figures
        if figures.first is not None:
            parts += [Content(f"first text {duration(figures.first)}")]
        if figures.speed is not None:
            parts.append(Content(speed(figures.speed)))
        if figures.tokens:
            parts.append(Content(counted(figures.tokens, "token")))
        if take.generation is not None and take.generation.finish_reason == "length":
            parts.append(Content.styled("cut off", "$text-warning"))
    return Content(" · ").join(parts)


def side(place: int, better: str | None) -> str:
    """What a vote for `left`, `right` or `tie` makes of the answer on the left (0) or right (1); empty before it."""
    if better in (None, "tie"):
        return better or ""
    return "better" if (better == "left") == (place == 0) else "worse"


def title(number: int, take: Take | None, *, hidden: bool, verdict: Verdict | None, mark: str) -> Content:
    """Number, model, and what was said of the answer."""
    shown = "a hidden model" if hidden else take.model if take is not None else ""
    parts = [Content(f"{number} "), safe(shown, one_line=True, limit=60)]
    if take is not None and take.event_id is not None:
        parts.append(Content(f" · #{take.event_id}"))
    if verdict is not None:
        glyph, word, colour = VERDICT_MARKS[verdict]
        parts.append(Content.assemble(" ", (f"{glyph} {word}", colour)))
    if mark in _PREFERRED:
        parts.append(Content.assemble(" ", _PREFERRED[mark]))
    return Content("").join(parts)


def ending(take: Take, *, hidden: bool) -> Content:
    """What follows the text of an answer: why there is none, or what the validator found."""
    if take.state == "failed":
        return failure(take.error)
    if take.state in ("done", "stopped") and not take.text.strip():
        return Content.styled("(an empty answer; r asks again)", "$text-muted")
    if hidden or take.validation is None:
        return Content("")
    found = take.validation
    listed = findings_content([asdict(one) for one in found.findings], valid=found.valid)
    return Content.assemble("" if take.text.endswith("\n") else "\n", ("Findings", "bold $text-accent"), "\n", listed)


def failure(error: BaseException | None) -> Content:
    """What went wrong, and what to do next."""
    if isinstance(error, FinetuneError):
        said, next_step = error.message, error.hint
        head = error.title
    else:
        head, said, next_step = "Something went wrong", f"{type(error).__name__}: {error}", ""
    lines = [safe(f"✗ {head}", "bold $text-error", one_line=True, limit=200), safe(said, limit=2_000)]
    if next_step:
        lines.append(safe(f"→ {next_step}", limit=1_000))
    lines.append(Content.styled("r asks again · m chooses another model", "$text-muted"))
    return Content("\n").join(lines)


def head(settings: PlaySettings, model: str) -> Content:
    """The line of settings; each part can be clicked."""
    seed = "any seed" if settings.seed is None else f"seed {settings.seed}"
    sampled = f"{settings.temperature:g} · {settings.max_tokens} tokens · {seed}"
    parts = [
        _link("a", settings.category, "category"),
        _link("m", model or "no model", "model('a')"),
        _link("M", settings.b or "no second", "model('b')"),
        _link("B", "blind" if settings.blind else "not blind", "blind"),
        _link("o", sampled + (" · own system prompt" if settings.system else ""), "options"),
    ]
    return Content("  ").join(parts)


def _link(key: str, text: str, action: str) -> Content:
    shown = Content.assemble((f"{key} ", "bold $text-accent"), safe(text, one_line=True, limit=60))
    return shown.stylize(Style.from_meta({"@click": f"screen.{action}"}))


def _score(found: Validation) -> Content:
    if not found.judged:
        return Content.styled("not judged", "$text-muted")
    mark = ("✓ valid", "$text-success") if found.valid else ("✗ not valid", "$text-error")
    return Content.assemble(f"score {number(found.score, 0)} ", mark)


def hint(session: PlaySession) -> str:
    """What can be done now, besides what stands below."""
    takes, turns = list(session.takes.values()), len(session.history) // 2
    if not takes or any(take.running for take in takes):
        return f"goes on after {counted(turns, 'answer')}; n begins anew" if turns else ""
    if not all(take.usable for take in takes):
        return "r asks again"
    if len(takes) == 2 and session.better is None:
        return "[ 1 is better · ] 2 is better · = no difference · tab goes to the other"
    return "s keeps the answer without a verdict · f asks on from it · n begins anew"
